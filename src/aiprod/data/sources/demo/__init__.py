"""The generated demo corpus: what each film shows (plan), how it moves, looks and sounds, and the planted faults."""
