"""Progress that a person can follow: a bar in a terminal, a line now and then where output is captured."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from aiprod.printable import escape_controls

T = TypeVar("T")
_SECONDS_BETWEEN_LINES = 10.0

console = Console(stderr=True, highlight=False)


def say(message: str) -> None:
    """A line to the person who watches (standard error, so that standard output stays data), with names as shown."""
    for line in message.split("\n"):
        console.print(escape_controls(line), markup=False, soft_wrap=True)


class Ticker:
    """Counts units of long work; ``advance(note="loss 0.12")`` after each."""

    def __init__(self, description: str, total: int | None) -> None:
        self.description, self.total, self.done = description, total, 0
        self._start = self._last = time.monotonic()
        self._bar: Progress | None = None
        if console.is_terminal and not os.environ.get("CI"):
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[note]}"),
                console=console,
                transient=False,
            )
            self._bar.start()
            self._task = self._bar.add_task(description, total=total, note="")

    def advance(self, amount: int = 1, note: str = "", film_s: float | None = None) -> None:
        """Record ``amount`` finished units and an optional short note such as the present loss.

        Args:
            film_s: seconds of film done so far, in all; shown as hours of film a second.
        """
        self.done += amount
        now = time.monotonic()
        spent = max(now - self._start, 1e-9)
        if film_s is not None:
            note = f"{film_s / 3600 / spent:.2g} h of film/s {note}".rstrip()
        rate = self.done / spent
        if self._bar is not None:
            self._bar.update(self._task, advance=amount, note=f"{rate:.2g}/s {note}".rstrip())
            return
        if now - self._last >= _SECONDS_BETWEEN_LINES or (self.done == self.total and self._last > self._start):
            self._last = now
            of = f"/{self.total}" if self.total else ""
            left = f", {(self.total - self.done) / rate:.0f} s left" if self.total and rate > 0 else ""
            line = f"  {self.description}: {self.done}{of} ({rate:.2g}/s{left}) {note}"
            print(line.rstrip(), file=sys.stderr, flush=True)

    def close(self) -> None:
        """Stop drawing."""
        if self._bar is not None:
            self._bar.stop()


@contextlib.contextmanager
def ticker(description: str, total: int | None = None) -> Iterator[Ticker]:
    """A :class:`Ticker` for the length of a block."""
    tick = Ticker(description, total)
    try:
        yield tick
    finally:
        tick.close()


def progress(items: Iterable[T], description: str, total: int | None = None) -> Iterator[T]:
    """Iterate with progress."""
    if total is None and hasattr(items, "__len__"):
        total = len(items)  # type: ignore[arg-type]
    with ticker(description, total) as tick:
        for item in items:
            yield item
            tick.advance()
