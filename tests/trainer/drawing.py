"""Plots that nobody looks at."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure


@contextmanager
def nothing_drawn() -> Iterator[None]:
    """Plots are put together as ever, and their files are empty."""

    def written(self: Figure, path: Path, **how: Any) -> None:
        Path(path).write_bytes(b"")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Figure, "savefig", written)
        yield
