"""Public checkpoints in the format of diffusers and transformers as models of ours, and schedulers both ways."""
