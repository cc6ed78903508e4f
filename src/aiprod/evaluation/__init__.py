"""Measures of generated clips: prompt adherence, audio-visual sync, Fréchet distance, and the sample stage."""
