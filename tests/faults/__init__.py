"""Fault trials: whole small pipelines are disturbed, repaired by the next run, and compared with an undisturbed one.

``python -m tests.faults --trials 100 --seed 1`` runs them and writes docs/reliability.md.
"""
