"""Interchange with diffusers: schedulers in both directions, and public checkpoints as the backbone of our loops.

Names are loaded on first use: diffusers takes seconds to import.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aiprod.compat.backbone import Backbone as Backbone
    from aiprod.compat.load import load_backbone as load_backbone
    from aiprod.compat.ltx import LTXBackbone as LTXBackbone
    from aiprod.compat.ltx2 import LTX2Backbone as LTX2Backbone
    from aiprod.compat.ltx2_text import LTX2TextEncoder as LTX2TextEncoder
    from aiprod.compat.schedulers import FlowSchedulerForDiffusers as FlowSchedulerForDiffusers
    from aiprod.compat.schedulers import SamplerFromDiffusers as SamplerFromDiffusers
    from aiprod.compat.text import load_text_encoder as load_text_encoder
    from aiprod.compat.wan import WanBackbone as WanBackbone

_MODULES = {
    "Backbone": "backbone",
    "FlowSchedulerForDiffusers": "schedulers",
    "LTX2Backbone": "ltx2",
    "LTX2TextEncoder": "ltx2_text",
    "LTXBackbone": "ltx",
    "SamplerFromDiffusers": "schedulers",
    "WanBackbone": "wan",
    "load_backbone": "load",
    "load_text_encoder": "text",
}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *_MODULES]
