"""The tamper-evident log: an RFC 6962 Merkle tree in SQLite, with signed checkpoints and proofs."""
