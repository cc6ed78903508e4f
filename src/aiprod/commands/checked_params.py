"""Remembers that a parameter file was found good, for the models that check it load PyTorch, which takes seconds."""

from __future__ import annotations

import hashlib
from pathlib import Path

from aiprod.base import state_cache
from aiprod.base.files import digest_of
from aiprod.base.opening import read_file

_NAME = "params"


def identity_of(path: Path) -> str:
    """Digest of the file and of the modules of this package.

    Checks and captioners that other packages add are not looked at: their stages refuse what is wrong.
    """
    return digest_of([hashlib.sha256(read_file(path)).hexdigest(), state_cache.code_stamp()])


def was_good(path: Path) -> bool:
    """Whether this code found this content good before."""
    return path.is_file() and state_cache.recall(_NAME, identity_of(path)) is True


def remember(decided_by: str) -> None:
    """Keep that what ``identity_of`` named is good."""
    state_cache.remember(_NAME, decided_by, True)
