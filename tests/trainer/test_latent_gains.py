"""How much each latent channel does to the picture: against autoencoders whose answer is known on paper."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from aiprod.core.components.patchifier import AudioLatentPatchifier, VideoLatentPatchifier
from aiprod.core.transformer.config import AVTransformerConfig
from aiprod.core.transformer.model import AVTransformer
from aiprod.data.latents.dataset import LatentDataset
from aiprod.errors import AiprodError
from aiprod.trainer.diffusion import latent_scaling
from aiprod.trainer.diffusion.latent_scaling import (
    channel_energies,
    gains_from,
    measure_tokens,
    recorded_gains,
    video_gains,
)
from tests.trainer.small_cache import AUDIO, DIGESTS, VIDEO, write_cache

SHARES = [8.0, 4.0, 2.0, 0.5]


class WeightedSum:
    """Pictures are a weighted sum of the channels, so a channel's energy is the square of its weight."""

    def __init__(self, weights: list[float]) -> None:
        self._weights = torch.tensor(weights).view(1, -1, 1, 1, 1)

    def denormalize(self, latents: Tensor) -> Tensor:
        return latents

    def decode(self, latents: Tensor) -> Tensor:
        return (latents * self._weights).sum(1, keepdim=True)


def cache(folder: Path) -> LatentDataset:
    return LatentDataset(write_cache(folder), DIGESTS)


def test_a_channels_energy_is_the_square_of_its_weight_in_the_picture() -> None:
    latents = torch.randn(4, 4, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    energies = channel_energies(WeightedSum(SHARES), latents)
    assert energies.tolist() == pytest.approx([share**2 for share in SHARES], rel=0.05)


@given(st.lists(st.floats(1e-2, 1e2), min_size=2, max_size=16), st.floats(0.1, 1.0))
@settings(max_examples=60, deadline=None)
def test_gains_have_mean_square_one_and_grow_with_the_energy(energies: list[float], power: float) -> None:
    gains = np.array(gains_from(torch.tensor(energies), power))
    assert np.mean(gains**2) == pytest.approx(1.0, abs=1e-4)
    ordered = gains[np.argsort(energies)]
    assert (np.diff(ordered) >= -1e-6).all()
    floored = np.maximum(np.array(energies) / max(energies), 1e-3) ** (power / 2)
    assert gains == pytest.approx(floored / np.sqrt(np.mean(floored**2)), rel=1e-3)


def test_gains_of_a_cache_are_those_of_its_autoencoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latent_scaling, "load_video_vae", lambda folder: WeightedSum(SHARES))
    gains = video_gains(cache(tmp_path / "cache"), tmp_path, 1.0)
    expected = gains_from(torch.tensor([share**2 for share in SHARES]), 1.0)
    assert gains == pytest.approx(expected, rel=0.5), "a few dozen random values a channel"
    assert gains == sorted(gains, reverse=True)
    assert video_gains(cache(tmp_path / "cache"), tmp_path, 0.0) == []


def test_one_clip_is_too_few_for_gains_and_none_for_anything(tmp_path: Path) -> None:
    one = LatentDataset(write_cache(tmp_path / "one", clips=1, silent=0), DIGESTS)
    with pytest.raises(AiprodError, match="two clips of one size"):
        video_gains(one, tmp_path, 1.0)
    none = LatentDataset(write_cache(tmp_path / "none", clips=0, silent=0), DIGESTS)
    with pytest.raises(AiprodError, match="no clip to train on"):
        video_gains(none, tmp_path, 1.0)


def test_recorded_gains_are_those_beside_the_transformer(tmp_path: Path) -> None:
    assert recorded_gains(tmp_path / "transformer") == []
    (tmp_path / "training.json").write_text(json.dumps({"video_gains": [1, 0.5]}))
    assert recorded_gains(tmp_path / "transformer") == [1.0, 0.5]


def test_a_new_model_is_given_the_variances_of_the_largest_clips(tmp_path: Path) -> None:
    patchifiers = VideoLatentPatchifier(VIDEO, (1, 1, 1)), AudioLatentPatchifier(AUDIO)
    sizes = {"video_channels": patchifiers[0].token_channels, "audio_channels": patchifiers[1].token_channels}
    data = cache(tmp_path / "cache")

    def measured(*, skip: bool) -> tuple[AVTransformer, AVTransformer]:
        torch.manual_seed(0)
        config = AVTransformerConfig.demo(depth=1, input_skip=skip, **sizes)
        model = AVTransformer(config)
        torch.manual_seed(0)
        other = AVTransformer(config)
        measure_tokens(model, patchifiers, data)
        return model, other

    model, other = measured(skip=False)
    assert all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), other.state_dict().values(), strict=True))
    model, other = measured(skip=True)
    changed = {k for k, v in model.state_dict().items() if not torch.equal(v, other.state_dict()[k])}
    assert changed and all(name.startswith(("video_ends", "audio_ends")) for name in changed)
