"""Parameters of the caption stage."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from aiprod.base.params import Params, load_params, validate
from aiprod.base.state import workspace
from aiprod.captions.model_params import EndpointParams, VlmParams
from aiprod.captions.registry import BY_NAME
from aiprod.errors import AiprodError

if TYPE_CHECKING:
    CaptionerName = str
else:
    CaptionerName = Literal[tuple(BY_NAME)]


class CaptionParams(Params):
    """Which captioner is used, and its settings."""

    captioner: CaptionerName = "rule_based"
    seed: int = Field(default=0, description="chooses between wordings of the same meaning")
    statements: bool = Field(
        default=True, description="whether titles and descriptions from the source's tables may be used in captions"
    )
    vlm: VlmParams = VlmParams()
    endpoint: EndpointParams = EndpointParams()

    @property
    def files(self) -> dict[str, Path]:
        """Parameter → the folder of this machine that it names and that the captioner loads."""
        named = self.vlm.checkpoint if self.captioner == "vlm" else ""
        return {"vlm": Path(named)} if named and Path(named).is_dir() else {}

    def with_files(self, at: Mapping[str, Path]) -> CaptionParams:
        """With the folders of :attr:`files` where they are on another machine."""
        if "vlm" not in at:
            return self
        return self.model_copy(update={"vlm": self.vlm.model_copy(update={"checkpoint": str(at["vlm"])})})


def params_here(
    *, vlm: Mapping[str, Any] | None = None, endpoint: Mapping[str, Any] | None = None, **changes: Any
) -> CaptionParams:
    """The section `caption` of the project's parameters (the defaults outside of a project), with changes.

    A checkpoint that the section names by a relative path lies in the project, from wherever the command is called.

    Args:
        vlm, endpoint, changes: values to put over those of the section; None leaves one as it is.

    Raises:
        AiprodError: a value that is not allowed.
    """
    try:
        root = workspace()
    except AiprodError:
        root = None
    params = CaptionParams()
    if root is not None and (root / "params.yaml").is_file():
        params = load_params(CaptionParams, "caption", root / "params.yaml")
    values = params.model_dump()
    if root is not None and params.vlm.checkpoint and (root / params.vlm.checkpoint).is_dir():
        values["vlm"]["checkpoint"] = str(root / params.vlm.checkpoint)
    for name, values_given in (("vlm", vlm), ("endpoint", endpoint)):
        values[name] |= {key: value for key, value in (values_given or {}).items() if value is not None}
    values |= {name: value for name, value in changes.items() if value is not None}
    return validate(CaptionParams, values, "caption")
