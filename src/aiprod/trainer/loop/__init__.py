"""The training loop: curriculum, optimisers, checkpoints, EMA, exposure, ranks."""
