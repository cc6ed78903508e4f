"""Size of an audio-video transformer, checked, with presets from 2 M to 2 B parameters."""

from __future__ import annotations

from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from aiprod.errors import CoreError

# Video width, audio width, heads, depth; the cross-attention between the streams has the audio width. Attention with
# heads of 128 values takes a seventh less time than with twice as many of 64, and few wide blocks cost less attention
# than many narrow ones of as many parameters.
_PRESETS: dict[str, tuple[int, int, int, int]] = {
    "demo": (128, 64, 4, 4),
    "small": (512, 256, 4, 4),
    "300m": (1024, 512, 8, 14),
    "1b": (1536, 768, 12, 20),
    "2b": (2048, 1024, 16, 22),
}


class AVTransformerConfig(BaseModel):
    """All that fixes the weights of an :class:`AVTransformer`.

    Attributes:
        video_channels, audio_channels: values in a token (latent channels × patch).
        text_dim: width of the text features.
        video_width, audio_width: hidden width of each stream; ``cross_width`` that of the attention between them.
        video_heads, audio_heads, cross_heads: attention heads; a head has an even number of at least 6 values.
        depth: blocks.
        ff_ratio: hidden width of the feed-forward over the stream's width.
        time_ratio: hidden width of the noise-level embedding over the stream's width.
        time_periods_s: shortest and longest rotary period along time, in seconds.
        space_periods_px: the same along y and x, in pixels.
        input_skip: the network predicts only what the noised token itself does not tell about the velocity, at unit
            variance for latents of unit variance (preconditioning, Karras et al. 2022, arXiv:2206.00364).
        video_skip_share, audio_skip_share: share of a clean value's variance that ``input_skip`` takes for unknown.
            1: the noised token is all that is known, so that at middling noise the network has to predict picture and
            noise at once. Smaller: the rest of the clip is known too, so that down to a noise level of about its root
            the network predicts the clean token, which has far fewer degrees of freedom than noise (Li and He 2025,
            arXiv:2511.13720).
        pooled_text: the mean of the text features modulates every block, beside the noise level (as in Esser et al.
            2024, arXiv:2403.03206).
        place_features: a token is told where in the picture it lies as it enters (waves over the share of height and
            width, and over seconds). Rotary positions alone tell distances between tokens, from which a place must
            first be worked out; with this, "on the left" can be learnt in few steps.
        depthwise_conv: at the start of each block a video token also sees the 26 tokens around it, through a depthwise
            3 × 3 × 3 convolution over the grid that the tokens lie on (as in Chu et al. 2021, arXiv:2102.10882).
            Attention has to learn which tokens touch; with this, objects hold together after fewer steps.
        cross_gates: what one stream hears of the other is multiplied by factors that start at 0 (Flamingo, Alayrac et
            al. 2022, arXiv:2204.14198), so that the noise of one does not disturb the other before it tells anything.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    video_channels: int = Field(16, ge=1, le=1_000_000)
    audio_channels: int = Field(16, ge=1, le=1_000_000)
    text_dim: int = Field(128, ge=1, le=1_000_000)
    video_width: int = Field(128, ge=8, le=1_000_000)
    audio_width: int = Field(64, ge=8, le=1_000_000)
    cross_width: int = Field(64, ge=8, le=1_000_000)
    video_heads: int = Field(4, ge=1, le=1_000_000)
    audio_heads: int = Field(4, ge=1, le=1_000_000)
    cross_heads: int = Field(4, ge=1, le=1_000_000)
    depth: int = Field(4, ge=1, le=1000)
    ff_ratio: float = Field(4.0, gt=0, le=64)
    time_ratio: float = Field(4.0, gt=0, le=64)
    time_periods_s: tuple[float, float] = (0.25, 60.0)
    space_periods_px: tuple[float, float] = (64.0, 8192.0)
    input_skip: bool = False
    video_skip_share: float = Field(1.0, ge=0.001, le=1)
    audio_skip_share: float = Field(1.0, ge=0.001, le=1)
    pooled_text: bool = False
    place_features: bool = False
    cross_gates: bool = False
    depthwise_conv: bool = False

    @model_validator(mode="after")
    def _check_heads(self) -> Self:
        for stream in ("video", "audio", "cross"):
            width, heads = getattr(self, f"{stream}_width"), getattr(self, f"{stream}_heads")
            size = width // heads
            if width % heads or size % 2 or size < 6:
                near = max(3, round(width / (2 * heads))) * 2 * heads
                what = f"{stream}_width {width} over {heads} heads must give an even head size of at least 6"
                raise ValueError(f"{what} → give {stream}_width {near} or other heads")
        for name in ("time_periods_s", "space_periods_px"):
            shortest, longest = getattr(self, name)
            if not 0 < shortest < longest:
                raise ValueError(f"{name} must rise from a number above 0 → as in [0.25, 60.0]")
        return self

    @classmethod
    def preset(cls, name: str, **changes: Any) -> Self:
        """A named size (``demo``, ``small``, ``300m``, ``1b``, ``2b``) with some fields changed.

        Raises:
            CoreError: there is no such preset or field, or a value is out of bounds.
        """
        try:
            return cls.model_validate(cls.preset_values(name) | changes)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "configuration"
            raise CoreError(f"transformer {where}: {first['msg']}", "fix the value") from None

    @staticmethod
    def preset_values(name: str) -> dict[str, Any]:
        """The fields that a preset sets.

        Raises:
            CoreError: there is no such preset.
        """
        if name not in _PRESETS:
            raise CoreError(f"there is no preset {name!r}", f"use one of {', '.join(_PRESETS)}")
        video, audio, heads, depth = _PRESETS[name]
        values: dict[str, Any] = {
            "video_width": video,
            "audio_width": audio,
            "cross_width": audio,
            "video_heads": heads,
            "audio_heads": heads,
            "cross_heads": heads,
            "depth": depth,
        }
        if name != "demo":
            values |= {"video_channels": 128, "audio_channels": 64, "text_dim": 2560}
        return values

    @classmethod
    def demo(cls, **changes: Any) -> Self:
        """About 2 M parameters: trains on two CPU cores."""
        return cls.preset("demo", **changes)

    @staticmethod
    def presets() -> tuple[str, ...]:
        """Names of the presets, smallest first."""
        return tuple(_PRESETS)
