"""What compression left: bits per pixel, blur and blockiness on a sample of full-size frames."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from aiprod.qc.checks.judging import Case, Judgements, Rule, Worst, answered, judged, ramp
from aiprod.qc.clip_context import CHANGES_TOLD, ClipContext, Plane, Still
from aiprod.qc.measurement import Figures, OfStills
from aiprod.qc.metric_table import FigureTable

if TYPE_CHECKING:
    from aiprod.qc.params import QcDecideParams

VERSION = "3"
METHOD = (
    "bits per pixel from the range's video packets; packets that do not decode; of a whole file, where it ends against "
    "the length that it states; Crété-Roffet 2007 blur of every fifth line "
    "and a fifth of the columns, and 8-pixel grid blockiness, median over the stills at full size"
)
_TAPS = 9
_EVERY = 5  # lines, and groups of as many columns as this, of which the blur is taken from one
_COLUMNS = 4
_SAMPLED_PX = 160  # pictures with a side below this are taken whole
_FLAT = 4.0  # codes of deviation


def blur(luma: Plane) -> float:
    """Crété-Roffet perceptual blur, 0 sharp to 1 blurred: how little a strong blur changes the picture's variations.

    F. Crété-Roffet et al., "The blur effect: perception and estimation with a new no-reference perceptual blur
    metric", SPIE 2007: the larger of the horizontal and the vertical value.
    """
    return _blur(luma, luma)


def _blur(columns: Plane, lines: Plane) -> float:
    """Of columns at full height, and of lines at full width."""
    values: list[float] = []
    for axis, picture in enumerate((columns, lines)):
        sharp_steps = _steps(picture, axis)
        smooth = cv2.blur(picture, (1, _TAPS) if axis == 0 else (_TAPS, 1))
        lost = cv2.subtract(sharp_steps, _steps(smooth, axis))  # saturates at 0, as the metric's max(0, ·) asks
        total = float(cv2.sumElems(sharp_steps)[0])
        if total > 0:
            values.append((total - float(cv2.sumElems(lost)[0])) / total)
    return max(values, default=1.0)


def _sampled_blur(luma: Plane) -> float:
    """:func:`blur` from a fifth of the picture: few columns here and there for what is vertical, lines for the rest."""
    tall, wide = luma.shape
    if min(tall, wide) < _SAMPLED_PX:
        return blur(luma)
    apart = _COLUMNS * _EVERY
    groups = luma[:, : wide // apart * apart].reshape(tall, wide // apart, apart)
    return _blur(groups[:, :, :_COLUMNS].reshape(tall, -1), luma[_EVERY // 2 :: _EVERY])


def blockiness(luma: Plane) -> float:
    """Mean step across the 8-pixel coding grid over the mean step elsewhere, the larger of both directions.

    1 means no grid. The grid's phase is searched, because a crop moves it.
    """
    worst = 1.0
    for axis in (0, 1):
        across = _steps(luma, axis)
        profile = cv2.reduce(across, 1 if axis == 0 else 0, cv2.REDUCE_AVG, dtype=cv2.CV_32F).ravel()
        if profile.size < 32:
            continue
        n = profile.size // 8 * 8
        phases = np.sort(profile[:n].reshape(-1, 8), axis=0)
        # Medians over grid lines: one strong edge of the scene does not make a grid.
        by_phase = (phases[(n // 8 - 1) // 2] + phases[n // 16]) / 2
        best = int(by_phase.argmax())
        others = float(np.delete(by_phase, best).mean())
        worst = max(worst, (float(by_phase[best]) + 0.1) / (others + 0.1))
    return worst


def _steps(luma: Plane, axis: int) -> Plane:
    before, after = (luma[:-1], luma[1:]) if axis == 0 else (luma[:, :-1], luma[:, 1:])
    return cv2.absdiff(after, before)


class Encoding(OfStills):
    """Blur and blockiness over the stills, bit rate and damage of the packets."""

    name = "encoding"
    version = VERSION
    method = METHOD

    def __init__(self) -> None:
        self._blur: list[float] = []
        self._blocks: list[float] = []

    def feed(self, still: Still) -> None:
        """Take one still; a nearly flat one (a fade, a title on black) says nothing about sharpness."""
        if cv2.meanStdDev(still.luma[::8])[1].item() < _FLAT:
            return
        self._blur.append(_sampled_blur(still.luma))
        self._blocks.append(blockiness(still.luma))

    def figures(self) -> dict[str, Any]:
        """Medians over the stills that had detail."""
        return {
            "stills_used": len(self._blur),
            "blur": float(np.median(self._blur)) if self._blur else None,
            "blockiness": float(np.median(self._blocks)) if self._blocks else None,
        }

    def measure(self, seen: ClipContext, measurements: Mapping[str, Figures]) -> dict[str, Any]:
        """Artefacts, bit rate, and what is damaged or missing."""
        figures = {**measure(seen, self.figures()), **seen.ending}
        if seen.torn_s:
            figures["torn_s"] = [list(stretch) for stretch in seen.torn_s[:CHANGES_TOLD]]
        if seen.first_error is not None:
            figures["first_error"] = seen.first_error
        return figures


def measure(evidence: ClipContext, artefacts: dict[str, Any]) -> dict[str, Any]:
    """Join the artefacts with the bit rate of the range.

    ``bitrate_bps`` counts the video packets of the range only; ``bits_per_pixel`` is per coded pixel and frame.
    """
    frames, video = evidence.times_s.size, evidence.facts.video
    duration = frames * evidence.frame_s
    if video is None or duration <= 0:
        return {"status": "unmeasurable", "reason": "no frames", **artefacts}
    return {
        "status": "ok",
        "bitrate_bps": evidence.video_bytes * 8 / duration,
        "vcodec": video.codec,
        "bits_per_pixel": evidence.video_bytes * 8 / (video.width * video.height * frames),
        "pixel_format": video.pixel_format,
        "bad_packets": evidence.bad_packets,
        "packets": evidence.packets,
        **artefacts,
    }


def judge(measurements: FigureTable, params: QcDecideParams) -> Judgements:
    """The worst of bits per pixel, blur and blockiness."""
    figures, limits = measurements["encoding"], params.video
    spent, blur, blocks = (figures.number(name) for name in ("bits_per_pixel", "blur", "blockiness"))
    # Not NumPy's logarithm, whose last digit depends on the processor.
    logs = np.array([math.log(max(bits, 1e-9)) for bits in spent.tolist()], np.float64)
    worst = Worst(
        [
            (ramp(blocks, limits.blockiness_poor, limits.blockiness_good), "blockiness {:.2f}", blocks),
            (ramp(blur, limits.blur_poor, limits.blur_good), "blur {:.2f}", blur),
            (ramp(logs, math.log(limits.bpp_poor), math.log(limits.bpp_good)), "{:.3f} bits per pixel", spent),
        ]
    )
    rate = figures.number("bitrate_bps")
    within = (limits.bitrate_min_bps <= rate) & (rate <= limits.bitrate_max_bps)
    policy = np.where(within, "within", "outside")
    span = f"{limits.bitrate_min_bps / 1e6:g} to {limits.bitrate_max_bps / 1e6:g}"
    note = f"{{mbps:.2f}} Mbps is {{policy}} the policy's {span}"
    return judged(
        figures,
        Case(worst.score < 1, worst.score, f"{{worst}}; {note}"),
        Case(True, 1.0, f"no artefacts found; {note}"),
        value={"bits_per_pixel": spent, "bitrate_bps": rate, "policy_bitrate": policy},
        worst=worst.words,
        mbps=rate / 1e6,
        policy=policy,
    )


def judge_codec(measurements: FigureTable, params: QcDecideParams) -> Judgements:
    """Picture codec against the allowed ones; unweighted."""
    known, which = measurements["encoding"].distinct("vcodec")
    names = [name or "unknown" for name in known]
    codec = np.array(names, object)[which]
    return answered(
        measurements,
        Case(np.array([name in params.video.codecs for name in names])[which], 1.0, "{codec}"),
        Case(True, 0.0, "codec {codec} is none of {allowed}"),
        value=codec,
        codec=codec,
        allowed=", ".join(params.video.codecs),
    )


_QUALITY = ("bits_per_pixel", "bitrate_bps", "blur", "blockiness")

RULES = (
    Rule("encoding", "encoding", {"encoding": _QUALITY}, judge, weight=0.10),
    Rule("codec", "encoding", {"encoding": ("vcodec",)}, judge_codec, may_reject=True),
)
