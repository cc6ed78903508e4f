"""How the network that draws mouths is trained: a picture without its mouth, and the face at another time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from aiprod.base.params import Params
from aiprod.lips.mouth_model import MouthModel
from aiprod.lips.mouth_region import guide
from aiprod.lips.redrawing import APART_S
from aiprod.trainer.lips.data import Squares
from aiprod.trainer.loop.one_phase import WholeStrategy
from aiprod.trainer.loop.samplers import Draw, StepSampler
from aiprod.trainer.loop.strategy import StepLoss

_HELDOUT, _REFERENCES = 24, 4

Batch = tuple[Tensor, Tensor, Tensor]
"""Squares, references and sketches."""


class MouthLossParams(Params):
    """Weights of the parts of the loss."""

    pixels: float = Field(default=1.0, ge=0, description="mean absolute error within the mask")
    edges: float = Field(default=1.0, ge=0, description="mean absolute error of the differences of neighbouring pixels")


class MouthStrategy(WholeStrategy):
    """Draws pictures, and a reference from another time of the same clip for each."""

    in_memory: ClassVar[bool] = True

    def __init__(
        self, model: MouthModel, train: Sequence[Squares], heldout: Sequence[Squares], params: MouthLossParams
    ) -> None:
        self.model, self.params = model, params
        self.train = {each.row.clip_id: each for each in train}
        generator = torch.Generator().manual_seed(0)
        chosen = [heldout[n % len(heldout)] for n in range(_HELDOUT)] if heldout else []
        self.apart = _batch([(each, *_pair(each, generator)) for each in chosen]) if chosen else None

    def sampler(self, batch: int, seed: int) -> StepSampler:
        """Batches of different clips, as far as there are so many."""
        ids = sorted(self.train)

        def draw(generator: torch.Generator) -> tuple[list[tuple[int, int]], list[str]]:
            order = torch.randperm(len(ids), generator=generator).tolist()
            chosen = [ids[order[n % len(order)]] for n in range(batch)]
            return [_pair(self.train[name], generator) for name in chosen], chosen

        return StepSampler(draw, batch=batch, seed=seed)

    def load(self, phase: str, draw: Draw, places: Sequence[int]) -> Batch:
        """A part of a batch."""
        return _batch([(self.train[draw.clip_ids[place]], *draw.content[place]) for place in places])

    def loss(
        self, model: nn.Module, batch: Batch, *, step: int, slots: Sequence[int], device: torch.device
    ) -> StepLoss:
        """Of one part of a batch."""
        parts = self._losses(model, batch, device)
        total = self.params.pixels * parts["pixels"] + self.params.edges * parts["edges"]
        return StepLoss(total, {name: float(value.detach()) for name, value in parts.items()})

    def heldout(self, model: nn.Module, phase: str, *, device: torch.device) -> dict[str, float]:
        """Of faces that are not trained on."""
        if self.apart is None:
            return {}
        parts = self._losses(model, self.apart, device)
        total = self.params.pixels * parts["pixels"] + self.params.edges * parts["edges"]
        return {"heldout/loss": float(total), **{f"heldout/{name}": float(value) for name, value in parts.items()}}

    def _losses(self, model: nn.Module, batch: Batch, device: torch.device) -> dict[str, Tensor]:
        squares, references, sketches = (part.to(device) for part in batch)
        weight = _weight(squares.shape[-1]).to(device)
        off = model(squares, references, sketches).float() - squares
        across, down = (off.diff(dim=dim, prepend=off.narrow(dim, 0, 1)).abs() for dim in (-1, -2))
        return {"pixels": (off.abs() * weight).mean(), "edges": ((across + down) * weight).mean()}


def _weight(size: int) -> Tensor:
    """Of each pixel: what moves is round the middle of the mouth and along the chin, and is little of the square."""
    at = (torch.arange(size) + 0.5) / size * 2 - 1
    near = torch.exp(-((at[None] / 0.4) ** 2) - ((at[:, None] + 0.1) / 0.35) ** 2)
    chin = torch.exp(-((at[None] / 0.6) ** 2) - ((at[:, None] - 0.65) / 0.25) ** 2)
    return 0.25 + 4 * near + 2 * chin


def _pair(each: Squares, generator: torch.Generator) -> tuple[int, int]:
    """A picture, and one of the four most closed mouths that are :data:`APART_S` away or as far as there is."""
    count = len(each.squares)
    apart = min(int(np.ceil(APART_S * each.row.fps)), (count - 1) // 2)
    number = int(torch.randint(count, (), generator=generator))
    others = [n for n in range(count) if abs(n - number) >= apart]
    closed = sorted(others, key=lambda n: (each.row.aperture[n], n))[:_REFERENCES]
    return number, closed[int(torch.randint(len(closed), (), generator=generator))]


def _batch(chosen: Sequence[tuple[Squares, int, int]]) -> Batch:
    squares, references = (
        torch.from_numpy(np.stack([each.squares[pair[which]] for each, *pair in chosen])).permute(0, 3, 1, 2).float()
        / 255
        for which in (0, 1)
    )
    return squares, references, torch.from_numpy(np.stack([_sketch(each, number) for each, number, _ in chosen]))


def _sketch(each: Squares, number: int) -> np.ndarray:
    return guide(each.mouths[number], each.places[number], each.squares.shape[1])
