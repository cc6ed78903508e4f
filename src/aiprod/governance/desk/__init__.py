"""The desk: dossier, lineage, review, samples side by side and erasure in a browser on this machine."""
