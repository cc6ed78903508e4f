"""Training of the video and audio autoencoders."""
