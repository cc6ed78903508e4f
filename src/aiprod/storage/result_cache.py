"""Per-clip memoisation: one content-addressed folder per result, kept in the state folder across experiments.

A result is found again when the clip's content, the stage's code closure and its parameters are the same, whatever
experiment or order it was made in. Results appear by rename, so a killed run leaves none in part; what it had
written is removed when the next stage starts.

A result is compared with the digests that it was kept with whenever it is used again, for disks do flip bits and
what is linked into an output is what DVC records. That costs one SHA-256 over the bytes that are reused, once per run:
less than DVC's own MD5 over the same bytes when the stage ends.

Results that belong to a film with personal data are encrypted, files and values, and bear the film's opaque id, by
which erasure finds them.
"""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiprod.base.files import digest_of, link_or_copy, sha256_file, sha256_once, write_json
from aiprod.base.structured import parse_json
from aiprod.base.tempdirs import scratch
from aiprod.errors import AiprodError
from aiprod.storage.crypto.film_encryption import ErasedError, Vault, film_of, private_folder
from aiprod.storage.leftovers import UNDER_WAY, sweep_once

_RESULT = "result.json"
_WHOLE = "sha256"  # over the rest of a result
_compared: set[bytes] = set()  # digests of the bytes of results that were compared with theirs in this process
CIPHERTEXT = "ciphertext_sha256"
"""In the result of an encrypted entry: name → SHA-256 of each file as it is there."""


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
        """``(result, folder with its files)``, or None. An entry that is not what was kept counts as absent."""
        place = self.place_of(key)
        entry = _intact(place)
        if entry is None:
            return None
        if "subject" not in entry:
            return entry["result"], place
        try:
            sealed = base64.b64decode(entry["result"], validate=True)
            return parse_json(Vault().unseal(f"memo:{entry['subject']}", sealed)), place
        except (ErasedError, ValueError, TypeError):
            return None

    def kept(self, key: str) -> tuple[Any, Path] | None:
        """As :meth:`get`, of an entry that was put a moment ago; None where its film was erased meanwhile.

        Raises:
            AiprodError: it cannot be read back, which is no fault of the clip: its row must not carry it.
        """
        found = self.get(key)
        if found is None and _intact(place := self.place_of(key)) is None:
            why = "it is not what was written"
            try:
                for path in [place / _RESULT, *sorted(place.iterdir())]:
                    path.read_bytes()
            except OSError as error:
                why = error.strerror or str(error)
            raise AiprodError(
                f"{place}: what was just kept cannot be read back: {why}",
                "look at the disk (`dmesg`), then run `dvc repro` again: what could be kept is not computed anew",
            )
        return found

    def put(self, key: str, build: Callable[[Path], Any], seal: Seal | None = None) -> tuple[Any, Path]:
        """Run ``build(folder)``, which writes files there and returns a JSON value, and keep both.

        Args:
            seal: for what belongs to a film with personal data: everything is kept encrypted; a result that is a
                mapping gets the entry :data:`CIPHERTEXT`.
        """
        return self._keep(key, build) if seal is None else self._put_sealed(key, build, seal)

    def _keep(self, key: str, build: Callable[[Path], Any]) -> tuple[Any, Path]:
        place = self.place_of(key)
        place.parent.mkdir(parents=True, exist_ok=True)
        sweep_once(self.folder)
        with scratch(place.parent, UNDER_WAY) as temporary:
            result = build(temporary)
            files = _digests(temporary, sorted(p.name for p in temporary.iterdir()))
            for name in files:
                os.chmod(temporary / name, 0o444)  # hard links of it become outputs: nobody may write through them
            entry: dict[str, Any] = {"result": result, "files": files}
            if isinstance(result, _Sealed):
                entry = {"result": result.value, "files": files, "subject": result.subject}
            write_json(temporary / _RESULT, {**entry, _WHOLE: digest_of(entry)})
            self._settle(key, temporary)
        return result, place

    def _settle(self, key: str, result: Path) -> None:
        place = self.place_of(key)
        if self.get(key) is None:  # else another run was faster with the same result, and reads it by now
            shutil.rmtree(place, ignore_errors=True)
            try:
                os.replace(result, place)
            except OSError:
                if self.get(key) is None:
                    raise

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

    def place_of(self, key: str) -> Path:
        """The folder of an entry, whether it is there or not."""
        return self.folder / key[:2] / key

    def keys(self) -> list[str]:
        """Of every entry in this folder, of whatever code and parameters."""
        return sorted(path.parent.name for path in self.folder.glob(f"*/*/{_RESULT}"))

    def adopt(self, key: str, fill: Callable[[Path], None]) -> None:
        """Keep an entry that was made elsewhere, as it is.

        Args:
            fill: writes all files of the entry into the folder it is given.

        Raises:
            AiprodError: what arrived is not what was kept there.
        """
        place = self.place_of(key)
        place.parent.mkdir(parents=True, exist_ok=True)
        sweep_once(self.folder)
        with scratch(place.parent, UNDER_WAY) as temporary:
            fill(temporary)
            if _intact(temporary) is None:
                raise AiprodError("a result was damaged on its way from a worker", "run `dvc repro` again")
            for path in temporary.iterdir():
                os.chmod(path, 0o444 if path.name != _RESULT else 0o644)
            self._settle(key, temporary)

    def forget(self, films: set[str]) -> int:
        """Remove every encrypted entry that belongs to these films; how many there were."""
        places = [place for subject, place in subjects(self.folder) if film_of(subject) in films]
        for place in places:
            shutil.rmtree(place)
        return len(places)

    def keep_only(self, keys: set[str]) -> None:
        """Remove every other entry of this folder, of whatever code and parameters."""
        for path in sorted(self.folder.glob(f"*/*/{_RESULT}")):
            if path.parent.name not in keys:
                shutil.rmtree(path.parent)


def _intact(place: Path) -> dict[str, Any] | None:
    """What an entry holds, if it and each of its files are what was kept; entries without digests are not."""
    try:
        data = (place / _RESULT).read_bytes()
        entry = parse_json(data, str(place / _RESULT))
        whole, read = entry.pop(_WHOLE), hashlib.sha256(data).digest()
        if read not in _compared:  # stages ask twice for each clip, and the canonical form takes longest
            if whole != digest_of(entry):
                return None
            _compared.add(read)
        if entry["files"] != _digests(place, entry["files"]):
            return None
    except (OSError, AiprodError, ValueError, KeyError, TypeError, AttributeError):
        return None
    result: dict[str, Any] = entry
    return result


def _digests(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """SHA-256 of each file. A clip that is the whole film is another name of it, and is read once."""
    return {name: sha256_once(folder / name) for name in names}


def damaged(folder: Path) -> tuple[int, list[Path]]:
    """Of all entries below a folder of results, how many there are and which are not what was kept.

    Entries from before there were digests are left out: nothing uses them.
    """
    places = [path.parent for path in sorted(folder.glob(f"*/*/{_RESULT}"))]
    return len(places), [place for place in places if _intact(place) is None and not _undigested(place)]


def _undigested(place: Path) -> bool:
    try:
        entry = parse_json((place / _RESULT).read_bytes())
        return isinstance(entry, dict) and all(isinstance(size, int) for size in entry["files"].values())
    except (OSError, AiprodError, KeyError, AttributeError):
        return False


def subjects(folder: Path) -> Iterator[tuple[str, Path]]:
    """Film or clip id and place of every encrypted entry below a folder of results."""
    for path in sorted(folder.rglob(_RESULT)):
        try:
            subject = parse_json(path.read_bytes()).get("subject")
        except (OSError, AiprodError, AttributeError):
            continue
        if subject is not None:
            yield str(subject), path.parent
