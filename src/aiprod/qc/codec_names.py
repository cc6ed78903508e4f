"""Names of codecs: what people write, and what FFmpeg says, as the names that the policy compares."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from functools import cache

_ALSO = {
    "h265": "hevc",
    "h.265": "hevc",
    "x265": "hevc",
    "hvc1": "hevc",
    "hev1": "hevc",
    "h.264": "h264",
    "x264": "h264",
    "avc": "h264",
    "avc1": "h264",
    "mp4a": "aac",
    "wav": "pcm",
}
# FFmpeg's names of what films come in; a name that is none of them is a typing error.
_KNOWN = frozenset(
    {
        "h264",
        "hevc",
        "av1",
        "vp8",
        "vp9",
        "vvc",
        "mpeg1video",
        "mpeg2video",
        "mpeg4",
        "msmpeg4",
        "h263",
        "vc1",
        "wmv3",
        "theora",
        "dirac",
        "prores",
        "dnxhd",
        "cfhd",
        "ffv1",
        "huffyuv",
        "ffvhuff",
        "utvideo",
        "mjpeg",
        "jpeg2000",
        "png",
        "qtrle",
        "rawvideo",
        "v210",
        "dvvideo",
        "cinepak",
        "svq3",
        "flv",
        "aac",
        "mp3",
        "mp2",
        "pcm",
        "pcm_alaw",
        "pcm_mulaw",
        "adpcm_ms",
        "adpcm_ima_wav",
        "opus",
        "vorbis",
        "speex",
        "flac",
        "alac",
        "wavpack",
        "tta",
        "ape",
        "ac3",
        "eac3",
        "truehd",
        "mlp",
        "dca",
        "wmav2",
        "wmapro",
        "wmalossless",
        "amrnb",
        "amrwb",
    }
)
_PCM = re.compile(r"pcm_[suf]\d")  # samples as they are; A-law, µ-law and ADPCM lose something


@cache
def sound_codec(decoder: str) -> str:
    """The codec of FFmpeg's decoder: ``mp3float`` is MP3, every linear PCM of any width is ``pcm``."""
    if _PCM.match(decoder):
        return "pcm"
    for family in ("mp3", "aac"):
        if re.fullmatch(rf"{family}(float|on4|on4float|adu|adufloat|_.*)?", decoder):
            return family
    return decoder


def canonical(names: Sequence[str]) -> list[str]:
    """The names as films are compared with them: ``h265`` is ``hevc``, ``wav`` is ``pcm``.

    Raises:
        ValueError: no codec has such a name: it would refuse every film without a word.
    """
    codecs = [_ALSO.get(name.lower(), name.lower()) for name in names]
    for name in codecs:
        if name not in _KNOWN:
            close = difflib.get_close_matches(name, sorted(_KNOWN | _ALSO.keys()), n=1, cutoff=0.5)
            hint = f"did you mean {close[0]!r}?" if close else "give FFmpeg's name of it, such as 'h264'"
            raise ValueError(f"there is no codec {name!r} → {hint}")
    return list(dict.fromkeys(codecs))
