"""The error of the loader."""

from __future__ import annotations

from aiprod.core.errors import CoreError


class CheckpointError(CoreError):
    """A checkpoint that is not loaded, because it is missing, damaged, of another kind, or unsafe.

    Nothing was loaded when this is raised: a model is either whole or not there.
    """
