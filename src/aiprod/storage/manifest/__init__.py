"""Manifests: rows in Parquet with a Merkle root, encrypted columns for personal data."""
