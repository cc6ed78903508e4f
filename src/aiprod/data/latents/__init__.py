"""Cached latents: their rows, the dataset that reads them, the buckets that batches are drawn from."""
