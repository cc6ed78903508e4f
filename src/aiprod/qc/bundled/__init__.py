"""Small networks that Python packages carry, or that lie here: found without an import, pinned by digest."""
