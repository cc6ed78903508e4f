"""The one place that opens and writes media: probe, pictures by time, sound, clips for training, encoding."""
