"""Picture size and shape as a viewer sees them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from aiprod.qc.checks.borders import READ_BY_RULES as BORDERS
from aiprod.qc.checks.borders import bars_of, is_turned
from aiprod.qc.checks.judging import Case, Judgements, Places, Rule, judged, or_else
from aiprod.qc.clip_context import CHANGES_TOLD, ClipContext
from aiprod.qc.measurement import Figures, Measurement
from aiprod.qc.metric_table import FigureTable

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

    def measure(self, seen: ClipContext, measurements: Mapping[str, Figures]) -> dict[str, Any]:
        """Of the pictures that the clip shows; what changes within it, in words."""
        figures = measure(seen.video)
        if seen.changes:
            figures["changes"] = list(seen.changes[:CHANGES_TOLD])
        return figures


def judge_resolution(measurements: FigureTable, params: QcDecideParams) -> Judgements:
    """Shorter side of the picture between black bars against the minimum.

    Lines and columns count as they are stored: a player that makes pixels square adds none.
    """
    figures, least = measurements["geometry"], params.video.height_min_px
    bars = bars_of(figures, measurements["borders"])
    shown = np.trunc(figures.number("display_width")), np.trunc(figures.number("display_height"))
    stored_sides = tuple(
        np.trunc(np.where(figures.has(n), figures.number(n), s)) for n, s in zip(_STORED, shown, strict=True)
    )
    turned = is_turned(figures) & figures.has("width")
    stored = np.where(turned, stored_sides[1], stored_sides[0]), np.where(turned, stored_sides[0], stored_sides[1])
    width, height = np.minimum(shown[0], stored[0]), np.minimum(shown[1], stored[1])
    between = np.rint(shown[0] * bars.width), np.rint(shown[1] * bars.height)
    side = np.minimum(np.rint(width * bars.width), np.rint(height * bars.height))
    most = np.minimum(width * (bars.width + bars.width_doubt), height * (bars.height + bars.height_doubt))

    def size(places: Places) -> list[str]:
        columns = (*between, *shown, *stored, side)
        numbers = zip(*[column[places].astype(np.int64).tolist() for column in columns], strict=True)
        return [_size_words(*row, name, least) for row, name in zip(numbers, bars.name[places].tolist(), strict=True)]

    target = params.video.height_target_px
    below = f"above the minimum of {least}, below the target of {target} lines"
    return judged(
        figures,
        Case(most < least, 0.0, f"{{size}} is below {least} lines"),
        Case(side >= target, 1.0, "{size}"),
        Case(True, 1.0, f"{{size}}: {below}"),
        value=side,
        size=size,
    )


@lru_cache(maxsize=4096)
def _size_words(wide: int, tall: int, *others: Any) -> str:
    """A size between bars, with that of the whole picture or as it is stored, where it differs."""
    shown_w, shown_h, stored_w, stored_h, side, name, least = others
    size = f"{wide}x{tall}"
    if name:
        size = f"{size} between bars ({shown_w}x{shown_h} {name})"
    if side < min(wide, tall) and side < least:
        size = f"{size} from {stored_w}x{stored_h} as stored"
    return size


# ITU-T H.273, tables 2 and 3. What is not signalled (0, 2, 3) is read as Rec. 709.
_REC_709, _CURVES_709 = frozenset({0, 1, 2, 3}), frozenset({0, 1, 2, 3, 6, 11, 13, 14, 15})  # 13 = sRGB
_WIDE = {9: "BT.2020", 11: "DCI-P3", 12: "Display P3"}
_HIGH = {16: "PQ", 18: "HLG"}
_NEAR = {5: "BT.601 (625 lines)", 6: "BT.601 (525 lines)"}
_NEAR_CURVES = {4: "gamma 2.2", 5: "gamma 2.8", 7: "SMPTE 240M"}


def judge_colour(measurements: FigureTable, params: QcDecideParams) -> Judgements:
    """Primaries and transfer against sRGB / Rec. 709; unweighted.

    Wide gamut and high dynamic range pass and are said: ingest brings them to Rec. 709, which training reads. What it
    does not convert asks for a review. The matrix does not count: sRGB has that of BT.601 as sYCC (IEC 61966-2-1).
    """
    figures = measurements["geometry"]
    codes = [or_else(figures.number(name), 0.0).astype(np.int64) for name in ("primaries", "transfer")]
    pairs, which = np.unique(np.stack(codes, axis=1), axis=0, return_inverse=True)
    names, words, scores, remarks = zip(*[_colour(*pair) for pair in pairs.tolist()], strict=True)
    which = which.ravel()
    return judged(
        figures,
        Case(True, np.array(scores)[which], "{words}", remark=np.array(remarks, np.bool_)[which]),
        value=np.array(names, object)[which],
        words=np.array(words, object)[which],
    )


def _colour(primaries: int, transfer: int) -> tuple[str, str, float, bool]:
    """The name of a colour space, what is said of it, its score, and whether it is remarked on."""
    odd = [] if transfer in _CURVES_709 else [_HIGH.get(transfer) or _NEAR_CURVES.get(transfer)]
    odd += [] if primaries in _REC_709 else [_WIDE.get(primaries) or _NEAR.get(primaries)]
    if None in odd:
        words = f"colour primaries {primaries} and transfer {transfer} (H.273) are not sRGB / Rec. 709"
        return f"{primaries}, {transfer}", f"{words}, and ingest does not convert them", 0.0, False
    name = ", ".join(map(str, odd))
    if primaries in _WIDE or transfer in _HIGH:
        return name, f"{name} is not sRGB / Rec. 709; ingest converts it", 1.0, True
    if odd:
        return name, f"{name} is near sRGB / Rec. 709 and taken for it", 1.0, True
    stated = primaries in (1,) or transfer in (1, 13)
    return "Rec. 709", "sRGB / Rec. 709" if stated else "not stated, taken for Rec. 709", 1.0, False


_STORED = ("width", "height")
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
