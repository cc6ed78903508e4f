"""A finished film held against its targets, in one table; the words of its spoken lines are heard in the final mix."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiprod.errors import AiprodError
from aiprod.film.chart import codes_off
from aiprod.film.profiles import PROFILES
from aiprod.film.record import changed, place_of, read_record, record_beside
from aiprod.media.audio import read_sound
from aiprod.montage.timeline import SAMPLE_RATE

_KEPT = 0.9
"""Share of the words understood before the mix that has to be understood in it."""


_LIPS = {"lip_sync_auc": 0.9, "lip_sync_correlation": 0.7}
_CODES_OFF = 3.0
"""Of 255, in 8-bit 4:2:0: a colour's three planes are rounded twice, and compressed."""


@dataclass(frozen=True)
class TargetFigure:
    """One row of the table.

    Attributes:
        target: in words; empty where nothing is asked.
        holds: whether it is met; None where nothing is asked.
    """

    name: str
    value: float | int | str
    target: str = ""
    holds: bool | None = None


def measure_film(film: Path, root: Path) -> tuple[list[TargetFigure], list[str]]:
    """What the delivery check measured of a film, the colours of its charts, how its heads' lips move, and what is
    understood of its lines now.

    Returns:
        The table, and what could not be measured, with the reason.

    Raises:
        AiprodError: it is no film of `aiprod film`, or not as it was delivered.
    """
    beside = record_beside(film) if film.is_file() else None
    if beside is None:
        raise AiprodError(f"{film} has no record of a film beside it", "give a film that `aiprod film` made")
    record = read_record(beside)
    if wrong := changed(record, film, root, ())[1]:
        raise AiprodError(wrong[0], "make the film again")
    words, notes = _words(record, film, root)
    return [*_delivered(record), *_colours(record, film), *_lips(record, film, root), *words], notes


def _lips(record: dict[str, Any], film: Path, root: Path) -> Iterator[TargetFigure]:
    if not any(each["kind"] == "head" for each in record["ingredients"]):
        return
    from aiprod.film.head_sync import lip_sync

    seen = lip_sync(film, record, root)
    late = [each.late_frames for each in seen]
    most = "not found" if None in late else max((n for n in late if n is not None), key=abs, default="not found")
    yield TargetFigure("lip_sync_late_frames", most, "0", most == 0)
    for name, values in (
        ("lip_sync_auc", [each.auc for each in seen]),
        ("lip_sync_auc_mismatched", [each.auc_mismatched for each in seen]),
        ("lip_sync_correlation", [each.correlation for each in seen]),
        ("lip_sync_correlation_mismatched", [each.correlation_mismatched for each in seen]),
    ):
        known = [value for value in values if value is not None]
        if known:
            least = min(known) if "mismatched" not in name else max(known)
            target = _LIPS.get(name)
            yield TargetFigure(
                name,
                round(least, 3),
                f"at least {target:g}" if target is not None else "",
                least >= target if target is not None else None,
            )


def _colours(record: dict[str, Any], film: Path) -> Iterator[TargetFigure]:
    off = codes_off(film, record)
    if off:
        yield TargetFigure("chart_patches", len(off))
        yield TargetFigure("chart_codes_off_mean", round(float(np.mean(off)), 3))
        most = round(max(off), 3)
        yield TargetFigure("chart_codes_off_most", most, f"at most {_CODES_OFF:g}", most <= _CODES_OFF)


def _delivered(record: dict[str, Any]) -> Iterator[TargetFigure]:
    profile, delivery = PROFILES.get(record.get("profile", "")), record.get("delivery", {})
    if profile is None:
        return
    frames = record["frames"]
    yield TargetFigure("frames", delivery["frames"], f"{frames}", delivery["frames"] == frames)
    if delivery.get("lufs") is not None:
        target = f"{profile.lufs:g} ± {profile.lu_off:g}"
        yield TargetFigure(
            "loudness_lufs", delivery["lufs"], target, abs(delivery["lufs"] - profile.lufs) <= profile.lu_off
        )
        peak = delivery["true_peak_dbtp"]
        yield TargetFigure(
            "true_peak_dbtp", peak, f"at most {profile.true_peak_dbtp:g}", peak <= profile.true_peak_dbtp
        )
    offset = delivery.get("sound_offset_samples")
    if offset is not None:
        most = round(profile.sync_s * SAMPLE_RATE)
        yield TargetFigure("sound_offset_samples", offset, f"within {most}", abs(offset) <= most)
    limits: tuple[tuple[str, float], ...] = (
        ("black_longest_s", profile.black_s),
        ("frozen_longest_s", profile.freeze_s),
        ("outside_gamut_most", profile.outside),
        ("flashes_in_a_second", profile.flashes),
        ("red_flashes_in_a_second", profile.flashes),
    )
    for name, limit in limits:
        if name in delivery:
            yield TargetFigure(name, delivery[name], f"at most {limit:g}", delivery[name] <= limit)


def _words(record: dict[str, Any], film: Path, root: Path) -> tuple[list[TargetFigure], list[str]]:
    """Word accuracy of the lines in the final mix, beside that of the lines before it and of chance."""
    from aiprod.speech.recogniser import Recogniser, accuracy, chance, installed, is_command
    from aiprod.speech.text_to_phones import ENGLISH, bundled_dictionary, phrases
    from aiprod.speech.voice import RATE

    lines = [(sound, each) for sound in record["sounds"]
             if (each := record["ingredients"][sound["ingredient"]])["kind"] in ("speech", "voice")
             and each.get("facts", {}).get("text")]  # fmt: skip
    if not lines:
        return [], []
    if not installed():
        return [], ['words were not measured: pip install "aiprod[voice]"']
    mixed = read_sound(film, RATE, 1)
    if mixed is None:
        raise AiprodError(f"{film.name} has no sound", "make the film again")
    heard: dict[bool, list[tuple[list[str], list[str], list[str]]]] = {}
    notes = []
    for sound, each in lines:
        text, language = each["facts"]["text"], each["facts"].get("language") or ENGLISH
        path = place_of(root, film, record, each["file"])
        if language != ENGLISH or path is None:
            why = f"nobody here understands {language}" if path is not None else "its file is not here"
            notes.append(f"the words of {text[:40]!r} were not measured: {why}")
            continue
        plain = (word if len(word) == 1 else word.lower() for word in text.strip().rstrip(".!?").split())
        command = is_command(" ".join(plain))
        recogniser = Recogniser(commands=command)
        expected = [w.text.lower() for phrase in phrases(text, ENGLISH, bundled_dictionary()) for w in phrase.words]
        first, behind = (round(at * RATE / SAMPLE_RATE) for at in sound["samples"])
        alone = read_sound(path, RATE, 1)
        assert alone is not None
        before, after = (recogniser.words(_mono(samples)) for samples in (alone, mixed[:, first:behind]))
        heard.setdefault(command, []).append((after, before, expected))
    figures = []
    for command, each_line in sorted(heard.items(), reverse=True):
        kind = "commands" if command else "open_text"
        in_mix, alone_before = (accuracy([(line[n], line[2]) for line in each_line]) for n in (0, 1))
        target = f"at least {_KEPT:g} of that before the mix"
        figures += [
            TargetFigure(f"words_{kind}", sum(len(line[2]) for line in each_line)),
            TargetFigure(f"word_accuracy_{kind}", in_mix, target, in_mix >= _KEPT * alone_before),
            TargetFigure(f"word_accuracy_{kind}_before_mix", alone_before),
        ]
        if command and len(each_line) > 1:
            figures.append(TargetFigure(f"word_accuracy_{kind}_chance", chance([line[2] for line in each_line])))
    return figures, notes


def _mono(sound: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.ascontiguousarray(sound[0], np.float32)
