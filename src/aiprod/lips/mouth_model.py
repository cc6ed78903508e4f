"""A small network that draws a mouth into a face, by how it is to be and how the face looks at another time."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from aiprod.base.params import Params
from aiprod.errors import AiprodError
from aiprod.lips.mouth_region import Floats, mask
from aiprod.models.checkpoint.folder import building, open_checkpoint, save_checkpoint
from aiprod.speech.visemes import NUMBERS

CLASS = "MouthModel"
_GIVEN = 3 + 1 + 3 + 3  # the square, the mask, the reference and the sketch
_WIDEST = 1.2  # aperture that is sketched; more is drawn as a hole beyond the lips


class MouthModelConfig(Params):
    """Sizes of a new model."""

    size: int = Field(default=64, ge=32, le=512, multiple_of=8, description="side of the rendered region, in pixels")
    width: int = Field(
        default=24, ge=8, le=1024, multiple_of=8, description="channels at half the size, 2 and 3 times as many below"
    )


class _Block(nn.Module):
    """Residual convolutions."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(8, width)
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.first(nn.functional.silu(self.norm(x)))
        out: Tensor = x + self.second(nn.functional.silu(y))
        return out


class MouthModel(nn.Module):
    """Draws squares; the picture's own mouth is hidden from it before anything else."""

    def __init__(self, config: MouthModelConfig) -> None:
        super().__init__()
        self.config = config
        self.opening = 1.0  # how much wider than asked mouths are sketched: see `measured_opening`
        widths = (config.width, 2 * config.width, 3 * config.width)
        pairs = list(itertools.pairwise(widths))
        self.enter = nn.Conv2d(4 * _GIVEN, config.width, 3, padding=1)
        self.down = nn.ModuleList(nn.Conv2d(a, b, 2, stride=2) for a, b in pairs)
        self.up = nn.ModuleList(nn.Conv2d(b, a, 1) for a, b in pairs)
        self.before = nn.ModuleList(_Block(width) for width in widths)
        self.after = nn.ModuleList(_Block(width) for width in widths)
        self.leave = nn.Conv2d(config.width, 4 * 5, 3, padding=1)
        self.register_buffer("mask", torch.from_numpy(mask(config.size)), persistent=False)

    def forward(self, square: Tensor, reference: Tensor, sketch: Tensor) -> Tensor:
        """Squares ``[B, 3, size, size]`` from about 0 to 1; outside of the mask they are those that were given.

        Args:
            square: the picture's own; what the mask covers is not seen.
            reference: the same face at another time.
            sketch: how the mouth is to be, as :func:`aiprod.lips.mouth_region.guide` draws it.
        """
        share: Tensor = self.mask  # type: ignore[assignment]
        hidden = square * (share == 0)
        masks = share.expand(len(square), 1, -1, -1)
        inputs = torch.cat([hidden - 0.5, masks, reference - 0.5, sketch], 1)
        x = self.enter(nn.functional.pixel_unshuffle(inputs, 2))
        kept = []
        for level, block in enumerate(self.before):
            x = block(x)
            if level < len(self.down):
                kept.append(x)
                x = self.down[level](x)
        for level in reversed(range(len(self.after))):
            x = self.after[level](x)
            if level:
                x = nn.functional.interpolate(self.up[level - 1](x), scale_factor=2.0) + kept[level - 1]
        colour, over, down = nn.functional.pixel_shuffle(self.leave(x), 2).split((3, 1, 1), 1)
        # a new colour, and how far it covers what is there: most between the lips, so that their edges are the sketch's
        drawn = torch.lerp(_lowered(reference, down), colour + 0.5, torch.sigmoid(over - 2 + 5 * sketch[:, :1]))
        return square * (1 - share) + drawn * share

    def sketched(self, mouth: Floats) -> Floats:
        """The numbers of a mouth as they are to be sketched, so that it is seen as far open as they say.

        What is closed stays closed, and nothing gets much wider than what the network was shown.
        """
        return np.array([min(float(mouth[0]) * self.opening, max(float(mouth[0]), _WIDEST)), *mouth[1:]])

    def save(self, folder: Path) -> str:
        """Write a checkpoint folder; its digest."""
        about = {"model": self.config.model_dump(mode="json"), "mouth": list(NUMBERS), "opening": self.opening}
        return save_checkpoint(folder, about, self.state_dict(), CLASS)


def _lowered(picture: Tensor, down: Tensor) -> Tensor:
    """A picture whose pixels are moved down, by shares of its height: a jaw is moved more easily than painted anew."""
    size = picture.shape[-1]
    at = (torch.arange(size, device=picture.device) + 0.5) / size * 2 - 1
    y = at[:, None] - 0.4 * torch.tanh(down[:, 0])
    places = torch.stack([at[None, None].expand_as(y), y], -1)
    return nn.functional.grid_sample(picture, places, padding_mode="border", align_corners=False)


def load_mouth_model(folder: Path | str) -> MouthModel:
    """Read a checkpoint folder.

    Raises:
        AiprodError: missing, damaged, of another kind, or of other numbers of a mouth.
    """
    with building(folder):
        files = open_checkpoint(folder, CLASS)
        if files.config.get("mouth") != list(NUMBERS):
            raise AiprodError(f"{folder} knows other numbers of a mouth", "train it again with `dvc repro train_lips`")
        model = MouthModel(MouthModelConfig.model_validate(files.config["model"]))
        model.opening = float(files.config.get("opening", 1.0))
        model.load_state_dict(files.tensors())
    return model.eval()
