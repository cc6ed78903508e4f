"""Per-clip memoisation: one content-addressed folder per result, kept in the state folder across experiments.

A result is found again when the clip's content, the stage's code closure and its parameters are the same, whatever
experiment or order it was made in. Results appear by rename, so a killed run leaves none in part.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiprod.base.files import digest_of, link_or_copy, write_json

_RESULT = "result.json"


@dataclass(frozen=True)
class Memo:
    """Results of one stage.

    Args:
        folder: from ``state().memo(stage)``.
        context: what all clips share: digests of code closure, parameters and models.
    """

    folder: Path
    context: str

    def key(self, *parts: Any) -> str:
        """The address of one clip's result, from the digests of what it depends on."""
        return digest_of([self.context, *parts])

    def get(self, key: str) -> tuple[Any, Path] | None:
        """``(result, folder with its files)``, or None. A damaged entry counts as absent."""
        place = self._place(key)
        try:
            entry = json.loads((place / _RESULT).read_text(encoding="utf-8"))
            for name, size in entry["files"].items():
                if (place / name).stat().st_size != size:
                    return None
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return entry["result"], place

    def put(self, key: str, build: Callable[[Path], Any]) -> tuple[Any, Path]:
        """Run ``build(folder)``, which writes files there and returns a JSON value, and keep both."""
        place = self._place(key)
        place.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=".new.", dir=place.parent))
        try:
            result = build(temporary)
            files = {p.name: p.stat().st_size for p in sorted(temporary.iterdir())}
            for name in files:
                os.chmod(temporary / name, 0o444)  # hard links of it become outputs: nobody may write through them
            write_json(temporary / _RESULT, {"result": result, "files": files})
            shutil.rmtree(place, ignore_errors=True)
            try:
                os.replace(temporary, place)
            except OSError:
                if self.get(key) is None:  # not another process that was faster with the same result
                    raise
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        return result, place

    def link(self, place: Path, name: str, target: Path) -> None:
        """Put a kept file at ``target``, which must not be written to afterwards."""
        link_or_copy(place / name, target)

    def _place(self, key: str) -> Path:
        return self.folder / key[:2] / key
