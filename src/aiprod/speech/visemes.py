"""Which of 15 visemes a phone is seen as, and how the mouth moves from one to the next.

The visemes are those of Oculus and OpenXR (``XR_META_face_tracking_visemes``). A mouth is four numbers from 0 to 1.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from aiprod.speech.phones import CONSTRUCTED, ENGLISH, SILENCE
from aiprod.speech.voice import TimedUnit

Floats = NDArray[np.float64]
VISEMES = ("sil", "PP", "FF", "TH", "DD", "kk", "CH", "SS", "nn", "RR", "aa", "E", "I", "O", "U")
NUMBERS = ("aperture", "width", "rounding", "teeth")


class Mouth(NamedTuple):
    """What a mouth is, each from 0 to 1.

    Attributes:
        aperture: how far the inner lips are apart.
        width: how far the corners are drawn aside; 0.5 at rest.
        rounding: how far the lips are pushed forward.
        teeth: how much of the upper teeth shows between the lips.
    """

    aperture: float
    width: float
    rounding: float
    teeth: float


SHAPES: dict[str, Mouth] = {
    "sil": Mouth(0.0, 0.5, 0.1, 0.0),
    "PP": Mouth(0.0, 0.5, 0.2, 0.0),
    "FF": Mouth(0.12, 0.55, 0.1, 0.9),
    "TH": Mouth(0.25, 0.55, 0.1, 0.7),
    "DD": Mouth(0.25, 0.55, 0.1, 0.5),
    "kk": Mouth(0.3, 0.5, 0.15, 0.3),
    "CH": Mouth(0.22, 0.35, 0.7, 0.8),
    "SS": Mouth(0.15, 0.7, 0.05, 1.0),
    "nn": Mouth(0.25, 0.55, 0.1, 0.4),
    "RR": Mouth(0.3, 0.4, 0.5, 0.3),
    "aa": Mouth(0.95, 0.6, 0.05, 0.4),
    "E": Mouth(0.65, 0.75, 0.0, 0.5),
    "I": Mouth(0.4, 0.95, 0.0, 0.7),
    "O": Mouth(0.7, 0.3, 0.8, 0.1),
    "U": Mouth(0.3, 0.1, 1.0, 0.0),
}

_ENGLISH: dict[str, tuple[str, ...]] = {
    "sil": (SILENCE,),
    "PP": ("P", "B", "M"),
    "FF": ("F", "V"),
    "TH": ("TH", "DH"),
    "DD": ("T", "D"),
    "kk": ("K", "G", "NG", "HH"),
    "CH": ("CH", "JH", "SH", "ZH"),
    "SS": ("S", "Z"),
    "nn": ("N", "L"),
    "RR": ("R", "ER"),
    "aa": ("AA", "AE", "AH", "AY", "AW"),
    "E": ("EH", "EY"),
    "I": ("IH", "IY", "Y"),
    "O": ("AO", "OW", "OY"),
    "U": ("UH", "UW", "W"),
}
_CONSTRUCTED: dict[str, tuple[str, ...]] = {
    "sil": (SILENCE,),
    "PP": ("P", "M"),
    "DD": ("T", "D"),
    "kk": ("K", "X"),
    "SS": ("S",),
    "nn": ("N", "L"),
    "RR": ("R",),
    "aa": ("A",),
    "E": ("E",),
    "I": ("I",),
    "O": ("O",),
    "U": ("U", "UE"),
}
VISEME_OF: dict[str, dict[str, str]] = {
    language: {phone: viseme for viseme, phones in table.items() for phone in phones}
    for language, table in ((ENGLISH, _ENGLISH), (CONSTRUCTED, _CONSTRUCTED))
}

CLOSED = frozenset({"PP"})
"""Lips touch."""
OPEN = frozenset({"aa", "E", "O"})
"""The mouth is wide open; a closed vowel such as that of "see" is hardly wider than a consonant."""

_GLIDES = {"AY": "I", "OY": "I", "EY": "I", "AW": "U", "OW": "U"}  # where a diphthong ends
_HZ = 100
_AHEAD_S = 0.06  # a mouth moves before it is heard, by 40 to 120 ms
_SPEED, _LIP_SPEED = 60.0, 110.0  # rad/s of a critically damped movement; lips that close are faster


def middles(count: int, rate: float) -> Floats:
    """When the middle of each of so many pictures or frames is, in seconds: where sound is asked what it shows."""
    return (np.arange(count, dtype=np.float64) + 0.5) / rate


def visemes_at(phones: Sequence[TimedUnit], language: str, times_s: Floats) -> NDArray[np.int64]:
    """Number of the viseme that is heard at each time."""
    table = VISEME_OF[language]
    kinds = np.array([VISEMES.index(table[phone.name]) for phone in phones] or [0])
    ends = np.array([phone.end_s for phone in phones] or [0.0])
    index = np.searchsorted(ends, times_s, side="right")
    at_times: NDArray[np.int64] = np.where(index < len(phones), kinds[index.clip(max=len(kinds) - 1)], 0)
    return at_times


def mouth_at(phones: Sequence[TimedUnit], language: str, times_s: Floats) -> Floats:
    """The mouth ``[T, 4]`` at each time, by the numbers of :data:`NUMBERS`.

    Each phone pulls the mouth towards its shape, 60 ms ahead of its sound, as a critically damped spring does: no shape
    is reached at once, and a short one not quite.
    """
    end = max([0.0, *(phone.end_s for phone in phones), *(times_s[-1:] + 0.01)])
    path = _path(tuple(phones), language, int(np.ceil(end * _HZ)) + 2)
    grid = np.arange(len(path)) / _HZ
    return np.stack([np.interp(times_s, grid, path[:, n]) for n in range(4)], 1)


@functools.lru_cache(maxsize=8)  # a meter asks for one sound at many offsets
def _path(phones: tuple[TimedUnit, ...], language: str, steps: int) -> Floats:
    """The mouth ``[steps, 4]`` at each step of the spring, from the beginning on."""
    grid = np.arange(steps) / _HZ
    wanted, speed = _targets(phones, language, grid + _AHEAD_S)
    place, pace = np.array(SHAPES["sil"]), np.zeros(4)
    path = np.empty((len(grid), 4))
    kept = np.exp(-speed / _HZ)
    for n in range(len(grid)):
        path[n] = place
        off = place - wanted[n]
        push = (pace + speed[n] * off) / _HZ  # the exact movement towards what stays the same for a step
        place, pace = wanted[n] + (off + push) * kept[n], (pace - speed[n] * push) * kept[n]
    path = path.clip(0, 1)
    path.flags.writeable = False
    return path


def _targets(phones: Sequence[TimedUnit], language: str, at: Floats) -> tuple[Floats, Floats]:
    """What the mouth is pulled towards, and how fast."""
    wanted, speed = np.tile(np.array(SHAPES["sil"]), (len(at), 1)), np.full(len(at), _SPEED)
    for phone in phones:
        viseme = VISEME_OF[language][phone.name]
        here = (at >= phone.start_s) & (at < phone.end_s)
        wanted[here] = SHAPES[viseme]
        if language == ENGLISH and phone.name in _GLIDES:
            late = here & (at >= (phone.start_s + phone.end_s) / 2)
            wanted[late] = SHAPES[_GLIDES[phone.name]]
        if viseme in CLOSED:
            speed[here] = _LIP_SPEED
    return wanted, speed
