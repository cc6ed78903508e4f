"""Speech: a drawn voice with exact times, text to phones, features, the model and its vocoder, and meters."""
