"""A public checkpoint under a diffusers scheduler in our sampling loop, and under our training strategy."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler, LTX2VideoTransformer3DModel, UniPCMultistepScheduler

from aiprod.core.components.noiser import Noiser
from aiprod.core.components.patchifier import AudioLatentPatchifier, VideoLatentPatchifier
from aiprod.core.generation import GenerationConfig
from aiprod.core.types import AudioCompression, LatentState, VideoCompression
from aiprod.inference.denoise import denoise
from aiprod.models.adapters.ltx2 import LTX2Backbone
from aiprod.models.adapters.schedulers import SamplerFromDiffusers
from tests.trainer.small_cache import TEXT, make_run, write_cache

pytestmark = pytest.mark.bitwise


def ltx2(video: int, audio: int, text: int) -> LTX2Backbone:
    torch.manual_seed(0)
    model = LTX2VideoTransformer3DModel(
        in_channels=video,
        out_channels=video,
        num_attention_heads=2,
        attention_head_dim=16,
        cross_attention_dim=32,
        audio_in_channels=audio,
        audio_out_channels=audio,
        audio_num_attention_heads=2,
        audio_attention_head_dim=8,
        audio_cross_attention_dim=16,
        num_layers=1,
        caption_channels=text,
    )
    return LTX2Backbone(model)


@pytest.fixture(scope="module")
def backbone() -> LTX2Backbone:
    return ltx2(6, 5, 7).eval()


def run(backbone: LTX2Backbone, sampler: SamplerFromDiffusers | None, sigmas: torch.Tensor) -> tuple[torch.Tensor, ...]:
    video = VideoLatentPatchifier(VideoCompression(8, 32, 32, 6))
    audio = AudioLatentPatchifier(AudioCompression(640, 5, 16_000))
    states = [
        Noiser(seed=1)(LatentState.start(tokens, positions))
        for tokens, positions in (
            video.patchify(torch.zeros(1, 6, 2, 2, 3), 24.0),
            audio.patchify(torch.zeros(1, 5, 9)),
        )
    ]
    g = torch.Generator().manual_seed(2)
    text, empty = ((torch.randn(4, 7, generator=g), torch.ones(4, dtype=torch.bool)) for _ in range(2))
    config = GenerationConfig(modality_guidance=1.5)
    made = denoise(backbone, states[0], states[1], ([text], empty), sigmas=sigmas, config=config, step=sampler)
    assert made[1] is not None
    return made[0], made[1]


def test_their_euler_takes_our_steps(backbone: LTX2Backbone) -> None:
    sampler = SamplerFromDiffusers(FlowMatchEulerDiscreteScheduler(shift=3.0))
    sigmas = sampler.sigmas(4, 12)
    for theirs, ours in zip(run(backbone, sampler, sigmas), run(backbone, None, sigmas), strict=True):
        torch.testing.assert_close(theirs, ours, rtol=1e-4, atol=1e-4)


def test_their_second_order_scheduler_ends_clean_and_repeats(backbone: LTX2Backbone) -> None:
    sampler = SamplerFromDiffusers(
        UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0)
    )
    sigmas = sampler.sigmas(5, 12)
    first, again = run(backbone, sampler, sigmas), run(backbone, sampler, sigmas)
    for a, b in zip(first, again, strict=True):
        assert a.isfinite().all() and torch.equal(a, b)


def test_our_strategy_fine_tunes_a_public_checkpoint(tmp_path: Path) -> None:
    """Clips with and without sound in one batch, text dropout and a clean first frame, as in any training of ours."""
    run = make_run(write_cache(tmp_path / "latents"), tmp_path / "checkpoints")
    backbone, strategy = ltx2(4, 3, TEXT).train(), run.strategy
    clips = sorted(row.clip_id for row in strategy.dataset.usable("low", "train"))[-4:]
    batch = strategy.read("low", clips)
    assert 0 < sum(clip.audio is not None for clip in batch.clips) < len(clips)
    optimizer = torch.optim.AdamW(backbone.parameters(), lr=3e-3)
    losses = []
    for _ in range(25):
        loss = strategy.loss(backbone, batch, step=0, slots=range(len(clips)), device=torch.device("cpu")).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]
    assert strategy.heldout(backbone.eval(), "low", device=torch.device("cpu"))["heldout/loss"] > 0
