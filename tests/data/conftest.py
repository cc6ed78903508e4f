"""A real film in a few bytes."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

import numpy as np
import pytest

from aiprod.media.encoding import encode
from tests.data.inbox import inbox  # noqa: F401 - fixtures
from tests.data.inbox_project import project  # noqa: F401 - fixtures
from tests.data.web_server import films, web  # noqa: F401 - fixtures


def short_film(path: Path, seed: int = 0, seconds: float = 1.0) -> Path:
    """A moving grain film with a tone, 128x96 at 24 fps."""
    path.write_bytes(_encoded(seed, seconds))
    return path


@functools.cache
def _encoded(seed: int, seconds: float) -> bytes:
    """To encode such a film takes most of the time of many tests."""
    rng = np.random.default_rng(seed)
    ground = rng.integers(60, 200, (96, 400, 3), np.uint8)
    count = round(24 * seconds)
    time = np.arange(round(48_000 * seconds)) / 48_000
    tone = (0.3 * np.sin(2 * np.pi * (300 + 50 * seed) * time)).astype(np.float32)
    pictures = [ground[:, 2 * n : 2 * n + 128] for n in range(count)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "film.mp4"
        encode(path, pictures, 24, np.stack([tone, tone]), preset="ultrafast")
        return path.read_bytes()


@pytest.fixture(scope="session")
def make_film():  # type: ignore[no-untyped-def]
    """Writes a small film: ``make_film(path, seed)``."""
    return short_film


@pytest.fixture(scope="session")
def film_bytes(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The bytes of a small film."""
    return short_film(tmp_path_factory.mktemp("film") / "a.mp4").read_bytes()
