"""A reference is looked at and not trained on, stands where its tokens belong, and can be dropped."""

from __future__ import annotations

import pytest
import torch

from aiprod.core.conditioning import coarse
from aiprod.data.latents.tasks import preset
from aiprod.trainer.diffusion.flow import slot_generator
from aiprod.trainer.diffusion.params import ReferenceParams
from aiprod.trainer.diffusion.tasks import DiffusionTaskParams, TaskTrainer
from tests.trainer.small_cache import SELDOM, losses_at, make_run, write_cache

pytestmark = pytest.mark.bitwise

CPU = torch.device("cpu")


@pytest.fixture
def run(tmp_path):
    return make_run(write_cache(tmp_path / "latents", silent=0), tmp_path / "ck", loop=SELDOM)


def _strategy(run, dropout: float = 0.0) -> TaskTrainer:
    plain = run.strategy
    params, reference = DiffusionTaskParams(text_dropout=0), ReferenceParams(block=2, dropout=dropout).condition()
    tasks = preset("video_to_video", params.first_frame, reference)
    return TaskTrainer(plain.dataset, plain.video, plain.audio, params, 1, tasks=tasks)


def _streams(strategy, batch):
    random = [slot_generator("given", 0, i) for i in range(len(batch.clips))]
    return strategy.streams(batch, strategy.tasks * len(batch.clips), random)


def test_the_reference_stands_behind_at_the_same_places(run):
    strategy = _strategy(run)
    ids = [row.clip_id for row in strategy.dataset.usable("low", "train")[:2]]
    batch = strategy.read("low", ids)
    video = _streams(strategy, batch)[0]
    tokens, places = (torch.cat(parts) for parts in zip(*(clip.video for clip in batch.clips), strict=True))
    count = tokens.shape[1]
    assert video.own == count and video.clean.shape[1] == 2 * count
    assert torch.equal(video.clean[:, :count], tokens)
    assert torch.equal(video.positions[:, count:], places)
    latent = strategy.dataset.load("low", ids[0]).video
    assert float(video.clean[0, count:].mean()) == pytest.approx(float(coarse(latent, 2).mean()), abs=1e-5)


def test_coarse_is_the_mean_of_each_block():
    latent = torch.arange(2 * 1 * 3 * 4, dtype=torch.float32).reshape(2, 1, 3, 4)
    made = coarse(latent, 2)
    assert made.shape == latent.shape
    assert torch.equal(made[:, :, :2, :2], latent[:, :, :2, :2].mean((2, 3), keepdim=True).expand(2, 1, 2, 2))
    assert torch.equal(made[:, :, 2:, 2:], latent[:, :, 2:, 2:].mean((2, 3), keepdim=True).expand(2, 1, 1, 2))


def test_the_reference_changes_the_prediction_and_is_not_in_the_loss(run):
    strategy = _strategy(run)
    ids = [row.clip_id for row in strategy.dataset.usable("low", "train")[:2]]
    batch = strategy.read("low", ids)
    for parameter in run.model.video_ends.leave.parameters():
        torch.nn.init.zeros_(parameter)
    run.strategy = strategy
    loss = losses_at(run, batch, 0.7, strategy.tasks[0])[0]
    clean = batch.clips[0].video[0][0]
    noise = torch.randn(clean.shape, generator=slot_generator(0, 0, 0))
    expected = float((noise - clean).square().mean())
    assert float(loss[0].detach()) == pytest.approx(expected, rel=1e-5)


def test_a_dropped_reference_leaves_text_to_video(run):
    ids = [row.clip_id for row in run.strategy.dataset.usable("low", "train")[:2]]
    kept, dropped = _strategy(run), _strategy(run, dropout=0.999)
    losses = [
        float(s.loss(run.model, s.read("low", ids), step=0, slots=[0, 1], device=CPU).loss.detach())
        for s in (kept, dropped)
    ]
    assert losses[0] != pytest.approx(losses[1], rel=1e-6)


def test_it_trains_and_its_loss_falls(run):
    run.strategy = _strategy(run)
    run.train()
    first = [row["heldout/loss"] for row in run.heldout if row["phase"] == "low"]
    assert first[-1] < first[0]
