"""The networks of StyleTTS2 and Kokoro, under their published names."""
