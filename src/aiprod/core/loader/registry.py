"""Model classes by name, and loaded models by the digest of their content."""

from __future__ import annotations

import importlib
import threading
import weakref
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from torch import nn

from aiprod.core.loader.errors import CheckpointError
from aiprod.core.loader.files import open_checkpoint

_NAMES: dict[str, str] = {
    "VideoVAE": "aiprod.core.vae.video",
    "AudioVAE": "aiprod.core.vae.audio",
    "AVTransformer": "aiprod.core.transformer.model",
}


@runtime_checkable
class Loadable(Protocol):
    """A class that reads itself from a checkpoint folder."""

    @classmethod
    def from_pretrained(cls, folder: Path | str, *, device: str | torch.device = "cpu") -> Any:
        """Load from ``folder``."""
        ...


def register(name: str, module: str) -> None:
    """Say which module defines the class called ``name``; it is imported when a checkpoint needs it.

    Raises:
        ValueError: the name is taken by another module.
    """
    if _NAMES.get(name, module) != module:
        raise ValueError(f"{name} is registered as {_NAMES[name]} already")
    _NAMES[name] = module


def component_class(name: str) -> Any:
    """The registered class called ``name``.

    Raises:
        CheckpointError: nothing is registered under this name.
    """
    if name not in _NAMES:
        raise CheckpointError(f"no component is called {name!r}", f"known: {', '.join(sorted(_NAMES))}")
    return getattr(importlib.import_module(_NAMES[name]), name)


class Registry:
    """Loaded models: one object per content, device and dtype, however many paths and callers name it.

    The key is the digest of the checkpoint's bytes, read at each call: a folder whose content changed gives the new
    model, two copies of one checkpoint give one. Entries are weak, so a model that no one uses is freed.
    """

    def __init__(self) -> None:
        self._models: weakref.WeakValueDictionary[tuple[str, str, str], nn.Module] = weakref.WeakValueDictionary()
        self._lock = threading.Lock()

    def get(
        self,
        folder: Path | str,
        class_name: str | None = None,
        *,
        device: str | torch.device = "cpu",
        dtype: torch.dtype | None = None,
    ) -> nn.Module:
        """The model in ``folder``, loaded if no equal one is in memory.

        Raises:
            CheckpointError: see :func:`aiprod.core.loader.files.open_checkpoint`.
        """
        files = open_checkpoint(folder, class_name)
        key = (files.digest, str(device), str(dtype))
        with self._lock:
            model = self._models.get(key)
            if model is None:
                model = component_class(files.class_name).from_pretrained(folder, device=device)
                if dtype is not None:
                    model = model.to(dtype)
                self._models[key] = model
        return model

    def __len__(self) -> int:
        return len(self._models)


registry = Registry()
