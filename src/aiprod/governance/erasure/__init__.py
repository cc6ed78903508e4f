"""Right to erasure: resolve, destroy the key, delete, scan every store, mark models, certify."""
