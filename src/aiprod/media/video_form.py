"""How the pictures of a delivery are encoded: codec, depth, the numbers of ITU-T H.273, the same bytes every time."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

import av

from aiprod.color.delivery import Delivery
from aiprod.media.encoding import _x264
from aiprod.media.high_bit_depth import pixel_format

Codec = Literal["h264", "hevc", "prores", "dnxhr"]
_ENCODERS = {"h264": "libx264", "hevc": "libx265", "prores": "prores_ks", "dnxhr": "dnxhd"}
HEVC_TAG = "hvc1"  # parameter sets stand in the file's index alone: what players of Apple ask for
_USUAL = Delivery()


@dataclass(frozen=True)
class VideoForm:
    """How pictures are encoded.

    Args:
        crf: of H.264 and HEVC.
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
    elif form.codec == "prores":
        context.options = {"profile": "hq", "vendor": "apl0"}
    else:
        context.options = {"profile": "dnxhr_hqx" if deep else "dnxhr_hq"}
    return stream
