"""Builds a model without memory, then gives it every weight of a checkpoint, strictly."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from aiprod.errors import CheckpointError
from aiprod.models.checkpoint.folder import CheckpointFiles, open_checkpoint
from aiprod.models.checkpoint.lora import fuse_lora
from aiprod.models.checkpoint.state_dict_adapter import KeyRenames
from aiprod.models.checkpoint.variants import some_of

M = TypeVar("M", bound=nn.Module)


def load_checkpoint(
    folder: Path | str | CheckpointFiles,
    build: Callable[[dict[str, Any]], M],
    class_name: str | None = None,
    *,
    device: str | torch.device = "cpu",
    dtype: torch.dtype | None = None,
    renames: KeyRenames | None = None,
    loras: Sequence[tuple[Path | str, float]] = (),
    require_digest: bool = True,
) -> M:
    """A model in eval mode with the weights of a checkpoint folder.

    Args:
        build: makes the model from its configuration; called under the meta device, so that it costs no memory.
        class_name: refuse a checkpoint of another kind.
        dtype: convert floating-point weights to it; None keeps what is stored.
        renames: key renames applied before matching, for foreign checkpoints.
        loras: (file or folder, strength) of LoRA weights that are fused into the weights.

    Raises:
        CheckpointError: see :func:`open_checkpoint`; or keys that are missing, unexpected or of another shape.
    """
    files = (
        folder
        if isinstance(folder, CheckpointFiles)
        else open_checkpoint(folder, class_name, require_digest=require_digest)
    )
    tensors = files.tensors(device)
    if renames is not None:
        tensors = renames.apply(tensors)
    for path, strength in loras:
        tensors = fuse_lora(tensors, path, strength)
    if dtype is not None:
        tensors = {k: v.to(dtype) if v.is_floating_point() else v for k, v in tensors.items()}
    try:
        with torch.device("meta"):
            model = build(dict(files.config))
    except (TypeError, ValueError, KeyError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise CheckpointError(
            f"{files.folder}/config.json does not describe a {files.class_name} ({reason})",
            "use the version of aiprod that saved it",
        ) from None
    strict_load(model, tensors, str(files.folder), device)
    return model.eval()


def strict_load(
    model: nn.Module, tensors: Mapping[str, Tensor], where: str, device: str | torch.device = "cpu"
) -> None:
    """Give ``model`` (built on the meta device or not) exactly its own keys, or change nothing.

    Buffers that are computed and not stored must come back by the module's own ``reset_buffers(device)``.

    Raises:
        CheckpointError: lists what is missing, unexpected or wrong-shaped, or which computed buffers stayed empty.
    """
    expected = model.state_dict()
    missing = sorted(set(expected) - set(tensors))
    unexpected = sorted(set(tensors) - set(expected))
    shapes = sorted(
        f"{k} (stored {list(tensors[k].shape)}, expected {list(expected[k].shape)})"
        for k in set(expected) & set(tensors)
        if tensors[k].shape != expected[k].shape
    )
    problems = [
        f"{label} {some_of(names)}"
        for label, names in (("missing", missing), ("unexpected", unexpected), ("wrong shape", shapes))
        if names
    ]
    if problems:
        raise CheckpointError(
            f"{where} does not fit the model: {'; '.join(problems)}",
            "use the configuration it was saved with, or a table of key renames",
        )
    model.load_state_dict(dict(tensors), strict=True, assign=True)
    for module in model.modules():
        if any(b.is_meta for b in module.buffers(recurse=False)) and hasattr(module, "reset_buffers"):
            module.reset_buffers(device)  # type: ignore[operator]
    empty = [name for name, b in model.named_buffers() if b.is_meta]
    if empty:
        raise CheckpointError(f"{where}: computed buffers stayed empty: {some_of(empty)}", "report this as a defect")
