"""Parameters of the caption stage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from aiprod.base.params import Params, load_params, validate
from aiprod.base.state import workspace
from aiprod.errors import AiprodError


class VlmParams(Params):
    """A vision-language checkpoint for captions."""

    checkpoint: str = Field(default="", description="its folder (config, weights, processor), or a name on the hub")
    revision: str = Field(default="", description="of a hub name: the commit, 40 hex digits")
    prompt: str = Field(default="Describe this video in one sentence.", min_length=1)
    frames: int = Field(default=8, ge=1, le=64, description="pictures, evenly spread in time")
    longest_side_px: int = Field(default=448, ge=16, le=2048)
    tokens_max: int = Field(default=64, ge=1, le=1024)
    batch: int = Field(default=4, ge=1, le=256)
    quantize: Literal["none", "int8"] = "none"
    device: Literal["auto", "cpu", "cuda"] = "auto"


class CaptionParams(Params):
    """Which captioner is used, and its settings."""

    captioner: Literal["signal", "vlm"] = "signal"
    seed: int = Field(default=0, description="chooses between wordings of the same meaning")
    vlm: VlmParams = VlmParams()


def params_here(*, vlm: Mapping[str, Any] | None = None, **changes: Any) -> CaptionParams:
    """The section `caption` of the project's parameters (the defaults outside of a project), with changes.

    A checkpoint that the section names by a relative path lies in the project, from wherever the command is called.

    Args:
        vlm, changes: values to put over those of the section; None leaves one as it is.

    Raises:
        AiprodError: a value that is not allowed.
    """
    try:
        root = workspace()
    except AiprodError:
        root = None
    found = CaptionParams()
    if root is not None and (root / "params.yaml").is_file():
        found = load_params(CaptionParams, "caption", root / "params.yaml")
    values = found.model_dump()
    if root is not None and found.vlm.checkpoint and (root / found.vlm.checkpoint).is_dir():
        values["vlm"]["checkpoint"] = str(root / found.vlm.checkpoint)
    values["vlm"] |= {name: value for name, value in (vlm or {}).items() if value is not None}
    values |= {name: value for name, value in changes.items() if value is not None}
    return validate(CaptionParams, values, "caption")
