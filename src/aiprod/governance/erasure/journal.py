"""The journal of an erasure that was begun: all that is needed to finish it, encrypted under a key of its own.

It is written before anything is destroyed, for afterwards nobody can say any more what the film was called or where it
lay. When the erasure is finished its key is destroyed like a film's.
"""

from __future__ import annotations

import base64
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiprod.base.canonical_json import canonical_json
from aiprod.base.files import write_bytes
from aiprod.errors import AiprodError
from aiprod.governance.audit.log import AuditLog
from aiprod.governance.audit.unfinished_erasures import CLOSED, END, KIND, folder
from aiprod.governance.erasure.search_patterns import Needles
from aiprod.rights.licence_words import UNKNOWN
from aiprod.storage.crypto.film_encryption import Vault, film_of
from aiprod.storage.crypto.tombstones import Tombstone


@dataclass(frozen=True)
class Journal:
    """One erasure, from its first irreversible step on.

    Attributes:
        name: of the erasure and its certificate.
        actor: who decided it.
        films: film id → its clips.
        also: further ids under which the films' names were encrypted: copies that were scanned and never taken in.
        objects: files in the working tree, relative to it.
        files: files in sources, absolute.
        digests: of ``files``, the SHA-256 that each had: what has replaced one since then is not deleted.
        tables: tables in sources → the root of the source.
        keys: root of a source → the films' paths in it, as they are compared.
        checkpoints: of training, to be removed; relative to the folder of all.
        contents: digests of the films' bytes.
        body: what of the certificate was known when it was begun.
    """

    name: str
    actor: str
    films: dict[str, list[str]]
    also: list[str]
    tombstones: list[dict[str, Any]]
    objects: list[str]
    files: list[str]
    tables: dict[str, str]
    keys: dict[str, list[str]]
    checkpoints: list[str]
    contents: list[str]
    outside: list[str]
    affected: list[dict[str, Any]]
    needles: dict[str, list[str]]
    body: dict[str, Any]
    left: dict[str, str] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)

    @property
    def subject(self) -> str:
        """What the audit log calls it."""
        return f"{KIND}/{self.name}"

    def searched(self) -> Needles:
        """What to look for afterwards."""
        kinds = {kind: {bytes.fromhex(text) for text in digests} for kind, digests in self.needles.items()}
        return Needles(**kinds)  # type: ignore[arg-type]

    def write(self, vault: Vault) -> None:
        """Keep it, encrypted."""
        owner = _owner(self.name, vault)
        text = json.dumps(self.__dict__, ensure_ascii=True)  # names of files may be no text: \udcff is kept so
        write_bytes(_path(self.name), canonical_json({"sealed": vault.seal_json(_label(owner), text)}))
        _path(self.name).chmod(0o600)


def close(name: str, vault: Vault) -> None:
    """Destroy the key of a journal that is not needed any more, and remove it."""
    if _path(name).is_file():
        os.replace(_path(name), _path(name, CLOSED))  # from now on nobody needs to read it
    vault.keys.destroy(_owner(name, vault))
    for path in (*folder().glob(f".{name}.*"), _path(name, CLOSED)):
        path.unlink(missing_ok=True)


def closed(name: str) -> bool:
    """Whether everything was done but the removal of the journal."""
    return _path(name, CLOSED).is_file()


def read(name: str, vault: Vault) -> Journal:
    """The journal of an erasure.

    Raises:
        Refusal: its key is missing.
        AiprodError: it is damaged.
    """
    hint = "restore `.aiprod` from a copy, or remove the file: then what can still be done is done by the film's id"
    try:
        sealed = base64.b64decode(json.loads(_path(name).read_bytes())["sealed"], validate=True)
    except (OSError, ValueError, KeyError, TypeError):
        raise AiprodError(f"the journal {_path(name)} is damaged", hint) from None
    content = json.loads(json.loads(vault.unseal(_label(_owner(name, vault)), sealed)))
    return Journal(**content)


def is_lost(name: str, vault: Vault) -> bool:
    """Whether a journal, or the key that opens it, is gone for good."""
    return not _path(name).is_file() or not vault.keys.path(_owner(name, vault)).is_file()


def from_log(name: str, root: Path, vault: Vault, log: AuditLog) -> Journal:
    """What can still be known of an erasure whose journal is lost: the films' ids, and what bears them.

    Raises:
        AiprodError: the log does not say which films it was of, so nothing of them can have been destroyed.
    """
    begun = [e.value for e in log.entries() if e.value["subject"] == f"{KIND}/{name}"]
    if not begun:
        raise AiprodError(f"the journal of the erasure {name} cannot be read", f"remove {_path(name)} and erase again")
    films = [str(film) for film in begun[0]["facts"]["films"]]
    stones = [
        vault.tombstones.get(film) or Tombstone(film_id=film, source_id=UNKNOWN, clips=0, content="") for film in films
    ]
    objects = [path for path in (root / "datasets" / "v1").rglob("[fc]0*") if path.is_file()]
    mine = [path for path in objects if film_of(path.name.split(".", 1)[0]) in films]
    body = {
        "format": 1,
        "id": name,
        "begun": begun[0]["time"],
        "journal": "lost: no name was looked for",
        "request": {"by": "id", "commitment": ""},
        "decided_by": {"role": begun[0]["facts"]["role"], "commitment": ""},
        "films": [{"film_id": film, "clips": []} for film in films],
        "tombstones": [stone.model_dump(mode="json") for stone in stones],
        "keys_destroyed": len(films),
        "deleted": {"objects": len(mine)},
        "found_before": {},
        "models": [],
        "samples_of_affected_models": [],
    }
    return Journal(
        name=name,
        actor="",
        films={film: [] for film in films},
        also=[],
        tombstones=body["tombstones"],
        objects=[path.relative_to(root).as_posix() for path in mine],
        files=[],
        tables={},
        keys={},
        checkpoints=[],
        contents=[],
        outside=[],
        affected=[],
        needles={},
        body=body,
        left={"its names, hashes and source file": "the journal that held them is lost; look for them by hand"},
    )


def text_of(path: Path) -> str:
    """A path as it is kept: JSON holds it also where it is no text."""
    return os.fspath(path)


def _path(name: str, end: str = END) -> Path:
    return folder() / f"{name}{end}"


def _owner(name: str, vault: Vault) -> str:
    """An id in the form of a film's, under which the key store keeps the journal's key."""
    return vault.private_film_id(KIND, name, "")


def _label(owner: str) -> str:
    return f"{KIND}:{owner}"
