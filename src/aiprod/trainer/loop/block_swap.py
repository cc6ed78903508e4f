"""Blocks whose weights stay in CPU memory and come to the device one at a time, when it is their turn.

A block gets copies of its weights for as long as it computes; the next one is copied meanwhile, on a stream of its own.
Gradients go back to the weights on the CPU, where the optimizer updates them and keeps its states. With gradient
checkpointing the backward pass computes each block again and thereby fetches its weights again, so that no copy
outlives its turn; without, autograd would keep them all. Copies are exact, so training is too, to the bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from aiprod.errors import AiprodError

_CPU = torch.device("cpu")


def swap_blocks(blocks: Iterable[nn.Module], count: int, device: torch.device) -> BlockSwap | None:
    """Let ``count`` of the blocks, evenly spread, live in CPU memory and compute on ``device``; None for no block.

    Moving the model moves the rest. Names in its ``state_dict`` stay as they are.

    Raises:
        AiprodError: there are fewer blocks.
    """
    blocks = list(blocks)
    if count > len(blocks):
        raise AiprodError(
            f"train_diffusion.swap_blocks is {count}, and the model has {len(blocks)} blocks",
            f"give at most {len(blocks)}",
        )
    if not count:
        return None
    return BlockSwap([blocks[round((place + 0.5) * len(blocks) / count - 0.5)] for place in range(count)], device)


class BlockSwap:
    """Moves weights for blocks that are called in order, forwards, and in the opposite order backwards.

    Args:
        blocks: those that live on the CPU.
        device: where they compute.
    """

    def __init__(self, blocks: Sequence[nn.Module], device: torch.device) -> None:
        self.blocks, self.device = list(blocks), device
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None
        self._last = -1
        self._ahead: tuple[int, list[int], _Copies] | None = None  # block, versions of its weights, copies
        self._bodies = [_Body(block) for block in self.blocks]
        for place, block in enumerate(self.blocks):
            self._home(block)
            block.forward = self._swapped(place)

    def _home(self, block: nn.Module) -> None:
        """Keep a block on the CPU, in memory that a GPU can copy from, wherever the model is moved to."""
        move = type(block)._apply

        def stay(change: Callable[[Tensor], Tensor], recurse: bool = True) -> nn.Module:
            return move(block, lambda tensor: self._at_home(change(tensor)), recurse)

        block._apply = stay  # type: ignore[method-assign]
        if self._stream is not None or any(tensor.device != _CPU for tensor in block.state_dict().values()):
            block._apply(lambda tensor: tensor)

    def _at_home(self, tensor: Tensor) -> Tensor:
        tensor = tensor.to(_CPU)
        return tensor.pin_memory() if self._stream is not None else tensor

    def _swapped(self, place: int) -> Callable[..., Any]:
        def forward(*arguments: Any, **named: Any) -> Any:
            return functional_call(self._bodies[place], self._fetch(place), arguments, named)

        return forward

    def _fetch(self, place: int) -> dict[str, Tensor]:
        """The weights of a block on the device, tied to those on the CPU, with the next block on its way."""
        weights = self._bodies[place].weights()
        ahead, self._ahead = self._ahead, None
        on_its_way = ahead is not None and ahead[:2] == (place, _versions(weights))  # and unchanged since
        copies = ahead[2] if ahead is not None and on_its_way else self._copy(weights)
        copies.arrive()
        step = 1 if self._last < place else -1
        self._last = place
        following = place + step
        if 0 <= following < len(self.blocks):
            coming = self._bodies[following].weights()
            self._ahead = (following, _versions(coming), self._copy(coming))
        else:
            self._last = -1 if step < 0 else len(self.blocks)
        return {name: _tied(weight, copies.tensors[name]) for name, weight in weights.items()}

    @torch.no_grad()
    def _copy(self, weights: dict[str, Tensor]) -> _Copies:
        return _Copies(weights, self.device, self._stream)


class _Copies:
    """Copies of tensors that a stream of its own makes, where there is one."""

    def __init__(self, weights: dict[str, Tensor], device: torch.device, stream: torch.cuda.Stream | None) -> None:
        self._stream = stream
        if stream is not None:
            stream.wait_stream(torch.cuda.current_stream(device))  # memory that is used again may still be read
        with torch.cuda.stream(stream):  # without effect for None
            self.tensors = {
                name: torch.empty_like(weight, device=device).copy_(weight, non_blocking=True)
                for name, weight in weights.items()
            }

    def arrive(self) -> None:
        """Let the present stream wait for the copies, and their memory be kept until it is done with them."""
        if self._stream is None:
            return
        for tensor in self.tensors.values():
            present = torch.cuda.current_stream(tensor.device)
            present.wait_stream(self._stream)
            tensor.record_stream(present)


class _Body(nn.Module):
    """A block under another name, whose own call stays as it was before it was swapped."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.block = block
        self._call = block.forward

    def weights(self) -> dict[str, Tensor]:
        """Parameters and buffers, by name."""
        return {**dict(self.named_parameters()), **dict(self.named_buffers())}

    def forward(self, *arguments: Any, **named: Any) -> Any:
        """As the block's."""
        return self._call(*arguments, **named)


class _Tie(torch.autograd.Function):
    """A copy as if it were the weight: what is found for the one goes to the other."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, copy: Tensor) -> Tensor:
        ctx.home = weight.device
        return copy.view_as(copy)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return grads[0].to(ctx.home), None


def _tied(weight: Tensor, copy: Tensor) -> Tensor:
    if not (weight.requires_grad and torch.is_grad_enabled()):
        return copy
    tied: Tensor = _Tie.apply(weight, copy)  # type: ignore[no-untyped-call]
    return tied


def _versions(weights: dict[str, Tensor]) -> list[int]:
    return [weight._version for weight in weights.values()]
