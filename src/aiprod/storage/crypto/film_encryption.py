"""What belongs to films with personal data: encrypted before DVC sees it, unreadable once the film's key is destroyed.

Whether an id belongs to such a film shows in the id itself (``f0…``, ``c0…``; a plain id has no digit 0 there), so that
no stage can forget to ask. A speaker whose recordings are taken in (``s0…``, and ``u0…`` for what is said in one) is
kept as a film is: one key, which all recordings share.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

from aiprod.base.denials import Refusal
from aiprod.base.files import atomic_path
from aiprod.base.tempdirs import private_root, scratch, sweep
from aiprod.errors import AiprodError
from aiprod.storage.crypto import cipher, tombstones
from aiprod.storage.crypto.key_store import KeyStore
from aiprod.storage.crypto.tombstones import Tombstone

_PRIVATE = re.compile(r"^(?:[fc]0[a-z2-7]{16}(?:-\d+)?|s0[a-z2-7]{16}|u0[a-z2-7]{16}-[a-z2-7]{16})$")
_IN_MEMORY = 1 << 30  # larger objects are decrypted into a file without a name


class ErasedError(Refusal):
    """The film that something belongs to was erased, and its key with it."""


def is_private(object_id: str) -> bool:
    """Whether the id of a film, clip, speaker or utterance says that it is encrypted."""
    return _PRIVATE.match(object_id) is not None


def film_of(object_id: str) -> str:
    """The film, as keys and erasures name it, that an id belongs to; of a speaker, all that they have said."""
    return "f" + object_id[1:].split("-", 1)[0]


class CarriedKeys:
    """Keys of some films in the memory of a process on a machine that has no key store; it makes none."""

    def __init__(self) -> None:
        self._keys: dict[str, bytes] | None = None

    def hold(self, keys: Mapping[str, bytes]) -> None:
        """Use these keys, and no others, from now on; of those before nothing is kept."""
        self._keys = dict(keys)

    def secret(self, subject: str, store: Callable[[], KeyStore], *, make: bool) -> bytes | None:
        """The secret of a film: of those held, or of the key store where none were ever given."""
        if self._keys is not None:
            return self._keys.get(subject)
        return store().ensure(subject) if make else store().secret(subject)


CARRIED = CarriedKeys()
"""What this process was given; a worker on another machine holds keys here while it works at an item."""


class Vault:
    """Encrypts and decrypts with the keys of the state folder, which it opens when it first meets something private."""

    @cached_property
    def keys(self) -> KeyStore:
        """The key store."""
        return KeyStore()

    def key_of(self, object_id: str) -> bytes:
        """The secret of the film that a private id belongs to, made on first use, to hand it to a worker.

        Raises:
            ErasedError: the film was erased.
            Refusal: the master key is missing or another one.
        """
        return self._secret(f"film:{object_id}", make=True)

    @cached_property
    def tombstones(self) -> dict[str, Tombstone]:
        """Erased films by id."""
        return tombstones.load()

    def private_film_id(self, source_id: str, key: str, content_sha256: str) -> str:
        """``f0`` and 16 characters of base32: a keyed digest of source, key and content."""
        digest = bytes.fromhex(self.keys.commitment("film", f"{source_id}\0{key}\0{content_sha256}"))
        return "f0" + base64.b32encode(digest)[:16].decode().lower()

    def speaker_id(self, source_id: str, name: str) -> str:
        """``s0`` and 16 characters of base32: a keyed digest of source and name, so that it tells neither."""
        return "s0" + self._short("speaker", f"{source_id}\0{name}")

    def utterance_id(self, speaker_id: str, key: str, content_sha256: str) -> str:
        """``u``, the speaker's characters, and a keyed digest of one recording."""
        return f"u{speaker_id[1:]}-{self._short('utterance', f'{speaker_id}{chr(0)}{key}{chr(0)}{content_sha256}')}"

    def _short(self, what: str, value: str) -> str:
        return base64.b32encode(bytes.fromhex(self.keys.commitment(what, value)))[:16].decode().lower()

    def tombstone_for(self, *, content: str | None = None, packets: str | None = None) -> Tombstone | None:
        """The tombstone of a film with these bytes, or with these packets in another wrapping."""
        if not self.tombstones:
            return None
        mark = self.keys.commitment("content", content) if content else None
        other = self.keys.commitment("packets", packets) if packets else None
        known = sorted(self.tombstones.values(), key=lambda t: t.film_id)
        return next(
            (t for t in known if (mark and mark in (t.content, *t.also)) or (other and t.packets == other)), None
        )

    def erased(self, object_id: str) -> bool:
        """Whether a film, or the film of a clip, was erased."""
        return film_of(object_id) in self.tombstones

    def seal(self, label: str, data: bytes) -> bytes:
        """Encrypt bytes under the label ``<kind>:<film or clip id>``; the film's key is made on first use."""
        return cipher.encrypt(self._secret(label, make=True), label, data)

    def unseal(self, label: str, data: bytes) -> bytes:
        """Decrypt what :meth:`seal` gave.

        Raises:
            ErasedError: its film was erased.
            Refusal: no key.
            AiprodError: damaged, or sealed under another label.
        """
        stated_label, content = cipher.decrypt(self._secret(label, make=False), data, label)
        if stated_label != label:
            raise AiprodError(f"{label} holds what was sealed as {stated_label}", "restore it with `dvc checkout`")
        return content

    def seal_json(self, label: str, value: Any) -> str:
        """A JSON value, sealed, in base64."""
        # Not canonical JSON, which has no whole numbers of 64 bits, such as times of files in nanoseconds.
        text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        return base64.b64encode(self.seal(label, text.encode())).decode()

    def encrypt_file(self, label: str, source: Path, target: Path) -> None:
        """Encrypt a file to ``target``, which appears whole or not at all."""
        secret = self._secret(label, make=True)
        with atomic_path(target) as temporary, open(source, "rb") as plain_file, open(temporary, "wb") as sealed:
            cipher.encrypt_stream(secret, label, plain_file, sealed)

    def decrypt_file(self, path: Path, target: BinaryIO) -> str:
        """Decrypt a file into ``target``; returns its label.

        Raises:
            ErasedError: its film was erased.
            Refusal: no key.
            AiprodError: damaged.
        """
        label = cipher.label_of(path)
        if label is None:
            raise AiprodError(f"{path.name} is not an encrypted object", "restore it with `dvc checkout`")
        with open(path, "rb") as file:
            return cipher.decrypt_stream(self._secret(label, make=False), file, target, path.name)

    @contextlib.contextmanager
    def plain(self, path: Path) -> Iterator[Path]:
        """A path at which an object can be read in the clear while the block lasts; a plain object's own path.

        Decrypted content lies in memory (Linux), or, if large, in a file without a name: it does not outlive us.

        Raises:
            ErasedError: its film was erased.
            Refusal: no key.
            AiprodError: damaged, or the object of another clip under this name.
        """
        label = cipher.label_of(path) if path.is_file() else None
        if label is None:
            yield path
            return
        if label.rsplit(":", 1)[-1] != path.name.split(".", 1)[0]:
            raise AiprodError(f"{path.name} holds {label}", "restore it with `dvc checkout`")
        with nameless_file(path.stat().st_size) as (file, place):
            self.decrypt_file(path, file)
            file.flush()
            yield place

    def read(self, path: Path) -> bytes:
        """The content of an object in the clear.

        Raises:
            AiprodError: as :meth:`plain`.
        """
        with self.plain(path) as place:
            return place.read_bytes()

    def _secret(self, label: str, *, make: bool) -> bytes:
        film = film_of(label.rsplit(":", 1)[-1])
        if film in self.tombstones:
            what, hint = f"{film} was {tombstones.REASON}", "nothing can bring it back"
            raise ErasedError(what, hint, lack="key", action="decrypt", subject=film)
        secret = CARRIED.secret(film, lambda: self.keys, make=make)
        if secret is None:
            raise Refusal(
                f"there is no key for {film}, so it cannot be read",
                "put the keys back with `aiprod keys restore BACKUP`; without one `aiprod doctor` names the ways on",
                lack="key",
                action="decrypt",
                subject=film,
            )
        return secret


@contextlib.contextmanager
def private_folder() -> Iterator[Path]:
    """A folder in the state folder, readable by its owner only, for clear content on its way into encryption.

    It is removed when the block ends; what a killed process left is removed by whoever comes next
    (:func:`aiprod.base.tempdirs.sweep_private`). Outside of a project it is a temporary folder of the system's.
    """
    try:
        root = private_root()
    except AiprodError:
        with tempfile.TemporaryDirectory() as place:
            yield Path(place)
        return
    sweep(root)
    with scratch(root) as place:
        yield place


@contextlib.contextmanager
def nameless_file(size: int) -> Iterator[tuple[BinaryIO, Path]]:
    """A file without a name, and the path under which this process and its workers can open it."""
    if sys.platform != "linux":
        with private_folder() as folder, open(folder / "object", "w+b") as file:
            yield file, folder / "object"
        return
    if size <= _IN_MEMORY:
        with open(os.memfd_create("object"), "w+b") as file:
            yield file, Path(f"/proc/{os.getpid()}/fd/{file.fileno()}")
        return
    with tempfile.TemporaryFile(dir=private_root()) as file:
        yield file, Path(f"/proc/{os.getpid()}/fd/{file.fileno()}")
