"""Composes the pictures of a timeline, one after the other, as limited-range 4:2:0 of what is delivered."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiprod.color.delivery import Delivery
from aiprod.color.grade import Grade
from aiprod.media.colour import planes
from aiprod.media.grading import Grader
from aiprod.media.high_bit_depth import DeepPictures, still_planes
from aiprod.media.media_info import VideoFacts
from aiprod.media.normalising import Crop, finished, scaler_for
from aiprod.media.segments import Planes, rgb_planes_709, yuv_frame
from aiprod.montage.sources import PicturesAt, Readers, SourceFacts, speed_of
from aiprod.montage.stills import read_still
from aiprod.montage.timeline import Clip, PictureTrack, Placement, Timeline, Transition
from aiprod.montage.transitions import blended, masked, moved, wipe_mask

_BLACK = (16, 128, 128)
_USUAL, _WHOLE = Delivery(), Crop()
_Box = tuple[int, int, int, int]  # x, y, width, height in pixels of the timeline, even


@dataclass
class Layer:
    """A picture of the timeline's size.

    Attributes:
        frame: a picture that fills the frame as it is, for the encoder without a copy; None once composed.
        rendered: its planes, where it was composed.
        alpha: opacity of luma and chroma, float32; None is opaque.
    """

    frame: Any = None
    rendered: Planes | None = None
    alpha: list[NDArray[np.float32]] | None = None

    @property
    def planes(self) -> Planes:
        """Its planes; not to be written to."""
        if self.rendered is None:
            self.rendered = list(planes(self.frame))
        return self.rendered


def flat(colour: Sequence[int], height: int, width: int, bits: int = 8) -> Planes:
    """Planes of one colour, as codes of Y, Cb and Cr of that depth."""
    half, kind = (height // 2, width // 2), np.uint8 if bits == 8 else np.uint16
    return [np.full((height, width) if n == 0 else half, code, kind) for n, code in enumerate(colour)]


def black(height: int, width: int, bits: int) -> Planes:
    """Planes of black."""
    return flat([code << (bits - 8) for code in _BLACK], height, width, bits)


def rgb_planes(picture: NDArray[np.uint8], delivery: Delivery, grade: Grade | None = None) -> Planes:
    """Planes of a picture uint8 RGB [H, W, 3] of BT.709."""
    plain = delivery.usual and grade is None
    return list(rgb_planes_709(picture)) if plain else still_planes(picture, delivery, grade)


def box_of(clip: Clip, wide: int, tall: int, width: int, height: int) -> _Box:
    """Where a picture of ``wide`` x ``tall`` square pixels lies in the timeline's frame."""
    at = clip.placement or Placement(width=width, height=height)
    if clip.fit == "stretch":
        return at.x, at.y, at.width // 2 * 2, at.height // 2 * 2
    shares = Fraction(at.width, wide), Fraction(at.height, tall)
    share = max(shares) if clip.fit == "cover" else min(shares)
    w, h = (max(2, 2 * round(side * share / 2)) for side in (wide, tall))
    return at.x + (at.width - w) // 4 * 2, at.y + (at.height - h) // 4 * 2, w, h


class _ClipOnScreen:
    """One clip that is on screen: its source, opened, and what scales it."""

    def __init__(
        self, clip: Clip, source: SourceFacts, timeline: Timeline, delivery: Delivery, readers: Readers | None
    ) -> None:
        self.clip, self.source, self.timeline = clip, source, timeline
        self.still = read_still(clip.film) if source.still else None
        self._delivery, self._readers = delivery, readers
        half = speed_of(clip.conform, source, timeline.rate) / timeline.rate / 2
        # whole numbers over one divisor: a fraction made for each frame would cost more than reading its place
        self._under = clip.source_in.denominator * half.denominator
        self._start, self._half = int(clip.source_in * self._under), int(half * self._under)
        self._stack = ExitStack()
        self._at: PicturesAt | None = None
        self._video: VideoFacts | None = None  # of the picture that the scaler was made for
        self._last: tuple[int, Layer] | None = None

    def close(self) -> None:
        """Close its film."""
        self._stack.close()

    def layer(self, frame: int) -> Layer:
        """What it shows at a frame of the timeline."""
        width, height = self.timeline.width, self.timeline.height
        if self.still is not None:
            if self._last is None:
                x, y, w, h = box_of(self.clip, self.still.width, self.still.height, width, height)
                rgb, alpha = self.still.scaled(w, h)
                self._last = 0, self._placed(rgb_planes(rgb, self._delivery, self.clip.grade), alpha, (x, y, w, h))
            return self._last[1]
        if self._at is None:
            self._at = self._stack.enter_context(PicturesAt(self.source, self._readers))
        timed = self._at.at((self._start + (2 * (frame - self.clip.record_in) + 1) * self._half) / self._under)
        if self._last is not None and self._last[0] == id(timed):
            return self._last[1]
        video = self._at.reader.shown
        if video is not self._video:
            self._video = video
            self._box = box_of(self.clip, video.display_width, video.display_height, width, height)
            self._make = self._maker(video)
        layer = self._make(timed.frame)
        if self._box != (0, 0, width, height):
            layer = self._placed(layer.planes, None, self._box)
        self._last = id(timed), layer
        self._kept = timed  # or its number could be another picture's
        return layer

    def _maker(self, video: VideoFacts) -> Callable[[Any], Layer]:
        """What makes a decoded picture one of the delivery, in the size of its box."""
        width, height = self._box[2:]
        grade, delivery = self.clip.grade, self._delivery
        plain = not (video.hdr or video.wide_gamut or video.bit_depth > 8)
        if not delivery.usual or (grade is not None and (grade.converts or not plain)):
            deep = DeepPictures(width, height, video, grade, delivery)
            return lambda frame: Layer(rendered=deep.frame(frame))
        if grade is None and _as_delivered(video, width, height):
            return Layer
        scaler = scaler_for(*((height, width) if video.orientation.transpose else (width, height)), video)
        if grade is None:
            return lambda frame: Layer(finished(frame, scaler, video.orientation, _WHOLE))
        grader = Grader(grade, width, height)
        return lambda frame: Layer(grader.frame(finished(frame, scaler, video.orientation, _WHOLE)))

    def _placed(self, planes: Planes, alpha: NDArray[np.float32] | None, box: _Box) -> Layer:
        """A picture in its place of the frame, cut where it stands out; transparent around it."""
        width, height = self.timeline.width, self.timeline.height
        out, opacity = black(height, width, self._delivery.bits), []
        for n, plane in enumerate(planes):
            share = 1 if n == 0 else 2
            x, y, w, h = (side // share for side in box)
            left, top, right, bottom = max(0, x), max(0, y), min(width // share, x + w), min(height // share, y + h)
            cover = np.zeros(out[n].shape, np.float32)
            if left < right and top < bottom:
                inner = (slice(top - y, bottom - y), slice(left - x, right - x))
                out[n][top:bottom, left:right] = plane[inner]
                cover[top:bottom, left:right] = 1.0 if alpha is None else _halved(alpha, share)[inner]
            opacity.append(cover)
        return Layer(rendered=out, alpha=opacity)


def _as_delivered(video: VideoFacts, width: int, height: int) -> bool:
    """Whether a film's pictures are limited-range BT.709 4:2:0 of the wanted size, upright, as they are."""
    return (
        (video.width, video.height, video.pixel_format, video.matrix) == (width, height, "yuv420p", 1)
        and video.orientation.upright
        and not (video.full_range or video.hdr or video.wide_gamut)
    )


def _halved(alpha: NDArray[np.float32], share: int) -> NDArray[np.float32]:
    if share == 1:
        return alpha
    return alpha.reshape(alpha.shape[0] // 2, 2, alpha.shape[1] // 2, 2).mean(axis=(1, 3), dtype=np.float32)


@dataclass
class Composer:
    """Renders frames of a timeline in order, opening a film when it is first shown and closing it behind its last.

    Use as a context manager.

    Attributes:
        readers: where films are taken from and given back to; None opens and closes them.
    """

    timeline: Timeline
    sources: dict[Path, SourceFacts]
    delivery: Delivery = _USUAL
    readers: Readers | None = None
    _open: dict[tuple[int, int], _ClipOnScreen] = field(default_factory=dict)
    _mattes: dict[tuple[int, int], _ClipOnScreen] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._spans = [[track.shown(n) for n in range(len(track.clips))] for track in self.timeline.pictures]
        self._first = [0] * len(self.timeline.pictures)
        self._ends = {behind for spans in self._spans for _, behind in spans}

    def __enter__(self) -> Composer:
        return self

    def __exit__(self, *_: object) -> None:
        for shown in (*self._open.values(), *self._mattes.values()):
            shown.close()
        self._open.clear()
        self._mattes.clear()

    def frames(self, first: int, behind: int) -> Iterator[Any]:
        """Pictures of the frames ``first`` to ``behind - 1`` for :func:`~aiprod.media.segments.encode_segment`."""
        for frame in range(first, behind):
            yield self.frame(frame)
            self._close_before(frame + 1)

    def frame(self, frame: int) -> Any:
        """The composed picture of one frame."""
        below: Layer | None = None
        for number, track in enumerate(self.timeline.pictures):
            layer = self._track(number, track, frame)
            if layer is not None:
                below = layer if layer.alpha is None else _over(below, layer, self._black())
        if below is None:
            below = Layer(rendered=self._black())
        return below.frame if below.rendered is None else yuv_frame(below.rendered)

    def _track(self, number: int, track: PictureTrack, frame: int) -> Layer | None:
        spans = self._spans[number]
        n = self._first[number]
        while n < len(spans) and spans[n][1] <= frame:
            n += 1
        self._first[number] = n
        if n == len(spans) or spans[n][0] > frame:
            return None
        transition = track.transition_at(frame)
        if transition is None:
            return self._clip(number, n, frame)
        old, new = track.around(transition)
        if old is None or new is None:
            return self._faded(number, transition, old, new, frame)
        return self._mixed(transition, self._clip(number, old, frame), self._clip(number, new, frame), frame)

    def _faded(self, number: int, transition: Transition, old: int | None, new: int | None, frame: int) -> Layer:
        """A clip that comes out of what lies below it, or goes."""
        progress = float(transition.progress(frame))
        shown, weight = (old, 1 - progress) if new is None else (new, progress)
        assert shown is not None
        return _fainter(self._clip(number, shown, frame), weight)

    def _clip(self, track: int, n: int, frame: int) -> Layer:
        clip = self.timeline.pictures[track].clips[n]
        key = (track, n)
        if key not in self._open:
            source = self.sources[clip.film]
            self._open[key] = _ClipOnScreen(clip, source, self.timeline, self.delivery, self.readers)
        layer = self._open[key].layer(frame)
        if clip.matte is not None:
            layer = self._matted(key, clip, layer, frame)
        return _fainter(layer, clip.opacity) if clip.opacity < 1.0 else layer

    def _matted(self, key: tuple[int, int], clip: Clip, layer: Layer, frame: int) -> Layer:
        assert clip.matte is not None
        if key not in self._mattes:
            matte = clip.model_copy(update={"film": clip.matte, "matte": None, "opacity": 1.0, "grade": None})
            source = self.sources[clip.matte]
            self._mattes[key] = _ClipOnScreen(matte, source, self.timeline, Delivery(), self.readers)
        luma = self._mattes[key].layer(frame).planes[0].astype(np.float32)
        opacity = np.asarray(np.clip((luma - 16) / 219, 0, 1), np.float32)
        alpha = [opacity, _halved(opacity, 2), _halved(opacity, 2)]
        if layer.alpha is not None:
            alpha = [np.asarray(a * b, np.float32) for a, b in zip(alpha, layer.alpha, strict=True)]
        return Layer(rendered=layer.planes, alpha=alpha)

    def _mixed(self, transition: Transition, old: Layer, new: Layer, frame: int) -> Layer:
        progress = float(transition.progress(frame))
        ground = self._black()
        a, b = (_over(Layer(rendered=ground), layer, ground).planes for layer in (old, new))
        # what a picture leaves free stays free, between the two
        alpha = None
        if old.alpha is not None or new.alpha is not None:
            ones = [np.ones(plane.shape, np.float32) for plane in ground]
            pairs = zip(old.alpha or ones, new.alpha or ones, strict=True)
            alpha = [np.maximum(one, other) for one, other in pairs]
        return Layer(rendered=transitioned(transition, a, b, progress, self.delivery), alpha=alpha)

    def _black(self) -> Planes:
        return black(self.timeline.height, self.timeline.width, self.delivery.bits)

    def _close_before(self, frame: int) -> None:
        if frame not in self._ends:
            return
        for kept in (self._open, self._mattes):
            for key in [key for key in kept if self._spans[key[0]][key[1]][1] <= frame]:
                kept.pop(key).close()


def transitioned(transition: Transition, a: Planes, b: Planes, progress: float, delivery: Delivery = _USUAL) -> Planes:
    """The picture in a transition from ``a`` to ``b``."""
    if transition.kind == "dissolve":
        return [blended(old, new, progress) for old, new in zip(a, b, strict=True)]
    if transition.kind == "dip":
        rgb = np.full((2, 2, 3), transition.colour, np.uint8)
        tall, wide = a[0].shape
        middle = flat([int(plane[0, 0]) for plane in rgb_planes(rgb, delivery)], tall, wide, delivery.bits)
        pair = (a, middle) if progress < 0.5 else (middle, b)
        weight = progress * 2 % 1.0 if progress != 0.5 else 0.0
        return [blended(old, new, weight) for old, new in zip(*pair, strict=True)]
    planes = []
    for old, new in zip(a, b, strict=True):
        if transition.kind == "wipe":
            tall, wide = old.shape
            mask = wipe_mask(transition.code, progress, tall, wide, transition.softness, transition.reverse)
            planes.append(masked(old, new, mask))
        else:
            half = old.shape != a[0].shape
            planes.append(moved(old, new, progress, transition.towards, transition.kind == "push", 1 if half else 2))
    return planes


def _fainter(layer: Layer, opacity: float) -> Layer:
    full = layer.alpha or [np.ones(plane.shape, np.float32) for plane in layer.planes]
    return Layer(rendered=layer.planes, alpha=[plane * np.float32(opacity) for plane in full])


def _over(below: Layer | None, layer: Layer, black: Planes) -> Layer:
    """A layer over what lies below it; black below the lowest."""
    if layer.alpha is None:
        return layer
    ground = below.planes if below is not None else black
    planes = [masked(old, new, mask) for old, new, mask in zip(ground, layer.planes, layer.alpha, strict=True)]
    return Layer(rendered=planes)
