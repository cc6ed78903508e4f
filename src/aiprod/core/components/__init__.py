"""Schedules, steps, guidance, noise and patches: what a training or sampling loop is made of."""
