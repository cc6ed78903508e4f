"""Text encoders."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aiprod.core.text.gemma import GemmaTextEncoder as GemmaTextEncoder
    from aiprod.core.text.gemma import TextFeatures as TextFeatures

_MODULES = {"GemmaTextEncoder": "gemma", "TextFeatures": "gemma"}
__all__ = list(_MODULES)


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
