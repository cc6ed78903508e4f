"""What scan remembers of files, for a look that neither reads whole files to list them nor writes anything down."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from aiprod.data.sources.scan_memory import FileDigests, FileRecord


class UndigestedFiles(FileDigests):
    """Knows of a file what its folder says: no digest, which costs reading it."""

    def __init__(self) -> None:
        """Open no state folder: there may be none."""

    def facts(self, path: Path, look: Callable[[Path], tuple[str, str | None]], member: str = "") -> FileRecord:
        facts = path.stat()
        return FileRecord(str(path), facts.st_size, facts.st_mtime_ns, facts.st_ino, "", None)
