"""The quality policy, parameters of the stage qc_decide. Units are in the names; unknown keys are errors."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

from pydantic import AfterValidator, Field, create_model, model_validator

from aiprod.base.params import Params, nearest
from aiprod.qc.checks import RULES, WEIGHTED
from aiprod.qc.codec_names import canonical
from aiprod.qc.measure_params import NsfwParams as NsfwParams  # noqa: PLC0414  # both sections are looked for here
from aiprod.qc.measure_params import QcMeasureParams as QcMeasureParams  # noqa: PLC0414

M = TypeVar("M", bound=Params)


def _known(names: Sequence[str], checks: Sequence[str]) -> list[str]:
    """The names, each of which is a check's.

    Raises:
        ValueError: one is not.
    """
    for name in names:
        if name not in checks:
            raise ValueError(f"there is no check {name!r} → {nearest(name, list(checks))}")
    return list(names)


def _check_names(names: Sequence[str]) -> list[str]:
    return _known(names, list(RULES))


def _hard_names(names: Sequence[str]) -> list[str]:
    return _known(names, [name for name, rule in RULES.items() if rule.may_reject])


def _shape(name: str) -> str:
    """``16:9``, or with decimals ``1.85:1``; both sides above zero."""
    sides = re.fullmatch(r"(\d+(?:\.\d+)?):(\d+(?:\.\d+)?)", name)
    if sides is None or not all(float(side) > 0 for side in sides.groups()):
        raise ValueError(f"{name!r} is not a shape → write width:height, as in '16:9'")
    return name


Codecs = Annotated[list[str], Field(min_length=1), AfterValidator(canonical)]
Shapes = Annotated[list[Annotated[str, AfterValidator(_shape)]], Field(min_length=1)]


class _Limits(Params):
    """Limits of which some must not be above others; else nothing passes, or the worse counts as the better."""

    @model_validator(mode="after")
    def _ordered(self) -> _Limits:
        for low, high in _RISING:
            if {low, high} <= type(self).model_fields.keys() and getattr(self, low) > getattr(self, high):
                raise ValueError(f"{low} must not be above {high} → raise {high} or lower {low}")
        return self


_RISING = (
    ("fps_min", "fps_max"),
    ("duration_min_s", "duration_max_s"),
    ("height_min_px", "height_target_px"),
    ("bitrate_min_bps", "bitrate_max_bps"),
    ("bpp_poor", "bpp_good"),
    ("blur_good", "blur_poor"),
    ("blockiness_good", "blockiness_poor"),
    ("sample_rate_poor_hz", "sample_rate_min_hz"),
    ("snr_poor_db", "snr_good_db"),
    ("bandwidth_poor_hz", "bandwidth_good_hz"),
    ("review", "approve"),
)


if TYPE_CHECKING:

    class Weights(Params):
        """Weights of the policy's score: a field for each check that has one."""

    class CheckLimits(Params):
        """Limits that checks bring along: a field for each check that has some."""

else:
    Weights = create_model(
        "Weights",
        __base__=Params,
        __module__=__name__,
        __doc__="Weights of the policy's score. They need not sum to 1: it is divided by the sum of what was scored.",
        **{name: (float, Field(default=RULES[name].weight, ge=0, le=1)) for name in WEIGHTED},
    )
    CheckLimits = create_model(
        "CheckLimits",
        __base__=Params,
        __module__=__name__,
        __doc__="Limits that checks bring along, by the name of the check.",
        **{name: (rule.limits, rule.limits()) for name, rule in RULES.items() if rule.limits is not None},
    )


class Thresholds(_Limits):
    """Verdicts by score."""

    approve: float = Field(default=0.85, ge=0, le=1)
    review: float = Field(default=0.70, ge=0, le=1)


class VideoLimits(_Limits):
    """The quality standard for pictures."""

    height_min_px: int = Field(
        default=480, ge=1, description="shorter side in stored lines or columns, upright, between black bars"
    )
    height_target_px: int = Field(default=1080, ge=1)
    fps_min: float = Field(default=24.0, gt=0, description="24000/1001 passes too")
    fps_max: float = Field(default=60.0, gt=0)
    duration_min_s: float = Field(default=2.0, ge=0)
    duration_max_s: float = Field(default=600.0, gt=0)
    codecs: Codecs = Field(default=["h264", "hevc"], description="as FFmpeg names them; h265 is hevc")
    aspects: Shapes = Field(default=["16:9", "4:3"])
    aspect_tolerance: float = Field(default=0.02, ge=0, le=0.5)
    bitrate_min_bps: int = Field(default=8_000_000, ge=0)
    bitrate_max_bps: int = Field(default=15_000_000, ge=0)
    black_max_s: float = Field(default=2.0, ge=0)
    black_max_fraction: float = Field(default=0.5, ge=0, le=1)
    freeze_max_s: float = Field(default=2.0, ge=0)
    interval_spread_max: float = Field(
        default=0.25, ge=0, description="share of frame intervals off the median at score 0"
    )
    bpp_poor: float = Field(default=0.005, gt=0, description="bits per pixel at score 0")
    bpp_good: float = Field(default=0.04, gt=0, description="bits per pixel at score 1")
    blur_good: float = Field(default=0.55, ge=0, le=1, description="Crété-Roffet blur at score 1")
    blur_poor: float = Field(default=0.80, ge=0, le=1, description="Crété-Roffet blur at score 0")
    blockiness_good: float = Field(
        default=1.6, ge=0, description="gradient on the 8-pixel grid over gradient off it, score 1"
    )
    blockiness_poor: float = Field(default=3.0, ge=0)
    watermark_max_fraction: float = Field(default=0.10, gt=0, le=1)
    watermark_seen_caps: bool = Field(default=True, description="any overlay found asks for a review, however small")


class SoundLimits(_Limits):
    """The quality standard for sound."""

    codecs: Codecs = Field(default=["mp3", "aac", "pcm"], description="as FFmpeg names them; wav is pcm")
    bitrate_min_bps: int = Field(default=256_000, ge=0, description="of sound that is not lossless")
    sample_rate_min_hz: int = Field(default=48_000, gt=0)
    sample_rate_poor_hz: int = Field(default=16_000, gt=0, description="sampling rate at score 0")
    mono_score: float = Field(default=0.8, ge=0, le=1)
    dual_mono_score: float = Field(default=0.9, ge=0, le=1)
    snr_poor_db: float = Field(default=10.0)
    snr_good_db: float = Field(default=60.0)
    clipped_max_fraction: float = Field(default=0.001, gt=0, le=1, description="share of clipped samples at score 0")
    dropout_max_s: float = Field(default=0.1, gt=0, description="missing sound at score 0")
    bandwidth_good_hz: float = Field(default=12_000.0, gt=0)
    bandwidth_poor_hz: float = Field(default=4_000.0, gt=0)
    silent_below_lufs: float = Field(default=-65.0)
    sync_max_s: float = Field(default=0.1, gt=0, description="sound against picture, either way")
    missing_end_max_s: float = Field(
        default=0.25, gt=0, description="pictures after the sound's end; a transport stream cut at a picture has 0.2 s"
    )


class DuplicateParams(Params):
    """When two clips count as the same, and what follows. Bits are of 64, means over the stretch both clips have."""

    look_bits_max: float = Field(default=12.0, ge=0, le=64, description="looks of the pictures")
    change_bits_max: float = Field(
        default=22.0, ge=0, le=64, description="changes within half a second; 32 = by chance"
    )
    still_bits_max: float = Field(default=6.0, ge=0, le=64, description="looks, where neither picture moves")
    similar_sources: list[str] = Field(
        default=[], description="sources whose clips look alike without being copies, such as drawn scenes"
    )
    similar_look_bits_max: float = Field(default=4.0, ge=0, le=64, description="looks of two clips of such a source")
    sound_error_max: float = Field(
        default=0.25, ge=0, le=0.5, description="share of the sound's bits that contradict; 0.5 = by chance"
    )
    overlap_min: float = Field(default=0.8, gt=0, le=1, description="share of the shorter clip that must be the same")
    same_picture: Literal["reject", "review", "keep"] = Field(
        default="reject", description="what becomes of all but the best of the clips that show the same"
    )
    same_sound: Literal["review", "keep"] = Field(
        default="review",
        description="what becomes of all but the best of the clips that sound the same and look otherwise",
    )


class NsfwPolicy(Params):
    """What a classifier's answer means, and of which sources film may pass without one."""

    labels: list[str] = Field(
        default=["nsfw", "unsafe", "porn", "hentai"],
        description="labels that count as unsafe, as the classifier names them; upper case is lower case",
    )
    probability_max: float = Field(default=0.5, ge=0, le=1, description="per still; above it, the clip needs review")
    unevaluated_sources: list[str] = Field(
        default=["demo"], description="film of other sources that nothing judged is REVIEW_NEEDED at best"
    )


class QcDecideParams(Params):
    """The policy: weights, thresholds, limits."""

    profile: Literal["strict", "modern"] = Field(
        default="strict", description="what checks count for: docs/policy_profiles.md shows the differences"
    )
    weights: Weights = Weights()
    thresholds: Thresholds = Thresholds()
    video: VideoLimits = VideoLimits()
    sound: SoundLimits = SoundLimits()
    duplicates: DuplicateParams = DuplicateParams()
    nsfw: NsfwPolicy = NsfwPolicy()
    checks: CheckLimits = CheckLimits()
    hard_limits: Annotated[list[str], AfterValidator(_hard_names)] = Field(
        default=["decodable", "resolution", "duration", "codec"],
        description="a failure rejects regardless of the score",
    )
    mandatory: Annotated[list[str], AfterValidator(_check_names)] = Field(
        default=["resolution", "fps", "duration", "audio", "black", "encoding"],
        description="unmeasured, these cap the verdict at REVIEW_NEEDED",
    )
    fail_below: float = Field(
        default=0.5, ge=0, le=1, description="a check scored below this caps the verdict at REVIEW_NEEDED"
    )
    report_rows_max: int = Field(
        default=2000, ge=0, description="clips on the report page; those that need a look come first"
    )

    def limits(self, kind: type[M]) -> M:
        """The limits of one check, by their class."""
        return next(value for _, value in self.checks if isinstance(value, kind))
