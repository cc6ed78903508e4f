"""What scan knows of files from earlier: digests, and what they say of training, so that each is read once.

Kept in the state folder. What is known of a film with personal data, its path included, is encrypted under that film's
key and found by a keyed digest of its path: a killed run, a copy of the folder, and an erasure leave nothing to read.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiprod.base.files import write_json
from aiprod.base.state import state
from aiprod.errors import AiprodError
from aiprod.storage.crypto.film_encryption import Vault, is_private

_INSIDE = "\0"  # between a file and one of several films in it: no path can hold it
_FORMAT = 2  # 1 had every entry in the clear


@dataclass(frozen=True)
class FileRecord:
    """One file as it was when it was read.

    Attributes:
        reservation: what the file says against training, None where it says nothing.
    """

    path: str
    size: int
    mtime_ns: int
    inode: int
    sha256: str
    reservation: str | None

    @classmethod
    def of(cls, values: Any) -> FileRecord | None:
        """From what was kept; None where it is not that."""
        match values:
            case [str(path), int(size), int(mtime), int(inode), str(digest), (str() | None) as said]:
                return cls(path, size, mtime, inode, digest, said)
        return None

    @property
    def file(self) -> Path:
        """The file itself, where ``path`` also names one of several films in it."""
        return Path(self.path.partition(_INSIDE)[0])

    @property
    def inside(self) -> bool:
        """Whether this is one of several films in a file."""
        return _INSIDE in self.path

    def values(self) -> list[Any]:
        """As it is kept."""
        return [self.path, self.size, self.mtime_ns, self.inode, self.sha256, self.reservation]

    def fits(self, facts: os.stat_result) -> bool:
        """Whether the file is still the same by size, time of change and inode."""
        return (self.size, self.mtime_ns, self.inode) == (facts.st_size, facts.st_mtime_ns, facts.st_ino)


class FileDigests:
    """Digests of files by path, size and time of change."""

    def __init__(self, vault: Vault, path: Path | None = None) -> None:
        self._vault, self._path = vault, path or state().root / "cache" / "scan" / "digests.json"
        self._kept = _read(self._path)
        self._plain: dict[str, FileRecord] = {}
        self._old: dict[str, FileRecord] = {}  # of the first format: good to look up, not to keep
        for path_, values in _mapping(self._kept, "plain").items():
            if (known := FileRecord.of([path_, *_list(values)])) is not None:
                self._plain[path_] = known
        if "format" not in self._kept:
            for path_, values in self._kept.items():
                if (known := FileRecord.of([path_, *_list(values)])) is not None:
                    self._old[path_] = known
        self._sealed: Mapping[str, Any] = _mapping(self._kept, "sealed")
        self._used: dict[str, FileRecord] = {}

    def facts(self, path: Path, look: Callable[[Path], tuple[str, str | None]], member: str = "") -> FileRecord:
        """What is known of a file, which is read by ``look`` where that is needed.

        Args:
            member: names one of several films in the file; each is remembered by itself.

        Raises:
            OSError: it cannot be read.
        """
        facts = path.stat()
        name = f"{path}{_INSIDE}{member}" if member else str(path)
        known = self._plain.get(name) or self._old.get(name)
        if known is None and self._sealed:  # else no key is needed, and none is made
            known = self._opened(self._token(name))
        if known is None or known.path != name or not known.fits(facts):
            known = FileRecord(name, facts.st_size, facts.st_mtime_ns, facts.st_ino, *look(path))
        self._used[name] = known
        return known

    def entries(self) -> Iterator[FileRecord]:
        """Everything that is known and can be read."""
        yield from {**self._old, **self._plain, **self._used}.values()
        yield from (known for token in self._sealed if (known := self._opened(token)) is not None)

    def save(self, owner: Callable[[FileRecord], str | None]) -> None:
        """Write down what was used, and of the rest what still has its file; erased films are left out.

        Args:
            owner: opaque id of the film that a file holds, None where it holds no personal data.
        """
        erased = {path for path, k in self._used.items() if self._vault.tombstone_for(content=k.sha256) is not None}
        plain: dict[str, Any] = {}
        sealed: dict[str, Any] = {}
        for path, known in self._plain.items():
            if path not in self._used and os.path.exists(known.file):
                plain[path] = known.values()[1:]
        mine = {self._token(path) for path in self._used} if self._sealed else set()
        for token in self._sealed.keys() - mine:
            rest = self._opened(token)
            if rest is not None and os.path.exists(rest.file):
                sealed[token] = self._sealed[token]
        for path, known in self._used.items():
            if path in erased:
                continue
            film_id = owner(known)
            if film_id is None:
                plain[path] = known.values()[1:]
            elif not self._vault.erased(film_id):
                sealed[self._token(path)] = [film_id, self._vault.seal_json(_label(film_id), known.values())]
        self._write(plain, sealed)

    def forget(self, films: set[str], contents: set[str], paths: set[str]) -> None:
        """Drop what is known of erased films: by id, by the bytes' digest, and by path."""
        sealed = {}
        for token, entry in self._sealed.items():
            known = self._opened(token)
            gone = known is not None and (known.sha256 in contents or known.path in paths)
            if known is not None and not gone and _film(entry) not in films:
                sealed[token] = entry
        every = {**self._old, **self._plain}
        kept = {p: k.values()[1:] for p, k in every.items() if p not in paths and k.sha256 not in contents}
        self._write(kept, sealed)

    def _write(self, plain: Mapping[str, Any], sealed: Mapping[str, Any]) -> None:
        content = {"format": _FORMAT, "plain": dict(plain), "sealed": dict(sealed)}
        if content != self._kept and (plain or sealed or self._kept):
            write_json(self._path, content)

    def _token(self, path: str) -> str:
        return self._vault.keys.commitment("scanned", os.fsencode(path).hex())

    def _opened(self, token: str) -> FileRecord | None:
        entry: Any = self._sealed.get(token)
        film_id = _film(entry)
        if film_id is None or self._vault.erased(film_id):
            return None
        try:
            blob = base64.b64decode(str(entry[1]), validate=True)
            return FileRecord.of(json.loads(self._vault.unseal(_label(film_id), blob)))
        except (AiprodError, ValueError):  # no key, or damaged: the file is read again
            return None


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _mapping(content: Mapping[str, Any], name: str) -> dict[str, Any]:
    mapping = content.get(name) if content.get("format") == _FORMAT else None
    return mapping if isinstance(mapping, dict) else {}


def _list(values: Any) -> list[Any]:
    return values if isinstance(values, list) else []


def _film(entry: Any) -> str | None:
    """The film that an encrypted entry is of."""
    match entry:
        case [str(film_id), str()] if is_private(film_id):
            return film_id
    return None


def _label(film_id: str) -> str:
    return f"scanned:{film_id}"
