"""Checkpoint folders: reading, strict loading, digests, foreign key names, LoRA."""
