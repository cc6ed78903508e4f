"""Trains the network from sound to visemes and the mouth."""
