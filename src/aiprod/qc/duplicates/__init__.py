"""Near-duplicates by fingerprints of picture and sound."""
