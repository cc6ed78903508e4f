"""Edits of given films: which part the model is given, what it makes, and how the result is put together.

Every edit is a window of the model's length: its pictures and sound with what is kept of them. What is kept comes back
bit for bit; what a window does not reach is not touched at all.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from aiprod.base.progress import log
from aiprod.core.generation import GenerationConfig
from aiprod.errors import AiprodError
from aiprod.inference.input_files import RATE, InputFilm
from aiprod.inference.request import AudioCondition, GeneratedClip, VideoCondition

Make = Literal["both", "video", "audio"]


@dataclass(frozen=True)
class Edit:
    """What is given to the model, and the film that its result is put into.

    Attributes:
        conditions: fields of the request.
        film: the whole film; None where the window is the result.
        at: first frame of the window in the film; negative for a window that begins before it.
        heard_at: first sample of the window in the film's sound.
        grows: whether the window may reach beyond the film.
        cut: frames of the result, where no film is and the window was filled up to the model's length.
    """

    conditions: dict[str, Any] = field(default_factory=dict)
    film: InputFilm | None = None
    at: int = 0
    heard_at: int = 0
    grows: bool = False
    cut: int | None = None

    def result(self, clip: GeneratedClip) -> GeneratedClip:
        """What is delivered: the window inside its film, or alone."""
        pictures, sound = clip.pictures, clip.sound
        if self.cut is not None:
            pictures = pictures[: self.cut]
            sound = None if sound is None else sound[:, : _samples(self.cut, clip.fps, clip.sample_rate)]
        if self.film is not None:
            if self.film.pictures is not None:
                pictures = self._spliced(self.film.pictures, pictures, self.at, axis=0)
            if sound is None:
                sound = self.film.sound
            elif self.film.sound is not None:
                sound = self._spliced(self.film.sound, sound, self.heard_at, axis=1)
        return replace(clip, pictures=pictures, sound=sound)

    def _spliced(self, whole: np.ndarray, part: np.ndarray, at: int, axis: int) -> np.ndarray:
        """``whole`` with ``part`` in it from ``at`` on, longer where that may reach beyond an end."""
        length, reach = whole.shape[axis], at + part.shape[axis]
        before, behind = (
            whole.take(range(max(0, at)), axis),
            whole.take(range(min(length, max(0, reach)), length), axis),
        )
        joined = np.concatenate([before, part, behind], axis)
        return joined if self.grows else joined.take(range(length), axis)


def _samples(frames: int, fps: float, rate: int = RATE) -> int:
    return round(frames / fps * rate)


def extended(film: InputFilm, config: GenerationConfig, time: int, before: bool) -> Edit:
    """A film that goes on, or one that has begun earlier: about half of the window is its end, or its beginning.

    Args:
        time: frames that a latent frame stands for.

    Raises:
        AiprodError: the film is shorter than the model needs to go on from.
    """
    window, length = config.frames, _samples(config.frames, config.fps)
    if film.pictures is None:
        sound = _sound(film)
        overlap = min(sound.shape[1], length // 2)
        conditions: dict[str, Any] = {"absent": frozenset({"video"}), "audio": _end_of(sound, length, overlap, before)}
        return Edit(conditions, film, heard_at=overlap - length if before else sound.shape[1] - overlap, grows=True)
    # latent frames stand for 1, time, time, … pictures, and whole ones are given from either end
    halves = max(1, (window - 1) // time // 2)
    most = min(film.frames, window - 1)
    overlap = (min(halves, most // time)) * time if before else 1 + min(halves, (most - 1) // time) * time
    if overlap < 1 or overlap >= window:
        raise AiprodError(
            f"the film has {film.frames} pictures at {config.fps:g} a second, and the model makes {window} of which"
            f" {time} are a latent frame: there is nothing to continue from",
            "give a longer film, or use a phase of more frames",
        )
    rest = window - overlap
    at = -rest if before else film.frames - overlap
    pictures = film.pictures[:overlap] if before else film.pictures[at:]
    canvas = np.pad(pictures, ((rest, 0) if before else (0, rest), (0, 0), (0, 0), (0, 0)), mode="edge")
    kept = np.zeros(canvas.shape[:3], bool)
    kept[slice(rest, None) if before else slice(0, overlap)] = True
    conditions = {"video": VideoCondition(canvas, kept)}
    heard_at = -_samples(rest, config.fps) if before else _samples(at, config.fps)
    if film.sound is None:
        conditions["absent"] = frozenset({"audio"})
    else:
        shared = length + heard_at if before else film.sound.shape[1] - heard_at
        conditions["audio"] = _end_of(film.sound, length, shared, before)
    return Edit(conditions, film, at, heard_at, grows=True)


def _end_of(sound: np.ndarray, length: int, overlap: int, before: bool) -> AudioCondition:
    """A window of which the beginning is the end of a sound (or the other way round); the rest is silence."""
    rest = length - overlap
    kept = np.zeros(length, bool)
    kept[slice(rest, None) if before else slice(0, overlap)] = True
    part = sound[:, :overlap] if before else sound[:, sound.shape[1] - overlap :]
    return AudioCondition(np.pad(part, ((0, 0), (rest, 0) if before else (0, rest))), kept)


def retaken(
    film: InputFilm, config: GenerationConfig, span_s: tuple[float, float] | None, mask: np.ndarray | None, make: Make
) -> Edit:
    """A film of which a stretch of time, or a region, is made afresh.

    Args:
        span_s: from and to, seconds; None = as far as the window reaches.
        mask: bool [N, H, W] of the whole film, True = make; None = whole pictures. With a mask, sound is kept.
        make: of which modality the stretch is made.

    Raises:
        AiprodError: the stretch is not in the film or longer than the model makes.
    """
    fps, window = config.fps, config.frames
    lasts = film.frames / fps if film.pictures is not None else _sound(film).shape[1] / RATE
    if span_s is None:
        span_s = (0.0, min(lasts, window / fps))
        if lasts > window / fps + 1e-6:
            log(f"note: the film lasts {lasts:.2f} s; its first {window / fps:.2f} s are changed, the rest is kept")
    begin, end = span_s
    if not 0 <= begin < end <= lasts + 0.5 / fps:
        raise AiprodError(f"{begin:g} s to {end:g} s is not within a film of {lasts:.3f} s", "give --from and --to")
    first = min(int(begin * fps + 1e-6), max(0, round(lasts * fps) - 1))
    last = max(first + 1, int(-(-(end * fps - 1e-6) // 1)))
    if last - first > window:
        raise AiprodError(
            f"{begin:g} s to {end:g} s is longer than the {window / fps:g} s that the model makes", "retake it in parts"
        )
    total = film.frames or max(1, round(lasts * fps))
    at = min(max(0, (first + last - window) // 2), max(0, total - window))
    conditions: dict[str, Any] = {}
    if film.pictures is None:
        conditions["absent"] = frozenset({"video"})
    else:
        kept = np.ones((window, config.height_px, config.width_px), bool)
        if make != "audio":
            free = np.ones_like(kept) if mask is None else _window(mask, at, window)
            kept[first - at : last - at] = ~free[first - at : last - at]
        conditions["video"] = VideoCondition(_window(film.pictures, at, window), kept)
    start, length = _samples(at, fps), _samples(window, fps)
    if film.sound is None:
        if make == "audio":
            raise AiprodError("the film has no sound to retake", "make one with --video FILE --make audio")
        conditions["absent"] = frozenset({"audio"})
    else:
        samples = film.sound[:, start : start + length]
        left = np.ones(length, bool)
        if make != "video" and mask is None:
            left[max(0, round(begin * RATE) - start) : round(end * RATE) - start] = False
        conditions["audio"] = AudioCondition(np.pad(samples, ((0, 0), (0, length - samples.shape[1]))), left)
    return Edit(conditions, film, at, start)


def sounded(film: InputFilm, config: GenerationConfig) -> Edit:
    """A film for whose pictures sound is made (Foley)."""
    pictures, window = _pictures(film), config.frames
    if len(pictures) > window:
        log(f"note: the first {window / config.fps:.2f} s of the film get sound, which is what the model makes")
    kept = np.ones((window, config.height_px, config.width_px), bool)
    conditions = {"video": VideoCondition(_window(pictures, 0, window), kept)}
    return Edit(conditions, cut=min(len(pictures), window))


def heard(film: InputFilm, config: GenerationConfig) -> Edit:
    """Sound to which pictures are made."""
    sound, length = _sound(film), _samples(config.frames, config.fps)
    if sound.shape[1] > length:
        log(f"note: the first {length / RATE:.2f} s of the sound are used, which is what the model makes")
    samples = np.pad(sound[:, :length], ((0, 0), (0, max(0, length - sound.shape[1]))))
    return Edit({"audio": AudioCondition(samples, np.ones(length, bool))})


def outpainted(film: InputFilm, config: GenerationConfig, box: tuple[int, int, int, int]) -> Edit:
    """A film of the size of a box (top, left, bottom, right, in pixels), round which the rest of the frame is made."""
    pictures, window = _pictures(film), config.frames
    top, left, bottom, right = box
    if len(pictures) > window:
        log(f"note: the first {window / config.fps:.2f} s of the film are used, which is what the model makes")
    around = ((0, 0), (top, config.height_px - bottom), (left, config.width_px - right), (0, 0))
    canvas = np.pad(_window(pictures, 0, window), around, mode="edge")
    kept = np.zeros(canvas.shape[:3], bool)
    kept[:, top:bottom, left:right] = True
    conditions: dict[str, Any] = {"video": VideoCondition(canvas, kept)}
    if film.sound is None:
        conditions["absent"] = frozenset({"audio"})
    else:
        conditions |= heard(InputFilm(None, film.sound[:, : _samples(window, config.fps)]), config).conditions
    return Edit(conditions, cut=min(len(pictures), window))


def _window(film: np.ndarray, at: int, count: int) -> np.ndarray:
    """``count`` pictures from ``at`` on; the last one is held where the film ends."""
    return np.asarray(film[np.minimum(np.arange(at, at + count), len(film) - 1)])


def _pictures(film: InputFilm) -> np.ndarray:
    if film.pictures is None:
        raise AiprodError("the given file holds no pictures", "give a film")
    return film.pictures


def _sound(film: InputFilm) -> np.ndarray:
    if film.sound is None:
        raise AiprodError("the given file holds no sound", "give a film or a recording with sound")
    return film.sound
