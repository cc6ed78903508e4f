"""Pictures and sound of a source at stated times: by presentation time, never by counting pictures."""

from __future__ import annotations

from collections.abc import Generator
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from aiprod.base.files import atomic_path
from aiprod.errors import AiprodError
from aiprod.media.audio import read_sound
from aiprod.media.audio_resampling import resampled
from aiprod.media.errors import MediaError
from aiprod.media.frames import TimedFrame, VideoReader
from aiprod.media.media_info import MediaFacts
from aiprod.media.packets import sound_end_s
from aiprod.media.probing import probe
from aiprod.montage.stills import is_still, read_still
from aiprod.montage.timecode import name_of
from aiprod.montage.timeline import SAMPLE_RATE, Clip, Conform, Sound

_CLOSE_S = 2e-6  # times are read in whole microseconds
_BLOCK_S = 30
_GAP_S = 10  # of sound between two parts that is decoded too: as long as opening the film again takes
_GUARD_S = 1  # whole seconds, so that every block of a source begins at the same phase of resampling


class SourceFacts(NamedTuple):
    """What is known of a film before it is cut.

    Attributes:
        rate: pictures a second; None without pictures.
        facts: None of a still picture.
        ends_s: when the last picture stops being shown, or the sound where there is no picture.
        sound_s: how long its sound lasts, 0.0 without any.
        still: a single picture, which may be shown for as long as wanted.
    """

    path: Path
    facts: MediaFacts | None
    rate: Fraction | None
    ends_s: float
    sound_s: float
    still: bool


def look(path: Path, sound: bool = True) -> SourceFacts:
    """Read a film's facts.

    Args:
        sound: also how long its sound lasts, for which its packets are walked through where no index lists them.

    Raises:
        AiprodError: it is not there, or does not open; with its path, for a timeline has many.
    """
    if not path.is_file():
        raise AiprodError(f"{path} does not exist", "correct its path in the timeline")
    if is_still(path):
        read_still(path)
        return SourceFacts(path, None, Fraction(1), 0.0, 0.0, True)
    try:
        facts = probe(path)
    except MediaError as error:
        raise AiprodError(f"{path}: {error.what}", error.hint or "give a file that plays") from None
    video = facts.video
    sound_s = 0.0
    if sound and facts.audio is not None:
        end = sound_end_s(path, facts.audio.index, by_index=True)
        sound_s = max(0.0, (end if end is not None else facts.duration_s or 0.0) - (video.start_s if video else 0.0))
    if video is None:
        return SourceFacts(path, facts, None, sound_s, sound_s, False)
    exact = video.fps_exact
    rate = Fraction(*exact) if exact[0] and exact[1] else Fraction(video.fps or 25).limit_denominator(1001)
    return SourceFacts(path, facts, rate, video.duration_s or facts.duration_s or 0.0, sound_s, False)


def check_sound(sound: Sound, source: SourceFacts) -> None:
    """See that a film that is to be heard has sound.

    Raises:
        AiprodError: it has none.
    """
    if source.facts is None or source.facts.audio is None:
        raise AiprodError(f"{sound.film.name} has no sound", "take it off the sound track")


def speed_of(conform: Conform, source: SourceFacts, rate: Fraction) -> Fraction:
    """Seconds of the source that pass in a second of the timeline."""
    if conform == "resample" or source.rate is None:
        return Fraction(1)
    return rate / source.rate


def source_time(clip: Clip, frame: int, rate: Fraction, speed: Fraction) -> Fraction:
    """Second of the source that is on screen in the middle of a frame of the timeline."""
    return clip.source_in + (Fraction(2 * (frame - clip.record_in) + 1, 2) / rate) * speed


class Readers:
    """Films that stay open between two clips of them: opening one costs as much as decoding a second of it."""

    _MOST = 8

    def __init__(self) -> None:
        self._idle: dict[Path, VideoReader] = {}

    def take(self, path: Path) -> VideoReader:
        """An open film, which nobody else reads.

        Raises:
            MediaError: it does not open.
        """
        return self._idle.pop(path, None) or VideoReader(path, find_missing=False).__enter__()

    def give_back(self, path: Path, reader: VideoReader) -> None:
        """Keep a film open, unless its pictures change their form, which a reader notices once, or many are."""
        before = self._idle.pop(path, None)
        if before is not None:
            before.__exit__(None, None, None)
        if reader.changes:
            reader.__exit__(None, None, None)
            return
        self._idle[path] = reader
        if len(self._idle) > self._MOST:
            self._idle.pop(next(iter(self._idle))).__exit__(None, None, None)

    def close(self) -> None:
        """Close them."""
        for reader in self._idle.values():
            reader.__exit__(None, None, None)
        self._idle.clear()


class PicturesAt:
    """Reads the pictures of one film that are on screen at growing times. Use as a context manager.

    Args:
        readers: where the film is taken from and given back to; None opens and closes it.
    """

    def __init__(self, source: SourceFacts, readers: Readers | None = None) -> None:
        self.source = source
        self._readers = readers
        self._current: TimedFrame | None = None
        self._next: TimedFrame | None = None
        self._reading: Generator[TimedFrame] | None = None

    def __enter__(self) -> PicturesAt:
        self._from = Readers() if self._readers is None else self._readers
        self._reader = self._from.take(self.source.path)
        return self

    def __exit__(self, *error: Any) -> None:
        if self._reading is not None:
            self._reading.close()
        self._from.give_back(self.source.path, self._reader)
        if self._readers is None:
            self._from.close()

    @property
    def reader(self) -> VideoReader:
        """The reader, for facts of the picture that was given last."""
        return self._reader

    def at(self, time_s: float) -> TimedFrame:
        """The picture on screen at a time: the last one that began at or before it.

        Raises:
            AiprodError: nothing decodes there.
        """
        if self._reading is None:
            self._reading = cast(Generator[TimedFrame], self._reader.frames(time_s, on_screen=True))
            self._current, self._next = next(self._reading, None), next(self._reading, None)
            if self._current is None or self._current.time_s > time_s + _CLOSE_S:
                raise AiprodError(f"{self.source.path.name} shows nothing at {time_s:.3f} s", "begin elsewhere")
        until = time_s + _CLOSE_S
        while self._next is not None and self._next.time_s <= until:
            self._current, self._next = self._next, next(self._reading, None)
        assert self._current is not None
        if self._next is None:
            ends_s = max(self._reader.end_s, self._current.time_s + 1 / float(self.source.rate or 24))
            if until > ends_s + 2 * _CLOSE_S:
                what = f"{self.source.path.name} has no picture at {time_s:.3f} s"
                raise AiprodError(what, f"its pictures end at {ends_s:.3f} s: shorten the clip or its transition")
        return self._current


def check_reach(clip: Clip, source: SourceFacts, first: int, behind: int, rate: Fraction) -> None:
    """Refuse a clip that its source is too short for, handles of transitions included.

    Raises:
        AiprodError: with how much is missing.
    """
    if source.rate is None:
        raise AiprodError(f"{source.path.name} has no picture", "use it as sound")
    if source.still:
        return
    speed = speed_of(clip.conform, source, rate)
    begins = clip.source_in + Fraction(first - clip.record_in) / rate * speed
    last = source_time(clip, behind - 1, rate, speed)
    at = f"frame {clip.record_in} of the timeline"
    if begins < 0:
        short = -(-(-begins * rate / speed).numerator // (-begins * rate / speed).denominator)
        hint = f"begin it {short} frames later in the source, or shorten the transition"
        raise AiprodError(f"{source.path.name} at {at} has no picture before its first for the transition", hint)
    if last > Fraction(source.ends_s).limit_denominator(10**6) + Fraction(1, 1000):
        missing = float(last) - source.ends_s
        hint = f"it lasts {source.ends_s:.3f} s at {name_of(source.rate)} frames/s; shorten the clip or its transition"
        raise AiprodError(f"{source.path.name} at {at} ends {missing:.3f} s too early", hint)


class Samples:
    """Decoded sound of films at 48 kHz, kept in files so that memory does not grow with length.

    Only the seconds that are asked for are decoded, whole and with a margin, which the resampler passes at the same
    phase: the samples are those of decoding all at once.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._kept: dict[tuple[Path, Fraction], _Decoded] = {}

    def will_ask(self, source: SourceFacts, speed: Fraction, first: int, count: int) -> None:
        """Say what :meth:`of` will be asked for, so that the film need not be opened for each part of it."""
        self._of(source, speed).plan(first, first + count)

    def of(self, source: SourceFacts, speed: Fraction, first: int, count: int) -> NDArray[np.float32]:
        """``count`` samples [2, count] from number ``first`` of a source played at a speed; zeros outside of it."""
        whole = self._of(source, speed).between(first, first + count)
        out = np.zeros((2, count), np.float32)
        begin, end = max(0, first), min(first + count, whole.shape[1])
        if begin < end:
            out[:, begin - first : end - first] = whole[:, begin:end]
        return out

    def _of(self, source: SourceFacts, speed: Fraction) -> _Decoded:
        key = (source.path, speed)
        if key not in self._kept:
            self._kept[key] = _Decoded(source, speed, self.folder / f"{len(self._kept):05}.f32")
        return self._kept[key]


class _Decoded:
    """Sound of one film at one speed, in a file that is filled as it is needed."""

    def __init__(self, source: SourceFacts, speed: Fraction, path: Path) -> None:
        if source.facts is None or source.facts.audio is None:
            raise AiprodError(f"{source.path.name} has no sound", "take it off the sound track")
        self.source, self.path = source, path
        self._facts, self._track = source.facts, source.facts.audio.index
        # a source of another speed is sound of another rate: pitch moves with it, as on a tape
        self._played = round(SAMPLE_RATE * speed)
        self._length = max(1, int(-(-source.sound_s // 1)))
        self._known = np.zeros(self._length, bool)  # seconds that are in the file
        self._planned = np.zeros(self._length, bool)
        self._count = self._length * SAMPLE_RATE
        self._samples: NDArray[np.float32] | None = None

    def plan(self, first: int, behind: int) -> None:
        """Samples ``first`` to ``behind`` will be asked for."""
        self._planned[max(0, first) // SAMPLE_RATE : -(-behind // SAMPLE_RATE)] = True

    def between(self, first: int, behind: int) -> NDArray[np.float32]:
        """The samples [2, all]; those from ``first`` to ``behind`` are there."""
        if self._samples is None:
            self._samples = self._opened()
        if self._played == SAMPLE_RATE:
            self._decode(max(0, first) // SAMPLE_RATE, -(-behind // SAMPLE_RATE))
        return self._samples[:, : self._count]

    def _opened(self) -> NDArray[np.float32]:
        with open(self.path, "wb") as file:
            file.truncate(self._count * 8)  # what is not written takes no room on the disk
        samples = np.memmap(self.path, np.float32, "r+", shape=(2, self._count))
        if self._played == SAMPLE_RATE:
            return samples
        self._samples = samples
        self._decode(0, self._length)
        whole = np.ascontiguousarray(samples[:, : self._count])
        self._count = _at_speed(whole, self._played, self.path)
        if not self._count:
            return np.zeros((2, 0), np.float32)
        return np.memmap(self.path, np.float32, "r", shape=(2, self._count))

    def _decode(self, first_s: int, behind_s: int) -> None:
        """Put these seconds, and those planned that come soon, into the file, unless they are in it."""
        behind_s = min(behind_s, self._length)
        if self._known[first_s:behind_s].all():
            return
        while behind_s < self._length and self._planned[behind_s : behind_s + _GAP_S].any():
            behind_s += int(np.flatnonzero(self._planned[behind_s : behind_s + _GAP_S])[-1]) + 1
            if behind_s - first_s >= _BLOCK_S:
                break
        missing = np.flatnonzero(~self._known[first_s:behind_s]) + first_s
        for run in np.split(missing, np.flatnonzero(np.diff(missing) > 1) + 1):
            for at in range(int(run[0]), int(run[-1]) + 1, _BLOCK_S) if run.size else ():
                self._read(at, min(at + _BLOCK_S, int(run[-1]) + 1))

    def _read(self, first_s: int, behind_s: int) -> None:
        lead = _GUARD_S if first_s else 0
        block = read_sound(
            self.source.path,
            SAMPLE_RATE,
            2,
            start_s=first_s - lead,
            duration_s=lead + behind_s - first_s + _GUARD_S,
            origin_s=self._facts.video.start_s if self._facts.video is not None else 0.0,
            track=self._track,
        )
        assert block is not None and self._samples is not None
        block = block[:, lead * SAMPLE_RATE :][:, : (behind_s - first_s) * SAMPLE_RATE]
        at = first_s * SAMPLE_RATE
        self._samples[:, at : at + block.shape[1]] = block
        self._known[first_s:behind_s] = True
        if behind_s == self._length:
            self._count = at + block.shape[1]  # it may end within its last second


def _at_speed(samples: NDArray[np.float32], played: int, path: Path) -> int:
    """Write sound that is played at another rate over the file of it."""
    done = resampled(samples, played, SAMPLE_RATE)
    with atomic_path(path) as temporary:
        np.ascontiguousarray(done).tofile(temporary)
    return int(done.shape[1])
