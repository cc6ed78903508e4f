"""Interchange with diffusers: schedulers in both directions, and public checkpoints as the backbone of our loops."""
