"""Captioners: from measurements and declarations to sentences and tags."""
