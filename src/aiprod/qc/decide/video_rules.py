"""From figures to scores: one small pure function per check of pictures. Every answer says why, in words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple

from aiprod.media.truncation_rule import Ending, is_truncated, truncated_words
from aiprod.qc.decide.letterbox import bars_of
from aiprod.qc.decide.nsfw_policy import unsafe_probability
from aiprod.qc.params import QcDecideParams
from aiprod.qc.rows import CheckStatus

Figures = Mapping[str, Any]
EPSILON_S = 1e-3
# ITU-T H.273, tables 2 and 3. What is not signalled (0, 2, 3) is read as Rec. 709.
_REC_709, _CURVES_709 = frozenset({0, 1, 2, 3}), frozenset({0, 1, 2, 3, 6, 11, 13, 14, 15})  # 13 = sRGB
_WIDE = {9: "BT.2020", 11: "DCI-P3", 12: "Display P3"}
_HIGH = {16: "PQ", 18: "HLG"}
_NEAR = {5: "BT.601 (625 lines)", 6: "BT.601 (525 lines)"}
_NEAR_CURVES = {4: "gamma 2.2", 5: "gamma 2.8", 7: "SMPTE 240M"}


class Judgement(NamedTuple):
    """A check's answer before it becomes a row.

    Attributes:
        score: 0 to 1; None unless the status is ``ok``.
        caps: whether the verdict may not be better than REVIEW_NEEDED because of this check.
        flags: privacy flags.
        remark: whether the verdict says the reason though the check holds nothing up.
    """

    status: CheckStatus
    value: Any
    score: float | None
    reason: str
    caps: bool = False
    flags: tuple[str, ...] = ()
    remark: bool = False


def absent(figures: Figures) -> Judgement:
    """The answer where there are no figures, in the measurement's own words."""
    status = figures.get("status", "error")
    return Judgement(status, None, None, str(figures.get("reason") or "the measurement gives no reason"))


def ramp(value: float, poor: float, good: float) -> float:
    """0 at ``poor``, 1 at ``good``, linear between (either may be the larger)."""
    if poor == good:
        return 1.0 if value >= good else 0.0
    part = (value - poor) / (good - poor)
    return part if 0.0 < part < 1.0 else 1.0 if part >= 1.0 else 0.0


Parts = list[tuple[float, str, float | None]]
"""Scores that a check is the worst of, each with the words for it and the figure that they name."""


def worst(parts: Parts) -> tuple[float, str]:
    """The lowest score, and its words; none where nothing is wrong."""
    low = min(parts)[0]
    if low >= 1:
        return low, ""
    return low, min([words.format(figure) for score, words, figure in parts if score == low])


def resolution(found: Mapping[str, Figures], params: QcDecideParams) -> Judgement:
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


def fps(found: Mapping[str, Figures], params: QcDecideParams) -> Judgement:
    """Measured rate within limits, and evenness of the intervals."""
    figures = found["timing"]
    if figures["status"] != "ok":
        return absent(figures)
    limits = params.video
    rate, off = float(figures["fps"]), float(figures["off_fraction"])
    low = limits.fps_min * 1000 / 1001 * (1 - 1e-3)  # NTSC's 24000/1001 counts as 24; times are rounded to ticks
    if not low <= rate <= limits.fps_max * (1 + 1e-3):
        return Judgement(
            "ok", round(rate, 3), 0.0, f"{rate:.2f} fps is outside {limits.fps_min:g} to {limits.fps_max:g}"
        )
    score = 1.0 - ramp(off, 0.0, limits.interval_spread_max) if limits.interval_spread_max > 0 else float(off == 0)
    words = f"{rate:.2f} fps, even"
    if off > 0:
        words = f"{rate:.2f} fps, {off:.0%} of the intervals are uneven"
    return Judgement("ok", round(rate, 3), score, words)


def duration(found: Mapping[str, Figures], params: QcDecideParams) -> Judgement:
    """Length of the clip within limits; unweighted."""
    figures = found["timing"]
    length, limits = float(figures["clip_s"]), params.video
    slack = 0.5 / float(figures["fps"]) if figures.get("fps") else EPSILON_S
    if length < limits.duration_min_s - slack:
        return Judgement("ok", round(length, 3), 0.0, f"{length:.2f} s is shorter than {limits.duration_min_s:g} s")
    if length > limits.duration_max_s + slack:
        return Judgement("ok", round(length, 3), 0.0, f"{length:.2f} s is longer than {limits.duration_max_s:g} s")
    return Judgement("ok", round(length, 3), 1.0, f"{length:.2f} s")


def aspect(found: Mapping[str, Figures], params: QcDecideParams) -> Judgement:
    """Shape of the picture within its black borders against the allowed ones."""
    figures = found["geometry"]
    if figures["status"] != "ok":
        return absent(figures)
    whole, bars = float(figures["aspect"]), bars_of(figures, found["borders"])
    shape = whole * bars.width / bars.height
    border = f" ({whole:.3f}:1 {bars.name})" if bars.name else ""
    for name in params.video.aspects:
        wide, _, tall = name.partition(":")
        if abs(shape / (float(wide) / float(tall)) - 1.0) <= params.video.aspect_tolerance:
            return Judgement("ok", round(shape, 4), 1.0, f"{name}{border}")
    return Judgement("ok", round(shape, 4), 0.0, f"{shape:.3f}:1{border} is none of {', '.join(params.video.aspects)}")


def black(found: Mapping[str, Figures], params: QcDecideParams) -> Judgement:
    """Sum of black stretches."""
    figures = found["black"]
    if figures["status"] != "ok":
        return absent(figures)
    total, share = float(figures["black_s"]), float(figures["black_fraction"])
    if total >= params.video.black_max_s:
        return Judgement("ok", total, 0.0, f"{total:.2f} s of black, {params.video.black_max_s:g} s is the limit")
    if share > params.video.black_max_fraction:
        return Judgement("ok", total, 0.0, f"{share:.0%} of the clip is black")
    return Judgement("ok", total, 1.0, f"{total:.2f} s of black" if total else "no black frames")


def freeze(found: Mapping[str, Figures], params: QcDecideParams) -> Judgement:
    """Frozen picture; unweighted, a failure asks for a review."""
    figures = found["freeze"]
    if figures["status"] != "ok":
        return absent(figures)
    total = float(figures["frozen_s"])
    if total >= params.video.freeze_max_s - EPSILON_S and total > 0:
        return Judgement("ok", total, 0.0, f"the picture stands still for {total:.2f} s")
    return Judgement("ok", total, 1.0, f"no standing picture (longest {float(figures['longest_s']):.2f} s)")


def watermark(found: Mapping[str, Figures], params: QcDecideParams) -> Judgement:
    """Area of what stays on the picture while the camera moves."""
    figures = found["watermark"]
    if figures["status"] != "ok":
        return absent(figures)
    area = float(figures["area_fraction"])
    if area <= 0:
        return Judgement("ok", 0.0, 1.0, "no overlay found")
    score = 1.0 - min(1.0, area / params.video.watermark_max_fraction)
    return Judgement(
        "ok", area, score, f"an overlay covers {area:.1%} of the picture", params.video.watermark_seen_caps
    )


def encoding(found: Mapping[str, Figures], params: QcDecideParams) -> Judgement:
    """The worst of bits per pixel, blur and blockiness."""
    figures, limits = found["encoding"], params.video
    if figures["status"] != "ok":
        return absent(figures)
    bpp = float(figures["bits_per_pixel"])
    parts: Parts = [
        (ramp(math.log(max(bpp, 1e-9)), *_logs(limits.bpp_poor, limits.bpp_good)), "{:.3f} bits per pixel", bpp)
    ]
    if figures.get("blur") is not None:
        blur = float(figures["blur"])
        parts.append((ramp(blur, limits.blur_poor, limits.blur_good), "blur {:.2f}", blur))
    if figures.get("blockiness") is not None:
        blocks = float(figures["blockiness"])
        parts.append((ramp(blocks, limits.blockiness_poor, limits.blockiness_good), "blockiness {:.2f}", blocks))
    score, words = worst(parts)
    rate = float(figures["bitrate_bps"])
    policy = "within" if limits.bitrate_min_bps <= rate <= limits.bitrate_max_bps else "outside"
    note = f"{rate / 1e6:.2f} Mbps is {policy} the policy's {_span(limits.bitrate_min_bps, limits.bitrate_max_bps)}"
    head = words if score < 1 else "no artefacts found"
    return Judgement(
        "ok", {"bits_per_pixel": bpp, "bitrate_bps": rate, "policy_bitrate": policy}, score, f"{head}; {note}"
    )


@cache
def _logs(poor: float, good: float) -> tuple[float, float]:
    return math.log(poor), math.log(good)


@cache
def _span(least_bps: int, most_bps: int) -> str:
    return f"{least_bps / 1e6:g} to {most_bps / 1e6:g}"


def faces(found: Mapping[str, Figures], params: QcDecideParams) -> Judgement:
    """Weak evidence: a hit asks for a review, no hit never means that there are none."""
    figures = found["faces"]
    if figures["status"] != "ok":
        return absent(figures)
    hits, stills = int(figures["stills_with_faces"]), int(figures["stills"])
    if figures["found"]:
        return Judgement("ok", hits, 0.0, f"faces in {hits} of {stills} stills", caps=True, flags=("faces",))
    return Judgement("ok", hits, 1.0, f"no faces found in {stills} stills (weak evidence)")


def codec(found: Mapping[str, Figures], params: QcDecideParams) -> Judgement:
    """Picture codec against the allowed ones; unweighted."""
    name = str(found["encoding"].get("vcodec") or "unknown")
    allowed = params.video.codecs
    good = name in allowed
    return Judgement("ok", name, float(good), name if good else f"codec {name} is none of {', '.join(allowed)}")


def colour(found: Mapping[str, Figures], params: QcDecideParams) -> Judgement:
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


def decodable(found: Mapping[str, Figures], params: QcDecideParams) -> Judgement:
    """Every packet decoded, and the film as long as its file states; unweighted."""
    bad, total = int(found["encoding"].get("bad_packets") or 0), int(found["encoding"].get("packets") or 0)
    if bad:
        error = found["encoding"].get("first_error") or "unknown error"
        return Judgement("ok", bad, 0.0, f"{bad} of {total} picture packets do not decode ({error}){_torn(found)}")
    if torn := _torn(found):
        return Judgement("ok", 0, 0.0, torn.removeprefix("; "))
    if found["encoding"].get("missing_s") is not None:
        end = Ending(float(found["encoding"]["stated_s"]), float(found["encoding"]["missing_s"]))
        if is_truncated(end, float(found["timing"].get("fps") or 0.0)):
            return Judgement("ok", round(end.missing_s, 3), 0.0, truncated_words(end))
    bound = found["timing"].get("bounded_at_s")
    if bound is not None:
        return Judgement("ok", 0, 1.0, f"only the first {float(bound):.0f} s were decoded (bound on pixels)", caps=True)
    return Judgement("ok", 0, 1.0, "every picture packet decodes")


def _torn(found: Mapping[str, Figures]) -> str:
    """Where pictures are torn, in words; nothing where none is."""
    stretches = found["encoding"].get("torn_s") or []
    if not stretches:
        return ""
    total = sum(float(end) - float(begin) for begin, end in stretches)
    return f"; the picture is torn for {total:.2f} s, from {float(stretches[0][0]):.2f} s on"


def shots(found: Mapping[str, Figures], params: QcDecideParams) -> Judgement:
    """Cuts left inside the clip: recorded, neither weighted nor a cap (splitting is ingest's work).

    Pictures of several sizes, shapes or colours in one clip ask for a review.
    """
    figures = found["motion"]
    if figures["status"] != "ok":
        return absent(figures)
    cuts = int(figures["cuts"])
    if changes := found["geometry"].get("changes"):
        return Judgement("ok", cuts, 1.0, "; ".join(changes), caps=True)
    return Judgement("ok", cuts, 1.0, "one shot" if cuts == 0 else f"{cuts} cuts inside the clip")


def nsfw(found: Mapping[str, Figures], params: QcDecideParams) -> Judgement:
    """A still that a classifier finds unsafe asks for a review; unweighted. Without a classifier its status stands."""
    figures, policy = found["nsfw"], params.nsfw
    if figures["status"] != "ok":
        return absent(figures)
    share = unsafe_probability(figures, policy)
    if share is None:
        words = f"the classifier tells apart {', '.join(figures['labels'])}, none of which is in qc_decide.nsfw.labels"
        return Judgement("error", None, None, words)
    if share > policy.probability_max:
        words = f"unsafe content by {share:.0%} in a still, {policy.probability_max:.0%} is the limit"
        return Judgement("ok", share, 0.0, words, caps=True)
    return Judgement("ok", share, 1.0, f"at most {share:.0%} unsafe in {len(figures['probabilities'])} stills")


def text(found: Mapping[str, Figures], params: QcDecideParams) -> Judgement:
    """Passes the measurement's status on."""
    return absent(found["text"])
