"""A depthwise convolution over the grid that the tokens of a video lie on: neighbours are seen, not searched for."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from aiprod.errors import CoreError

Grid = tuple[int, int, int]


class DepthwiseConv(nn.Module):
    """What the tokens around each token add to it; nothing at first, since its kernels start at 0.

    Args:
        width: channels, each with a kernel of its own over 3 frames, 3 rows and 3 columns.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.kernel = nn.Parameter(torch.zeros(width, 1, 3, 3, 3))
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(
        self, x: Float[Tensor, "batch tokens width"], grid: Grid, mask: Bool[Tensor, "batch tokens"] | None = None
    ) -> Float[Tensor, "batch tokens width"]:
        """``x`` with that added to the tokens of the grid, which stand first; those behind it stay as they are.

        Args:
            mask: False = absent; an absent token is 0 to its neighbours.
        """
        count = grid[0] * grid[1] * grid[2]
        seen = F.layer_norm(x[:, :count], x.shape[-1:], eps=1e-6)
        if mask is not None:
            seen = seen.masked_fill(~mask[:, :count, None], 0)
        volume = seen.transpose(1, 2).unflatten(2, grid)
        added = depthwise(volume, self.kernel, self.bias).flatten(2).transpose(1, 2)
        return x + (added if count == x.shape[1] else F.pad(added, (0, 0, 0, x.shape[1] - count)))


def depthwise(
    volume: Float[Tensor, "batch width frames rows columns"],
    kernel: Float[Tensor, "width 1 3 3 3"],
    bias: Float[Tensor, width],
) -> Float[Tensor, "batch width frames rows columns"]:
    """Each channel's own 3 × 3 × 3 convolution, of a volume whose channels lie side by side in memory.

    On a CPU, oneDNN's backward pass of it takes fifteen times as long as its forward pass; written out as a forward
    pass with the kernel turned round and 27 sums of products, it takes a fifth of that.
    """
    cast = volume.dtype != kernel.dtype or torch.is_autocast_enabled("cpu")  # which the function below does not do
    if volume.device.type == "cpu" and not cast and not torch.compiler.is_compiling():
        result: Tensor = _Depthwise.apply(volume, kernel, bias)  # type: ignore[no-untyped-call]
        return result
    return F.conv3d(volume, kernel, bias, padding=1, groups=len(bias))


class _Depthwise(torch.autograd.Function):
    """The convolution of :func:`depthwise` with its derivative written out."""

    @staticmethod
    def forward(ctx: Any, volume: Tensor, kernel: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(volume, kernel)
        return F.conv3d(volume, kernel, bias, padding=1, groups=len(bias))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        volume, kernel = ctx.saved_tensors
        (grad,) = grads
        to_volume = to_kernel = to_bias = None
        if ctx.needs_input_grad[0]:
            to_volume = F.conv3d(grad, kernel.flip(2, 3, 4), padding=1, groups=len(kernel))
        if ctx.needs_input_grad[1]:
            frames, rows, columns = grad.shape[2:]
            padded, last = F.pad(volume.movedim(1, -1), (0, 0, 1, 1, 1, 1, 1, 1)), grad.movedim(1, -1)
            shifts = [(t, y, x) for t in range(3) for y in range(3) for x in range(3)]
            sums = [
                (padded[:, t : t + frames, y : y + rows, x : x + columns] * last).sum(dim=(0, 1, 2, 3))
                for t, y, x in shifts
            ]
            to_kernel = torch.stack(sums, dim=1).view_as(kernel)
        if ctx.needs_input_grad[2]:
            to_bias = grad.sum(dim=(0, 2, 3, 4))
        return to_volume, to_kernel, to_bias


def token_grid(
    positions: Float[Tensor, "batch tokens 3"],
    mask: Bool[Tensor, "batch tokens"] | None = None,
    own: int | None = None,
) -> Grid | None:
    """Frames, rows and columns of the grid that the own tokens of every sample form, in that order of loops.

    Args:
        positions: (seconds, y pixels, x pixels).
        mask: False = absent or padding; a sample without tokens is not asked.
        own: tokens on the grid, which stand first; None = all.

    Returns:
        None where no sample has tokens.

    Raises:
        CoreError: tokens on no grid, or samples with tokens on different grids.
    """
    there = range(len(positions)) if mask is None else mask.any(dim=1).nonzero().flatten().tolist()
    grids = {_grid_of(positions[n, :own] if mask is None else positions[n, :own][mask[n, :own]]) for n in there}
    if len(grids) > 1:
        raise CoreError(f"one batch has videos on grids of {sorted(grids)} tokens", "give videos of one size a batch")
    return grids.pop() if grids else None


def _grid_of(positions: Float[Tensor, "tokens 3"]) -> Grid:
    frames, rows, columns = (len(axis.unique()) for axis in positions.unbind(dim=-1))
    ordered = positions.view(frames, rows, columns, 3) if frames * rows * columns == len(positions) else None
    if ordered is None or not all(
        bool((part.diff(dim=axis) > 0).all()) for axis, part in enumerate(ordered.unbind(dim=-1))
    ):
        raise CoreError(
            f"{len(positions)} video tokens do not form a grid",
            "give frames, rows and columns in order, and references behind them, or a model without depthwise_conv",
        )
    return frames, rows, columns
