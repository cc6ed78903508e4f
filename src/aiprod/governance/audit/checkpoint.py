"""Signed checkpoints in C2SP's note format: size and root of the log under an Ed25519 key, to be committed to git."""

from __future__ import annotations

import base64
import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from aiprod.base.denials import Refusal
from aiprod.base.state import state
from aiprod.errors import AiprodError

ORIGIN = "aiprod/audit"
FOLDER = Path("datasets/audit")
PUBLIC = "log.pub"
KEY = "audit-ed25519.pem"


class Tree(Protocol):
    """What is signed: a tree that grows, such as the log."""

    def size(self) -> int:
        """Number of leaves."""
        ...

    def root(self, size: int | None = None) -> bytes:
        """Hash of the tree of the first ``size`` leaves, of all when not given."""
        ...


@dataclass(frozen=True)
class SignedCheckpoint:
    """A signed tree head."""

    size: int
    root: bytes
    text: str

    @property
    def name(self) -> str:
        """Its file name; sorts by size."""
        return f"{self.size:012d}.checkpoint"


def signing_key() -> Ed25519PrivateKey:
    """The log's key, made on first use and readable by its owner only. Of two processes that make one, one does."""
    path = state().keys / KEY
    if path.is_file():
        return _read_key(path)
    key = Ed25519PrivateKey.generate()
    form = serialization.PrivateFormat.PKCS8
    data = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    handle, written = tempfile.mkstemp(prefix=".new.", dir=path.parent)  # readable by its owner only
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.link(written, path)  # whole or not at all, and never in the place of another one
    except FileExistsError:
        return _read_key(path)
    finally:
        os.unlink(written)
    return key


def _read_key(path: Path) -> Ed25519PrivateKey:
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), None)
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        what, hint = f"{path.name} is not an Ed25519 key", "restore the key from its backup"
        raise Refusal(what, hint, lack="key", action="sign")
    return key


def public_line(key: Ed25519PublicKey) -> str:
    """The verifier key of a note: ``name+hash+base64``."""
    raw = _raw(key)
    encoded = base64.b64encode(b"\x01" + raw).decode()
    return f"{ORIGIN}+{_key_hash(raw).hex()}+{encoded}"


def read_public(line: str) -> Ed25519PublicKey:
    """The key of a verifier line.

    Raises:
        AiprodError: it is none.
    """
    try:
        name, digest, encoded = line.strip().split("+", 2)  # the encoding itself may hold "+"
        data = base64.b64decode(encoded, validate=True)
        if name != ORIGIN or data[0] != 1 or _key_hash(data[1:]).hex() != digest:
            raise ValueError
        key = Ed25519PublicKey.from_public_bytes(data[1:])
        if line not in (public_line(key), public_line(key) + "\n"):  # the unused bits of base64 count too
            raise ValueError
        return key
    except (ValueError, IndexError):
        raise AiprodError(f"{FOLDER / PUBLIC} is not the public key of an audit log", "restore it from git") from None


def own_key(root: Path) -> Ed25519PrivateKey:
    """The log's key, which must be the one that ``datasets/audit`` names where it names one.

    Raises:
        Refusal: it is missing, damaged or another one; no new one is made then.
    """
    path, named = state().keys / KEY, root / FOLDER / PUBLIC
    if not named.is_file():
        return signing_key()
    what = f"the key that signs the log ({KEY}) is missing"
    if path.is_file():
        key = signing_key()
        if named.read_bytes() == f"{public_line(key.public_key())}\n".encode():
            return key
        what = f"{FOLDER / PUBLIC} holds another key than this state folder"
    hint = "put the key back with `aiprod keys restore BACKUP`, or use the state folder that made the log; "
    hint += "without either `aiprod doctor` names the ways on"
    raise Refusal(what, hint, lack="key", action="sign", subject="log")


def sign(log: Tree, key: Ed25519PrivateKey) -> SignedCheckpoint:
    """The signed head of the log as it is now."""
    size = log.size()
    root = log.root(size)
    body = f"{ORIGIN}\n{size}\n{base64.b64encode(root).decode()}"
    signature = _key_hash(_raw(key.public_key())) + key.sign(f"{body}\n".encode())
    return SignedCheckpoint(size, root, _note(body, signature))


def _note(body: str, signature: bytes) -> str:
    return f"{body}\n\n— {ORIGIN} {base64.b64encode(signature).decode()}\n"


def parse(text: str, key: Ed25519PublicKey) -> SignedCheckpoint:
    """A checkpoint whose signature holds.

    Raises:
        AiprodError: malformed, or not signed by ``key``.
    """
    try:
        body, signed = text.split("\n\n")
        origin, size, root = body.split("\n")
        mark, name, encoded = signed.strip().split(" ")
        signature = base64.b64decode(encoded, validate=True)
        if (origin, name, mark) != (ORIGIN, ORIGIN, "—") or signature[:4] != _key_hash(_raw(key)):
            raise ValueError
        key.verify(signature[4:], f"{body}\n".encode())
        if text != _note(body, signature):  # one text a checkpoint: spaces and the unused bits of base64 count too
            raise ValueError
        return SignedCheckpoint(int(size), base64.b64decode(root, validate=True), text)
    except (ValueError, InvalidSignature):
        raise AiprodError("a checkpoint is malformed or not signed by the log's key", "restore it from git") from None


def newest_size(root: Path) -> int | None:
    """Size of the newest checkpoint in the working tree; None where there is none."""
    sizes = [int(p.stem) for p in (root / FOLDER).glob("*.checkpoint") if p.stem.isdigit()]
    return max(sizes, default=None)


def _raw(key: Ed25519PublicKey) -> bytes:
    return key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)


def _key_hash(raw: bytes) -> bytes:
    return hashlib.sha256(ORIGIN.encode() + b"\n\x01" + raw).digest()[:4]
