"""A few talking heads, made once for all tests of mouths."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

from aiprod.lips.corpus import MakeFacesParams, make_faces
from aiprod.lips.rows import FaceRow
from aiprod.speech.corpus import MakeSpeechParams, make_corpus
from aiprod.speech.rows import SpeechRow

SPEECH = MakeSpeechParams(commands=10, descriptions=4, made=6)
FACES = MakeFacesParams(train=2, heldout=2, size=128)
_FOLDER = tempfile.TemporaryDirectory()


@functools.lru_cache(maxsize=1)
def speech() -> tuple[list[SpeechRow], Path]:
    """Utterances, and the folder of their sounds."""
    folder = Path(_FOLDER.name) / "speech"
    folder.mkdir()
    return make_corpus(SPEECH, folder, 1), folder


@functools.lru_cache(maxsize=1)
def faces() -> tuple[list[FaceRow], Path]:
    """Clips, one of each fault among them, and their folder."""
    rows, sounds = speech()
    folder = Path(_FOLDER.name) / "faces"
    folder.mkdir()
    return make_faces(FACES, rows, sounds, folder, 1), folder


@functools.lru_cache(maxsize=1)
def short_faces() -> tuple[list[FaceRow], Path]:
    """Clips of few pictures, to train on."""
    rows, sounds = speech()
    folder = Path(_FOLDER.name) / "short"
    folder.mkdir()
    params = FACES.model_copy(update={"fps": 8.0, "size": 96, "faults": False})
    return make_faces(params, rows, sounds, folder, 1), folder


def clip(fault: str = "none") -> tuple[FaceRow, Path]:
    """A clip that is held out, or the one with this fault."""
    rows, folder = faces()
    row = next(row for row in rows if row.fault == fault and row.split == "heldout")
    return row, folder / row.file_name
