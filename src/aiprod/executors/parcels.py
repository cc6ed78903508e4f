"""Sends items to machines that see nothing of the project, and brings back what their functions left.

Bytes go through an object store in pieces of bounded size: files of the item, entries of the result cache that it looks
up, folders that many items share (once to each worker), and back the entries that it made. Of an item with personal
data all of that is encrypted under the film's key before it is put there; keys go apart (:mod:`key_transport`) and are
held in the memory of the process that works at the item, for as long as it does.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import pickle
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiprod.base.files import contained
from aiprod.errors import AiprodError
from aiprod.executors.plain_unpickling import PlainUnpickler
from aiprod.executors.types import Portable
from aiprod.storage.clip_store import packed
from aiprod.storage.crypto import cipher
from aiprod.storage.crypto.film_encryption import CARRIED, Vault, film_of, private_folder
from aiprod.storage.result_cache import Memo

_PIECE = 16 << 20
_INLINE = 64 << 10  # bytes that go with the message instead of into the object store
_SENT = "sent"  # kind of label of what is encrypted for the way alone
_KEY = re.compile(r"[0-9a-f]{64}")

Put = Callable[[bytes], Any]
Get = Callable[[Any], bytes]


@dataclass(frozen=True)
class Bundle:
    """Files by name, each in pieces: bytes, or references into the object store. Links of one file go once."""

    files: tuple[tuple[tuple[str, ...], tuple[Any, ...]], ...] = ()

    @classmethod
    def of(cls, paths: Mapping[str, Path], put: Put) -> Bundle:
        """Put files into the object store.

        Args:
            paths: name at the other end → file, or clip object that may be packed.

        Raises:
            OSError: one cannot be read.
        """
        names: dict[Any, list[str]] = {}
        of: dict[Any, Path] = {}
        for name, path in paths.items():
            about = path.stat() if path.is_file() else None
            mark = (about.st_dev, about.st_ino) if about is not None else name
            names.setdefault(mark, []).append(name)
            of[mark] = path
        return cls(tuple((tuple(names[mark]), tuple(_sent(_read(of[mark]), put))) for mark in names))

    def unpack(self, folder: Path, get: Get) -> dict[str, Path]:
        """Write the files below ``folder``; name → file.

        Raises:
            AiprodError: a name leads out of the folder, or the disk is full.
        """
        targets: dict[str, Path] = {}
        for (first, *others), pieces in self.files:
            targets[first] = target = contained(folder, first)
            target.parent.mkdir(parents=True, exist_ok=True)
            with open(target, "wb") as file:
                for piece in pieces:
                    file.write(_had(piece, get))
            for name in others:
                targets[name] = link = contained(folder, name)
                link.parent.mkdir(parents=True, exist_ok=True)
                os.link(target, link)
        return targets


@dataclass(frozen=True)
class Parcel:
    """An item on its way.

    Attributes:
        body: the pickled item, encrypted where it is private.
        context: of the item's result cache; None for an item that is not :class:`Portable`.
        roles: role → name of its file.
        shared: role → what is there, and whether it is one file.
        subject: of the private film under whose key ``body`` and what is encrypted for the way alone are.
        fetches: whether the function reads from the network before anything else.
        confined: whether the worker is, so that no more than plain values are taken from it.
    """

    function: Callable[[Any], Any]
    body: tuple[Any, ...]
    context: str | None = None
    roles: Mapping[str, str] | None = None
    files: Bundle = Bundle()
    shared: Mapping[str, tuple[Bundle, bool]] | None = None
    entries: Mapping[str, Bundle] | None = None
    subject: str | None = None
    fetches: bool = False
    confined: bool = False


@dataclass(frozen=True)
class Load:
    """A parcel that has arrived: what a worker process is given."""

    parcel: Parcel
    body: bytes
    at: Mapping[str, Path]
    memo: Path
    keys: Mapping[str, bytes]

    @property
    def fetches(self) -> bool:
        """As of the parcel."""
        return self.parcel.fetches


class Packer:
    """Packs items on the machine that has the project; what many of them share is put into the object store once."""

    def __init__(self, function: Callable[[Any], Any], put: Put, *, confined: bool = False) -> None:
        self._function, self._put, self._confined = function, put, confined
        self._shared: dict[Path, tuple[Bundle, bool]] = {}

    def pack(self, item: Any) -> tuple[Parcel, dict[str, bytes]]:
        """The parcel, and the keys that go with it by film id.

        Raises:
            AiprodError: something that it needs cannot be had.
        """
        if not isinstance(item, Portable):
            return Parcel(self._function, tuple(_sent([pickle.dumps(item)], self._put)), confined=self._confined), {}
        with item.packing() as needs, contextlib.ExitStack() as cleaning:
            vault, body, sent = Vault(), pickle.dumps(item), dict(needs.files)
            keys = {film_of(name): vault.key_of(name) for name in needs.private}
            subject = needs.private[0] if needs.private else None
            if subject is not None:
                label = f"{_SENT}:{subject}"
                body = vault.seal(label, body)
                for role, path in needs.files.items():
                    if path.is_file() and cipher.label_of(path) is None:
                        sent[role] = cleaning.enter_context(private_folder()) / f"{role}{path.suffix}"
                        vault.encrypt_file(label, path, sent[role])
            names = {role: f"{n}/{path.name}" for n, (role, path) in enumerate(sent.items())}
            places = {key: item.memo.place_of(key) for key in needs.entries} if item.memo is not None else {}
            return (
                Parcel(
                    self._function,
                    tuple(_sent([body], self._put)),
                    item.memo.context if item.memo is not None else "",
                    names,
                    Bundle.of({names[role]: path for role, path in sent.items()}, self._put),
                    {role: self._shared_once(path) for role, path in needs.shared.items()},
                    {key: Bundle.of(_files(place), self._put) for key, place in places.items()},
                    subject,
                    getattr(item, "fetches", False),
                    self._confined,
                ),
                keys,
            )

    def _shared_once(self, path: Path) -> tuple[Bundle, bool]:
        if path not in self._shared:
            files = {path.name: path} if path.is_file() else _files(path)
            self._shared[path] = Bundle.of(files, self._put), path.is_file()
        return self._shared[path]


class Depot:
    """Where parcels are unpacked on the machine of a worker.

    Args:
        folder: for it alone.
    """

    def __init__(self, folder: Path, get: Get, put: Put) -> None:
        self._folder, self._get, self._put = folder, get, put
        self._shared: dict[str, Path] = {}

    @contextlib.contextmanager
    def unpacked(self, parcel: Parcel, keys: Mapping[str, bytes]) -> Iterator[Load]:
        """What a worker process is given; gone when the block ends.

        Raises:
            AiprodError: the disk is full.
        """
        with tempfile.TemporaryDirectory(dir=self._folder) as place:
            here = Path(place)
            files = parcel.files.unpack(here / "files", self._get)
            at = {role: files[name] for role, name in (parcel.roles or {}).items()}
            for role, (bundle, single) in (parcel.shared or {}).items():
                if role not in self._shared:
                    root = contained(self._folder / "shared", role)
                    targets = bundle.unpack(root, self._get)
                    self._shared[role] = next(iter(targets.values())) if single else root
                at[role] = self._shared[role]
            memo = Memo(here / "memo", "")
            for key, bundle in (parcel.entries or {}).items():
                bundle.unpack(memo.place_of(key), self._get)
            body = b"".join(_had(piece, self._get) for piece in parcel.body)
            yield Load(parcel, body, at, memo.folder, keys)

    def results(self, load: Load) -> dict[str, Bundle]:
        """The entries that the function made, in the object store."""
        memo = Memo(load.memo, "")
        new_keys = [key for key in memo.keys() if key not in (load.parcel.entries or {})]  # noqa: SIM118 - no mapping
        return {key: Bundle.of(_files(memo.place_of(key)), self._put) for key in new_keys}


def work(load: Load) -> Any:
    """Run the function of a parcel in this process; the value is encrypted where the item is private."""
    parcel = load.parcel
    CARRIED.hold(load.keys)
    try:
        if parcel.subject is None:
            return parcel.function(_item(load, load.body, load.at))
        label = f"{_SENT}:{parcel.subject}"
        vault = Vault()
        with private_folder() as clear:
            at = dict(load.at)
            for role, path in load.at.items():
                if path.is_file() and cipher.label_of(path) == label:
                    at[role] = clear / role / path.name
                    at[role].parent.mkdir()
                    with open(at[role], "wb") as file:
                        vault.decrypt_file(path, file)
            value = parcel.function(_item(load, vault.unseal(label, load.body), at))
            return vault.seal(label, pickle.dumps(value))
    finally:
        CARRIED.hold({})


def value_of(parcel: Parcel, value: Any) -> Any:
    """The value of an item, of what :func:`work` returned for it."""
    if parcel.subject is None:
        return value
    plain = Vault().unseal(f"{_SENT}:{parcel.subject}", value)
    if parcel.confined:
        return PlainUnpickler(io.BytesIO(plain)).load()
    return pickle.loads(plain)  # noqa: S301 - authenticated by the film's key


def take_over(memo: Memo, entries: Mapping[str, Bundle], get: Get) -> None:
    """Keep the entries that a worker made.

    Raises:
        AiprodError: an entry is not what was made there, or the disk is full.
    """
    for key, bundle in entries.items():
        if not _KEY.fullmatch(key):
            raise AiprodError("a worker returned a result with an invalid name", "look at who is in the cluster")
        memo.adopt(key, lambda folder, bundle=bundle: bundle.unpack(folder, get))  # type: ignore[misc]


def _item(load: Load, body: bytes, at: Mapping[str, Path]) -> Any:
    item = pickle.loads(body)  # noqa: S301 - made by the run that this worker belongs to
    if load.parcel.context is None:
        return item
    return item.placed(at, Memo(load.memo, load.parcel.context))


def _read(path: Path) -> Iterator[bytes]:
    """The stored bytes of a file or clip object."""
    if not path.is_file():
        data = packed(path)
        if data is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
        yield data
        return
    with open(path, "rb") as file:
        while piece := file.read(_PIECE):
            yield piece


def _sent(pieces: Iterable[bytes], put: Put) -> Iterator[Any]:
    for piece in pieces:
        yield piece if len(piece) <= _INLINE else put(piece)


def _had(piece: Any, get: Get) -> bytes:
    return piece if isinstance(piece, bytes) else get(piece)


def _files(folder: Path) -> dict[str, Path]:
    return {str(path.relative_to(folder)): path for path in sorted(folder.rglob("*")) if path.is_file()}
