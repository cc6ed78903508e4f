"""Per-clip memoisation: one content-addressed folder per result, kept in the state folder across experiments.

A result is found again when the clip's content, the stage's code closure and its parameters are the same, whatever
experiment or order it was made in. Results appear by rename, so a killed run leaves none in part; what it had
written is removed by the next run that keeps something.

Results that belong to a film with personal data are encrypted, files and values, and bear the film's opaque id, by
which erasure finds them.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from aiprod.base.files import digest_of, link_or_copy, sha256_file, write_json
from aiprod.base.scratch import scratch, sweep
from aiprod.base.vault import ErasedError, Vault, film_of, private_folder

_RESULT = "result.json"
_UNDER_WAY = ".new."
CIPHERTEXT = "ciphertext_sha256"
"""In the result of an encrypted entry: name → SHA-256 of each file as it lies there."""


@dataclass(frozen=True)
class Seal:
    """How a result is encrypted.

    Args:
        subject: the film's or clip's id.
        label: name of a kept file → its label ``<kind>:<id>``.
    """

    subject: str
    label: Callable[[str], str]


@dataclass(frozen=True)
class _Sealed:
    """A result in base64 as it is kept, and whose it is."""

    subject: str
    value: str


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
            if "subject" in entry:
                sealed = base64.b64decode(entry["result"], validate=True)
                return json.loads(Vault().unseal(f"memo:{entry['subject']}", sealed)), place
        except (OSError, ValueError, KeyError, TypeError, ErasedError):
            return None
        return entry["result"], place

    def put(self, key: str, build: Callable[[Path], Any], seal: Seal | None = None) -> tuple[Any, Path]:
        """Run ``build(folder)``, which writes files there and returns a JSON value, and keep both.

        Args:
            seal: for what belongs to a film with personal data: everything is kept encrypted; a result that is a
                mapping gets the entry :data:`CIPHERTEXT`.
        """
        return self._keep(key, build) if seal is None else self._put_sealed(key, build, seal)

    def _keep(self, key: str, build: Callable[[Path], Any]) -> tuple[Any, Path]:
        place = self._place(key)
        place.parent.mkdir(parents=True, exist_ok=True)
        _sweep_once(self.folder)
        with scratch(place.parent, _UNDER_WAY) as temporary:
            result = build(temporary)
            files = {p.name: p.stat().st_size for p in sorted(temporary.iterdir())}
            for name in files:
                os.chmod(temporary / name, 0o444)  # hard links of it become outputs: nobody may write through them
            entry: dict[str, Any] = {"result": result, "files": files}
            if isinstance(result, _Sealed):
                entry = {"result": result.value, "files": files, "subject": result.subject}
            write_json(temporary / _RESULT, entry)
            if self.get(key) is None:  # else another run was faster with the same result, and reads it by now
                shutil.rmtree(place, ignore_errors=True)
                try:
                    os.replace(temporary, place)
                except OSError:
                    if self.get(key) is None:
                        raise
        return result, place

    def _put_sealed(self, key: str, build: Callable[[Path], Any], seal: Seal) -> tuple[Any, Path]:
        vault = Vault()
        result: Any = None

        def encrypted(folder: Path) -> Any:
            nonlocal result
            with private_folder() as clear:
                result = build(clear)
                for path in sorted(clear.iterdir()):
                    vault.encrypt_file(seal.label(path.name), path, folder / path.name)
            if isinstance(result, dict):
                result = {**result, CIPHERTEXT: {p.name: sha256_file(p) for p in sorted(folder.iterdir())}}
            return _Sealed(seal.subject, vault.seal_json(f"memo:{seal.subject}", result))

        _, place = self._keep(key, encrypted)
        return result, place

    def link(self, place: Path, name: str, target: Path) -> None:
        """Put a kept file at ``target``, which must not be written to afterwards."""
        link_or_copy(place / name, target)

    def forget(self, films: set[str]) -> int:
        """Remove every encrypted entry that belongs to these films; how many there were."""
        found = [place for subject, place in subjects(self.folder) if film_of(subject) in films]
        for place in found:
            shutil.rmtree(place)
        return len(found)

    def _place(self, key: str) -> Path:
        return self.folder / key[:2] / key


@cache
def _sweep_once(folder: Path) -> None:
    """Remove what killed processes left below a folder of results; once a process, for it looks at every entry."""
    sweep(folder, f"*/{_UNDER_WAY}*")


def subjects(folder: Path) -> Iterator[tuple[str, Path]]:
    """Film or clip id and place of every encrypted entry below a folder of results."""
    for path in sorted(folder.rglob(_RESULT)):
        try:
            subject = json.loads(path.read_text(encoding="utf-8")).get("subject")
        except (OSError, ValueError, AttributeError):
            continue
        if subject is not None:
            yield str(subject), path.parent
