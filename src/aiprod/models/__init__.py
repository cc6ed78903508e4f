"""Model folders on disk, and models that were made elsewhere."""
