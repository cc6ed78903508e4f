"""Film in: sources, ingest, demo corpus, clip store, engine."""
