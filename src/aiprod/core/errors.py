"""Errors of the core."""

from __future__ import annotations

from aiprod.errors import AiprodError


class CoreError(AiprodError, ValueError):
    """An invalid size, setting or file given to the core."""
