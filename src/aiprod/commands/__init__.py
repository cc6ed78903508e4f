"""Sub-commands of ``aiprod``; each module has ``register(app)``."""
