"""Encoding of clips and captions into the latent cache."""
