"""Rewrites one stretch of a film in the one form that training reads, and says what it changed.

The form: H.264 in MP4, upright, square pixels, progressive, 8 bit BT.709 limited range, constant frame rate, 48 kHz
stereo AAC, picture and sound starting together.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal

import av
import numpy as np

from aiprod.media.audio import read_sound
from aiprod.media.audio_mixing import mixing_words
from aiprod.media.colour import Codes, planes
from aiprod.media.container import DEFAULT, Limits
from aiprod.media.deinterlacing import deinterlaced
from aiprod.media.encoding import encode
from aiprod.media.errors import MediaError
from aiprod.media.frames import EPSILON_S, TimedFrame, VideoReader
from aiprod.media.media_info import MediaFacts, Orientation, VideoFacts
from aiprod.media.scaling import Scaler
from aiprod.media.tone_mapping import ToneMapper

VERSION = 6
"""Of how films are read and rewritten; to be raised where a stored clip may come out another. Clips say by which
version they were made (``data.affected`` names those that an earlier one may have stored damaged)."""
SAMPLE_RATE = 48_000
_MOST_TOGETHER = 16  # pictures that are made before they are encoded
_TOGETHER_BYTES = 8 << 20
_OFFSET_S = 0.005  # picture and sound that start nearer together than this start together


@dataclass(frozen=True)
class Crop:
    """What is cut away at each side, as a share of the upright picture."""

    left: float = 0.0
    top: float = 0.0
    right: float = 0.0
    bottom: float = 0.0

    @property
    def nothing(self) -> bool:
        """Whether nothing is cut."""
        return not (self.left or self.top or self.right or self.bottom)


@dataclass(frozen=True)
class Form:
    """The free choices of the form.

    Args:
        max_height: of landscape film, width of portrait film; larger film is scaled down.
    """

    max_height: int = 1080
    crf: float = 18.0
    preset: str = "veryfast"
    audio_bitrate_bps: int = 256_000
    hdr: Literal["tonemap", "refuse"] = "tonemap"


@dataclass(frozen=True)
class NormalisingResult:
    """What came out."""

    frames: int
    width: int
    height: int
    has_audio: bool
    steps: list[str]


def conforms(facts: MediaFacts, constant_rate: bool, form: Form) -> bool:
    """Whether a whole film has the form already, so that its bytes can be kept as they are."""
    video, sound = facts.video, facts.audio
    if video is None or facts.container != "MP4" or facts.video_streams != 1 or facts.audio_streams > 1:
        return False
    picture = (
        video.codec == "h264"
        and video.pixel_format == "yuv420p"
        and not video.full_range
        and video.sar == (1, 1)
        and video.orientation.upright
        and not video.interlaced
        and constant_rate
        and video.matrix == 1
        and video.width % 2 == 0
        and video.height % 2 == 0
        and min(video.width, video.height) <= form.max_height
        and video.fps <= 60.0
        and abs(video.start_s) < _OFFSET_S
        and not video.hdr
        and not video.wide_gamut
    )
    offset = facts.av_offset_s
    heard = sound is None or (
        sound.codec == "aac"
        and sound.sample_rate == SAMPLE_RATE
        and sound.channels == 2
        and offset is not None
        and abs(offset) < _OFFSET_S
    )
    return bool(picture and heard)


def only_primed(facts: MediaFacts, constant_rate: bool, form: Form) -> bool:
    """Whether all that a film lacks of the form is that its file does not drop the priming of its sound."""
    if facts.audio is None or facts.audio.priming_s < _OFFSET_S or conforms(facts, constant_rate, form):
        return False
    unprimed = facts.audio.model_copy(update={"priming_s": 0.0})
    return conforms(facts.model_copy(update={"audio": unprimed}), constant_rate, form)


def check_hdr(video: VideoFacts, form: Form) -> None:
    """Refuse high dynamic range where the form does.

    Raises:
        MediaError: hdr.
    """
    if video.hdr and form.hdr == "refuse":
        kind = "PQ" if video.transfer == 16 else "HLG"
        raise MediaError("hdr", f"high dynamic range film ({kind}) is refused", "set ingest.normalise.hdr to `tonemap`")


def normalise(
    source: Path | str,
    target: Path | str,
    facts: MediaFacts,
    *,
    start_s: float,
    end_s: float,
    rate: Fraction,
    constant: bool,
    form: Form,
    crop: Crop = Crop(),
    limits: Limits = DEFAULT,
    decoded: Sequence[TimedFrame] | None = None,
) -> NormalisingResult:
    """Write the pictures and sound of ``[start_s, end_s)`` of a film to ``target``.

    Args:
        rate: constant rate of the result.
        constant: whether the source has that rate already.
        decoded: all pictures of the film, where they are at hand.

    Raises:
        MediaError: nothing decodes in the stretch, or the film is HDR and the form refuses that.
    """
    video = facts.video
    assert video is not None
    check_hdr(video, form)
    tall, wide, steps = _size(video, form, crop)
    count = max(1, round((end_s - start_s) * rate))
    sound, heard = _sound(source, facts, start_s, Fraction(count) / rate, limits)
    tally = _Tally()
    with _pictures(source, start_s, end_s, limits, decoded) as shown:
        timed = deinterlaced(shown) if video.interlaced else shown
        stored = (tall, wide) if video.orientation.transpose else (wide, tall)
        scaler = scaler_for(*stored, video)
        if isinstance(scaler, ToneMapper):
            steps.append(scaler.step)
        chosen = on_grid(timed, start_s, rate, count, tally)
        made = (finished(picture, scaler, video.orientation, crop) for picture in chosen)
        written = encode(
            target,
            _in_turns(made, wide, tall),
            rate,
            sound,
            sample_rate=SAMPLE_RATE,
            crf=form.crf,
            preset=form.preset,
            audio_bitrate_bps=form.audio_bitrate_bps,
        )
    if not constant:
        steps.append(f"constant rate {float(rate):.3f} fps ({tally.repeated} repeated, {tally.dropped} dropped)")
    left, right, top, bottom = _edges(tall, wide, crop)
    return NormalisingResult(written, right - left, bottom - top, sound is not None, [*_streams(facts), *steps, *heard])


@contextlib.contextmanager
def _pictures(
    source: Path | str, start_s: float, end_s: float, limits: Limits, decoded: Sequence[TimedFrame] | None
) -> Iterator[Iterator[TimedFrame]]:
    if decoded is not None:
        yield (timed for timed in decoded if start_s - EPSILON_S <= timed.time_s < end_s - EPSILON_S)
        return
    with VideoReader(source, limits) as reader:
        yield reader.frames(start_s, end_s)


def _in_turns(pictures: Iterator[av.VideoFrame], width: int, height: int) -> Iterator[av.VideoFrame]:
    """The same pictures, some of which are made before the first of them is encoded: an encoder drives the code and the
    tables that make them out of a processor's caches."""
    together = max(1, min(_MOST_TOGETHER, _TOGETHER_BYTES // (width * height * 3 // 2)))
    while some := list(itertools.islice(pictures, together)):
        yield from some


def _streams(facts: MediaFacts) -> list[str]:
    """Which of several streams were taken, by their number in the file."""
    steps = []
    if facts.video is not None and facts.video_streams > 1:
        steps.append(f"picture stream {facts.video.index} taken, one of {facts.video_streams}")
    if facts.audio is not None and facts.audio_streams > 1:
        steps.append(f"sound stream {facts.audio.index} taken, one of {facts.audio_streams}")
    return steps


def scaler_for(width: int, height: int, video: VideoFacts) -> Scaler | ToneMapper:
    """What makes a picture one of BT.709 in the wanted size."""
    if video.hdr:
        return ToneMapper(width, height, video)
    scaler = Scaler(width, height, "yuv420p", exact=True)
    scaler.colour_managed = video.wide_gamut
    return scaler


class _Tally:
    """How many pictures the constant rate repeated and dropped."""

    def __init__(self) -> None:
        self.repeated = self.dropped = 0


def on_grid(
    timed: Iterable[TimedFrame], start_s: float, rate: Fraction, count: int, tally: _Tally | None = None
) -> Iterator[av.VideoFrame]:
    """``count`` pictures at ``start_s + n / rate``: each is the one nearest in time.

    Raises:
        MediaError: there is no picture at all.
    """
    tally = tally or _Tally()
    done = 0
    latest: TimedFrame | None = None
    for following in timed:
        if latest is not None:
            shown = 0
            middle = (latest.time_s + following.time_s) / 2
            while done < count and start_s + done / float(rate) < middle:
                yield latest.frame
                done, shown = done + 1, shown + 1
            tally.repeated += max(0, shown - 1)
            tally.dropped += shown == 0
        latest = following
    if latest is None:
        raise MediaError("no-frames", f"no picture decodes from {start_s:.3f} s on")
    tally.repeated += max(0, count - done - 1)
    while done < count:
        yield latest.frame
        done += 1


def _size(video: VideoFacts, form: Form, crop: Crop) -> tuple[int, int, list[str]]:
    """Upright size before cropping, even, and what is done to the picture in words."""
    wide, tall = video.display_width, video.display_height
    steps: list[str] = []
    turned = video.orientation
    if not turned.upright:
        words = [f"turned {turned.rotation_deg} degrees"] if turned.rotation_deg else []
        steps.append(" and ".join(words + (["mirrored"] if turned.mirrored else [])))
    if video.sar != (1, 1):
        steps.append(f"square pixels (were {video.sar[0]}:{video.sar[1]})")
    share = form.max_height / min(wide, tall)
    if share < 1.0:
        wide, tall = (max(2, 2 * round(side * share / 2)) for side in (wide, tall))
        steps.append(f"scaled to {wide}x{tall}")
    if video.interlaced:
        steps.append("deinterlaced (bwdif)")
    if video.wide_gamut and not video.hdr:
        steps.append("wide gamut to BT.709")
    if video.matrix != 1 or video.full_range or video.pixel_format != "yuv420p":
        steps.append(f"colour to BT.709 limited range 4:2:0 (was {video.pixel_format}, matrix {video.matrix})")
    if not crop.nothing:
        left, right, top, bottom = _edges(tall, wide, crop)
        steps.append(f"bars cropped to {right - left}x{bottom - top}")
    steps.append(f"H.264 crf {form.crf:g} (was {video.codec})")
    return tall, wide, steps


def _edges(tall: int, wide: int, crop: Crop) -> tuple[int, int, int, int]:
    """left, right, top, bottom in pixels, even."""
    left, top = 2 * round(crop.left * wide / 2), 2 * round(crop.top * tall / 2)
    right, bottom = wide - 2 * round(crop.right * wide / 2), tall - 2 * round(crop.bottom * tall / 2)
    return left, right, top, bottom


def finished(
    picture: av.VideoFrame, scaler: Scaler | ToneMapper, orientation: Orientation, crop: Crop
) -> av.VideoFrame:
    """The picture in the form: scaled, turned, cropped."""
    frame = scaler.frame(picture)
    if orientation.upright and crop.nothing:
        return frame
    turned = [_upright(plane, orientation) for plane in planes(frame)]
    tall, wide = turned[0].shape
    left, right, top, bottom = _edges(tall, wide, crop)
    cut = av.VideoFrame(right - left, bottom - top, "yuv420p")
    for share, source, target in zip((1, 2, 2), turned, planes(cut), strict=True):  # chroma has half the lines, columns
        target[:] = source[top // share : bottom // share, left // share : right // share]
    return cut


def _upright(plane: Codes, orientation: Orientation) -> Codes:
    turned = plane.swapaxes(0, 1) if orientation.transpose else plane
    turned = turned[:, ::-1] if orientation.flip_x else turned
    return turned[::-1] if orientation.flip_y else turned


def _sound(
    source: Path | str, facts: MediaFacts, start_s: float, length: Fraction, limits: Limits
) -> tuple[np.ndarray | None, list[str]]:
    """Sound of the stretch and what was done to it; None where the film has none or it does not decode."""
    video, audio = facts.video, facts.audio
    if audio is None or video is None:
        return None, []
    try:
        sound = read_sound(
            source,
            SAMPLE_RATE,
            2,
            start_s=start_s,
            duration_s=float(length),
            origin_s=video.start_s,
            track=audio.index,
            limits=limits,
        )
    except MediaError as error:
        return None, [f"sound left out ({error.reason})"]
    if sound is None:
        return None, []
    steps = []
    if audio.sample_rate != SAMPLE_RATE:
        steps.append(f"sound {audio.sample_rate} to 48000 Hz")
    mixed = mixing_words(audio.layout, audio.channels)
    if mixed is not None:
        steps.append(mixed)
    offset = facts.av_offset_s or 0.0
    if abs(offset) >= _OFFSET_S:
        steps.append(f"sound that starts {offset * 1000:+.0f} ms from the picture kept there")
    peak = float(np.abs(sound).max(initial=0.0))
    if mixed is not None and peak > 1.0:  # the standard matrix adds channels without lowering them
        sound /= peak
        steps.append(f"sound lowered by {20 * np.log10(peak):.1f} dB after the downmix")
    return sound, [*steps, f"AAC (was {audio.codec})"]
