"""A drawn head that says a line of the script."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np

from aiprod.film.script import HEAD_LEAD_S
from aiprod.lips.head import Picture, Pose, draw, looks_of
from aiprod.lips.measure_file import read_times
from aiprod.media.encoding import encode
from aiprod.speech.visemes import middles, mouth_at

_CRF = 12.0


def draw_head(  # noqa: PLR0917
    path: Path, times: Path, speaker: str, size: tuple[int, int], rate: Fraction, at_s: Fraction, lasts_s: Fraction
) -> None:
    """Write a silent film of a head that says a line; who speaks decides what it looks like.

    Args:
        times: of the line's phones, as they are written beside it.
        at_s: when the line begins.
        lasts_s: :data:`~aiprod.film.script.HEAD_LEAD_S` comes before and behind.
    """
    phones, language = read_times(times)
    seconds = middles(round((lasts_s + 2 * HEAD_LEAD_S) * rate), float(rate)) - HEAD_LEAD_S - float(at_s)
    spoken = seconds >= 0
    mouths = np.empty((len(seconds), 4))
    mouths[spoken] = mouth_at(phones, language, seconds[spoken])
    mouths[~spoken] = mouths[spoken][0]
    rng = np.random.default_rng(list(hashlib.sha256(speaker.encode()).digest()[:8]))

    def pictures() -> Iterator[Picture]:
        looks, phases = looks_of(rng), rng.uniform(0, 2 * np.pi, 3)
        width, height = size
        for second, mouth in zip(seconds, mouths, strict=True):
            sway, nod, turn = np.sin(2 * np.pi * np.array([0.23, 0.31, 0.17]) * second + phases)
            eyes = 0.27 * min(width, height)
            pose = Pose(width / 2 + 0.03 * eyes * sway, 0.4 * height + 0.03 * eyes * nod, eyes, 1.5 * turn)
            yield draw(looks, pose, mouth, size, blink=float(second % 2.6 < 0.12))

    encode(path, pictures(), rate, None, crf=_CRF, tags={"comment": "drawn; the person does not exist"})
