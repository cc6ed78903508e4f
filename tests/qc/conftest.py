"""Fixtures of the tests of quality control."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def state_of_its_own(state_home: Path) -> Path:
    """What a test leaves to be tried again must not reach this checkout's own next ``dvc repro``."""
    return state_home
