"""Watches a film once: the time of every picture, where shots begin, and black bars."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from aiprod.data.params import ShotParams
from aiprod.media.errors import MediaError
from aiprod.media.facts import VideoFacts
from aiprod.media.frames import Damage, Scaler, VideoReader, upright
from aiprod.media.normalising import Crop
from aiprod.media.opening import DEFAULT, Limits

_DARK = 18  # 0-255: a row whose brightest pixel never passes this is a bar
_BARS_EVERY = 3  # pictures
_SMALLEST_BAR = 0.02  # share of the side; thinner edges are left alone
_LARGEST_BAR = 0.35
_TOLERANCE = 0.012
_SOFT = 1  # lines within the bars' edge that scaling and coding mix with them
_ALONG = 2 / 3  # share of an edge along which a picture in a window begins
_SPECKS = 0.002  # share of the pixels of a black picture that may be brighter
_SETTLING = 12  # pictures


@dataclass(frozen=True)
class Shot:
    """A stretch of one film: pictures ``first`` to ``first + pictures - 1``, times [start_s, end_s)."""

    first: int
    pictures: int
    start_s: float
    end_s: float
    crop: Crop


@dataclass(frozen=True)
class Watched:
    """What one decode of a film shows.

    Attributes:
        video: calls it interlaced where any picture is marked so.
        end_s: when the last picture stops being shown.
    """

    video: VideoFacts
    times_s: list[float]
    shots: list[Shot]
    damage: Damage
    end_s: float


def watch(path: Path | str, params: ShotParams, limits: Limits = DEFAULT, max_film_s: float = 7200.0) -> Watched:
    """Decode every picture once, small.

    Raises:
        MediaError: nothing decodes, or the film is longer than ``max_film_s``.
    """
    times: list[float] = []
    bars: list[tuple[int, np.ndarray, np.ndarray]] = []
    lightest: np.ndarray | None = None
    interlaced = False
    with VideoReader(path, limits) as reader:
        facts = reader.facts
        width = min(params.detection_width_px, facts.width)
        scaler = Scaler(width, max(8, round(facts.height * width / facts.width)), "bgr24")
        detector = _Detector(params)
        for timed in reader.frames():
            if timed.time_s > max_film_s:
                raise MediaError("too-long", f"longer than {max_film_s:g} s")
            interlaced |= bool(timed.frame.interlaced_frame)
            picture = scaler.array(timed.frame)
            if len(times) % _BARS_EVERY == 0:
                gray = upright(picture.max(axis=2), facts.orientation)
                bars.append((len(times), gray.max(axis=1), gray.max(axis=0)))
                lightest = gray if lightest is None else np.maximum(lightest, gray)
            detector.see(picture)
            times.append(timed.time_s)
        damage, pictures_end_s = reader.damage, reader.end_s
    if not times:
        raise MediaError("no-frames", "no picture has a usable time")
    step = float(np.median(np.diff(times))) if len(times) > 1 else (1.0 / facts.fps if facts.fps > 0 else 1.0 / 24)
    edges = [0, *detector.cuts(), len(times)]
    crops = [_bars(bars, a, b) for a, b in itertools.pairwise(edges)]
    lengths = [b - a for a, b in itertools.pairwise(edges)]
    shared = film_bars([(n, Crop() if _all_round(c) else c) for n, c in zip(lengths, crops, strict=True)])
    if shared.nothing and lightest is not None:
        shared = film_bars([(n, c if _all_round(c) else Crop()) for n, c in zip(lengths, crops, strict=True)])
        shared = shared if _framed(lightest, shared) else Crop()
    shots = []
    for (a, b), crop in zip(itertools.pairwise(edges), crops, strict=True):
        end_s = round(times[b] if b < len(times) else times[-1] + step, 6)
        shots.append(Shot(a, b - a, times[a], end_s, shared if _holds(shared, crop) else Crop()))
    return Watched(
        facts.model_copy(update={"interlaced": interlaced}), times, shots, damage, max(pictures_end_s, shots[-1].end_s)
    )


def film_bars(shots: list[tuple[int, Crop]]) -> Crop:
    """The bars that most of a film has: a title on black is dark at its edges too, a film's letterbox stays.

    Args:
        shots: pictures of each shot and its dark edges.
    """
    with_bars = sorted(
        ((crop.top + crop.left, count, crop) for count, crop in shots if not crop.nothing), key=lambda item: item[:2]
    )
    if 2 * sum(count for _, count, _ in with_bars) <= sum(count for count, _ in shots):
        return Crop()
    total, passed = sum(count for _, count, _ in with_bars), 0
    for _, count, crop in with_bars:  # the median by length, and all shots that agree with it decide
        passed += count
        if 2 * passed >= total:
            agree = [(n, c) for _, n, c in with_bars if _holds(crop, c) and _holds(c, crop)]
            return max(agree, key=lambda pair: pair[0])[1]
    return Crop()


def _all_round(crop: Crop) -> bool:
    """Whether there are bars on all four sides: a picture in a window, or a title or a small thing on black."""
    return bool((crop.top or crop.bottom) and (crop.left or crop.right))


def _framed(lightest: np.ndarray, bars: Crop) -> bool:
    """Whether the picture begins all along the four edges of its bars: lettering and lamps begin only here and there.

    Args:
        lightest: uint8 [H, W], the lightest value that each pixel takes.
    """
    height, width = lightest.shape
    inner = lightest[
        round(bars.top * height) : height - round(bars.bottom * height),
        round(bars.left * width) : width - round(bars.right * width),
    ]
    if min(inner.shape) <= 2 * _SOFT:
        return False
    edges = inner[_SOFT], inner[-1 - _SOFT], inner[:, _SOFT], inner[:, -1 - _SOFT]
    return all(float((edge > _DARK).mean()) >= _ALONG for edge in edges)


def _holds(bars: Crop, dark: Crop) -> bool:
    """Whether everything in ``bars`` is dark, up to the width of the row in which bar and picture mix."""
    pairs = ((bars.left, dark.left), (bars.right, dark.right), (bars.top, dark.top), (bars.bottom, dark.bottom))
    return all(bar <= seen + _TOLERANCE for bar, seen in pairs)


class _Detector:
    """PySceneDetect's adaptive detector for cuts, and fades through black, fed picture by picture."""

    def __init__(self, params: ShotParams) -> None:
        from scenedetect import FrameTimecode
        from scenedetect.detectors import AdaptiveDetector

        self._timecode = FrameTimecode
        self._adaptive: Any = AdaptiveDetector(
            adaptive_threshold=params.adaptive_threshold, min_content_val=params.min_content_change, min_scene_len=3
        )
        self._fade_level = params.fade_level
        self._found: set[int] = set()
        self._dark: list[bool] = []
        self._changes: list[float] = []
        self._previous: np.ndarray | None = None
        self._least_change = params.min_brightness_change

    def see(self, picture: np.ndarray) -> None:
        """Feed the next picture, uint8 BGR [H, W, 3]."""
        # The detector only compares frame numbers here: the rate is nominal, times come from the film.
        code = self._timecode(len(self._dark), 25.0)
        self._found |= {c.frame_num for c in self._adaptive.process_frame(code, picture)}
        light = picture.max(axis=2)
        self._dark.append(np.count_nonzero(light > self._fade_level) <= _SPECKS * light.size)
        before = light if self._previous is None else self._previous
        self._changes.append(float(np.abs(light.astype(np.int16) - before).mean()))
        self._previous = light

    def cuts(self) -> list[int]:
        """Numbers of the pictures that begin a shot, without the first.

        A fade is cut in the middle of its dark stretch, unless the stretch begins or ends with a cut, or lies at
        either end of the film.
        """
        count = len(self._dark)
        if count:
            code = self._timecode(count - 1, 25.0)
            self._found |= {c.frame_num for c in self._adaptive.post_process(code)}
        # In near-black pictures hue and saturation are noise: a cut must change the brightness somewhere too.
        change = self._changes
        hard = {c for c in self._found if 0 < c < count and change[c] >= self._least_change}
        # Heavily compressed film settles some pictures after a cut, in steps: no cuts of their own.
        hard = {c for c in hard if not any(0 < c - d <= _SETTLING and change[c] < 0.15 * change[d] for d in hard)}
        edges = np.flatnonzero(np.diff(np.array([False, *self._dark, False], np.int8)))
        soft = set()
        for begin, end in edges.reshape(-1, 2).tolist():
            beside = {n for edge in (begin, end) for n in range(edge - 2, edge + 3)}
            if begin > 0 and end < count and not beside & hard:
                soft.add((begin + end) // 2)
        return sorted(hard | soft)


def _bars(seen: list[tuple[int, np.ndarray, np.ndarray]], first: int, end: int) -> Crop:
    """Bars that stay dark through a whole shot, on both of two opposite sides or all round."""
    chosen = [(rows, columns) for n, rows, columns in seen if first <= n < end]
    if not chosen:
        return Crop()
    rows = np.max([r for r, _ in chosen], axis=0)
    columns = np.max([c for _, c in chosen], axis=0)
    top, bottom = _dark_ends(rows)
    left, right = _dark_ends(columns)
    if max(top, bottom, left, right) > _LARGEST_BAR:
        return Crop()
    return Crop(left=left, right=right, top=top, bottom=bottom)


def _dark_ends(brightest: np.ndarray) -> tuple[float, float]:
    """Dark share at each end of a line of maxima; zero unless both ends are bars of like size and the middle is not."""
    lit = np.flatnonzero(brightest > _DARK)
    if lit.size == 0 or brightest.max() < 2 * _DARK:
        return 0.0, 0.0
    length = len(brightest)
    before, after = int(lit[0]), length - 1 - int(lit[-1])
    if min(before, after) < _SMALLEST_BAR * length or abs(before - after) > 0.04 * length:
        return 0.0, 0.0
    inner = (min(length // 2, before + 1), min(length // 2, after + 1))  # the edge row is mixed by scaling: cut it too
    return round(inner[0] / length, 5), round(inner[1] / length, 5)
