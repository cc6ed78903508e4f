"""What is kept: manifests, encrypted objects, cached results, clip files."""
