"""Keeps the picture packets of a film as they are and writes its sound anew."""

from __future__ import annotations

import os
from pathlib import Path

import av

from aiprod.base.files import atomic_path
from aiprod.media.audio import read_sound
from aiprod.media.audio_mixing import mixing_words
from aiprod.media.container import DEFAULT, Limits, describe, opened, video_stream
from aiprod.media.encoding import audio_track, write_sound
from aiprod.media.errors import MediaError
from aiprod.media.media_info import MediaFacts


def with_new_sound(
    source: Path | str,
    target: Path | str,
    facts: MediaFacts,
    *,
    duration_s: float,
    sample_rate: int,
    audio_bitrate_bps: int,
    limits: Limits = DEFAULT,
) -> list[str]:
    """Write the pictures of a film bit by bit, and AAC beside them whose samples begin with the first picture.

    Returns:
        What was done, in words.

    Raises:
        MediaError: the pictures cannot be written so, or the sound does not decode.
    """
    video, audio = facts.video, facts.audio
    assert video is not None and audio is not None
    sound = read_sound(
        source, sample_rate, 2, duration_s=duration_s, origin_s=video.start_s, track=audio.index, limits=limits
    )
    if sound is None:
        raise MediaError("damaged", "the sound does not decode")
    options = {"movflags": "+faststart", "fflags": "+bitexact", "movie_timescale": "240000"}
    with opened(source, limits) as (old, _), atomic_path(target) as temporary:
        stored = video_stream(old)
        assert stored is not None
        try:
            with av.open(os.fspath(temporary), "w", format="mp4", container_options=options) as new:
                pictures = new.add_stream_from_template(stored)
                track = audio_track(new, sample_rate, sound, audio_bitrate_bps)
                for packet in old.demux(stored):
                    if packet.size:
                        packet.stream = pictures
                        new.mux(packet)
                write_sound(new, track, sound, sample_rate, 0)
        except (av.error.FFmpegError, ValueError) as error:
            raise MediaError("unsupported", f"the pictures cannot be kept ({describe(error)})") from None
    late_ms = (facts.av_offset_s or 0.0) * 1000
    steps = [f"sound that starts {late_ms:+.0f} ms from the picture kept there", f"AAC (was {audio.codec})"]
    mixed = mixing_words(audio.layout, audio.channels)
    return ["pictures as they are", *([mixed] if mixed else []), *steps]
