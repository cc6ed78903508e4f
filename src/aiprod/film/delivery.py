"""Checks a finished film as it is delivered: decoded anew, and measured by the meters of quality control."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from aiprod.film.fingerprinting import FilmPrint
from aiprod.film.flashing import Flashes, small
from aiprod.film.profiles import Profile
from aiprod.film.titles import lettered_box
from aiprod.media.audio import read_sound
from aiprod.media.colour import planes, to_rgb
from aiprod.media.frames import VideoReader
from aiprod.media.probing import probe
from aiprod.montage.loudness import Meter
from aiprod.montage.timecode import format_timecode
from aiprod.montage.timeline import SAMPLE_RATE, Timeline
from aiprod.qc.checks.black import is_black
from aiprod.qc.checks.freeze import Freeze
from aiprod.qc.clip_context import SmallFrame
from aiprod.qc.planes import scattered, shrink

_BT709 = 1
_LOUD_S = 2
_SAME, _ALIKE = 0.5, 0.99  # correlation of a sound with itself after a lossy codec; of places that fit as well
_LOWEST, _HIGHEST = -0.05, 1.05  # EBU R 103


@dataclass
class DeliveryCheck:
    """What was measured, and why the film may not be delivered.

    Attributes:
        fingerprint: by which the film is known again.
    """

    figures: dict[str, Any] = field(default_factory=dict)
    reasons: list[str] = field(default_factory=list)
    fingerprint: dict[str, Any] | None = None


def check_delivery(
    film: Path,
    timeline: Timeline,
    profile: Profile,
    *,
    lettered: dict[Path, tuple[int, int, int] | None],
    mixed: NDArray[np.float32] | None,
) -> DeliveryCheck:
    """Decode a film and hold it against its profile.

    Args:
        lettered: stills with letters → their background.
        mixed: the mix [2, samples] that the file's sound was encoded from.
    """
    delivery = DeliveryCheck()
    seen = FilmPrint()
    _pictures(film, timeline, profile, lettered, seen, delivery)
    heard = _sound(film, timeline, profile, mixed, delivery)
    delivery.fingerprint = seen.figures(heard, SAMPLE_RATE)
    _safe_area(timeline, profile, lettered, delivery)
    return delivery


def _stills(timeline: Timeline) -> list[tuple[int, int]]:
    """Frames between which a still picture is shown on purpose."""
    from aiprod.montage.stills import is_still

    lowest = timeline.pictures[0]
    return [lowest.shown(n) for n, clip in enumerate(lowest.clips) if is_still(clip.film)]


def _pictures(  # noqa: PLR0917
    film: Path,
    timeline: Timeline,
    profile: Profile,
    lettered: Container[Path],
    seen: FilmPrint,
    delivery: DeliveryCheck,
) -> None:
    stills, rate = _stills(timeline), timeline.rate
    lowest = timeline.pictures[0]
    titles = [lowest.shown(n) for n, clip in enumerate(lowest.clips) if clip.film in lettered]
    flashes = Flashes(float(rate))
    black = black_most = count = 0
    frozen, freeze = 0.0, Freeze()
    outside_most, outside_at, wrong_times = 0.0, 0, 0
    matrix = to_rgb(_BT709).astype(np.float32)
    with VideoReader(film) as reader:
        bits = reader.facts.bit_depth
        for frame, timed in enumerate(reader.frames()):
            luma, cb, cr = (_eight_bits(plane, bits) for plane in planes(timed.frame))
            wrong_times += abs(timed.time_s - float(frame / rate)) > 0.25 / float(rate)
            height, width = cb.shape
            ycc = np.stack([cv2.resize(luma, (width, height), interpolation=cv2.INTER_AREA), cb, cr], axis=-1)
            rgb = _signal(ycc.astype(np.float32), matrix)
            out = float(((rgb < _LOWEST) | (rgb > _HIGHEST)).any(axis=-1).mean())
            if out > outside_most:
                outside_most, outside_at = out, frame
            flashes.feed(small(rgb))
            plane = shrink(luma, max(1, luma.shape[1] // 320))
            titled = any(first <= frame < behind for first, behind in titles)  # a few letters are mostly background
            black = black + 1 if is_black(plane, 16, 235) and not titled else 0
            black_most = max(black_most, black)
            taken = SmallFrame(frame, timed.time_s, plane, scattered(luma, 2), 16.0, 235.0)
            seen.feed(taken)
            if any(first <= frame < behind for first, behind in stills):
                frozen, freeze = max(frozen, _longest(freeze)), Freeze()
            else:
                freeze.feed(taken)
            count += 1
    frozen = max(frozen, _longest(freeze))
    seconds = black_most / float(rate)
    most = flashes.most_in_a_second()
    delivery.figures |= {
        "frames": count,
        "black_longest_s": round(seconds, 3),
        "frozen_longest_s": round(frozen, 3),
        "outside_gamut_most": round(outside_most, 5),
        "flashes_in_a_second": most["general"][0],
        "red_flashes_in_a_second": most["red"][0],
    }
    if count != timeline.frames:
        delivery.reasons.append(f"it has {count} pictures, and the timeline {timeline.frames}")
    if wrong_times:
        delivery.reasons.append(f"{wrong_times} pictures are not at their time")
    if seconds > profile.black_s:
        delivery.reasons.append(f"black: {seconds:.2f} s together, {profile.black_s:g} s at most")
    if frozen > profile.freeze_s:
        delivery.reasons.append(f"frozen: {frozen:.2f} s together, {profile.freeze_s:g} s at most")
    if outside_most > profile.outside:
        code = format_timecode(outside_at, rate)
        delivery.reasons.append(
            f"gamut: {outside_most:.1%} of the picture at {code} leaves -5 % to 105 % of the signal, "
            f"{profile.outside:.0%} at most (EBU R 103)"
        )
    for kind, (number, at) in most.items():
        if number > profile.flashes:
            delivery.reasons.append(
                f"flashing: {number} {kind} flashes within a second from {at:.2f} s, "
                f"{profile.flashes} at most (ITU-R BT.1702)"
            )


def _eight_bits(plane: Any, bits: int) -> NDArray[np.uint8]:
    return np.asarray(plane if bits <= 8 else (plane >> (bits - 8)).astype(np.uint8), np.uint8)


def _signal(ycc: NDArray[np.float32], matrix: NDArray[np.float32]) -> NDArray[np.float32]:
    """Display signal of limited-range codes, 0 black and 1 white; values beyond are kept."""
    values = (ycc - np.array([16, 128, 128], np.float32)) / np.array([219, 224, 224], np.float32)
    return np.asarray(values @ matrix.T, np.float32)


def _longest(freeze: Freeze) -> float:
    figures = freeze.figures()
    return float(figures.get("longest_s") or 0.0)


def _sound(
    film: Path,
    timeline: Timeline,
    profile: Profile,
    mixed: NDArray[np.float32] | None,
    delivery: DeliveryCheck,
) -> NDArray[np.float32] | None:
    """Measure the sound; the sound itself, where there is any."""
    facts = probe(film)
    if not timeline.sounds:
        return None
    if facts.audio is None or facts.video is None:
        delivery.reasons.append("it has no sound")
        return None
    sound = read_sound(film, SAMPLE_RATE, 2, origin_s=facts.video.start_s)
    if sound is None:
        delivery.reasons.append("its sound does not decode")
        return None
    meter = Meter()
    for at in range(0, sound.shape[1], SAMPLE_RATE * 10):
        meter.add(np.ascontiguousarray(sound[:, at : at + SAMPLE_RATE * 10]))
    lufs, peak = meter.integrated_lufs(), meter.true_peak_dbtp
    delivery.figures |= {"lufs": None if lufs is None else round(lufs, 2), "true_peak_dbtp": round(peak, 2)}
    if lufs is None:
        delivery.reasons.append("loudness: too quiet or too short to have one")
    elif abs(lufs - profile.lufs) > profile.lu_off:
        delivery.reasons.append(f"loudness: {lufs:.1f} LUFS, {profile.lufs:g} ± {profile.lu_off:g} is asked")
    if peak > profile.true_peak_dbtp + 0.05:
        delivery.reasons.append(f"true peak: {peak:.1f} dBTP, {profile.true_peak_dbtp:g} at most")
    if mixed is not None:
        offset = offset_samples(sound, mixed)
        delivery.figures["sound_offset_samples"] = offset
        if offset is None:
            delivery.reasons.append("sync: its sound is not that of the mix")
        elif abs(offset) > profile.sync_s * SAMPLE_RATE:
            delivery.reasons.append(f"sync: its sound is {offset / SAMPLE_RATE * 1000:+.1f} ms off the pictures")
    return sound


def offset_samples(sound: NDArray[np.float32], mixed: NDArray[np.float32], most_s: float = 0.5) -> int | None:
    """By how many samples a sound is later than the mix it was made of, over its loudest seconds; None where it is not.

    Args:
        most_s: what is looked for.
    """
    one, other = sound.mean(axis=0), mixed.mean(axis=0)
    length, most = min(other.size, SAMPLE_RATE * _LOUD_S), round(most_s * SAMPLE_RATE)
    if not length:
        return None
    power = np.add.reduceat(np.square(other.astype(np.float64)), np.arange(0, other.size, SAMPLE_RATE // 4))
    begin = min(max(0, int(np.argmax(power)) * (SAMPLE_RATE // 4) - length // 2), other.size - length)
    wanted = other[begin : begin + length].astype(np.float64)
    padded = np.zeros(length + 2 * most)
    first = begin - most
    a, b = max(0, first), min(one.size, begin + length + most)
    if a >= b:
        return None
    padded[a - first : b - first] = one[a:b]
    energy = np.concatenate([[0.0], np.cumsum(np.square(padded))])
    scale = np.sqrt(np.maximum(energy[length:] - energy[:-length], 0) * np.square(wanted).sum())
    points = 1 << (padded.size - 1).bit_length()  # SciPy's own correlation takes as long to load as all of this
    spectrum = np.fft.rfft(padded, points) * np.fft.rfft(wanted, points).conj()
    match = np.fft.irfft(spectrum, points)[: 2 * most + 1] / np.maximum(scale, 1e-12)
    if match.max() < _SAME:
        return None
    alike = np.flatnonzero(match >= _ALIKE * match.max())  # of a tone, every period
    return int(alike[np.argmin(np.abs(alike - most))]) - most


def _safe_area(
    timeline: Timeline, profile: Profile, lettered: dict[Path, tuple[int, int, int] | None], delivery: DeliveryCheck
) -> None:
    used = {clip.film: clip for track in timeline.pictures for clip in track.clips if clip.film in lettered}
    least = 0.5
    for path, clip in used.items():
        box = lettered_box(path, lettered[path])
        if box is None:
            continue
        width, height = timeline.width, timeline.height
        left, top, right, bottom = box
        free = min(left / width, top / height, 1 - right / width, 1 - bottom / height)
        least = min(least, free)
        if free < profile.safe:
            code = format_timecode(clip.record_in, timeline.rate)
            delivery.reasons.append(
                f"safe area: the letters at {code} come within {max(0.0, free):.1%} of the edge, "
                f"{profile.safe:.0%} is kept free (EBU R 95)"
            )
    if used:
        delivery.figures["lettering_edge_least"] = round(least, 4)
