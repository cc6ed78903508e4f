"""Fixtures for tests of training."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.trainer.small_cache import write_cache


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small cache of latents, of two phases."""
    return write_cache(tmp_path_factory.mktemp("latents"))
