"""Interchange with diffusers: schedulers in both directions, and public checkpoints as the backbone of our loops.

Names are loaded on first use: diffusers takes seconds to import.
"""

from __future__ import annotations

import importlib
from typing import Any

_MODULES = {
    "Backbone": "backbone",
    "FlowSchedulerForDiffusers": "schedulers",
    "LTX2Backbone": "ltx2",
    "LTXBackbone": "ltx",
    "SamplerFromDiffusers": "schedulers",
    "WanBackbone": "wan",
    "load_backbone": "load",
}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *_MODULES]
