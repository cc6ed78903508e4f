"""The captioners that there are. To add one, write its class and list it here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiprod.captions.captioner import Captioner
from aiprod.captions.demo_scene import DemoScene
from aiprod.captions.endpoint import EndpointCaptioner
from aiprod.captions.rule_based import RuleBased
from aiprod.captions.vlm import VlmCaptioner

if TYPE_CHECKING:
    from aiprod.captions.params import CaptionParams

CAPTIONERS: tuple[type[Captioner], ...] = (
    RuleBased,
    DemoScene,
    VlmCaptioner,
    EndpointCaptioner,
)
BY_NAME: dict[str, type[Captioner]] = {kind.name: kind for kind in CAPTIONERS}


def make_captioner(params: CaptionParams) -> Captioner:
    """The captioner that the parameters name.

    Raises:
        AiprodError: what it needs is not named, not there or does not work.
    """
    return BY_NAME[params.captioner].begin(params)


def described() -> str:
    """All captioners with what they do, for help texts."""
    return "; ".join(f"{kind.name}: {kind.summary}" for kind in CAPTIONERS)
