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

from aiprod.base.errors import AiprodError
from aiprod.base.files import canonical_json, write_bytes
from aiprod.base.state import state
from aiprod.base.vault import Vault
from aiprod.governance.audit.log import AuditLog
from aiprod.governance.erasure.needles import Needles

KIND = "erasure"
BEGUN = "begun"
RESUME = "finish it with `aiprod erase resume --as NAME`"
_END, _CLOSED = ".journal", ".closed"


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

    @property
    def subject(self) -> str:
        """What the audit log calls it."""
        return f"{KIND}/{self.name}"

    def searched(self) -> Needles:
        """What to look for afterwards."""
        kinds = {kind: {bytes.fromhex(text) for text in found} for kind, found in self.needles.items()}
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
        os.replace(_path(name), _path(name, _CLOSED))  # from now on nobody needs to read it
    vault.keys.destroy(_owner(name, vault))
    for path in (*_folder().glob(f".{name}.*"), _path(name, _CLOSED)):
        path.unlink(missing_ok=True)


def closed(name: str) -> bool:
    """Whether everything was done but the removal of the journal."""
    return _path(name, _CLOSED).is_file()


def read(name: str, vault: Vault) -> Journal:
    """The journal of an erasure.

    Raises:
        Refusal: its key is missing.
        AiprodError: it is gone or damaged.
    """
    mend = "restore `.aiprod` from a copy; without one nobody can say where the film's names may still stand"
    try:
        sealed = base64.b64decode(json.loads(_path(name).read_bytes())["sealed"], validate=True)
    except FileNotFoundError:
        raise AiprodError(f"the journal of the erasure {name} is gone", mend) from None
    except (OSError, ValueError, KeyError, TypeError):
        raise AiprodError(f"the journal of the erasure {name} is damaged", mend) from None
    content = json.loads(json.loads(vault.unseal(_label(_owner(name, vault)), sealed)))
    return Journal(**content)


def unfinished(log: AuditLog | None = None) -> dict[str, str]:
    """Erasures that were begun and are not finished → when, by the log and by the journals that are there."""
    journals = {path.stem for end in (_END, _CLOSED) for path in _folder().glob(f"[!.]*{end}")}
    found = dict.fromkeys(sorted(journals), "")
    if log is None and not (state().root / "audit" / "log.db").is_file():
        return found
    ended = set()
    with (log or AuditLog()).reading() as connection:
        query = "select data from entries where instr(data, ?) > 0 order by idx"
        for (data,) in connection.execute(query, (f'"subject":"{KIND}/'.encode(),)):
            entry = json.loads(data)
            if entry["kind"] != KIND:
                continue
            name = str(entry["subject"]).removeprefix(f"{KIND}/")
            if entry["facts"].get("state") == BEGUN:
                found[name] = str(entry["time"])
            else:
                ended.add(name)
    return {name: when for name, when in sorted(found.items()) if name not in ended or name in journals}


def problems(log: AuditLog | None = None) -> list[str]:
    """One sentence for each erasure that is not finished."""
    found = []
    for name, when in unfinished(log).items():
        begun = f"was begun on {when[:16].replace('T', ' at ')} UTC" if when else "was about to begin"
        found.append(f"the erasure {name} {begun} and is not finished: {RESUME}")
    return found


def text_of(path: Path) -> str:
    """A path as it is kept: JSON holds it also where it is no text."""
    return os.fspath(path)


def _folder() -> Path:
    return state().root / "erasures"


def _path(name: str, end: str = _END) -> Path:
    return _folder() / f"{name}{end}"


def _owner(name: str, vault: Vault) -> str:
    """An id in the form of a film's, under which the key store keeps the journal's key."""
    return vault.private_film_id(KIND, name, "")


def _label(owner: str) -> str:
    return f"{KIND}:{owner}"
