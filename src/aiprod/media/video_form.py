"""How the pictures of a delivery are encoded: codec, depth, the numbers of ITU-T H.273, the same bytes every time."""

from __future__ import annotations

import os
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

import av

from aiprod.color.delivery import Delivery
from aiprod.media.encoding import _x264
from aiprod.media.high_bit_depth import pixel_format

Codec = Literal["h264", "hevc", "av1", "prores", "dnxhr"]
_ENCODERS = {"h264": "libx264", "hevc": "libx265", "av1": "libsvtav1", "prores": "prores_ks", "dnxhr": "dnxhd"}
SVT_PRESETS = {
    "ultrafast": 9,  # from 10 on they are made for video calls
    "superfast": 9,
    "veryfast": 8,
    "faster": 8,
    "fast": 7,
    "medium": 6,
    "slow": 5,
    "slower": 4,
    "veryslow": 3,
}
"""x264's names of how much time an encoder takes, and what comes near to each in SVT-AV1."""
LEAST_SIZES: dict[Codec, tuple[int, int]] = {"av1": (64, 64), "dnxhr": (256, 120)}
"""The smallest pictures that the encoders of these take, width and height."""
_DNX_COLOUR_AT = 0x2C  # of a picture's header (SMPTE ST 2019-1); bits 1 and 2 are its matrix: 0 BT.709, 1 BT.2020
_BT2020 = 9
HEVC_TAG = "hvc1"  # parameter sets stand in the file's index alone: what players of Apple ask for
_USUAL = Delivery()


@dataclass(frozen=True)
class VideoForm:
    """How pictures are encoded.

    Args:
        crf: of H.264, HEVC and AV1.
        preset: likewise.
        keyframe_s: longest distance between key pictures of these; the others hold nothing else.
        delivery: what the pictures are.
    """

    rate: Fraction
    width: int
    height: int
    codec: Codec = "h264"
    crf: float = 18.0
    preset: str = "veryfast"
    keyframe_s: float = 2.0
    delivery: Delivery = _USUAL

    @property
    def hdr10(self) -> bool:
        """Whether the file states static metadata."""
        return self.delivery.space == "pq"

    @property
    def container(self) -> str:
        """FFmpeg's name of the container."""
        return "mov" if self.codec in ("prores", "dnxhr") else "mp4"


def tagged(picture: av.VideoFrame, delivery: Delivery) -> None:
    """Encoders take what a picture says of itself before what their stream does."""
    if not delivery.usual:
        primaries, transfer, matrix = delivery.tags
        picture.color_range, picture.colorspace = 1, matrix
        picture.color_primaries, picture.color_trc = primaries, transfer


def video_stream(container: Any, form: VideoForm) -> Any:
    """A new stream of a container that is encoded as a form says."""
    delivery = form.delivery
    deep = delivery.bits > 8
    stream = container.add_stream(_ENCODERS[form.codec], rate=form.rate)
    stream.width, stream.height = form.width, form.height
    other = {"prores": "yuv422p10le", "dnxhr": "yuv422p10le" if deep else "yuv422p"}
    stream.pix_fmt = other.get(form.codec, pixel_format(delivery.bits))
    stream.time_base = stream.codec_context.time_base = 1 / form.rate
    context = stream.codec_context
    context.thread_count = 1
    primaries, transfer, matrix = delivery.tags
    context.color_range, context.colorspace = 1, matrix
    context.color_primaries, context.color_trc = primaries, transfer
    gop = max(1, round(float(form.rate) * form.keyframe_s))
    if form.codec == "h264":
        context.gop_size = gop
        context.options = _x264(form.crf, form.preset, {"x264-params": "open-gop=0"})
    elif form.codec == "hevc":  # one thread, so that the bytes are the same every time
        context.gop_size = gop
        values = "log-level=error:pools=none:frame-threads=1:open-gop=0:repeat-headers=0"
        values += ":hdr10-opt=1" if form.hdr10 else ""
        context.options = {"crf": f"{form.crf:g}", "preset": form.preset, "x265-params": values}
        context.codec_tag = HEVC_TAG
    elif form.codec == "av1":
        context.gop_size = gop
        os.environ.setdefault("SVT_LOG", "1")  # errors alone: else it prints its settings for each segment
        options = {"crf": f"{form.crf:g}", "preset": str(SVT_PRESETS[form.preset])}
        context.options = options | {"svtav1-params": "lp=1"}  # one processor a worker
    elif form.codec == "prores":
        context.options = {"profile": "hq", "vendor": "apl0"}
    else:
        context.options = {"profile": "dnxhr_hqx" if deep else "dnxhr_hq"}
    return stream


def stating_matrix(packet: av.Packet, form: VideoForm) -> av.Packet:
    """A coded picture that says itself what its stream does: FFmpeg's DNxHR says BT.709 of any."""
    if form.codec != "dnxhr" or form.delivery.tags[2] != _BT2020 or not packet.size:
        return packet
    data = bytearray(bytes(packet))
    data[_DNX_COLOUR_AT] = data[_DNX_COLOUR_AT] & ~0b110 | 0b010
    copy = av.Packet(bytes(data))
    copy.pts, copy.dts, copy.time_base, copy.duration = packet.pts, packet.dts, packet.time_base, packet.duration
    copy.is_keyframe, copy.stream = packet.is_keyframe, packet.stream
    return copy
