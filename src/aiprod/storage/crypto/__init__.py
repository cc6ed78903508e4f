"""Encryption per film, keys, tombstones."""
