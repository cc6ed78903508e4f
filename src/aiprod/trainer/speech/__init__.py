"""Trains the speech model: acoustic model and vocoder in one run of the training loop."""
