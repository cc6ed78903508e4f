"""Files that appear whole or not at all, digests, and paths that cannot escape their folder."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from aiprod.base.canonical_json import canonical_json
from aiprod.base.opening import open_file
from aiprod.base.structured import JSON_BYTES_MAX, parse_json, read_bounded
from aiprod.errors import DISK_FULL, FREE_SPACE, AiprodError

_CHUNK = 1 << 20


# No space, no quota, or a file beyond the limit that `ulimit -f` sets: to whoever writes, the disk is full.


def _disk_full(target: Path) -> AiprodError:
    return AiprodError(f"no space left on the disk while writing {target}", FREE_SPACE)


@contextlib.contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; rename it into place when the block ends without an error.

    The file is flushed to disk before the rename, so that a crash or a full disk leaves either the old content or
    the new, never a part. The temporary name keeps the suffix, because encoders choose a format by it.

    Raises:
        AiprodError: the disk is full (the original file is untouched).
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        handle, name = tempfile.mkstemp(prefix=f".{target.stem}.", suffix=target.suffix, dir=target.parent)
    except OSError as error:  # which names the file that people know
        if error.errno in DISK_FULL:
            raise _disk_full(target) from None
        raise type(error)(error.errno, error.strerror, str(target)) from None
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, target)
    except OSError as error:
        if error.errno in DISK_FULL:
            raise _disk_full(target) from None
        raise
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_folder(path: Path | str) -> Iterator[Path]:
    """Yield a temporary folder beside ``path``; swap it into place when the block ends without an error."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    os.chmod(temporary, 0o755)  # noqa: S103 (as `mkdir` would; mkdtemp makes it private)
    try:
        yield temporary
        if target.exists():
            old = Path(tempfile.mkdtemp(prefix=f".{target.name}.old.", dir=target.parent))
            os.replace(target, old / "x")
            os.replace(temporary, target)
            shutil.rmtree(old, ignore_errors=True)
        else:
            os.replace(temporary, target)
    except OSError as error:
        if error.errno in DISK_FULL:
            raise _disk_full(target) from None
        raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_bytes(path: Path | str, data: bytes) -> None:
    """Write ``data`` atomically."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: Path | str, text: str) -> None:
    """Write ``text`` as UTF-8, atomically."""
    write_bytes(path, text.encode())


def write_json(path: Path | str, value: Any) -> None:
    """Write ``value`` as readable JSON with sorted keys, atomically. NaN and infinity are refused."""
    write_text(path, json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path | str, missing: str = "run `dvc repro` to make it") -> Any:
    """Read JSON.

    Args:
        missing: what to do where there is no such file.

    Raises:
        AiprodError: the file is missing, is not JSON, or is larger or deeper than any of ours.
    """
    return parse_json(read_bounded(path, JSON_BYTES_MAX, missing), str(path))


def digest_of(value: Any) -> str:
    """SHA-256 (hex) of a JSON value's canonical form."""
    return hashlib.sha256(canonical_json(value)).hexdigest()


def sha256_file(path: Path | str) -> str:
    """SHA-256 (hex) of a file's bytes."""
    digest = hashlib.sha256()
    with open_file(path) as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


_digests: dict[tuple[int, ...], str] = {}
_SETTLED_S = 2.0  # a file that was written later than this may be written again without its times telling


def sha256_once(path: Path | str) -> str:
    """SHA-256 (hex) of a file's bytes, which this process reads once while inode, size and times stay.

    No digest is kept longer than the process, for what a disk does to a file by itself changes no time.
    """
    about = os.stat(path)
    mark = (about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns, about.st_ctime_ns)
    if mark not in _digests:
        digest = sha256_file(path)
        if time.time() - about.st_ctime < _SETTLED_S:
            return digest
        _digests[mark] = digest
    return _digests[mark]


def digest_folder(path: Path | str) -> str:
    """SHA-256 (hex) over the sorted relative names and contents of every file below ``path``."""
    root = Path(path)
    entries = sorted(p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file())
    return digest_of([[name, sha256_file(root / name)] for name in entries])


def contained(root: Path | str, *parts: str) -> Path:
    """Join ``parts`` below ``root``.

    Raises:
        AiprodError: the result would lie outside ``root`` (``..``, an absolute part, a link that leads out).
    """
    base = Path(root).resolve()
    joined = base.joinpath(*parts).resolve()
    if joined != base and base not in joined.parents:
        raise AiprodError(f"the path {'/'.join(parts)!r} leads out of {root}", "use a path inside the folder")
    return joined


def stamp_of(path: Path | str) -> str:
    """Inode, size and time of a file: the same as long as nobody writes to it or replaces it. Empty: none is there."""
    try:
        about = os.stat(path)
    except OSError:
        return ""
    return f"{about.st_ino},{about.st_size},{about.st_mtime_ns}"


def link_or_copy(source: Path | str, target: Path | str) -> None:
    """Put ``source`` at ``target`` by a hard link where the file system allows it, else by an atomic copy."""
    with contextlib.suppress(OSError):  # mostly nothing is there yet, and its folder is
        os.link(source, target)
        return
    target = Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        with atomic_path(target) as temporary:
            shutil.copyfile(source, temporary)
