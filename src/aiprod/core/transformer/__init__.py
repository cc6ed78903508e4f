"""The two-stream audio-video transformer."""
