"""Inference: text, first frame or video to video with sound, written as MP4, and measures of what came out."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aiprod.pipelines.av_pipeline import AVPipeline as AVPipeline
    from aiprod.pipelines.av_pipeline import Generated as Generated

_MODULES = {"AVPipeline": "av_pipeline", "Generated": "av_pipeline", "Request": "av_pipeline", "denoise": "denoise"}
__all__ = sorted(_MODULES)  # noqa: PLE0605


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
