"""One decode per clip, fed to every check; no thresholds."""
