"""The linear start of an autoencoder: principal components, exact or nearly so, and the overlap of frames of sound."""

from __future__ import annotations

import pytest
import torch

from aiprod.core.vae.audio import AudioVAE
from aiprod.core.vae.config import AudioVAEConfig, VideoVAEConfig
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


def _tones(levels: list[float]) -> list[torch.Tensor]:
    """Decaying tones of random pitch and onset, one sound a level."""
    generator = torch.Generator().manual_seed(2)
    time, sounds = torch.arange(2_400) / 2_400, []
    for level in levels:
        pitch, onset = torch.rand(2, 1, generator=generator) * 60 + 20, torch.rand((), generator=generator) * 0.5
        wave = torch.sin(2 * torch.pi * pitch * time) * torch.exp(-6 * (time - onset)) * (time >= onset)
        sounds.append((level * wave)[None])
    return sounds


def _lost(vae: AudioVAE, sounds: list[torch.Tensor]) -> list[float]:
    """Share of each sound's power that the start loses."""
    with torch.no_grad():
        pairs = [(vae.decode(vae.encode(x).mode()), x) for x in sounds]
    return [float((y - x).square().sum() / x.square().sum()) for y, x in pairs]


def _audio(sounds: list[torch.Tensor]) -> AudioVAE:
    torch.manual_seed(0)
    vae = AudioVAE(AudioVAEConfig(block=8, strides=(3,), widths=(8, 8), depths=(0, 0), latent_channels=6)).eval()
    pca_init.start_audio(vae, sounds, 0)
    return vae


def test_the_way_back_of_sound_knows_that_frames_overlap(monkeypatch: pytest.MonkeyPatch):
    sounds = _tones([0.3] * 24)
    solved = sum(_lost(_audio(sounds), sounds))
    monkeypatch.setattr(pca_init, "_way_back", lambda lapped, sounds: None)
    single = sum(_lost(_audio(sounds), sounds))
    assert 0.0 < solved < 0.95 * single


def test_quiet_sounds_count_as_much_as_loud_ones():
    quiet, loud = [_lost(_audio(sounds), sounds) for sounds in (_tones([0.3] * 24), _tones([0.03] * 12 + [0.3] * 12))]
    assert sum(loud[:12]) == pytest.approx(sum(quiet[:12]), rel=0.02), "a tenth of the level loses the same share"


def test_sound_of_a_single_frame_starts_from_components_alone():
    assert all(0.0 <= share < 1.0 for share in _lost(_audio([s[..., :24] for s in _tones([0.3] * 8)]), _tones([0.3])))
