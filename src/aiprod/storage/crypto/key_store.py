"""The key store: one secret a film, wrapped by the master key, one small file each so that it can be destroyed.

A film's shots share its secret, because the raw film holds them all: none can be erased while the raw film stays. Every
object is encrypted under a key of its own derived from it (``aiprod.storage.crypto.cipher``). One more secret,
``project``, keys the opaque ids and commitments; it is never destroyed.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import json
import os
import re
import secrets
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import filelock

from aiprod.base.canonical_json import canonical_json
from aiprod.base.denials import Refusal
from aiprod.base.files import read_json, write_bytes, write_json
from aiprod.base.state import state
from aiprod.errors import AiprodError
from aiprod.printable import counted
from aiprod.storage.crypto import master_key
from aiprod.storage.crypto.cipher import derive
from aiprod.storage.crypto.master_key import LocalKey, MasterKey, load_master, master_file, overwrite, write_key

PROJECT = "project"
_SUBJECT = re.compile(r"^(project|f0[a-z2-7]{16})$")
_SIGNING = re.compile(r"^[a-z0-9][a-z0-9-]*\.pem$")
_NEW = ".new"


@dataclass(frozen=True)
class Status:
    """What ``aiprod keys status`` says."""

    master: str
    master_from: str
    films: int
    foreign: int  # keys that are wrapped by another master key
    backups: list[dict[str, Any]]
    rotating: bool


class KeyStore:
    """Keys below a folder (``state().keys`` when not given). Nothing is written before the first key is needed."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or state().keys
        self._known: dict[str, bytes] = {}

    def secret(self, subject: str) -> bytes | None:
        """The secret of a film; None where there is none (never made, or destroyed).

        Raises:
            Refusal: the master key is missing or another one.
        """
        if subject not in self._known:
            path = self.path(subject)
            if not path.is_file():
                return None
            self._known[subject] = self._unwrap(subject, read_json(path))
        return self._known[subject]

    def ensure(self, subject: str) -> bytes:
        """The secret of a film, made on first use."""
        secret = self.secret(subject)
        if secret is not None:
            return secret
        if subject != PROJECT:
            self.ensure(PROJECT)  # first of all keys: where it is, a missing master key is never made anew
        with self._locked():
            secret = self.secret(subject)  # another process may have been faster
            if secret is None:
                master = load_master(self.folder, make=not self.path(PROJECT).is_file())
                if subject != PROJECT:  # under the lock, so that no key is wrapped by what a rotation just replaced
                    self._unwrap(PROJECT, read_json(self.path(PROJECT)))
                secret = secrets.token_bytes(32)
                self._write(subject, secret, master)
        self._known[subject] = secret
        return secret

    def commitment(self, what: str, value: str) -> str:
        """HMAC-SHA-256 (hex) of a value under the project's secret: tells nothing without it, and equal for equals."""
        return hmac.new(derive(self.ensure(PROJECT), f"commitment/{what}"), value.encode(), hashlib.sha256).hexdigest()

    def destroy(self, subject: str) -> bool:
        """Overwrite and unlink a film's key, and what a write of it that was killed has left; whether there was one."""
        self._known.pop(subject, None)
        path = self.path(subject)
        if subject == PROJECT:
            return False
        with self._locked():
            existed = path.is_file()
            if existed:  # whoever ends us half-way leaves no key in its place that is none
                os.replace(path, path.with_name(f".{subject}.gone{path.suffix}"))
            for copy in path.parent.glob(f".{subject}.*{path.suffix}"):
                overwrite(copy)
        return existed

    def subjects(self) -> list[str]:
        """Films that have a key."""
        return sorted(path.stem for path in self.folder.glob("data/*/f*.key"))

    def status(self) -> Status:
        """Counts, without making anything."""
        every = [p for p in [self.path(PROJECT), *self.folder.glob("data/*/f*.key")] if p.is_file()]
        master = load_master(self.folder, make=False) if every else None
        foreign = sum(1 for path in every if master is None or read_json(path)["master"] != master.id)
        return Status(
            master=master.id if master else "none yet",
            master_from=master_key.kind(),
            films=len(self.subjects()),
            foreign=foreign,
            backups=self.backups(),
            rotating=self._incoming().is_file(),
        )

    def backup(self, target: Path, erased: Collection[str] = ()) -> int:
        """Write all wrapped keys to one file; returns their number. The master key is not in it: keep that elsewhere.

        The keys that sign (PEM files beside the others: the audit log's, the development certificate's) are wrapped
        for it and go in too.

        Args:
            erased: films whose keys an earlier backup at ``target`` may lose.

        Raises:
            AiprodError: there are none, one is wrapped by another master key, or what lies at ``target`` is no backup,
                or one with keys that are missing here: it may be the only copy of them.
        """
        signing = sorted(self.folder.glob("*.pem"))
        if signing:
            self.ensure(PROJECT)  # where no film has a key there may be no master key yet
        with self._locked():
            kept = {s: read_json(self.path(s)) for s in [PROJECT, *self.subjects()] if self.path(s).is_file()}
            if not kept:
                raise AiprodError("there are no keys to back up", "ingest a film with personal data first")
            for subject, entry in kept.items():
                self._unwrap(subject, entry)
            key = load_master(self.folder, make=False)
            files = {p.name: base64.b64encode(key.wrap(p.read_bytes(), p.name.encode())).decode() for p in signing}
            data = canonical_json({"format": 1, "master": key.id, "keys": kept, "files": files})
            if target.exists() and (missing := _names_in(target) - {*kept, *files, *erased}):
                lost = f"{counted(len(missing), 'key')} that {'is' if len(missing) == 1 else 'are'} missing here"
                raise AiprodError(
                    f"{target} holds {lost}, and is not written over",
                    f"`aiprod keys restore {target} --as NAME` first, or name another file",
                )
            write_bytes(target, data)
            os.chmod(target, 0o600)
            record = {"unix_time_s": round(time.time()), "master": key.id, "keys": len(kept) + len(files)}
            record["sha256"] = hashlib.sha256(data).hexdigest()
            write_json(self.folder / "backups.json", [*self.backups(), record])
            (self.folder / "backups.json").chmod(0o600)
        return len(kept) + len(signing)

    def restore(self, source: Path, erased: set[str]) -> tuple[int, int]:
        """Put keys back that are missing here, never one of an erased film; returns (restored, left out as erased).

        Raises:
            AiprodError: no backup, or not of this master key.
        """
        content = _backup_at(source, "give a file that `aiprod keys backup` wrote")
        keys: dict[str, Any] = content["keys"]
        signing = {
            str(name): self._unwrap(str(name), {"master": content.get("master"), "wrapped": wrapped})
            for name, wrapped in dict(content.get("files") or {}).items()
            if _SIGNING.match(str(name)) and not (self.folder / str(name)).exists()
        }
        restored, opened = 0, {}
        for subject, entry in keys.items():
            self.path(subject)  # refuses a name that is none
            if subject not in erased:
                opened[subject] = self._unwrap(subject, entry)
        with self._locked():
            mine = self.secret(PROJECT)
            if mine is not None and opened.get(PROJECT, mine) != mine:
                raise AiprodError(
                    f"{source} belongs to another project: its ids and commitments are made with another secret",
                    "restore into the state folder it was made from, or into an empty one (AIPROD_HOME)",
                )
            for subject, secret in opened.items():
                if not self.path(subject).is_file():
                    self._write(subject, secret, load_master(self.folder, make=False))
                    restored += 1
            for name, data in signing.items():
                write_bytes(self.folder / name, data)
                (self.folder / name).chmod(0o600)
                restored += 1
        return restored, len(set(keys) & erased)

    def rotate(self, new: MasterKey | None = None) -> int:
        """Wrap every key with a new master key; returns their number. A stopped rotation goes on at the next call.

        Args:
            new: for master keys that are no file; their owner puts it in place of the old one afterwards. For a file,
                a random key is made, and the old one is overwritten once nothing needs it.

        Raises:
            AiprodError: a key cannot be unwrapped; nothing is lost.
        """
        with self._locked():
            incoming = self._incoming()
            if new is None:
                if master_key.kind() != "file":
                    raise AiprodError(
                        "the master key is not a file, so the new one must be given",
                        "set AIPROD_NEW_MASTER_KEY or AIPROD_NEW_MASTER_KMS and run again",
                    )
                load_master(self.folder, make=False)
                if not incoming.is_file():
                    write_key(incoming, secrets.token_bytes(32))
                new = LocalKey(master_key.parse(incoming.read_text(), incoming.name))
            count = 0
            for subject in [PROJECT, *self.subjects()]:
                if self.path(subject).is_file():
                    self._write(subject, self._unwrap(subject, read_json(self.path(subject))), new)
                    count += 1
            if incoming.is_file():
                overwrite(master_file(self.folder))
                os.replace(incoming, master_file(self.folder))
        return count

    def backups(self) -> list[dict[str, Any]]:
        """Backups that were made here: when, under which master key, how many keys, SHA-256 of the file."""
        path = self.folder / "backups.json"
        backups: list[dict[str, Any]] = read_json(path) if path.is_file() else []
        return backups

    def _incoming(self) -> Path:
        path = master_file(self.folder)
        return path.with_name(path.name + _NEW)

    def path(self, subject: str) -> Path:
        """Where a film's key lies, whether or not there is one."""
        if not _SUBJECT.match(subject):
            raise AiprodError(f"{subject!r} is not the id of a film with a key", "check where it came from")
        if subject == PROJECT:
            return self.folder / "project.key"
        return self.folder / "data" / subject[2:4] / f"{subject}.key"

    def _write(self, subject: str, secret: bytes, master: MasterKey) -> None:
        wrapped = base64.b64encode(master.wrap(secret, subject.encode())).decode()
        path = self.path(subject)
        self.folder.mkdir(parents=True, exist_ok=True)
        for folder in reversed(path.relative_to(self.folder).parents[:-1]):
            (self.folder / folder).mkdir(mode=0o700, exist_ok=True)  # the names of keys say which films were encrypted
        write_bytes(path, json.dumps({"master": master.id, "wrapped": wrapped}).encode())
        path.chmod(0o600)

    def _unwrap(self, subject: str, entry: Any) -> bytes:
        try:
            by, wrapped = str(entry["master"]), base64.b64decode(entry["wrapped"], validate=True)
        except (KeyError, TypeError, ValueError):
            raise AiprodError(f"the key of {subject} is malformed", "restore it with `aiprod keys restore`") from None
        masters: list[MasterKey] = []
        with contextlib.suppress(FileNotFoundError):  # of a rotation that was stopped half-way, or is under way
            masters.append(LocalKey(master_key.parse(self._incoming().read_text(), self._incoming().name)))
        if not any(m.id == by for m in masters):
            masters = [load_master(self.folder, make=False)]
        for master in masters:
            if master.id == by:
                return master.unwrap(wrapped, subject.encode())
        raise Refusal(
            f"the keys are wrapped by the master key {by}, but the one given is {masters[0].id}",
            "set AIPROD_MASTER_KEY (or its file) to the right one",
            lack="key",
            action="decrypt",
            subject=subject,
        )

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        with filelock.FileLock(self.folder / ".lock", timeout=120):
            yield


def _backup_at(path: Path, hint: str) -> dict[str, Any]:
    content = read_json(path, hint)
    if not isinstance(content, dict) or content.get("format") != 1 or not isinstance(content.get("keys"), dict):
        raise AiprodError(f"{path} is not a backup of keys", hint)
    return content


def _names_in(backup: Path) -> set[str]:
    content = _backup_at(backup, "name another file")
    return {*map(str, content["keys"]), *map(str, content.get("files") or {})}
