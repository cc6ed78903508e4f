"""Parameters of the caption stage."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from aiprod.base.params import Params


class VlmParams(Params):
    """A vision-language checkpoint for captions."""

    checkpoint: str = Field(default="", description="its folder (config, weights, processor), or a name on the hub")
    revision: str = Field(default="", description="of a hub name: the commit, 40 hex digits")
    prompt: str = "Describe this video in one sentence."
    frames: int = Field(default=8, ge=1, le=64, description="pictures, evenly spread in time")
    longest_side_px: int = Field(default=448, ge=16, le=2048)
    tokens_max: int = Field(default=64, ge=1, le=1024)
    batch: int = Field(default=4, ge=1, le=256)
    quantize: Literal["none", "int8"] = "none"
    device: Literal["auto", "cpu", "cuda"] = "auto"


class CaptionParams(Params):
    """Which captioner writes, and how."""

    captioner: Literal["signal", "vlm"] = "signal"
    seed: int = Field(default=0, description="chooses between wordings of the same meaning")
    vlm: VlmParams = VlmParams()
