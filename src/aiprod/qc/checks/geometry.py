"""Picture size and shape as a viewer sees them."""

from __future__ import annotations

from typing import Any

from aiprod.media.facts import VideoFacts

VERSION = "3"
METHOD = "stored size, sample aspect and rotation by the stream; shape and size between the bars that ``borders`` finds"


def measure(video: VideoFacts) -> dict[str, Any]:
    """Stored and displayed size in pixels; aspect is width over height as displayed."""
    width, height = video.display_width, video.display_height
    return {
        "status": "ok",
        "width": video.width,
        "height": video.height,
        "display_width": width,
        "display_height": height,
        "shorter_side": min(width, height),
        "aspect": width / height,
        "rotation_deg": video.orientation.rotation_deg,
        "sar": list(video.sar),
        "interlaced": video.interlaced,
        "hdr": video.hdr,
        "bit_depth": video.bit_depth,
        "full_range": video.full_range,
        "matrix": video.matrix,
        "primaries": video.primaries,
        "transfer": video.transfer,
        "pixel_format": video.pixel_format,
    }
