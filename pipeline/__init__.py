"""One module per DVC stage, runnable as ``python -m pipeline.<stage>``."""
