"""From a generated clip to model, clips, films and licences, and back, with every hash recomputed."""
