"""Searches everything that a run leaves for traces of a film with personal data: its bytes, names, titles and hashes.

Independent of the search that an erasure makes: it reads every file below a folder, tables and databases as text, and
compares every name. Reusable by any test: ``assert traces(root, needles_of(film, words), but=[inbox]) == []``.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import os
import shutil
import sqlite3
import tempfile
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet as pq


def needles_of(data: bytes, words: Iterable[str]) -> dict[str, bytes]:
    """What to look for: pieces of a film's bytes, its digests in hex and base64, and words in every common writing."""
    found: dict[str, bytes] = {}
    for name in ("sha256", "md5", "sha1"):
        digest = hashlib.new(name, data, usedforsecurity=False).digest()
        found[name] = digest.hex().encode()
        found[f"{name} in capitals"] = digest.hex().upper().encode()
        found[f"{name} in base64"] = base64.b64encode(digest).rstrip(b"=")
        found[f"{name} as bytes"] = digest
    for start in range(len(data) // 4, len(data) - 64, max(64, len(data) // 50)):
        piece = data[start : start + 64]
        if len(set(piece)) > 44:  # headers are alike in all films
            found[f"bytes at {start}"] = piece
    for word in words:
        for form in ("NFC", "NFD"):
            text = unicodedata.normalize(form, word)  # type: ignore[arg-type]
            found[f"{word} ({form})"] = text.encode()
            found[f"{word} ({form}, escaped)"] = json.dumps(text)[1:-1].encode()
            found[f"{word} ({form}, quoted)"] = quote(text).encode()
            found[f"{word} ({form}, UTF-16)"] = text.encode("utf-16-le")
    return found


def traces(root: Path, needles: dict[str, bytes], but: Iterable[Path] = ()) -> list[str]:
    """``what in which file`` for everything that is found below ``root``.

    Args:
        but: files and folders that are not looked at.
    """
    away = {Path(p) for p in but}
    found = []
    for path in _files(root, away):
        name = os.fsencode(path.relative_to(root))
        for text in (name, *_texts(path)):
            found += [f"{what} in {path.relative_to(root)}" for what, needle in needles.items() if needle in text]
    return sorted(set(found))


def _files(root: Path, away: set[Path]) -> Iterator[Path]:
    for top, folders, names in os.walk(root):
        here = Path(top)
        folders[:] = [f for f in folders if here / f not in away]
        yield from (here / n for n in names if here / n not in away and (here / n).is_file())


def _texts(path: Path) -> Iterator[bytes]:
    """The bytes of a file, and what is packed in it."""
    try:
        data = path.read_bytes()
    except OSError:  # it went away meanwhile
        return
    yield data
    if data[:4] == b"PAR1":
        with suppress(pa.ArrowInvalid):
            yield str(pq.read_table(path).to_pylist()).encode("utf-8", "replace")
    elif data[:2] == b"\x1f\x8b":
        with suppress(OSError, EOFError):
            yield gzip.decompress(data)
    elif data.startswith(b"SQLite format 3\0"):
        with tempfile.TemporaryDirectory() as place:
            for end in ("", "-wal"):
                if Path(f"{path}{end}").is_file():
                    shutil.copyfile(f"{path}{end}", f"{place}/copy.db{end}")
            with closing(sqlite3.connect(f"{place}/copy.db")) as database:
                yield "\n".join(database.iterdump()).encode("utf-8", "replace")
