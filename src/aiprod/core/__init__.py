"""Model mathematics on torch alone: types, components, transformer, VAEs, text encoder, loader.

Public names are loaded on first use, so that importing one of them does not import them all.
"""

from __future__ import annotations

import importlib
from typing import Any

_MODULES = {
    "CoreError": "errors",
    **dict.fromkeys(
        (
            "AudioCompression",
            "AudioLatentShape",
            "AudioShape",
            "GenerationConfig",
            "LatentState",
            "ModalityType",
            "VideoCompression",
            "VideoLatentShape",
            "VideoPixelShape",
        ),
        "types",
    ),
}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *_MODULES]
