"""Training: strategies, VAE trainers, losses, curriculum, EMA, checkpoints, the loop."""

import os

# Idle OpenMP threads sleep instead of spinning: on a busy machine spinning ones slow each other down many times over.
# It is read when torch first starts its threads, hence here.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
