"""The phones of both languages, and how the drawn voice speaks each: formants, noise, level and length.

English is written in ARPABET, the 39 phones of CMUdict without stress. The made language has the private-use code
``qaa`` (ISO 639-2) and its own inventory; some of its symbols are English ones that sound otherwise, so that a model
can only be right if it hears which language is meant.
"""

from __future__ import annotations

from dataclasses import dataclass

SILENCE = "SIL"
ENGLISH, CONSTRUCTED = "en", "qaa"


@dataclass(frozen=True)
class Articulation:
    """How one phone is spoken.

    Attributes:
        kind: vowel, glide, nasal, fricative, stop, affricate or silence.
        formants: F1 to F3 in Hz of a speaker of size 1; the place where the tongue is, for consonants too.
        ends: F1 to F3 at the end of a diphthong.
        voice: level of the voiced part, 0 to 1.
        noise: level of friction or of the burst.
        bands: (centre Hz, width Hz, gain) of the noise.
        ms: usual length.
        breath: level of aspiration through the formants, after a burst or throughout.
        trill_hz: how often the tongue interrupts the voice.
    """

    kind: str
    formants: tuple[float, float, float]
    ends: tuple[float, float, float] | None = None
    voice: float = 0.0
    noise: float = 0.0
    bands: tuple[tuple[float, float, float], ...] = ()
    ms: float = 100.0
    breath: float = 0.0
    trill_hz: float = 0.0

    @property
    def voiced(self) -> bool:
        """Whether the vocal folds move in most of it."""
        return self.voice >= 0.1


def _vowel(f1: float, f2: float, f3: float, ms: float, *ends: float, voice: float = 1.0) -> Articulation:
    return Articulation("vowel", (f1, f2, f3), (ends[0], ends[1], ends[2]) if ends else None, voice, ms=ms)


_S = ((5400.0, 900.0, 1.0), (7000.0, 1200.0, 0.8))
_SH = ((2700.0, 500.0, 1.0), (3900.0, 900.0, 0.7), (5600.0, 1500.0, 0.3))
_FLAT = ((1600.0, 900.0, 0.25), (4200.0, 2500.0, 0.35), (7400.0, 1500.0, 0.6))
_TH = ((1500.0, 700.0, 0.3), (6000.0, 2500.0, 0.6))
_P, _T, _K = ((700.0, 700.0, 1.0), (2500.0, 2500.0, 0.15)), ((4200.0, 1500.0, 1.0),), ((1800.0, 450.0, 1.0),)

_ENGLISH: dict[str, Articulation] = {
    "IY": _vowel(280, 2250, 3000, 120),
    "IH": _vowel(400, 1950, 2550, 85),
    "EH": _vowel(560, 1800, 2500, 105),
    "AE": _vowel(690, 1700, 2450, 140),
    "AH": _vowel(610, 1200, 2450, 80),
    "AA": _vowel(740, 1120, 2500, 135),
    "AO": _vowel(580, 880, 2500, 140),
    "UH": _vowel(450, 1050, 2300, 90),
    "UW": _vowel(320, 950, 2250, 125),
    "ER": _vowel(480, 1300, 1690, 130),
    "EY": _vowel(500, 1900, 2550, 145, 320, 2250, 2850),
    "AY": _vowel(740, 1200, 2500, 165, 370, 2100, 2700),
    "OY": _vowel(560, 850, 2450, 180, 370, 2050, 2600),
    "AW": _vowel(730, 1300, 2500, 170, 420, 930, 2350),
    "OW": _vowel(540, 1050, 2400, 150, 370, 830, 2300),
    "L": Articulation("glide", (360, 1050, 2800), None, 0.62, ms=75),
    "R": Articulation("glide", (350, 1150, 1550), None, 0.65, ms=80),
    "W": Articulation("glide", (310, 680, 2250), None, 0.6, ms=80),
    "Y": Articulation("glide", (270, 2250, 3000), None, 0.65, ms=70),
    "M": Articulation("nasal", (250, 1000, 2250), None, 0.5, ms=85),
    "N": Articulation("nasal", (260, 1600, 2600), None, 0.5, ms=80),
    "NG": Articulation("nasal", (270, 2050, 2600), None, 0.5, ms=90),
    "S": Articulation("fricative", (320, 1700, 2600), None, 0.0, 0.24, _S, 125),
    "SH": Articulation("fricative", (320, 1850, 2500), None, 0.0, 0.24, _SH, 130),
    "F": Articulation("fricative", (340, 1000, 2200), None, 0.0, 0.06, _FLAT, 110),
    "TH": Articulation("fricative", (320, 1400, 2550), None, 0.0, 0.05, _TH, 105),
    "Z": Articulation("fricative", (280, 1700, 2600), None, 0.28, 0.12, _S, 95),
    "ZH": Articulation("fricative", (280, 1850, 2500), None, 0.28, 0.13, _SH, 95),
    "V": Articulation("fricative", (280, 1000, 2200), None, 0.42, 0.03, _FLAT, 70),
    "DH": Articulation("fricative", (280, 1400, 2550), None, 0.45, 0.025, _TH, 60),
    "HH": Articulation("fricative", (500, 1500, 2500), None, 0.0, 0.0, (), 70, breath=0.16),
    "P": Articulation("stop", (320, 900, 2150), None, 0.0, 0.16, _P, 105, breath=0.13),
    "T": Articulation("stop", (320, 1750, 2650), None, 0.0, 0.3, _T, 105, breath=0.13),
    "K": Articulation("stop", (320, 2000, 2400), None, 0.0, 0.28, _K, 110, breath=0.14),
    "B": Articulation("stop", (250, 900, 2150), None, 0.16, 0.1, _P, 80),
    "D": Articulation("stop", (250, 1750, 2650), None, 0.16, 0.18, _T, 80),
    "G": Articulation("stop", (250, 2000, 2400), None, 0.16, 0.18, _K, 85),
    "CH": Articulation("affricate", (320, 1850, 2500), None, 0.0, 0.26, _SH, 140),
    "JH": Articulation("affricate", (280, 1850, 2500), None, 0.12, 0.17, _SH, 115),
    SILENCE: Articulation("silence", (500, 1500, 2500), ms=60),
}

_X = ((1350.0, 350.0, 1.0), (3300.0, 700.0, 0.35))
_CONSTRUCTED: dict[str, Articulation] = {
    "A": _vowel(800, 1350, 2500, 120),
    "E": _vowel(450, 2100, 2650, 110),
    "I": _vowel(270, 2350, 3100, 105),
    "O": _vowel(450, 780, 2500, 120),
    "U": _vowel(290, 700, 2300, 110),
    "UE": _vowel(280, 1750, 2150, 115),  # rounded and in front, as in French "tu"
    "M": Articulation("nasal", (250, 1000, 2250), None, 0.5, ms=80),
    "N": Articulation("nasal", (260, 1600, 2600), None, 0.5, ms=75),
    "R": Articulation("glide", (450, 1350, 2500), None, 0.7, ms=110, trill_hz=27),  # rolled
    "L": Articulation("glide", (340, 1550, 2700), None, 0.65, ms=75),  # clear
    "S": Articulation(
        "fricative", (320, 1700, 2600), None, 0.0, 0.2, ((3500.0, 800.0, 1.0), (5200.0, 1200.0, 0.5)), 110
    ),
    "X": Articulation("fricative", (500, 1300, 2400), None, 0.0, 0.2, _X, 105),
    "P": Articulation("stop", (320, 900, 2150), None, 0.0, 0.14, _P, 90),  # without breath
    "T": Articulation("stop", (320, 1650, 2600), None, 0.0, 0.22, ((3200.0, 900.0, 1.0),), 90),
    "K": Articulation("stop", (320, 1700, 2300), None, 0.0, 0.22, ((1400.0, 400.0, 1.0),), 95),
    "D": Articulation("stop", (250, 1650, 2600), None, 0.2, 0.14, ((3200.0, 900.0, 1.0),), 75),
    SILENCE: Articulation("silence", (500, 1500, 2500), ms=60),
}

PHONES: dict[str, dict[str, Articulation]] = {ENGLISH: _ENGLISH, CONSTRUCTED: _CONSTRUCTED}
LANGUAGES = tuple(PHONES)
SYMBOLS = tuple(sorted({symbol for table in PHONES.values() for symbol in table}))
"""Every symbol of every language: what the acoustic model's table of phones has a row for, in this order."""

VOWELS = {language: frozenset(s for s, v in table.items() if v.kind == "vowel") for language, table in PHONES.items()}
