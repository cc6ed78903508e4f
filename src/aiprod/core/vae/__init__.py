"""Autoencoders of video and of sound."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aiprod.core.vae.audio import AudioVAE as AudioVAE
    from aiprod.core.vae.config import AudioVAEConfig as AudioVAEConfig
    from aiprod.core.vae.config import VideoVAEConfig as VideoVAEConfig
    from aiprod.core.vae.posterior import Posterior as Posterior
    from aiprod.core.vae.video import VideoVAE as VideoVAE

_MODULES = {
    "AudioVAE": "audio",
    "AudioVAEConfig": "config",
    "Posterior": "posterior",
    "VideoVAE": "video",
    "VideoVAEConfig": "config",
}
__all__ = list(_MODULES)


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
