"""Text encoders."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aiprod.core.text.features import TextFeatures as TextFeatures
    from aiprod.core.text.gemma import GemmaTextEncoder as GemmaTextEncoder
    from aiprod.core.text.t5 import T5TextEncoder as T5TextEncoder
    from aiprod.core.text.t5 import TextRules as TextRules

_MODULES = {"GemmaTextEncoder": "gemma", "T5TextEncoder": "t5", "TextFeatures": "features", "TextRules": "t5"}
__all__ = list(_MODULES)


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
