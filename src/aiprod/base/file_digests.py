"""Digests of the files of a folder, in a file beside them that is written last; a folder without it is unfinished."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from aiprod.base.files import sha256_file, write_json
from aiprod.base.structured import read_json_mapping

DIGESTS = "digests.json"


def write_digests(folder: Path) -> None:
    """Write the digests of the files of a folder."""
    write_json(folder / DIGESTS, {p.name: sha256_file(p) for p in sorted(folder.iterdir())})


def compared(folder: Path) -> Iterator[tuple[str, bool]]:
    """Each file that has a digest, and whether it is what was written.

    Raises:
        AiprodError: there are no digests, or they cannot be read.
        OSError: a file is missing.
    """
    for name, digest in read_json_mapping(folder / DIGESTS).items():
        yield name, sha256_file(folder / name) == digest
