"""Training of the audio-video diffusion transformer."""
