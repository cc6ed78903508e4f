"""Fingerprints of films that may not be trained on: each shot as quality control would fingerprint it as a clip.

Ingest runs this on a film where it lies (see :mod:`aiprod.data.ingest.denied_prints`); ``qc_decide`` compares what it
gives with the clips that were ingested.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from aiprod.data.ingest.ingest_film import check_cost
from aiprod.data.ingest.shot_detection import Shot, analyse_video
from aiprod.data.params import IngestParams
from aiprod.media.container import Limits
from aiprod.media.errors import MediaError
from aiprod.media.frames import VideoReader
from aiprod.media.media_info import Orientation
from aiprod.media.probing import probe, require_video
from aiprod.media.scaling import upright
from aiprod.qc.checks import borders, fingerprint
from aiprod.qc.clip_context import SmallFrame
from aiprod.qc.measure.decode_pass import LumaTaker, read_clip_sound
from aiprod.qc.params import QcMeasureParams
from aiprod.qc.planes import shrink

LONGEST_S = 600.0
"""A longer shot is fingerprinted in pieces that overlap by what a clip's fingerprint covers, so that one holds it."""
_EPSILON_S = 1e-6


@dataclass
class _Piece:
    """A stretch of a shot, and what is gathered of it; ``turned`` where it is looked at as a player turns it."""

    start_s: float
    end_s: float
    turned: Orientation | None = None
    pictures: fingerprint.Fingerprint = field(default_factory=lambda: fingerprint.Fingerprint(LONGEST_S))
    bars: borders.Borders = field(default_factory=borders.Borders)

    def feed(self, frame: SmallFrame, time_s: float) -> None:
        """Take a frame, if it belongs here; its own time is on the film's clock."""
        if not self.start_s - _EPSILON_S <= time_s < self.end_s - _EPSILON_S:
            return
        plane = frame.plane if self.turned is None else upright(frame.plane, self.turned)
        own = SmallFrame(
            frame.index, max(0.0, time_s - self.start_s), plane, frame.sparse, frame.black_level, frame.white_level
        )
        self.pictures.feed(own)
        self.bars.feed(own)


def prints_of_film(path: Path, params: IngestParams) -> list[dict[str, Any]]:
    """The fingerprint of each shot that ingest would make a clip of; of a film with a turn, as stored and upright.

    Args:
        params: its bounds on what is decoded, and how shots are found.

    Raises:
        MediaError: the film does not open, is beyond the bounds, or nothing of it decodes.
    """
    limits = Limits(pixels=params.max_pixels)
    facts = probe(path, limits)
    video = require_video(facts)
    if facts.length_s is not None and facts.length_s > params.max_film_s:
        raise MediaError("too-long", f"{facts.length_s:.0f} s, {params.max_film_s:g} s are decoded at most")
    check_cost(facts, params.max_gigapixels)
    shots = analyse_video(path, params.shots, limits, params.max_film_s).shots
    spans = [span for shot in shots for span in _pieces(shot, params.shots.min_shot_s)]
    turns = [None] if video.orientation.upright else [None, video.orientation]
    pieces = [_Piece(start, end, turn) for start, end in spans for turn in turns]
    _look(path, limits, pieces)
    heard_by = QcMeasureParams(sound_max_s=LONGEST_S)
    prints = []
    for n, (start_s, end_s) in enumerate(spans):
        sound, _ = read_clip_sound(path, facts, start_s, end_s, heard_by)
        for piece in pieces[n * len(turns) : (n + 1) * len(turns)]:
            figures = fingerprint.measure(
                piece.pictures.figures(borders.active_area(piece.bars.figures())),
                sound.samples if sound is not None else None,
                sound.rate_hz if sound is not None else 0,
                LONGEST_S,
            )
            if figures["status"] == "ok":
                prints.append({**figures, "version": fingerprint.VERSION})
    return prints


def _pieces(shot: Shot, shortest_s: float) -> Iterator[tuple[float, float]]:
    """Stretches of a shot on the film's clock."""
    start_s = shot.start_s
    while shot.end_s - start_s >= shortest_s:
        yield start_s, min(shot.end_s, start_s + LONGEST_S)
        if shot.end_s - start_s <= LONGEST_S:
            return
        start_s += LONGEST_S - fingerprint.MAX_S


def _look(path: Path, limits: Limits, pieces: Sequence[_Piece]) -> None:
    """Decode the film and feed the pieces, which come in order."""
    width, first = QcMeasureParams().plane_width_px, 0
    with VideoReader(path, limits) as reader:
        luma_of = LumaTaker(reader.facts)
        factor = max(1, -(-reader.facts.width // width))
        for index, timed in enumerate(reader.frames()):
            while first < len(pieces) and timed.time_s >= pieces[first].end_s - _EPSILON_S:
                first += 1
            if first == len(pieces):
                return
            luma = luma_of.take(timed.frame)
            plane = shrink(luma, factor)
            small = SmallFrame(
                index, timed.time_s, plane, np.zeros((0, 0), np.uint8), luma_of.black_level, luma_of.white_level
            )
            for piece in pieces[first:]:
                if piece.start_s > timed.time_s + _EPSILON_S:
                    break
                piece.feed(small, timed.time_s)
