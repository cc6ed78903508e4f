"""Which films the matrix holds: every container with the codecs and the habits of stamping that are met in it."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

LOSSLESS = ("pcm", "pcm24", "pcm_be", "flac", "alac", "pcm_bluray")


@dataclass(frozen=True)
class Combination:
    """One film of the matrix."""

    container: str
    video: str
    audio: str
    habit: str = "plain"

    @property
    def name(self) -> str:
        """Short and unique."""
        return f"{self.container}-{self.video}-{self.audio}-{self.habit}"


# container -> picture codecs, sound codecs that are met in it; the first of each is the one that habits are tried with
CODECS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "mp4": (("h264", "hevc", "vp9", "av1", "mpeg4", "mpeg2", "mjpeg"), ("aac", "opus", "mp3", "ac3", "flac", "pcm")),
    "mov": (("h264", "prores", "hevc", "mjpeg", "mpeg4"), ("pcm", "aac", "pcm24", "pcm_be", "alac", "mp3", "ac3")),
    "fmp4": (("h264", "hevc", "vp9", "av1"), ("aac", "opus", "flac", "ac3", "mp3")),
    "cmaf": (("h264", "hevc", "av1"), ("aac", "opus", "ac3", "flac")),
    "hybrid": (("h264", "hevc", "vp9"), ("aac", "flac", "opus")),
    "fmov": (("prores", "h264"), ("pcm", "pcm_be", "pcm24", "aac", "alac")),
    "hmov": (("prores", "h264"), ("pcm", "aac", "alac")),
    "mkv": (
        ("h264", "hevc", "vp8", "vp9", "av1", "mpeg2", "mpeg4", "prores", "mjpeg"),
        ("aac", "opus", "vorbis", "mp3", "ac3", "pcm", "flac"),
    ),
    "webm": (("vp9", "vp8", "av1"), ("vorbis", "opus")),
    "avi": (("h264", "mpeg4", "mjpeg", "mpeg2"), ("mp3", "pcm", "ac3", "aac")),
    "ts": (("h264", "hevc", "mpeg2", "mpeg4"), ("aac", "ac3", "mp3", "opus")),
    "m2ts": (("h264", "mpeg2"), ("ac3", "pcm_bluray")),
    "flv": (("h264", "hevc", "vp9", "av1"), ("aac", "mp3", "opus", "ac3", "flac")),
    "ogg": (("vp8",), ("vorbis", "opus", "flac")),
    "mxf": (("mpeg2", "h264", "prores"), ("pcm", "pcm24")),
    "asf": (("wmv2", "mpeg4", "h264", "mjpeg"), ("wma", "mp3", "aac", "ac3", "pcm")),
}
_STAMPED = ("late_sound", "late_picture", "late_start", "gap", "sound_gap", "vfr", "ntsc", "cd", "mono")
_MP4 = ("edit_trim", "silent_first", "two_sounds", "two_pictures", "no_edit", "negative_cts")
# container -> habits, each with pictures and sound it is tried with besides the first ones
HABITS: dict[str, tuple[str, ...]] = {
    "mp4": ("bframes", *_STAMPED, *_MP4),
    "mov": ("bframes", *_STAMPED, *_MP4),
    "fmp4": (
        "bframes",
        "late_sound",
        "late_picture",
        "gap",
        "sound_gap",
        "vfr",
        "ntsc",
        "cd",
        "empty_moov",
        "edit_trim",
    ),
    "cmaf": ("bframes", "late_sound", "late_picture", "gap", "vfr", "ntsc", "empty_moov", "edit_trim"),
    "hybrid": ("bframes", "late_sound", "late_picture", "gap", "negative_cts"),
    "fmov": (*_STAMPED, "edit_trim", "empty_moov"),
    "hmov": ("late_sound", "late_picture", "gap", "sound_gap", "edit_trim"),
    "mkv": ("bframes", *_STAMPED, "jitter", "silent_first", "two_sounds", "two_pictures"),
    "webm": ("altref", *_STAMPED, "jitter", "size_change"),
    "avi": ("bframes", "dropped", "ntsc", "cd", "mono"),
    "ts": ("bframes", *_STAMPED, "jitter", "wrap", "reset", "size_change", "silent_first", "two_sounds"),
    "m2ts": ("bframes", "late_sound", "late_picture", "gap", "sound_gap", "wrap", "reset"),
    "flv": ("bframes", *_STAMPED, "jitter"),
    "ogg": ("late_sound", "late_start", "gap", "sound_gap", "ntsc", "cd", "mono"),
    "mxf": ("bframes", "ntsc", "mono"),
    "asf": ("late_sound", "late_picture", "gap", "sound_gap", "vfr", "ntsc", "cd", "jitter"),
}
_MORE = [
    Combination(*parts)
    for parts in (
        ("mkv", "vp9", "opus", "altref"),
        ("mkv", "vp8", "opus", "size_change"),
        ("mkv", "vp9", "flac", "size_change"),
        ("webm", "vp8", "opus", "size_change"),
        ("webm", "vp8", "opus", "jitter"),
        ("webm", "vp8", "opus", "vfr"),
        ("webm", "vp9", "opus", "gap"),
        ("webm", "av1", "opus", "late_sound"),
        ("webm", "vp8", "vorbis", "jitter"),
        ("mkv", "h264", "pcm", "jitter"),
        ("mkv", "h264", "flac", "jitter"),
        ("mkv", "h264", "mp3", "jitter"),
        ("mkv", "h264", "opus", "jitter"),
        ("mkv", "h264", "vorbis", "jitter"),
        ("mkv", "h264", "ac3", "jitter"),
        ("mkv", "h264", "pcm", "gap"),
        ("mkv", "h264", "flac", "sound_gap"),
        ("mkv", "h264", "flac", "late_picture"),
        ("mkv", "hevc", "flac", "bframes"),
        ("mkv", "mpeg2", "ac3", "bframes"),
        ("mkv", "mpeg4", "mp3", "bframes"),
        ("mp4", "hevc", "aac", "bframes"),
        ("mp4", "mpeg4", "aac", "bframes"),
        ("mp4", "h264", "flac", "bframes"),
        ("mp4", "h264", "flac", "late_sound"),
        ("mp4", "h264", "flac", "late_picture"),
        ("mp4", "h264", "opus", "late_sound"),
        ("mp4", "hevc", "opus", "late_picture"),
        ("mp4", "h264", "pcm", "gap"),
        ("mp4", "vp9", "opus", "altref"),
        ("mp4", "h264", "flac", "edit_trim"),
        ("mov", "hevc", "aac", "bframes"),
        ("mov", "prores", "pcm", "late_sound"),
        ("mov", "prores", "pcm", "edit_trim"),
        ("mov", "h264", "aac", "gap"),
        ("mov", "prores", "pcm24", "vfr"),
        ("fmp4", "hevc", "aac", "bframes"),
        ("fmp4", "h264", "flac", "bframes"),
        ("fmp4", "hevc", "opus", "empty_moov"),
        ("fmp4", "h264", "flac", "empty_moov"),
        ("fmp4", "hevc", "flac", "edit_trim"),
        ("fmov", "h264", "pcm", "edit_trim"),
        ("fmov", "h264", "pcm", "bframes"),
        ("fmov", "h264", "alac", "late_sound"),
        ("hmov", "h264", "pcm", "bframes"),
        ("hmov", "h264", "pcm", "late_sound"),
        ("hmov", "h264", "alac", "late_sound"),
        ("cmaf", "hevc", "aac", "bframes"),
        ("hybrid", "hevc", "aac", "negative_cts"),
        ("hybrid", "h264", "flac", "negative_cts"),
        ("cmaf", "h264", "flac", "bframes"),
        ("avi", "h264", "pcm", "bframes"),
        ("avi", "mpeg4", "mp3", "bframes"),
        ("avi", "mpeg4", "pcm", "bframes"),
        ("avi", "mpeg2", "ac3", "bframes"),
        ("avi", "mpeg4", "pcm", "dropped"),
        ("avi", "mjpeg", "pcm", "dropped"),
        ("avi", "h264", "aac", "bframes"),
        ("ts", "hevc", "aac", "bframes"),
        ("ts", "mpeg2", "mp3", "bframes"),
        ("ts", "h264", "ac3", "wrap"),
        ("ts", "hevc", "ac3", "reset"),
        ("ts", "mpeg2", "mp3", "reset"),
        ("ts", "mpeg2", "mp3", "wrap"),
        ("m2ts", "h264", "pcm_bluray", "wrap"),
        ("m2ts", "h264", "pcm_bluray", "late_sound"),
        ("m2ts", "h264", "pcm_bluray", "bframes"),
        ("m2ts", "mpeg2", "ac3", "bframes"),
        ("flv", "hevc", "aac", "bframes"),
        ("flv", "h264", "mp3", "jitter"),
        ("flv", "h264", "mp3", "late_sound"),
        *(("ogg", "vp8", audio, habit) for audio in ("opus", "flac") for habit in ("late_sound", "gap", "sound_gap")),
        ("ogg", "vp8", "flac", "late_start"),
        ("mxf", "h264", "pcm", "bframes"),
        ("mxf", "mpeg2", "pcm24", "ntsc"),
        ("asf", "mpeg4", "mp3", "jitter"),
        ("mkv", "mpeg4", "ac3", "piped"),
        ("mkv", "mjpeg", "mp3", "piped"),
        ("webm", "vp8", "opus", "piped"),
        ("flv", "h264", "aac", "piped"),
        ("asf", "mpeg4", "mp3", "piped"),
        ("avi", "mpeg4", "mp3", "piped"),
        ("avi", "mjpeg", "pcm", "piped"),
        ("mxf", "mpeg2", "pcm", "piped"),
        ("ogg", "vp8", "vorbis", "piped"),
        ("fmp4", "h264", "aac", "piped"),
        ("asf", "h264", "aac", "bframes"),
        ("asf", "wmv2", "mp3", "late_sound"),
    )
]


def everything() -> list[Combination]:
    """Every combination, each once."""
    made: dict[str, Combination] = {}
    for container, (pictures, sounds) in CODECS.items():
        for video, audio in itertools.product(pictures, sounds):
            # every sound with the first picture codec, every picture codec with two sounds
            if video == pictures[0] or audio in (sounds[0], sounds[(pictures.index(video) + 1) % len(sounds)]):
                combination = Combination(container, video, audio)
                made[combination.name] = combination
        for habit in HABITS[container]:  # FFmpeg's Vorbis coder knows stereo only
            audio = "opus" if (habit, sounds[0]) == ("mono", "vorbis") else sounds[0]
            combination = Combination(container, pictures[0], audio, habit)
            made[combination.name] = combination
    for combination in _MORE:
        made[combination.name] = combination
    return list(made.values())


def representative() -> list[Combination]:
    """Few combinations in which every container, codec and habit occurs, and most pairs of container and habit of the
    kinds that readers get wrong; chosen greedily, the same ones every time."""
    left: list[Combination] = [c for c in everything() if c.video not in ("av1", "hevc") or c.habit == "plain"]
    seen: set[tuple[str, str]] = set()
    chosen: list[Combination] = []

    def fresh(c: Combination) -> int:
        weights = {("container", c.container): 4, ("video", c.video): 4, ("audio", c.audio): 4, ("habit", c.habit): 6}
        pairs = {(f"{c.container}+", c.habit): 2, (f"{c.container}:", c.audio): 1, (f"{c.video}:", c.habit): 1}
        return sum(weight for key, weight in (weights | pairs).items() if key not in seen)

    while len(chosen) < 40:
        best = max(left, key=fresh)
        left.remove(best)
        chosen.append(best)
        seen |= {
            ("container", best.container),
            ("video", best.video),
            ("audio", best.audio),
            ("habit", best.habit),
            (f"{best.container}+", best.habit),
            (f"{best.container}:", best.audio),
            (f"{best.video}:", best.habit),
        }
    return chosen
