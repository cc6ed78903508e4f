"""A small causal network from sound to visemes and the mouth: what is seen when something is heard.

It says how the mouth is 75 ms after it has heard the sound of that moment, because a mouth moves before it is heard;
beyond that it looks at nothing that is still to come, so it can follow a voice that is being spoken.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn

from aiprod.base.params import Params
from aiprod.errors import AiprodError
from aiprod.models.checkpoint.folder import building, open_checkpoint, save_checkpoint
from aiprod.speech.features import BANDS, FLOOR, FRAME_HZ, log_mel
from aiprod.speech.visemes import NUMBERS, VISEMES, middles

CLASS = "VisemeModel"
DELAY = 6  # frames of 12.5 ms that are heard beyond the moment that is spoken of
_KERNEL, _DILATIONS = 3, (1, 2, 4, 8)


class VisemeModelConfig(Params):
    """Sizes of a new model."""

    width: int = Field(default=80, ge=8, le=2048, description="channels")
    rounds: int = Field(default=1, ge=1, le=16, description="each of four convolutions, which see 0.4 s further back")


class _Causal(nn.Module):
    """Residual convolution that looks back."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.back = dilation * (_KERNEL - 1)
        self.conv = nn.Conv1d(width, 2 * width, _KERNEL, dilation=dilation)
        self.mix = nn.Conv1d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = x * (x.square().mean(1, keepdim=True) + 1e-4).rsqrt()
        a, b = self.conv(nn.functional.pad(y, (self.back, 0))).chunk(2, 1)
        out: Tensor = x + self.mix(torch.tanh(a) * torch.sigmoid(b))
        return out


@dataclass(frozen=True)
class MouthPrediction:
    """What a mouth does at each frame of 12.5 ms: probabilities ``[T, 15]`` and numbers ``[T, 4]``."""

    visemes: NDArray[np.float32]
    mouth: NDArray[np.float32]

    def at(self, times_s: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Both at other times, between frames by a straight line."""
        frames = middles(len(self.mouth), FRAME_HZ)
        both = np.concatenate([self.visemes, self.mouth], 1)
        values = np.stack([np.interp(times_s, frames, column) for column in both.T], 1)
        return values[:, : len(VISEMES)], values[:, len(VISEMES) :]


class VisemeModel(nn.Module):
    """Log mel bands to logits of visemes and the mouth."""

    def __init__(self, config: VisemeModelConfig) -> None:
        super().__init__()
        self.config = config
        self.enter = nn.Conv1d(BANDS, config.width, 1)
        self.blocks = nn.ModuleList(_Causal(config.width, d) for _ in range(config.rounds) for d in _DILATIONS)
        self.leave = nn.Conv1d(config.width, len(VISEMES) + len(NUMBERS), 1)
        self.register_buffer("mean", torch.zeros(BANDS))
        self.register_buffer("deviation", torch.ones(BANDS))

    def forward(self, mel: Tensor) -> tuple[Tensor, Tensor]:
        """Logits ``[B, 15, T]`` and the mouth ``[B, 4, T]`` of log mel bands ``[B, BANDS, T]``."""
        mel = nn.functional.pad(mel, (0, DELAY), value=float(np.log(FLOOR)))
        x = self.enter((mel - self.mean[:, None]) / self.deviation[:, None])  # type: ignore[index]
        for block in self.blocks:
            x = block(x)
        y = self.leave(x)[..., DELAY:]
        return y[:, : len(VISEMES)], y[:, len(VISEMES) :].sigmoid()

    @torch.no_grad()
    def see(self, sound: NDArray[np.float32]) -> MouthPrediction:
        """What the mouth does that a sound at 16 kHz belongs to."""
        mel = log_mel(torch.from_numpy(np.ascontiguousarray(sound, np.float32)))
        logits, mouth = self(mel[None])
        return MouthPrediction(logits[0].softmax(0).T.numpy(), mouth[0].T.numpy())

    def save(self, folder: Path) -> str:
        """Write a checkpoint folder; its digest."""
        about = {"model": self.config.model_dump(mode="json"), "visemes": list(VISEMES), "mouth": list(NUMBERS)}
        return save_checkpoint(folder, about, self.state_dict(), CLASS)


def load_viseme_model(folder: Path | str) -> VisemeModel:
    """Read a checkpoint folder.

    Raises:
        AiprodError: missing, damaged, of another kind, or of other visemes.
    """
    with building(folder):
        files = open_checkpoint(folder, CLASS)
        if files.config.get("visemes") != list(VISEMES) or files.config.get("mouth") != list(NUMBERS):
            raise AiprodError(f"{folder} knows other visemes", "train it again with `dvc repro train_visemes`")
        model = VisemeModel(VisemeModelConfig.model_validate(files.config["model"]))
        model.load_state_dict(files.tensors())
    return model.eval()
