"""What a file itself says about training on it: C2PA's and CAWG's training-and-data-mining assertions.

C2PA 1.4 names the assertion ``c2pa.training-mining``; the Creator Assertions Working Group's specification of the
same name (1.1) ``cawg.training-mining``. Each maps a use to ``allowed``, ``notAllowed`` or ``constrained``.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

ASSERTIONS = ("c2pa.training-mining", "cawg.training-mining")
USES = ("ai_generative_training", "ai_training", "data_mining")  # each of them is part of training a model
UNREADABLE = "a C2PA manifest that cannot be read"
_TYPES = {"mp4": "video/mp4", "mov": "video/quicktime", "avi": "video/avi"}
_MARKS = (b"c2pa", b"jumb")  # every embedded manifest store is a JUMBF box of this type


def training_reservation(path: Path, extension: str, may_have: bool = True) -> str | None:
    """What in a file's manifests speaks against training, such as ``c2pa.ai_training: notAllowed``; None: nothing.

    ``constrained`` counts: its conditions are for a person to read. Ingredients' assertions count as well, because an
    ingredient is in the picture.

    Args:
        extension: of the container as it was recognised; others than MP4, MOV and AVI carry no manifest.
        may_have: whether the bytes hold the marks of a manifest (:class:`Marks`); if not, nothing is parsed.
    """
    if extension not in _TYPES or not may_have:
        return None
    with open(path, "rb") as file:
        return _said_in(_TYPES[extension], file)


def reservation_beside(manifest: bytes) -> str | None:
    """The same of a manifest that stands in a file of its own (``film.c2pa``)."""
    return _said_in("application/c2pa", io.BytesIO(manifest)) if manifest else UNREADABLE


def _said_in(kind: str, file: BinaryIO) -> str | None:
    import c2pa

    try:
        settings = c2pa.Settings.from_dict({"verify": {"remote_manifest_fetch": False, "ocsp_fetch": False}})
        with c2pa.Context(settings) as context, c2pa.Reader(kind, file, context=context) as reader:
            store = json.loads(reader.json())
        return "; ".join(dict.fromkeys(_against(store))) or None
    except c2pa.C2paError.ManifestNotFound:
        return None
    except (c2pa.C2paError, ValueError, RecursionError, AttributeError, TypeError):  # of any form: strangers write it
        return UNREADABLE


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
    def found(self) -> bool:
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
