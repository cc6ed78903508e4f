"""Inference: text, first frame or video to video with sound, written as MP4, and measures of what came out."""
