"""What a file itself says about training on it: C2PA's and CAWG's training-and-data-mining assertions.

C2PA 1.4 names the assertion ``c2pa.training-mining``; the Creator Assertions Working Group's specification of the
same name (1.1) ``cawg.training-mining``. Each maps a use to ``allowed``, ``notAllowed`` or ``constrained``.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from aiprod.media.metadata_regions import C2PA_BOX, parts
from aiprod.rights.embedded import statement_from_tags
from aiprod.rights.statements import merged

ASSERTIONS = ("c2pa.training-mining", "cawg.training-mining")
USES = ("ai_generative_training", "ai_training", "data_mining")  # each of them is part of training a model
UNREADABLE = "a C2PA manifest that cannot be read"
_TYPES = {"mp4": "video/mp4", "mov": "video/quicktime", "avi": "video/avi", "wav": "audio/wav"}
_MARKS = (b"c2pa", b"jumb")  # every embedded manifest store is a JUMBF box of this type
_STORE = b"c2pa" + bytes.fromhex("00110010800000aa00389b71")  # C2PA specification, 11.1.4.2: the whole of it
_ELSEWHERE = "a C2PA manifest in a container in which none is read"


def training_reservation(path: Path, extension: str, may_have: bool = True) -> str | None:
    """What in a file's manifests speaks against training, such as ``c2pa.ai_training: notAllowed``; None: nothing.

    ``constrained`` counts: its conditions are for a person to read. Ingredients' assertions count as well, because an
    ingredient is in the picture.

    Args:
        extension: of the container as it was recognised; in others than MP4, MOV, AVI and WAV none is read, which
            counts.
        may_have: whether the bytes hold the marks of a manifest (:class:`Marks`); if not, nothing is parsed.
    """
    if not may_have:
        return None
    with open(path, "rb") as file:
        if extension not in _TYPES:
            return _ELSEWHERE if _holds_store(file) else None
        return _said_in(_TYPES[extension], file)


def reservation_beside(manifest: bytes) -> str | None:
    """The same of a manifest that stands in a file of its own (``film.c2pa``)."""
    return _said_in("application/c2pa", io.BytesIO(manifest)) if manifest else UNREADABLE


def _holds_store(file: BinaryIO) -> bool:
    tail = b""
    while piece := file.read(1 << 20):
        if _STORE in tail + piece:
            return True
        tail = piece[-len(_STORE) :]
    return False


def _said_in(kind: str, file: BinaryIO) -> str | None:
    try:
        store = _store(kind, file)
        return None if store is None else "; ".join(dict.fromkeys(_against(store))) or None
    except (ValueError, RecursionError, AttributeError, TypeError):  # of any form: strangers write it
        return UNREADABLE


def _store(kind: str, file: BinaryIO) -> dict[str, Any] | None:
    """Every manifest of a file as the library gives them; None where there is none.

    Raises:
        ValueError: it cannot be read.
    """
    import c2pa

    try:
        settings = c2pa.Settings.from_dict({"verify": {"remote_manifest_fetch": False, "ocsp_fetch": False}})
        with c2pa.Context(settings) as context, c2pa.Reader(kind, file, context=context) as reader:
            store: dict[str, Any] = json.loads(reader.json())
            return store
    except c2pa.C2paError.ManifestNotFound:
        return None
    except c2pa.C2paError as error:
        raise ValueError(str(error)) from None


def statement_in(path: Path, extension: str) -> dict[str, Any]:
    """What a film's manifests say of rights in other assertions than those of training: a licence, a notice, a credit.

    One that cannot be read says nothing here; :func:`training_reservation` objects to it.
    """
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        if extension not in _TYPES or not any(_is_store(file, part) for part in parts(file, extension, size)):
            return {}
        file.seek(0)
        return _stated_in(_TYPES[extension], file)


def statement_beside(manifest: bytes) -> dict[str, Any]:
    """The same of a manifest that stands in a file of its own, and what it says against training."""
    statement = {} if (why := reservation_beside(manifest)) is None else {"objections": [f"a C2PA manifest says {why}"]}
    return merged([statement, _stated_in("application/c2pa", io.BytesIO(manifest)) if manifest else {}])


def _is_store(file: BinaryIO, part: tuple[int, int, str]) -> bool:
    file.seek(part[0])
    head = file.read(24)
    return head[:4] == b"C2PA" or (head[4:8] == b"uuid" and head[8:] == C2PA_BOX)


def _stated_in(kind: str, file: BinaryIO) -> dict[str, Any]:
    try:
        store = _store(kind, file) or {}
        manifests = (store.get("manifests") or {}).values()
        entries = [entry for manifest in manifests for entry in manifest.get("assertions") or []]
        words = [pair for entry in entries if _of_metadata(str(entry.get("label"))) for pair in _leaves(entry["data"])]
    except (ValueError, RecursionError, AttributeError, TypeError, KeyError):
        return {}
    return statement_from_tags(words, " in its C2PA manifest")


def _of_metadata(label: str) -> bool:
    """Whether an assertion holds words about the film: of schema.org, IPTC, Exif, XMP, or somebody's own."""
    own = label.split("__", maxsplit=1)[0]
    return own not in ASSERTIONS and (own == "c2pa.metadata" or not own.startswith(("c2pa.", "cawg.identity")))


def _leaves(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Names and texts in JSON; what only says how a value is written (JSON-LD's ``@value``) has its parent's name."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key != "@context":
                yield from _leaves(inner, name if key.startswith("@") or key in ("url", "value") else key)
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(inner, name)
    elif value is not None:
        yield name or "text", str(value)


class Marks:
    """Notices the marks of a manifest in a file that is read in pieces."""

    def __init__(self) -> None:
        self._missing = set(_MARKS)
        self._tail = b""

    def see(self, piece: bytes) -> None:
        """Look at the next piece."""
        if self._missing:
            joined = self._tail + piece
            self._missing = {mark for mark in self._missing if mark not in joined}
            self._tail = joined[-3:]

    @property
    def seen(self) -> bool:
        """Whether all of them were seen."""
        return not self._missing


def _against(store: dict[str, Any]) -> Iterator[str]:
    for manifest in (store.get("manifests") or {}).values():
        for assertion in manifest.get("assertions") or []:
            if str(assertion.get("label", "")).split("__")[0] not in ASSERTIONS:
                continue
            for name, entry in ((assertion.get("data") or {}).get("entries") or {}).items():
                use = entry.get("use") if isinstance(entry, dict) else entry
                if str(name).split(".")[-1] in USES and use != "allowed":
                    yield f"{name}: {use}"
