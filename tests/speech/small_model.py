"""A small speech model, trained on nothing: times, files and refusals do not need a good one."""

from __future__ import annotations

import functools
import math
from pathlib import Path

import torch

from aiprod.speech.acoustic import SpeechModelConfig
from aiprod.speech.features import F0, VOICING
from aiprod.speech.model import SpeechModel
from aiprod.speech.voice import SPEAKERS


@functools.lru_cache(maxsize=1)
def small_model() -> SpeechModel:
    torch.manual_seed(0)
    model = SpeechModel(SpeechModelConfig(width=16, decoder=16, blocks=1, vocoder=16), list(SPEAKERS))
    torch.nn.init.constant_(model.acoustic.length[2].bias, math.log(7.0))  # type: ignore[arg-type]
    model.mean.fill_(-1.0)  # type: ignore[operator]
    model.mean[F0], model.mean[VOICING] = math.log(130.0), 0.5  # type: ignore[index,operator]
    return model.eval()


@functools.lru_cache(maxsize=1)
def small_model_folder(root: Path) -> Path:
    small_model().save(root / "speech")
    return root / "speech"
