"""Whole tensors of a sharded model and back: a checkpoint is the same whatever engine wrote it.

FSDP2 keeps each parameter as a ``DTensor``, of which every rank holds a part. Gathering one is a collective call: every
rank has to make it, in the same order. A plain tensor passes through unchanged. Torch's part for this takes a second to
import, so it is imported where parameters are split and nowhere else.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeGuard

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from torch.distributed.tensor import DTensor


def shard(model: nn.Module, optimizer: torch.optim.Optimizer, device: torch.device) -> None:
    """Split every parameter over all ranks (FSDP2), one group a block and one for the rest, in place.

    Accelerate shards on GPUs only, and silently not at all elsewhere; this is the same on both. Parameters keep their
    type: mixed precision is autocast's, which leaves positions and noise levels alone.

    Args:
        model: its ``blocks`` are split each for itself.
        optimizer: made for the whole model; it gets the split parameters in place of its own.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    names = {id(parameter): name for name, parameter in model.named_parameters()}
    groups = [[names[id(p)] for p in group["params"]] for group in optimizer.param_groups]
    mesh = init_device_mesh(device.type, (torch.distributed.get_world_size(),))
    model.to(device)
    for block in getattr(model, "blocks", ()):
        fully_shard(block, mesh=mesh)
    # By default the rest stays gathered after a forward pass: weights changed after one, as averages are for a
    # validation, would not reach the next.
    fully_shard(model, mesh=mesh, reshard_after_forward=True)
    split = dict(model.named_parameters())
    for group, members in zip(optimizer.param_groups, groups, strict=True):
        group["params"] = [split[name] for name in members]


def is_split(tensor: Tensor) -> TypeGuard[DTensor]:
    """Whether other ranks hold parts of it."""
    module = sys.modules.get("torch.distributed.tensor")
    return module is not None and isinstance(tensor, module.DTensor)


def full_tensor(tensor: Tensor) -> Tensor:
    """The tensor with the parts of all ranks."""
    return tensor.full_tensor() if is_split(tensor) else tensor


def local(tensor: Tensor) -> Tensor:
    """This rank's part; shares memory with it."""
    return tensor.to_local() if is_split(tensor) else tensor


def like(tensor: Tensor, pattern: Tensor) -> Tensor:
    """A whole tensor cut as ``pattern`` is, on its device."""
    if not is_split(pattern):
        return tensor
    from torch.distributed.tensor import distribute_tensor

    placed = tensor.to(pattern.device, pattern.dtype)
    return distribute_tensor(placed, pattern.device_mesh, pattern.placements)


def full_state_dict(model: nn.Module) -> dict[str, Tensor]:
    """``model.state_dict()`` with whole tensors."""
    return {name: full_tensor(value) for name, value in model.state_dict().items()}


def checkpoint_weights(model: nn.Module) -> dict[str, Tensor]:
    """:func:`full_state_dict` with each tied parameter under its first name only, as safetensors requires."""
    tied = tied_names(model)
    return {name: weight for name, weight in full_state_dict(model).items() if name not in tied}


def tied_names(model: nn.Module) -> set[str]:
    """Names of parameters that are there under another name too, except the first of each."""
    return {n for n, _ in model.named_parameters(remove_duplicate=False)} - {n for n, _ in model.named_parameters()}


@torch.no_grad()
def load_full_state_dict(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Strict ``load_state_dict`` from whole tensors, in which tied names may be absent."""
    own = model.state_dict()
    tied = {name: own[name] for name in tied_names(model) if name not in weights}
    model.load_state_dict({**tied, **{n: like(w, own[n]) if n in own else w for n, w in weights.items()}})


def full_optimizer_state(optimizer: Any) -> dict[str, Any]:
    """``optimizer.state_dict()`` with whole tensors."""

    def gather(value: Any) -> Any:
        if isinstance(value, Tensor):
            return full_tensor(value)
        return {k: gather(v) for k, v in value.items()} if isinstance(value, dict) else value

    gathered: dict[str, Any] = gather(optimizer.state_dict())
    return gathered


def load_full_optimizer_state(optimizer: Any, state: dict[str, Any]) -> None:
    """``optimizer.load_state_dict`` from whole tensors: what has a parameter's shape is cut as that parameter is."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    inner = state.get("optimizer", state)  # beside it stands the state of a loss scaler
    if any(is_split(p) for p in parameters):
        cut = {
            index: {
                k: like(v, parameters[index]) if isinstance(v, Tensor) and v.shape == parameters[index].shape else v
                for k, v in values.items()
            }
            for index, values in inner["state"].items()
        }
        inner = {**inner, "state": cut}
    optimizer.load_state_dict({**state, "optimizer": inner} if "optimizer" in state else inner)
