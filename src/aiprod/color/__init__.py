"""Colour: look-up tables, ASC CDL, and grades that are made of them.

Only mathematics on arrays and the files that hold it; pictures are decoded and encoded in :mod:`aiprod.media`.
"""
