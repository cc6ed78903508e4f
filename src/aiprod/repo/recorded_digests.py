"""An output as dvc.lock records it, in either of DVC's forms.

A remote with ``version_aware`` (the versions of a bucket in place of DVC's own cache) makes DVC write, at the push of a
folder, the list of its files and their versions in place of the folder's one digest. The digest follows from the list,
so that a folder is the same thing before and after a push. A push that did not arrive can leave the list empty, and
then dvc.lock no longer says what the folder holds.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aiprod.base.opening import open_file


def listing_digest(md5_of: Mapping[str, str]) -> str:
    """DVC's digest of a folder: MD5 over the JSON list of its files' digests, by relative path, and ``.dir``."""
    entries = [{"md5": md5_of[name], "relpath": name} for name in sorted(md5_of)]
    return hashlib.md5(json.dumps(entries, sort_keys=True).encode(), usedforsecurity=False).hexdigest() + ".dir"


def listed_files(entry: Mapping[str, Any]) -> dict[str, str] | None:
    """Relative path → digest where the entry lists its files; None in the other form, empty after a lost push.

    A file without an MD5 (of a remote that DVC only refers to) is told apart by all that is recorded of it.
    """
    files = entry.get("files")
    if not isinstance(files, list):
        return None
    return {
        str(file.get("relpath", "")): str(file.get("md5") or json.dumps(file, sort_keys=True, default=str))
        for file in files
        if isinstance(file, dict)
    }


def recorded_digest(entry: Mapping[str, Any]) -> str:
    """The digest of a file or folder (then it ends in ``.dir``); empty where the entry no longer says it."""
    if entry.get("md5"):
        return str(entry["md5"])
    files = listed_files(entry)
    return listing_digest(files) if files else ""


def is_lost(entry: Mapping[str, Any]) -> bool:
    """Whether a push took the digest and left no list."""
    return not entry.get("md5") and listed_files(entry) == {}


def md5_file(path: Path) -> str:
    """DVC's digest of a file."""
    with open_file(path) as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
