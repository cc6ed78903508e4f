"""Writes the pictures of a long film in segments that can be made apart from each other, and joins them with sound."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from aiprod.base.files import atomic_path
from aiprod.errors import AiprodError
from aiprod.media.colour import planes as planes_of
from aiprod.media.encoding import _AAC_FRAME
from aiprod.media.hdr10 import ContentLight, LightMeter, StaticMetadata, with_boxes
from aiprod.media.high_bit_depth import Plane, pixel_format
from aiprod.media.scaling import Scaler
from aiprod.media.video_form import HEVC_TAG, VideoForm, stating_matrix, tagged, video_stream

Planes = list[Plane]
_SOUND_BLOCK = 48_000
_CLOCK_HZ = 240_000
# Opening a film decodes its first pictures for what its header leaves out, which takes as long as joining seconds of it
_UNDECODED = {"codec_whitelist": "none"}
_X265_AHEAD = 2  # pictures that x265 decodes ahead of showing them


def yuv_frame(planes: Sequence[Plane]) -> av.VideoFrame:
    """A 4:2:0 picture of three planes of 8 or 10 bits."""
    height, width = planes[0].shape
    frame = av.VideoFrame(width, height, pixel_format(8 if planes[0].dtype == np.uint8 else 10))
    for within, plane in zip(planes_of(frame), planes, strict=True):
        within[:] = plane
    return frame


def rgb_planes_709(picture: NDArray[np.uint8]) -> Planes:
    """Limited-range BT.709 4:2:0 planes of a picture uint8 [H, W, 3], both sides even."""
    height, width = picture.shape[:2]
    frame = Scaler(width, height, "yuv420p", exact=True).frame(
        av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), "rgb24")
    )
    packed = frame.to_ndarray()
    size = height * width // 4
    chroma = packed[height:].reshape(-1)
    half = (height // 2, width // 2)
    return [np.asarray(packed[:height], np.uint8), chroma[:size].reshape(half), chroma[size : 2 * size].reshape(half)]


def encode_segment(path: Path | str, pictures: Iterable[av.VideoFrame], form: VideoForm) -> int:
    """Write pictures alone; begins with a key picture and refers to nothing outside of it.

    What HDR10 states of the light in them is written beside the segment, see :func:`light_beside`.

    Args:
        pictures: 4:2:0 pictures of the form's delivery and size.

    Returns:
        The number of pictures.
    """
    options = {"fflags": "+bitexact", "movie_timescale": "240000"}
    meter = LightMeter(form.delivery) if form.hdr10 else None
    with atomic_path(path) as temporary:
        with av.open(os.fspath(temporary), "w", format=form.container, container_options=options) as container:
            stream = video_stream(container, form)
            count, step = 0, 1 / form.rate
            for picture in pictures:
                if meter is not None:
                    meter.add(list(planes_of(picture)))
                tagged(picture, form.delivery)
                picture.pts, picture.time_base, picture.pict_type = count, step, 0
                container.mux([stating_matrix(packet, form) for packet in stream.encode(picture)])
                count += 1
            container.mux([stating_matrix(packet, form) for packet in _timed(stream.encode(None), count, form)])
        if meter is not None:
            meter.light.write(light_beside(Path(path)))
    return count


def _timed(last: Sequence[av.Packet], count: int, form: VideoForm) -> Sequence[av.Packet]:
    """What an encoder gives at the end, with its decode times: x265 leaves those of one or two pictures unset."""
    if form.codec == "hevc" and count <= _X265_AHEAD:
        for number, packet in enumerate(last):
            packet.dts = round((number - _X265_AHEAD) / form.rate / packet.time_base)
    return last


def light_beside(segment: Path) -> Path:
    """Where the light of a segment is kept."""
    return segment.with_suffix(".light.json")


def join_segments(
    path: Path | str,
    segments: Sequence[tuple[Path, int]],
    form: VideoForm,
    sound: NDArray[np.float32] | None,
    *,
    sample_rate: int = 48_000,
    audio_bitrate_bps: int = 256_000,
    timecode: str | None = None,
    tags: Mapping[str, str] | None = None,
) -> ContentLight | None:
    """Join segments without encoding them anew, and encode the sound once.

    Args:
        segments: files of :func:`encode_segment` in order, with their number of pictures.
        sound: float32 [2, samples] in [-1, 1]; may be a file in memory.
        timecode: of the first picture, for a time code track.

    Returns:
        The light of all pictures, which the file states; None where it is not HDR10.
    """
    parameters: bytes | None = None
    stated = _static_metadata(segments, form)
    with ExitStack() as stack:
        temporary = stack.enter_context(atomic_path(path))
        options = {"fflags": "+bitexact", "movie_timescale": "240000"}
        if form.container == "mp4":
            options["movflags"] = "+faststart"
        container = stack.enter_context(
            av.open(os.fspath(temporary), "w", format=form.container, container_options=options)
        )
        container.metadata.update(tags or {})
        stream: Any = None
        for number, (segment, _) in enumerate(segments):
            with av.open(os.fspath(segment), container_options={} if stream is None else _UNDECODED) as film:
                picture_stream = film.streams.video[0]
                if stream is None:
                    # opaque: or PyAV looks for an encoder by the name of the decoder, which AV1 has none of
                    template = _described(picture_stream, segment, stated, stack)
                    stream = container.add_stream_from_template(template, opaque=form.codec == "av1")
                    stream.time_base = Fraction(1, _CLOCK_HZ)
                    if form.codec == "hevc":
                        stream.codec_context.codec_tag = HEVC_TAG
                    if timecode is not None:
                        stream.metadata["timecode"] = timecode
                    track = _sound_stream(container, form, sound, sample_rate, audio_bitrate_bps)
                    heard = _sound_packets(track, sound, sample_rate)
                    waiting = next(heard, None)
                elif picture_stream.codec_context.extradata != parameters:
                    raise AiprodError(
                        f"segment {number} was encoded otherwise than the first", "remove them and cut again"
                    )
                parameters = picture_stream.codec_context.extradata
                begins = sum(count for _, count in segments[:number])
                clock = _Clock(picture_stream.time_base or Fraction(1, _CLOCK_HZ), begins, form.rate)
                for coded in film.demux(picture_stream):
                    if not coded.size:
                        continue
                    packet = _stating(coded, form, stated)
                    clock.move(packet)
                    # sound of the same time first
                    while waiting is not None and (waiting.pts or 0) * _CLOCK_HZ <= (packet.dts or 0) * sample_rate:
                        container.mux(waiting)
                        waiting = next(heard, None)
                    packet.stream = stream
                    container.mux(packet)
        while stream is not None and waiting is not None:
            container.mux(waiting)
            waiting = next(heard, None)
    return stated.light if stated is not None else None


def _static_metadata(segments: Sequence[tuple[Path, int]], form: VideoForm) -> StaticMetadata | None:
    if not form.hdr10:
        return None
    light = ContentLight()
    for segment, _ in segments:
        light = light.joined(ContentLight.read(light_beside(segment)))
    return StaticMetadata(form.delivery, light)


def _described(stream: Any, segment: Path, stated: StaticMetadata | None, stack: ExitStack) -> Any:
    """The stream to copy from: the segment's, or one that is the same and has the boxes of HDR10."""
    if stated is None:
        return stream
    described = segment.with_name(f"described.{segment.suffix[1:]}")
    with_boxes(segment, stated.boxes(), described)
    return stack.enter_context(av.open(os.fspath(described))).streams.video[0]


def _stating(packet: av.Packet, form: VideoForm, stated: StaticMetadata | None) -> av.Packet:
    """A packet with HDR10's metadata before a key picture."""
    if stated is None or not packet.is_keyframe or form.codec != "hevc":
        return packet
    copy = av.Packet(stated.hevc(bytes(packet)))
    copy.pts, copy.dts, copy.time_base = packet.pts, packet.dts, packet.time_base
    copy.is_keyframe = True
    return copy


class _Clock:
    """Puts the packets of a segment later, on a clock that every rate's pictures fall near to."""

    def __init__(self, base: Fraction, first: int, rate: Fraction) -> None:
        per_tick = base * rate
        self._tick, self._rate = (per_tick.numerator, per_tick.denominator), rate
        self._first, self._length = first, round(_CLOCK_HZ / rate)
        self._base = Fraction(1, _CLOCK_HZ)
        self._of: dict[int, int] = {}

    def place(self, stamp: int) -> int:
        """The number that a picture of the segment has in the film."""
        over, under = self._tick
        return self._first + (2 * stamp * over + under) // (2 * under)  # pictures of a segment have whole numbers

    def ticks(self, place: int) -> int:
        """The stamp of the film's picture of that number."""
        if place not in self._of:  # each is asked for twice, by its packet's two stamps
            over = 2 * place * _CLOCK_HZ * self._rate.denominator + self._rate.numerator
            self._of[place] = over // (2 * self._rate.numerator)
        return self._of[place]

    def move(self, packet: av.Packet) -> None:
        """Put a packet where it is in the film."""
        pts, dts = self.place(packet.pts or 0), self.place(packet.dts or 0)
        packet.pts, packet.dts = self.ticks(pts), self.ticks(dts)
        packet.duration, packet.time_base = self._length, self._base


def _sound_stream(
    container: Any, form: VideoForm, sound: NDArray[np.float32] | None, rate: int, bitrate: int
) -> Any | None:
    if sound is None:
        return None
    if form.container == "mov":
        return container.add_stream("pcm_s24le", rate=rate, layout="stereo")
    stream = container.add_stream("aac", rate=rate, layout="stereo")
    stream.codec_context.format = "fltp"
    stream.bit_rate = bitrate
    stream.codec_context.thread_count = 1
    return stream


def _sound_packets(stream: Any | None, sound: NDArray[np.float32] | None, rate: int) -> Iterator[av.Packet]:
    if stream is None or sound is None:
        return
    pcm = stream.codec_context.name != "aac"
    base, whole = Fraction(1, rate), _AAC_FRAME * 375  # 8 s: whole blocks of either kind
    step = _SOUND_BLOCK if pcm else whole  # PyAV cuts it into the encoder's frames, in less time than it is done here
    for first in range(0, sound.shape[1], whole):  # small arrays of a file in memory are slow to be cut and clipped
        part = np.clip(np.asarray(sound[:, first : first + whole]), -1.0, 1.0).astype(np.float32)
        for at in range(0, part.shape[1], step):
            block = part[:, at : at + step]
            if pcm:
                codes = np.rint(block.astype(np.float64) * (2**23 - 1)).astype(np.int32) << 8
                frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(codes.T).reshape(1, -1), "s32", "stereo")
            else:
                frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(block), "fltp", "stereo")
            frame.sample_rate, frame.pts, frame.time_base = rate, first + at, base
            yield from stream.encode(frame)
    yield from stream.encode(None)


def write_wav(path: Path | str, sound: NDArray[np.float32], rate: int = 48_000) -> None:
    """Write sound [channels, samples] as 32-bit float WAV (RF64 beyond 4 GiB)."""
    with wav_writer(path, sound.shape[0], rate) as put:
        put(sound)


@contextlib.contextmanager
def wav_writer(path: Path | str, channels: int, rate: int = 48_000) -> Iterator[Callable[[NDArray[np.float32]], None]]:
    """Write a WAV file piece by piece, as :func:`write_wav` writes the whole; it appears when the block ends."""
    options = {"fflags": "+bitexact", "rf64": "auto"}
    with (
        atomic_path(path) as temporary,
        av.open(os.fspath(temporary), "w", format="wav", container_options=options) as container,
    ):
        layout, samples = "stereo" if channels == 2 else "mono", 0
        stream = container.add_stream("pcm_f32le", rate=rate, layout=layout)

        def put(sound: NDArray[np.float32]) -> None:
            nonlocal samples
            for at in range(0, sound.shape[1], _SOUND_BLOCK):
                block = np.ascontiguousarray(sound[:, at : at + _SOUND_BLOCK].T).reshape(1, -1)
                frame = av.AudioFrame.from_ndarray(block, "flt", layout)
                frame.sample_rate, frame.pts, frame.time_base = rate, samples, Fraction(1, rate)
                container.mux(stream.encode(frame))
                samples += block.shape[1] // channels

        yield put
        container.mux(stream.encode(None))
