"""The log's head, signed whenever the log grows, so that an entry that is dropped from its end is missed.

A checkpoint goes into git when somebody writes one; the head is in the state folder at once, beside the log and in
the key store, and at the end of every run with the witness that ``organisation.yaml`` names. It is never replaced by
one that does not follow from it: a log that was cut or rewritten leaves it standing, and ``aiprod audit verify`` holds
the log against it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from aiprod.base.files import write_text
from aiprod.base.progress import log
from aiprod.base.state import main_repository, state, workspace
from aiprod.base.structured import read_bounded
from aiprod.errors import AiprodError
from aiprod.governance.audit.checkpoint import (
    FOLDER,
    KEY,
    PUBLIC,
    SignedCheckpoint,
    Tree,
    own_key,
    parse,
    public_line,
    read_public,
    sign,
    signing_key,
)

NAME = "audit.head"
_NOTE_MAX = 1 << 16


@dataclass(frozen=True)
class SignedHeads:
    """Signed heads and where they lie, and what is wrong with others."""

    heads: list[tuple[str, SignedCheckpoint]]
    problems: list[str]
    warnings: list[str]


def places() -> list[Path]:
    """Where the newest head is kept on this machine: twice, so that putting one folder back is not enough."""
    return [state().audit_database.parent / NAME, state().keys / NAME]


def sign_head(entries: Tree) -> SignedCheckpoint | None:
    """Sign the log as it is now and keep that as its head. None where there is no key that may sign it.

    A head that the log no longer follows from stays: it is the evidence.
    """
    try:
        key = _key()
    except AiprodError:  # `verify` tells of entries that nothing signed
        return None
    if key is None or entries.size() == 0:
        return None
    with open(state().lock("audit-head"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        point = sign(entries, key)
        for path in places():
            if _follows(path, point, entries, key.public_key()):
                with contextlib.suppress(OSError):
                    write_text(path, point.text)
                    os.chmod(path, 0o600)
        return point


def _key() -> Ed25519PrivateKey | None:
    try:
        root = workspace()
    except AiprodError:
        return signing_key() if (state().keys / KEY).is_file() else None
    return own_key(root)


def _follows(path: Path, point: SignedCheckpoint, entries: Tree, key: Ed25519PublicKey) -> bool:
    """Whether a head may take the place of what is at ``path``."""
    if not path.exists():
        return True
    try:
        before = parse(read_bounded(path, _NOTE_MAX).decode("utf-8", "replace"), key)
    except AiprodError:
        return False
    return before.size < point.size and entries.root(before.size) == before.root


def give_to_witness(root: Path, entries: Tree) -> None:
    """Put the head with the witness that ``organisation.yaml`` names; a warning where that fails."""
    from aiprod.governance.organisation import load_organisation

    named = load_organisation(root).audit_witness
    point = sign_head(entries) if named else None
    if named is None or point is None:
        return
    folder = _witness_folder(named)
    try:
        if not folder.is_dir():
            raise NotADirectoryError(0, "is not a folder")
        for name, text in ((PUBLIC, f"{public_line(signing_key().public_key())}\n"), (point.name, point.text)):
            if not (folder / name).exists():  # never replaced: what a witness saw it saw
                write_text(folder / name, text)
    except (OSError, AiprodError) as error:
        problem = getattr(error, "strerror", None) or error
        log(
            f"warning: the log's head could not be put with the witness {named} ({problem}) → make the folder reachable"
        )


def _witness_folder(named: str) -> Path:
    return main_repository() / Path(named).expanduser()


def all_heads(root: Path) -> SignedHeads:
    """Every head of this machine and of the witness."""
    heads: list[tuple[str, SignedCheckpoint]] = []
    problems: list[str] = []
    warnings: list[str] = []
    paths = [(f"the head in {path.parent.name}/{path.name}", path) for path in places() if path.exists()]
    witness, trouble = _witnessed(root)
    warnings += trouble
    paths += [(f"the witness's {path.name}", path) for path in witness]
    key = _public(root) if paths else None
    for name, path in paths:
        if key is None:
            warnings.append(f"{name} cannot be checked: the log's key is not here → `aiprod keys restore BACKUP`")
            continue
        try:
            heads.append((name, parse(read_bounded(path, _NOTE_MAX).decode("utf-8", "replace"), key)))
        except AiprodError:
            problems.append(f"{name} is malformed or not signed by the log's key")
    return SignedHeads(heads, problems, warnings)


def _witnessed(root: Path) -> tuple[list[Path], list[str]]:
    from aiprod.governance.organisation import load_organisation

    try:
        named = load_organisation(root).audit_witness
    except AiprodError as error:
        return [], [str(error)]
    if named is None:
        return [], []
    try:
        files = sorted(p for p in _witness_folder(named).iterdir() if p.suffix == ".checkpoint")
    except OSError as error:
        return [], [f"the witness {named} cannot be read ({error.strerror}), so the log was not held against it"]
    return files, [] if files else [f"the witness {named} holds no head yet; the next run puts one there"]


def _public(root: Path) -> Ed25519PublicKey | None:
    """The log's public key: the one that git names, else the key store's."""
    with contextlib.suppress(AiprodError):
        if (root / FOLDER / PUBLIC).is_file():
            return read_public(read_bounded(root / FOLDER / PUBLIC, _NOTE_MAX).decode("utf-8", "replace"))
        if (state().keys / KEY).is_file():
            return signing_key().public_key()
    return None
