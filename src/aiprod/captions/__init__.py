"""Captioners: from measurements and declarations to sentences and tags. Public names load on first use."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aiprod.captions.captioner import Captioner as Captioner
    from aiprod.captions.captioner import Draft as Draft
    from aiprod.captions.captioner import Subject as Subject
    from aiprod.captions.params import CaptionParams as CaptionParams
    from aiprod.captions.rows import CaptionRow as CaptionRow
    from aiprod.captions.signal import SignalCaptioner as SignalCaptioner
    from aiprod.captions.vlm import VlmCaptioner as VlmCaptioner

_WHERE = {
    "CaptionParams": "params",
    "CaptionRow": "rows",
    "Captioner": "captioner",
    "Draft": "captioner",
    "SignalCaptioner": "signal",
    "Subject": "captioner",
    "VlmCaptioner": "vlm",
}
__all__ = ["CaptionParams", "CaptionRow", "Captioner", "Draft", "SignalCaptioner", "Subject", "VlmCaptioner"]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
