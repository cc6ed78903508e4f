"""Progress that a person can follow: a bar in a terminal, a line now and then where output is captured."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

from aiprod.printable import escape_controls, json_text

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

T = TypeVar("T")
_SECONDS_BETWEEN_LINES = 10.0

console: Console | None = None
"""Where bars are drawn. Made when the first is asked for: most processes draw none, and need not load what draws."""

_quiet = False


def quiet() -> None:
    """From now on say nothing but errors, and draw no bar: one rank of a training speaks for all."""
    global _quiet  # noqa: PLW0603
    _quiet = True


def log(message: str) -> None:
    """A line to the person who watches (standard error, so that standard output stays data), with names as shown.

    With ``AIPROD_LOG=json`` each line is one JSON object, for machines that collect logs.
    """
    if _quiet:
        return
    if _as_json():
        _write_json({"message": message})
        return
    for line in message.split("\n"):
        print(escape_controls(line), file=sys.stderr, flush=True)


def log_error(line: str) -> None:
    """The last line of a command that failed."""
    if _as_json():
        _write_json({"level": "error", "message": line})
    else:
        print(line, file=sys.stderr)


def _terminal() -> Console | None:
    """Where to draw a bar; None where nobody could see it move."""
    global console  # noqa: PLW0603
    if _quiet:
        return None
    if console is None:
        if not (sys.stderr.isatty() or os.environ.get("FORCE_COLOR") or os.environ.get("TTY_COMPATIBLE")):
            return None
        from rich.console import Console

        console = Console(stderr=True, highlight=False)
    return console if console.is_terminal and not os.environ.get("CI") and not _as_json() else None


def _bar(terminal: Console) -> Progress:
    from rich import progress as columns

    return columns.Progress(
        columns.TextColumn("{task.description}"),
        columns.BarColumn(),
        columns.MofNCompleteColumn(),
        columns.TimeElapsedColumn(),
        columns.TimeRemainingColumn(),
        columns.TextColumn("{task.fields[note]}"),
        console=terminal,
        transient=False,
    )


def _as_json() -> bool:
    return os.environ.get("AIPROD_LOG", "").lower() == "json"


def _write_json(content: dict[str, object]) -> None:
    """One line: the time, the stage where DVC runs one, how serious, and the content."""
    message = str(content.get("message", ""))
    level = "warning" if message.startswith("warning:") else "info"
    line = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "level": level, **content}
    print(json_text(json.dumps(line, ensure_ascii=False)), file=sys.stderr, flush=True)


class Ticker:
    """Counts units of long work; ``advance(note="loss 0.12")`` after each."""

    def __init__(self, description: str, total: int | None) -> None:
        self.description, self.total, self.done = description, total, 0
        self._start = self._last = time.monotonic()
        self._bar: Progress | None = None
        if (terminal := _terminal()) is not None:
            self._bar = _bar(terminal)
            self._bar.start()
            self._task = self._bar.add_task(description, total=total, note="")

    def advance(self, amount: int = 1, note: str = "", film_s: float | None = None) -> None:
        """Record ``amount`` finished units and an optional short note such as the present loss.

        Args:
            film_s: seconds of film done so far, in all; shown as seconds of film a second.
        """
        self.done += amount
        now = time.monotonic()
        spent = max(now - self._start, 1e-9)
        if film_s is not None:
            note = f"{film_s / spent:.3g} s of film/s {note}".rstrip()
        rate = self.done / spent
        if self._bar is not None:
            self._bar.update(self._task, advance=amount, note=f"{rate:.2g}/s {note}".rstrip())
            return
        if now - self._last >= _SECONDS_BETWEEN_LINES or (self.done == self.total and self._last > self._start):
            self._last = now
            if _as_json():
                counted = {"done": self.done, "total": self.total, "per_s": float(f"{rate:.3g}"), "note": note}
                _write_json({"message": self.description, **counted})
                return
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
