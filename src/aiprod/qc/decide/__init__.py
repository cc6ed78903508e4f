"""From measurements to verdicts: rules, scores, privacy, duplicates, overlays, reviews."""
