"""Mouths: what they do when something is said, how that is measured in film, and how they are drawn and redrawn."""
