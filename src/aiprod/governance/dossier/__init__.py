"""The dossier: sources, rights, verdicts, models and samples on one page."""
