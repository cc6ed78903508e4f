"""Finds out what a media file holds. Decodes one picture, because rotation and start are known only then."""

from __future__ import annotations

import math
import os
import struct
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from aiprod.media.audio_timeline import place
from aiprod.media.audio_tracks import choose
from aiprod.media.clock import StampQueue
from aiprod.media.concatenated_files import second_recording
from aiprod.media.container import (
    DEFAULT,
    Limits,
    attached_pictures,
    audio_stream,
    describe,
    looks_encrypted,
    opened,
    video_stream,
)
from aiprod.media.demuxing import delay_ticks, demuxed, hidden_ticks
from aiprod.media.edit_lists import late_and_shown_s
from aiprod.media.errors import MediaError
from aiprod.media.matroska_lacing import Laces
from aiprod.media.media_info import AudioFacts, MediaFacts, Orientation, VideoFacts
from aiprod.media.stated_length import states_length

_NAMES = {"libdav1d": "av1", "libvpx-vp9": "vp9", "libvpx": "vp8"}  # decoders that are not named like their codec
_TRIES = 512  # packets that may fail to decode before a stream counts as having no picture
_OVERLAPPING = ("aac", "aac_latm")
_FIRST_PACKETS = 4  # of the sound
_LONGEST_S = 0.25  # 2048 samples at 8 kHz, the longest packet that there is
_OTHER_MATRICES = {8: "YCgCo", 11: "Y'D'zD'x", 13: "Y'CbCr of constant luminance", 14: "ICtCp", 15: "IPT-C2"}
_OTHER_MATRICES |= {16: "YCgCo-Re", 17: "YCgCo-Ro"}
_ROUNDED_S = 0.001
_SLANT_DEG = 1.0  # as far off a right angle FFmpeg's own tools show a picture as if it were at one


def probe(path: Path | str, limits: Limits = DEFAULT) -> MediaFacts:
    """The facts of a media file with or without picture or sound.

    Raises:
        MediaError: it does not open, its picture is larger than the limits or turned by no right angle, no picture
            decodes, or it is several recordings joined byte by byte.
    """
    with opened(path, limits) as (container, kind):
        track = choose(container, path, limits).index
        video, audio = video_stream(container), None if track is None else audio_stream(container, track)
        covers = attached_pictures(container)
        sound = _audio_facts(audio) if audio is not None else None
        facts = MediaFacts(
            container=kind.name,
            extension=kind.extension,
            size_bytes=os.path.getsize(path),
            duration_s=container.duration / av.time_base if container.duration else None,
            bitrate_bps=int(container.bit_rate) or None if container.bit_rate else None,
            video=None,
            audio=sound,
            video_streams=len(container.streams.video) - covers,
            audio_streams=len(container.streams.audio),
            attached_pictures=covers,
            other_streams=len(container.streams) - len(container.streams.video) - len(container.streams.audio),
        )
        if video is None:
            return facts
        check_size(video, limits)
        if (at := second_recording(path, kind.extension)) is not None:
            raise MediaError(
                "timing",
                f"a second recording begins at byte {at:,}, behind the end of the first: they were joined byte by byte",
                "split the file there and offer each recording by itself, or join them with a tool that makes one film",
            )
        frame, stamp, heard = _first_frame(container, video, path, audio if sound is not None else None)
        if audio is not None and sound is not None and heard:
            start_s, priming_s = _beginning(heard, sound.start_s)
            until = hidden_ticks(audio)
            if until is not None and (until_s := float(until * audio.time_base)) > start_s + priming_s + _ROUNDED_S:
                start_s, priming_s = until_s, 0.0
            timed = sound.model_copy(update={"start_s": start_s, "priming_s": priming_s})
            facts = facts.model_copy(update={"audio": timed})
        facts = facts.model_copy(update={"video": video_facts(video, frame, stamp)})
        return facts if states_length(path, kind.extension) else _of_unstated_length(facts)


def _of_unstated_length(facts: MediaFacts) -> MediaFacts:
    """Facts without the lengths that FFmpeg made up."""
    unstated = {"duration_s": None}
    sound = None if facts.audio is None else facts.audio.model_copy(update=unstated)
    video = None if facts.video is None else facts.video.model_copy(update=unstated | {"frames": None})
    return facts.model_copy(update={"duration_s": None, "audio": sound, "video": video})


def require_video(facts: MediaFacts) -> VideoFacts:
    """The picture facts.

    Raises:
        MediaError: the file holds sound only.
    """
    if facts.video is None:
        raise MediaError("no-video", "the file has no picture stream")
    return facts.video


def check_size(stream: Any, limits: Limits) -> None:
    """Refuse pictures over the pixel limit before anything is allocated for them.

    Raises:
        MediaError: too large, or there is no decoder for them.
    """
    if stream.codec_context is None:
        raise MediaError("unknown-codec", "no decoder for the picture stream")
    if stream.width * stream.height > limits.pixels:
        over = f"over the limit of {limits.pixels} pixels"
        raise MediaError("too-large", f"pictures of {stream.width}x{stream.height}, {over}")


def _first_frame(container: Any, stream: Any, path: Path | str, sound: Any | None) -> tuple[Any, int | None, list[Any]]:
    """The first picture that decodes, its stamp, and the first packets of the sound stream if they are met near it."""
    stream.thread_count = 1
    failed = beyond = 0
    last = ""
    frame = stamp = None
    heard: list[Any] = []
    stamps = StampQueue(stream)
    hidden_until = hidden_ticks(stream)
    try:
        for packet in demuxed(container, [stream] if sound is None else [stream, sound]):
            if sound is not None and packet.stream.index == sound.index:
                if packet.size and len(heard) < _FIRST_PACKETS:
                    heard.append(packet)
                if frame is not None and len(heard) == _FIRST_PACKETS:
                    break
                continue
            if frame is not None:
                beyond += 1
                if beyond > _TRIES:
                    break
                continue
            if packet.size == 0 and packet.dts is not None:
                continue
            if packet.size:
                stamps.packet(packet)
            try:
                frames = packet.decode()
            except (av.error.FFmpegError, ValueError) as error:
                stamps.failed()
                failed, last = failed + 1, describe(error)
                if failed > _TRIES:
                    break
                continue
            for decoded in frames:
                at = stamps.picture(decoded)
                if hidden_until is None or at is None or at >= hidden_until:
                    frame, stamp = decoded, at
                    break
            if frame is not None and (sound is None or len(heard) == _FIRST_PACKETS):
                break
    except (av.error.FFmpegError, ValueError) as error:
        last = describe(error)
    if frame is not None:
        return frame, stamp, heard
    if looks_encrypted(path):
        raise MediaError("encrypted", "the pictures are encrypted (DRM)", "supply the film unencrypted")
    raise MediaError("no-frames", f"no picture decodes ({last})" if last else "the file holds no picture")


def video_facts(stream: Any, frame: Any, stamp: int | None) -> VideoFacts:
    """Facts of a picture stream, given a decoded picture of it and its stamp in ticks.

    Raises:
        MediaError: how its colours are coded, or how it is turned, is not understood.
    """
    check_matrix(frame)
    context = stream.codec_context
    base = stream.time_base or Fraction(1, 1)
    rate = stream.average_rate or stream.guessed_rate or Fraction(0)
    layout = frame.format
    start = stamp if stamp is not None else (stream.start_time or 0)
    return VideoFacts(
        index=stream.index,
        codec=_NAMES.get(context.name, context.name),
        profile=context.profile or None,
        pixel_format=layout.name,
        bit_depth=max((c.bits for c in layout.components), default=8),
        width=frame.width,
        height=frame.height,
        sar=aspect_of(stream.sample_aspect_ratio),
        orientation=orientation_of(frame),
        fps=round(float(rate), 6),
        fps_exact=(rate.numerator, rate.denominator),
        start_s=round(float(start * base), 6),
        duration_s=_shown_s(stream),
        frames=stream.frames or None,
        bitrate_bps=context.bit_rate or None,
        full_range=frame.color_range == 2 or (is_full_range(frame) and not layout.is_rgb),
        matrix=int(frame.colorspace),
        primaries=int(frame.color_primaries),
        transfer=int(frame.color_trc),
        peak_nits=_graded_peak(frame),
        interlaced=bool(frame.interlaced_frame),
        has_alpha=any(c.is_alpha for c in layout.components),
    )


def _shown_s(stream: Any) -> float | None:
    """How long a stream is by its container, without what is not to be shown and without an empty beginning."""
    if not stream.duration:
        return None
    until, starts = hidden_ticks(stream), stream.start_time or 0
    hidden = max(0, until - starts) if until is not None else 0
    length_s = float((stream.duration - hidden) * (stream.time_base or 1))
    if stream.container.format.name.startswith("mov") and starts > 0:
        late_s, shown_s = late_and_shown_s(stream.container.name, stream.index)
        if late_s > 0 and shown_s > 0 and abs(length_s - late_s - shown_s) <= _ROUNDED_S:
            length_s = shown_s  # FFmpeg counts the empty beginning where the list shows less than is stored
    return round(length_s, 6)


def is_full_range(frame: Any) -> bool:
    """Whether black is code 0. A decoder may keep the name of a format that it began with (``yuvj420p``) when the range
    changes, so what the picture itself says goes before the name."""
    name = frame.format.name
    if frame.format.is_rgb or frame.color_range == 2:
        return True
    return bool(frame.color_range != 1 and name.startswith(("yuvj", "gray", "ya")))


def check_matrix(frame: Any) -> None:
    """Refuse pictures whose colours are coded in a way that is not understood here.

    Raises:
        MediaError: unsupported.
    """
    name = _OTHER_MATRICES.get(int(frame.colorspace))
    if name is not None and not frame.format.is_rgb:
        raise MediaError(
            "unsupported",
            f"its colours are coded as {name} (H.273 matrix {int(frame.colorspace)}), which is not understood",
            "convert it to BT.709, as with `ffmpeg -i FILE -vf scale=out_color_matrix=bt709 NEW.mkv`",
        )


def aspect_of(sar: Fraction | None) -> tuple[int, int]:
    """Shape of a pixel, width to height; square where none is stated or none could be meant."""
    return (sar.numerator, sar.denominator) if sar is not None and Fraction(1, 100) < sar < 100 else (1, 1)


def _graded_peak(frame: Any) -> float | None:
    """Peak luminance of the mastering display (SMPTE ST 2086), where the film states one that a display can have."""
    try:
        stated = frame.side_data.get("MASTERING_DISPLAY_METADATA")
        values = struct.unpack("<22i", bytes(stated)[:88]) if stated is not None else None
    except (ValueError, KeyError, struct.error):
        return None
    if values is None or not values[21] or values[19] <= 0:  # (maximum, its denominator), …, has_luminance
        return None
    peak = values[18] / values[19]
    return round(peak, 2) if 100.0 <= peak <= 10_000.0 else None


def orientation_of(frame: Any) -> Orientation:
    """How the display matrix of a picture (ISO/IEC 14496-12 track matrix) turns it upright, in right angles.

    Raises:
        MediaError: it turns the picture by another angle, or slants it.
    """
    try:
        matrix = frame.side_data.get("DISPLAYMATRIX")
        values = struct.unpack("<9i", bytes(matrix)[:36]) if matrix is not None else None
    except (ValueError, KeyError, struct.error):  # kinds of side data that PyAV does not know raise ValueError
        return _from_degrees(frame.rotation)
    if values is None:
        return Orientation()
    a, b, c, d = values[0], values[1], values[3], values[4]
    straight, crossed = abs(a) + abs(d), abs(b) + abs(c)  # x' = a x + c y, y' = b x + d y
    if min(straight, crossed) > math.tan(math.radians(_SLANT_DEG)) * max(straight, crossed):
        raise _slanted(math.degrees(math.atan2(b, a)))
    if straight >= crossed:
        return Orientation(flip_x=a < 0, flip_y=d < 0)
    return Orientation(transpose=True, flip_x=c < 0, flip_y=b < 0)


def _slanted(degrees: float) -> MediaError:
    return MediaError(
        "unsupported",
        f"the display matrix turns the picture by {degrees % 360:.0f} degrees; only right angles are understood",
        "turn the pictures themselves, or set the matrix to a right angle",
    )


def _from_degrees(counter_clockwise: int) -> Orientation:
    if abs(counter_clockwise - 90 * round(counter_clockwise / 90)) > _SLANT_DEG:
        raise _slanted(-counter_clockwise)
    turns = round(counter_clockwise / 90) % 4
    return (
        Orientation(),
        Orientation(transpose=True, flip_y=True),
        Orientation(flip_x=True, flip_y=True),
        Orientation(transpose=True, flip_x=True),
    )[turns]


def _audio_facts(stream: Any) -> AudioFacts | None:
    context = stream.codec_context
    if context is None or not context.sample_rate:
        return None
    base = stream.time_base or Fraction(1, 1)
    return AudioFacts(
        index=stream.index,
        codec=context.name,
        profile=context.profile or None,
        sample_rate=context.sample_rate,
        channels=context.channels,
        layout=context.layout.name if context.layout else "",
        start_s=round(float(((stream.start_time or 0) - delay_ticks(stream)) * base), 6),
        duration_s=_shown_s(stream),
        bitrate_bps=context.bit_rate or None,
    )


def _beginning(packets: list[Any], stated_s: float) -> tuple[float, float]:
    """When what the first packets of a sound stream decode to begins, and how much of it is priming, in seconds."""
    frames = []
    laces = Laces(packets[0].stream)
    for packet in packets:
        laces.packet(packet)
        try:
            decoded = [frame for frame in packet.decode() if frame.samples and frame.sample_rate]
        except (av.error.FFmpegError, ValueError):
            continue
        for frame in decoded:
            laces.frame(frame)
        frames += decoded
    if not frames:
        return stated_s, 0.0
    stamps = np.array([np.nan if frame.time is None else frame.time for frame in frames])
    lengths = np.array([frame.samples / frame.sample_rate for frame in frames])
    start_s = place(stamps, lengths, start_s=stated_s).runs[0].start_s
    return round(float(start_s), 6), _priming_s(packets[0], float(lengths[0]))


def _priming_s(packet: Any, length_s: float) -> float:
    """Seconds before the sound in what the first packet of a sound stream decodes to; 0 where they are dropped.

    AAC transforms windows that overlap by half (ISO/IEC 14496-3, 4.6.11), so a packet that follows no other decodes to
    no sound yet: encoders put silence there, one packet of it or more. An edit list (MP4) or a codec delay (Matroska)
    that drops it leaves a mark on the packet. MPEG-TS has none, and neither has an MP4 file whose sound starts later
    than its picture, as FFmpeg writes it.

    Args:
        packet: a PyAV packet, the first of its stream.
        length_s: of the sound that it decodes to.
    """
    context = packet.stream.codec_context
    if context is None or context.name not in _OVERLAPPING or not context.sample_rate:
        return 0.0
    if packet.has_sidedata("skip_samples") or packet.is_discard:
        return 0.0
    return round(length_s, 6) if 0 < length_s <= _LONGEST_S else 0.0
