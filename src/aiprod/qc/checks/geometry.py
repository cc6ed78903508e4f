"""Picture size and shape as a viewer sees them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from aiprod.qc.checks.borders import READ_BY_RULES as BORDERS
from aiprod.qc.checks.borders import bars_of
from aiprod.qc.checks.judging import Judgement, Rule, absent
from aiprod.qc.clip_context import CHANGES_TOLD, Evidence
from aiprod.qc.measurement import Figures, Measurement

if TYPE_CHECKING:
    from aiprod.media.media_info import VideoFacts
    from aiprod.qc.params import QcDecideParams

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


class Geometry(Measurement):
    """Picture size, shape and colour."""

    name = "geometry"
    version = VERSION
    method = METHOD

    def measure(self, seen: Evidence, found: Mapping[str, Figures]) -> dict[str, Any]:
        """Of the pictures that the clip shows; what changes within it, in words."""
        figures = measure(seen.video)
        if seen.changes:
            figures["changes"] = list(seen.changes[:CHANGES_TOLD])
        return figures


def judge_resolution(found: Mapping[str, Figures], params: QcDecideParams) -> Judgement:
    """Shorter side of the picture between black bars against the minimum.

    Lines and columns count as they are stored: a player that makes pixels square adds none.
    """
    figures = found["geometry"]
    if figures["status"] != "ok":
        return absent(figures)
    least, bars = params.video.height_min_px, bars_of(figures, found["borders"])
    whole = int(figures["display_width"]), int(figures["display_height"])
    stored = int(figures.get("width", whole[0])), int(figures.get("height", whole[1]))
    stored = stored[::-1] if figures.get("rotation_deg") in (90, 270) and "width" in figures else stored
    held = min(whole[0], stored[0]), min(whole[1], stored[1])
    between = round(whole[0] * bars.width), round(whole[1] * bars.height)
    side = min(round(held[0] * bars.width), round(held[1] * bars.height))
    size = f"{between[0]}x{between[1]}"
    if bars.name:
        size = f"{size} between bars ({whole[0]}x{whole[1]} {bars.name})"
    if side < min(between) and side < least:
        size = f"{size} from {stored[0]}x{stored[1]} as stored"
    if min(held[0] * (bars.width + bars.width_doubt), held[1] * (bars.height + bars.height_doubt)) < least:
        return Judgement("ok", side, 0.0, f"{size} is below {least} lines")
    target = params.video.height_target_px
    words = f"{size}" if side >= target else f"{size}: above the minimum of {least}, below the target of {target} lines"
    return Judgement("ok", side, 1.0, words)


# ITU-T H.273, tables 2 and 3. What is not signalled (0, 2, 3) is read as Rec. 709.
_REC_709, _CURVES_709 = frozenset({0, 1, 2, 3}), frozenset({0, 1, 2, 3, 6, 11, 13, 14, 15})  # 13 = sRGB
_WIDE = {9: "BT.2020", 11: "DCI-P3", 12: "Display P3"}
_HIGH = {16: "PQ", 18: "HLG"}
_NEAR = {5: "BT.601 (625 lines)", 6: "BT.601 (525 lines)"}
_NEAR_CURVES = {4: "gamma 2.2", 5: "gamma 2.8", 7: "SMPTE 240M"}


def judge_colour(found: Mapping[str, Figures], params: QcDecideParams) -> Judgement:
    """Primaries and transfer against sRGB / Rec. 709; unweighted.

    Wide gamut and high dynamic range pass and are said: ingest brings them to Rec. 709, which training reads. What it
    does not convert asks for a review. The matrix does not count: sRGB has that of BT.601 as sYCC (IEC 61966-2-1).
    """
    figures = found["geometry"]
    if figures["status"] != "ok":
        return absent(figures)
    primaries, transfer = int(figures.get("primaries") or 0), int(figures.get("transfer") or 0)
    odd = [] if transfer in _CURVES_709 else [_HIGH.get(transfer) or _NEAR_CURVES.get(transfer)]
    odd += [] if primaries in _REC_709 else [_WIDE.get(primaries) or _NEAR.get(primaries)]
    if None in odd:
        words = f"colour primaries {primaries} and transfer {transfer} (H.273) are not sRGB / Rec. 709"
        return Judgement("ok", f"{primaries}, {transfer}", 0.0, f"{words}, and ingest does not convert them")
    name = ", ".join(map(str, odd))
    if primaries in _WIDE or transfer in _HIGH:
        words = f"{name} is not sRGB / Rec. 709; ingest converts it"
    elif odd:
        words = f"{name} is near sRGB / Rec. 709 and taken for it"
    else:
        stated = primaries in (1,) or transfer in (1, 13)
        return Judgement("ok", "Rec. 709", 1.0, "sRGB / Rec. 709" if stated else "not stated, taken for Rec. 709")
    return Judgement("ok", name, 1.0, words, remark=True)


_SIZE = ("width", "height", "display_width", "display_height", "rotation_deg")

RULES = (
    Rule(
        "resolution",
        "geometry",
        {"geometry": _SIZE, "borders": BORDERS},
        judge_resolution,
        weight=0.20,
        may_reject=True,
    ),
    Rule("colour", "geometry", {"geometry": ("primaries", "transfer")}, judge_colour, remarks=True),
)
