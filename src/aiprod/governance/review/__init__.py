"""Manual review: samples that nobody can choose, a page to look at clips, decisions with a role, bounds in a report."""
