"""The master key that wraps the keys of films: from a file, an environment variable, or a key management service.

Which one: ``AIPROD_MASTER_KMS`` (``package.module:factory``, a callable that gives a :class:`MasterKey`), else
``AIPROD_MASTER_KEY`` (32 bytes in base64), else the file that ``AIPROD_MASTER_KEY_FILE`` names, else ``master.key`` in
the key store, which is made on first use.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import importlib
import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from aiprod.base.denials import Refusal

FILE = "master.key"


class MasterKey(Protocol):
    """Wraps and unwraps short secrets. A key management service does so without giving its key away."""

    @property
    def id(self) -> str:
        """Names the key without telling anything about it; another key has another id."""

    def wrap(self, secret: bytes, context: bytes) -> bytes:
        """Encrypt; ``context`` must be given again to unwrap."""

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        """Decrypt.

        Raises:
            Refusal: not wrapped by this key under this context.
        """


@dataclass(frozen=True)
class LocalKey:
    """A master key whose 32 bytes this process holds: AES-256-GCM with a random nonce before each ciphertext."""

    key: bytes

    @property
    def id(self) -> str:
        """Sixteen hexadecimal digits."""
        return hmac.new(self.key, b"aiprod/master-key-id", hashlib.sha256).hexdigest()[:16]

    def wrap(self, secret: bytes, context: bytes) -> bytes:
        """See :class:`MasterKey`."""
        nonce = secrets.token_bytes(12)
        return nonce + AESGCM(self.key).encrypt(nonce, secret, context)

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        """See :class:`MasterKey`."""
        try:
            return AESGCM(self.key).decrypt(wrapped[:12], wrapped[12:], context)
        except (InvalidTag, ValueError):
            what = f"the master key {self.id} does not open the key of {context.decode(errors='replace')}"
            hint = "give the right master key, or restore with `aiprod keys restore`"
            raise Refusal(what, hint, lack="key", action="decrypt", subject=context.decode(errors="replace")) from None


@dataclass(frozen=True)
class _Service:
    """A key of a key management service: whatever its library raises becomes a refusal in one line."""

    key: MasterKey
    variable: str

    @property
    def id(self) -> str:
        """See :class:`MasterKey`."""
        return self.key.id

    def wrap(self, secret: bytes, context: bytes) -> bytes:
        """See :class:`MasterKey`."""
        return self._call(self.key.wrap, secret, context, "encrypt")

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        """See :class:`MasterKey`."""
        return self._call(self.key.unwrap, wrapped, context, "decrypt")

    def _call(self, ask: Callable[[bytes, bytes], bytes], data: bytes, context: bytes, action: str) -> bytes:
        try:
            return ask(data, context)
        except Exception as error:  # no right, no such key, no connection: each service says it in its own class
            subject = context.decode(errors="replace")
            words = " ".join(str(error).split()) or type(error).__name__
            what = f"the key management service does not {action} the key of {subject} ({words})"
            hint = f"look at the rights of the key that {self.variable} gives"
            raise Refusal(what, hint, lack="key", action=action, subject=subject) from None


def master_file(folder: Path) -> Path:
    """Where the file of the master key lies, whether or not it is used."""
    named = os.environ.get("AIPROD_MASTER_KEY_FILE")
    return Path(named).expanduser() if named else folder / FILE


def kind() -> str:
    """``kms``, ``environment`` or ``file``: where the master key comes from."""
    if os.environ.get("AIPROD_MASTER_KMS"):
        return "kms"
    return "environment" if os.environ.get("AIPROD_MASTER_KEY") else "file"


def load_master(folder: Path, *, make: bool) -> MasterKey:
    """The master key in use.

    Args:
        folder: of the key store.
        make: whether a file that is not there may be made (it may while no key is wrapped yet).

    Raises:
        Refusal: missing or malformed.
    """
    if name := os.environ.get("AIPROD_MASTER_KMS"):
        return from_service(name, "AIPROD_MASTER_KMS")
    if text := os.environ.get("AIPROD_MASTER_KEY"):
        return LocalKey(parse(text, "AIPROD_MASTER_KEY"))
    path = master_file(folder)
    if not path.is_file():
        if not make:
            raise Refusal(
                f"the master key {path.name} is missing, so encrypted clips cannot be read",
                f"put it back at {path}, or set AIPROD_MASTER_KEY; if it is lost `aiprod doctor` names the ways on",
                lack="key",
                action="decrypt",
            )
        write_key(path, secrets.token_bytes(32))
    return LocalKey(parse(path.read_text(encoding="ascii", errors="replace"), path.name))


def from_service(name: str, variable: str) -> MasterKey:
    """The key that a ``package.module:factory`` gives.

    Raises:
        Refusal: there is no such factory.
    """
    module, _, factory = name.partition(":")
    try:
        key: MasterKey = getattr(importlib.import_module(module), factory)()
    except Exception as error:  # a wrong name, or whatever the service's library says when it cannot be reached
        hint = "name it as package.module:factory"
        what = f"{variable}={name} gives no master key ({error})"
        raise Refusal(what, hint, lack="key", action="decrypt") from None
    return _Service(key, variable)


def parse(text: str, where: str) -> bytes:
    """32 bytes from base64.

    Raises:
        Refusal: it is not that.
    """
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except ValueError:
        key = b""
    if len(key) != 32:
        hint = "it is 32 bytes in base64, as `openssl rand -base64 32` gives"
        raise Refusal(f"{where} is not a master key", hint, lack="key", action="decrypt")
    return key


def write_key(path: Path, key: bytes) -> None:
    """Write a key in base64 for its owner only, flushed to disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(base64.b64encode(key).decode() + "\n")
        file.flush()
        os.fsync(file.fileno())


def overwrite(path: Path) -> None:
    """Overwrite a small file with random bytes, flush, and unlink it.

    On copy-on-write file systems and flash the old blocks may outlive this; what lay in them was wrapped, so that
    rotating the master key ends it there too.
    """
    size = path.stat().st_size
    with open(path, "r+b") as file:
        file.write(secrets.token_bytes(size))
        file.flush()
        os.fsync(file.fileno())
    path.unlink()
    handle = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
