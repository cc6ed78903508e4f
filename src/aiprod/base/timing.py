"""How long each stage took, kept in the state folder: times differ between runs, so they are no output of DVC."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

from aiprod.base.files import write_json
from aiprod.base.state import state


def folder() -> Path:
    """One JSON file per stage, and ``run.json``, which says when the last whole run began."""
    return state().root / "timings"


@contextlib.contextmanager
def timed(stage: str) -> Iterator[None]:
    """Note what the block took, and whether it ended well; a full disk or a read-only state stops nothing."""
    began, processor = time.monotonic(), _processor_s()
    ended_well = False
    try:
        yield
        ended_well = True
    finally:
        _note(
            stage,
            seconds=round(time.monotonic() - began, 2),
            processor_s=round(_processor_s() - processor, 2),
            ended_well=ended_well,
        )


def run_begins() -> None:
    """Note that a whole run begins now."""
    _note("run")


def _note(name: str, **values: float | bool) -> None:
    with contextlib.suppress(OSError):
        state().make()
        folder().mkdir(exist_ok=True)
        write_json(folder() / f"{name}.json", {**values, "unix_time_s": round(time.time(), 3)})


def _processor_s() -> float:
    """Of this process and of its children that have ended."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system
