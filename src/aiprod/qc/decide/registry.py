"""The checks: who judges each, and by which figures of which measurements."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from aiprod.qc.decide import audio_rules, video_rules
from aiprod.qc.decide.video_rules import Figures, Judgement
from aiprod.qc.params import QcDecideParams


class Judge(NamedTuple):
    """A check.

    Attributes:
        source: the measurement that names method and version.
        reads: measurement → its figures that the judge asks for, beside ``status`` and ``reason``; it gets no other.
        judge: gives the answer.
    """

    source: str
    reads: Mapping[str, tuple[str, ...]]
    judge: Callable[[Mapping[str, Figures], QcDecideParams], Judgement]


_BORDERS = ("top", "bottom", "left", "right", "letterboxed", "pillarboxed", "rows", "columns")
_QUALITY = ("bits_per_pixel", "bitrate_bps", "blur", "blockiness")
_SOUND = ("sample_rate_hz", "channels", "dual_mono", "dropouts", "dropout_s", "bandwidth_hz")
_LEVEL = ("integrated_lufs", "sample_peak_dbfs", "clipped_fraction")
_NOISE = ("snr_db", "at_least")
_PACKETS = ("bad_packets", "packets", "first_error", "stated_s", "missing_s", "torn_s")
_SYNC = ("content_offset_s", "container_offset_s", "missing_end_s")
_SIZE = ("width", "height", "display_width", "display_height", "rotation_deg")

JUDGES: dict[str, Judge] = {
    "resolution": Judge("geometry", {"geometry": _SIZE, "borders": _BORDERS}, video_rules.resolution),
    "fps": Judge("timing", {"timing": ("fps", "off_fraction")}, video_rules.fps),
    "audio": Judge("loudness", {"loudness": _LEVEL, "defects": _SOUND, "snr": _NOISE}, audio_rules.audio),
    "aspect": Judge("geometry", {"geometry": ("aspect", "rotation_deg"), "borders": _BORDERS}, video_rules.aspect),
    "black": Judge("black", {"black": ("black_s", "black_fraction")}, video_rules.black),
    "watermark": Judge("watermark", {"watermark": ("area_fraction",)}, video_rules.watermark),
    "encoding": Judge("encoding", {"encoding": _QUALITY}, video_rules.encoding),
    "faces": Judge("faces", {"faces": ("stills_with_faces", "stills", "found")}, video_rules.faces),
    "duration": Judge("timing", {"timing": ("clip_s", "fps")}, video_rules.duration),
    "freeze": Judge("freeze", {"freeze": ("frozen_s", "longest_s")}, video_rules.freeze),
    "sync": Judge("sync", {"sync": _SYNC}, audio_rules.sync),
    "codec": Judge("encoding", {"encoding": ("vcodec",)}, video_rules.codec),
    "sound_codec": Judge("loudness", {"loudness": ("acodec",)}, audio_rules.sound_codec),
    "sound_bitrate": Judge("loudness", {"loudness": ("acodec", "bitrate_bps")}, audio_rules.sound_bitrate),
    "colour": Judge("geometry", {"geometry": ("primaries", "transfer")}, video_rules.colour),
    "decodable": Judge("encoding", {"encoding": _PACKETS, "timing": ("bounded_at_s", "fps")}, video_rules.decodable),
    "shots": Judge("motion", {"motion": ("cuts",), "geometry": ("changes",)}, video_rules.shots),
    "nsfw": Judge("nsfw", {"nsfw": ("labels", "several", "probabilities")}, video_rules.nsfw),
    "text": Judge("text", {"text": ()}, video_rules.text),
}
REMARKING = ("sound_bitrate", "colour")
"""Checks whose reason a verdict may say though nothing is held up; they hold one up by a low score alone."""
