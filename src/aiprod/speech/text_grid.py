"""Times of phones and words from a TextGrid, as Praat and the Montreal Forced Aligner write it, long or short."""

from __future__ import annotations

import codecs
import re
from pathlib import Path

from aiprod.base.structured import read_bounded
from aiprod.errors import AiprodError
from aiprod.speech.ipa import phones_of_notation
from aiprod.speech.phones import SILENCE
from aiprod.speech.voice import TimedUnit

_MOST = 4 << 20
_VALUE = re.compile(r'"((?:[^"]|"")*)"|(?<![\w\[.])(-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)(?![\w\].])')
_QUIET = {"", "sil", "sp", "<eps>", "<p:>", "_", "#"}
_UNKNOWN = {"spn", "<unk>", "unk"}
_NAMES = {"phones": ("phones", "phone", "mau"), "words": ("words", "word", "ort-mau")}


def read_text_grid(path: Path, language: str) -> tuple[list[TimedUnit], list[TimedUnit]]:
    """Phones, silences among them, and words.

    Raises:
        AiprodError: not a TextGrid, without a tier of phones or of words, or with a sound that the language has not.
    """
    tiers = _tiers(path)
    chosen = {}
    for kind, names in _NAMES.items():
        tier_of_kind = next(
            (tier for name, tier in tiers.items() if re.split(r"\s*-\s+|\s+-\s*", name)[-1] in names), None
        )
        if tier_of_kind is None:
            raise AiprodError(f"{path.name} has no tier {kind!r}", f"name its tiers {' and '.join(_NAMES)}")
        chosen[kind] = tier_of_kind
    phones = []
    for label, start, end in chosen["phones"]:
        if label.lower() in _UNKNOWN:
            raise AiprodError(
                f"{path.name} has a sound that its aligner did not know", "add its word to the dictionary"
            )
        if label.lower() in _QUIET or label == SILENCE:
            phones.append(TimedUnit(SILENCE, start, end))
            continue
        symbols = phones_of_notation(label, language)
        parts = [start + (end - start) * n / len(symbols) for n in range(len(symbols) + 1)]
        phones += [TimedUnit(symbol, parts[n], parts[n + 1]) for n, symbol in enumerate(symbols)]
    words = [TimedUnit(label, start, end) for label, start, end in chosen["words"] if label.lower() not in _QUIET]
    if not words or all(phone.name == SILENCE for phone in phones):
        raise AiprodError(f"{path.name} has no words", "align it again, or remove it")
    return phones, words


def _tiers(path: Path) -> dict[str, list[tuple[str, float, float]]]:
    """Tiers of intervals by name, in lower case."""
    data = read_bounded(path, _MOST, "give the TextGrid again")
    utf16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    broken = AiprodError(f"{path.name} is not a TextGrid", "write it with Praat or the Montreal Forced Aligner")
    try:
        text = data.decode("utf-16" if utf16 else "utf-8-sig")
    except UnicodeDecodeError:
        raise broken from None
    values = [m[2] if m[2] is not None else f'"{m[1]}'.replace('""', '"') for m in _VALUE.finditer(text)]
    by_name: dict[str, list[tuple[str, float, float]]] = {}
    try:
        if [value.lower() for value in values[:2]] != ['"ootextfile', '"textgrid']:
            raise broken
        at, count = 5, int(values[4])
        for _ in range(count):
            kind, name, size = values[at], values[at + 1][1:].strip().lower(), int(values[at + 4])
            at += 5
            width = 3 if kind == '"IntervalTier' else 2
            if at + size * width > len(values):
                raise broken
            if width == 3:
                rows = [values[at + 3 * n : at + 3 * n + 3] for n in range(size)]
                by_name[name] = [(_label(text), float(start), float(end)) for start, end, text in rows]
            at += size * width
    except (IndexError, ValueError):
        raise broken from None
    for name, tier in by_name.items():
        ends = [0.0, *(end for _, _, end in tier)]
        if any(start < ends[n] - 1e-3 or end < start for n, (_, start, end) in enumerate(tier)):
            raise AiprodError(f"{path.name}: the times of the tier {name!r} are not in order", "align it again")
    return by_name


def _label(value: str) -> str:
    if not value.startswith('"'):
        raise ValueError(value)
    return value[1:].strip()
