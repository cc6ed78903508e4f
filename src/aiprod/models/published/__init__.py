"""Checkpoints as their makers publish them: recognised, brought into diffusers' format, or refused."""
