"""Training of the text encoder, or the use of a given one."""
