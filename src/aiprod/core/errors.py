"""The error that the core raises for bad input: what is wrong and the mend, in one line."""

from __future__ import annotations


class CoreError(ValueError):
    """An invalid size, setting or file given to the core.

    The core imports nothing else of this package, so it has its own error; whoever prints it treats it like the
    package's other one-line errors: ``str(error)`` says what is wrong, an arrow, and what to do.

    Args:
        what: what is wrong and where, without a final full stop.
        mend: what to do about it.
    """

    def __init__(self, what: str, mend: str = "") -> None:
        self.what = " ".join(what.split())
        self.mend = " ".join(mend.split())
        super().__init__(f"{self.what} → {self.mend}" if self.mend else self.what)
