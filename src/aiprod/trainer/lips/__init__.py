"""Trains the network that draws a mouth into a face."""
