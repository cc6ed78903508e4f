"""Reads a bounded YAML file. Without pydantic: commands that only look at a file are done before that is loaded."""

from __future__ import annotations

import copy
import functools
from pathlib import Path
from typing import Any

from aiprod.base.structured import YAML_BYTES_MAX, parse_yaml, read_bounded


def read_yaml(path: Path | str) -> Any:
    """Read a YAML 1.2 file (``1e-05`` is a number there, in YAML 1.1 it is a string).

    Raises:
        AiprodError: missing, not YAML, or larger or deeper than any person writes.
    """
    data = read_bounded(path, YAML_BYTES_MAX, "run from the root of the repository")
    return copy.deepcopy(_parsed(data, str(path)))


@functools.lru_cache(maxsize=8)
def _parsed(data: bytes, path: str) -> Any:
    """Parsed once per process: a stage reads the same file for its section, the seed and the engine."""
    return parse_yaml(data, path)
