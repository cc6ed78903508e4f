"""Watches a film once: the time of every picture, where shots begin, and black bars."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from aiprod.data.ingest.cuts import Detector
from aiprod.data.params import ShotParams
from aiprod.media.container import DEFAULT, Limits
from aiprod.media.errors import MediaError
from aiprod.media.frames import Damage, TimedFrame, VideoReader, runs_s
from aiprod.media.media_info import VideoFacts
from aiprod.media.normalising import Crop
from aiprod.media.scaling import Scaler, upright

_DARK = 18  # 0-255: a row whose brightest pixel never passes this is a bar
_BARS_EVERY = 3  # pictures
_TOGETHER = 16  # pictures
_SMALLEST_BAR = 0.02  # share of the side; thinner edges are left alone
_GAP_S = 10.0  # in a transport stream, behind which a shot begins
_LARGEST_BAR = 0.35
_TOLERANCE = 0.012
_SOFT = 1  # lines within the bars' edge that scaling and coding mix with them
_ALONG = 2 / 3  # share of an edge along which a picture in a window begins


@dataclass(frozen=True)
class Shot:
    """A stretch of one film: pictures ``first`` to ``first + pictures - 1``, times [start_s, end_s), of one form."""

    first: int
    pictures: int
    start_s: float
    end_s: float
    crop: Crop
    video: VideoFacts


@dataclass(frozen=True)
class VideoAnalysis:
    """What one decode of a film shows.

    Attributes:
        video: calls it interlaced where any picture is marked so.
        end_s: when the last picture stops being shown.
        torn_s: begin and end of each stretch in which pictures are torn, for something before them did not decode.
        changes: where pictures take another form, in words.
        counts: whether the container counts pictures and does not say when they are shown.
        decoded: the first pictures, as many as were to be kept, where nothing is wrong with any of the film.
    """

    video: VideoFacts
    times_s: list[float]
    shots: list[Shot]
    damage: Damage
    end_s: float
    torn_s: list[tuple[float, float]]
    changes: list[str]
    counts: bool = False
    decoded: list[TimedFrame] = field(default_factory=list)

    def decoded_of(self, shot: Shot) -> list[TimedFrame] | None:
        """The pictures of a shot, where all of them were kept."""
        end = shot.first + shot.pictures
        return self.decoded[shot.first : end] if end <= len(self.decoded) else None


def analyse_video(
    path: Path | str,
    params: ShotParams,
    limits: Limits = DEFAULT,
    max_film_s: float = 7200.0,
    *,
    keep_bytes: int = 0,
) -> VideoAnalysis:
    """Decode every picture once, small.

    Where pictures take another size, shape or colour a shot begins, whatever they show.

    Args:
        keep_bytes: keep the pictures as they were decoded if they are no larger together.

    Raises:
        MediaError: nothing decodes, the film is longer than ``max_film_s``, or its clock starts anew.
    """
    times: list[float] = []
    torn: list[bool] = []
    interlaced = False
    kept = _Kept(keep_bytes)
    with VideoReader(path, limits) as reader:
        facts = reader.facts
        stretches = [_Stretch(facts, params, 0)]
        for timed in reader.frames():
            if timed.time_s > max_film_s:
                raise MediaError("too-long", f"longer than {max_film_s:g} s")
            interlaced |= bool(timed.frame.interlaced_frame)
            leaps = reader.runs_through and times and timed.time_s - times[-1] > _GAP_S
            if leaps or reader.shown is not stretches[-1].video:
                if not times:
                    stretches.clear()
                stretches.append(_Stretch(reader.shown, params, len(times)))
            stretches[-1].see(timed)
            kept.add(timed)
            times.append(timed.time_s)
            torn.append(timed.torn)
        runs_through, counts = reader.runs_through, reader.counts
        damage, pictures_end_s, changes = reader.damage, reader.end_s, reader.changes
    if not times:
        raise MediaError("no-frames", "no picture has a usable time")
    step = float(np.median(np.diff(times))) if len(times) > 1 else (1.0 / facts.fps if facts.fps > 0 else 1.0 / 24)
    spans = [span for stretch in stretches for span in stretch.spans()]
    shots = []
    for n, (first, count, crop, video) in enumerate(spans):
        following = spans[n + 1][0] if n + 1 < len(spans) else None
        end_s = round(times[following] if following is not None else times[-1] + step, 6)
        if runs_through and end_s - times[first + count - 1] > _GAP_S:  # nothing was broadcast, and nothing stood still
            end_s = round(times[first + count - 1] + step, 6)
        marked = video.model_copy(update={"interlaced": interlaced})
        shots.append(Shot(first, count, times[first], end_s, crop, marked))
    return VideoAnalysis(
        facts.model_copy(update={"interlaced": interlaced}),
        times,
        shots,
        damage,
        max(pictures_end_s, shots[-1].end_s),
        runs_s(times, torn, step),
        changes,
        counts,
        [] if changes or interlaced or any(torn) or damage.odd else kept.of(shots),
    )


class _Kept:
    """Decoded pictures from the first on, as long as they fit."""

    def __init__(self, most_bytes: int) -> None:
        self._pictures: list[TimedFrame] = []
        self._left = most_bytes

    def add(self, timed: TimedFrame) -> None:
        """Keep one more, or none from now on."""
        if self._left > 0:
            self._left -= sum(plane.buffer_size for plane in timed.frame.planes)
        if self._left > 0:
            self._pictures.append(timed)

    def of(self, shots: list[Shot]) -> list[TimedFrame]:
        """Those of the shots of which all were kept."""
        ends = [shot.first + shot.pictures for shot in shots]
        return self._pictures[: max((end for end in ends if end <= len(self._pictures)), default=0)]


class _Stretch:
    """Pictures of one form, one behind the other, and where shots begin among them."""

    def __init__(self, video: VideoFacts, params: ShotParams, first: int) -> None:
        self.video, self.first = video, first
        width = min(params.detection_width_px, video.width)
        self._scaler = Scaler(width, max(8, round(video.height * width / video.width)), "bgr24")
        self._detector = Detector(params)
        self._count = 0
        self._bars: list[tuple[int, np.ndarray, np.ndarray]] = []
        self._lightest: np.ndarray | None = None
        self._waiting: list[tuple[np.ndarray, bool]] = []

    def see(self, timed: TimedFrame) -> None:
        """Take the next picture; some are looked at together, for between two that are decoded a processor's caches
        lose the code that looks at them."""
        self._waiting.append((self._scaler.array(timed.frame), timed.torn))
        if len(self._waiting) == _TOGETHER:
            self._look()

    def _look(self) -> None:
        for picture, torn in self._waiting:
            self._look_at(picture, torn)
        self._waiting.clear()

    def _look_at(self, picture: np.ndarray, torn: bool) -> None:
        light = self._detector.see(picture, torn)
        if self._count % _BARS_EVERY == 0:
            gray = upright(light, self.video.orientation)
            self._bars.append((self._count, gray.max(axis=1), gray.max(axis=0)))
            self._lightest = gray if self._lightest is None else np.maximum(self._lightest, gray)
        self._count += 1

    def spans(self) -> Iterator[tuple[int, int, Crop, VideoFacts]]:
        """First picture, number of pictures, bars and facts of each shot."""
        self._look()
        cuts = self._detector.cuts()
        edges = [0, *cuts, self._count]
        crops = [_bars(self._bars, a, b) for a, b in itertools.pairwise(edges)]
        lengths = [b - a for a, b in itertools.pairwise(edges)]
        shared = film_bars([(n, Crop() if _all_round(c) else c) for n, c in zip(lengths, crops, strict=True)])
        if shared.nothing and self._lightest is not None:
            shared = film_bars([(n, c if _all_round(c) else Crop()) for n, c in zip(lengths, crops, strict=True)])
            shared = shared if _framed(self._lightest, shared) else Crop()
        for (a, b), crop in zip(itertools.pairwise(edges), crops, strict=True):
            yield self.first + a, b - a, shared if _holds(shared, crop) else Crop(), self.video


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
