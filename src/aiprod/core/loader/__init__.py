"""Checkpoints (folder, digest, strict load), key renames, LoRA, and the registry of components."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aiprod.core.loader.build import load_checkpoint as load_checkpoint
    from aiprod.core.loader.build import strict_load as strict_load
    from aiprod.core.loader.errors import CheckpointError as CheckpointError
    from aiprod.core.loader.files import CheckpointFiles as CheckpointFiles
    from aiprod.core.loader.files import folder_digest as folder_digest
    from aiprod.core.loader.files import open_checkpoint as open_checkpoint
    from aiprod.core.loader.files import save_checkpoint as save_checkpoint
    from aiprod.core.loader.lora import fuse_lora as fuse_lora
    from aiprod.core.loader.registry import Registry as Registry
    from aiprod.core.loader.renames import KeyRenames as KeyRenames

_MODULES = {
    "CheckpointError": "errors",
    "CheckpointFiles": "files",
    "KeyRenames": "renames",
    "Registry": "registry",
    "folder_digest": "files",
    "fuse_lora": "lora",
    "load_checkpoint": "build",
    "open_checkpoint": "files",
    "save_checkpoint": "files",
    "strict_load": "build",
}
# the instance `registry` shares its name with the module, so it is imported from aiprod.core.loader.registry
__all__ = list(_MODULES)


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
