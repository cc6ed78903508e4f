"""Overlays that several clips share: sketches of lasting edges and the search for what they have in common."""
