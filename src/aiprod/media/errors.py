"""Why a media file cannot be used: a short code that rows and tests rely on, and words for people."""

from __future__ import annotations

from typing import Literal

from aiprod.errors import AiprodError

Kind = Literal[
    "missing",
    "empty",
    "not-media",
    "unreadable",
    "encrypted",
    "no-video",
    "no-frames",
    "unknown-codec",
    "too-large",
    "too-long",
    "truncated",
    "damaged",
    "hdr",
    "timing",
    "unsupported",
    "reserved",
]


class MediaError(AiprodError):
    """A file that cannot be opened, decoded or trusted.

    Args:
        kind: the class of fault.
        what: what is wrong, in words; never holds a path's folder, because rows keep it.
    """

    def __init__(self, kind: Kind, what: str, hint: str = "") -> None:
        super().__init__(what, hint)
        self.kind = kind

    def __reduce__(self) -> tuple[type, tuple[str, str, str]]:
        return type(self), (self.kind, self.what, self.hint)

    @property
    def reason(self) -> str:
        """``kind: what``, for a row."""
        return f"{self.kind}: {self.what}"
