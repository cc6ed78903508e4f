"""The linear start of a video autoencoder: principal components, exact or, for large patches, nearly so."""

from __future__ import annotations

import pytest
import torch

from aiprod.core.vae.config import VideoVAEConfig
from aiprod.core.vae.video import VideoVAE
from aiprod.trainer.vae import pca_init

pytestmark = pytest.mark.bitwise


def _left_over(videos: list[torch.Tensor]) -> float:
    """Share of the power that the linear path loses."""
    torch.manual_seed(0)
    vae = VideoVAE(VideoVAEConfig(widths=(8,), encoder_depths=(0,), decoder_depths=(0,), latent_channels=6))
    pca_init.start_video(vae, videos, seed=3)
    with torch.no_grad():
        lost = sum(float((vae.decode(vae.encode(v).mode()) - v).square().sum()) for v in videos)
    return lost / sum(float(v.square().sum()) for v in videos)


def test_random_iteration_finds_nearly_the_components_that_the_whole_covariance_has(monkeypatch: pytest.MonkeyPatch):
    generator = torch.Generator().manual_seed(1)
    smooth = torch.randn(5, 3, 3, 5, 7, generator=generator)
    videos = [v[None] for v in torch.nn.functional.interpolate(smooth, (9, 32, 40), mode="trilinear")]
    exact = _left_over(videos)
    monkeypatch.setattr(pca_init, "_EXACT", 10)
    nearly = _left_over(videos)
    assert 0.001 < exact < 0.5, "six components hold much of it and not all"
    assert exact * 0.999 <= nearly < exact * 1.05


def test_few_patches_of_many_are_drawn_from_all_videos(monkeypatch: pytest.MonkeyPatch):
    vae = VideoVAE(VideoVAEConfig(widths=(8,), encoder_depths=(0,), decoder_depths=(0,), latent_channels=4))
    videos = [torch.full((1, 3, 5, 16, 16), float(n)) for n in range(8)]
    monkeypatch.setattr(pca_init, "_MOST", 40)
    patches = pca_init._patches(vae, videos, 0)
    assert patches.shape == (40, 3 * 4 * 8 * 8)
    assert set(patches[:, 0].tolist()) == set(range(8))
    assert torch.equal(patches, patches[:, :1].expand_as(patches)), "each patch is of one video"
