"""Autoencoders of video and of audio."""
