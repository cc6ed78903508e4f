"""A silent clip trains video only and a sound-only clip audio only, also inside one batch, proven by gradients."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from aiprod.data.latents.dataset import LatentItem
from aiprod.data.latents.tasks import ConditionParams, ModalityParams, TaskParams
from aiprod.trainer.diffusion.flow import SigmaParams, by_sigma, draw_sigma, per_sample_loss, slot_generator
from tests.trainer.small_cache import SELDOM, TEXT, losses_at, make_run, write_cache

CPU = torch.device("cpu")


@pytest.fixture
def run(tmp_path: Path):
    return make_run(write_cache(tmp_path / "latents"), tmp_path / "ck", loop=SELDOM)


def _item(video: bool, audio: bool) -> LatentItem:
    g = torch.Generator().manual_seed(2 * video + audio)
    return LatentItem(
        "c",
        torch.randn(4, 2, 2, 3, generator=g) if video else None,
        torch.randn(3, 9, generator=g) if audio else None,
        torch.randn(3, TEXT, generator=g),
        torch.ones(3, dtype=torch.bool),
        4.0,
    )


def _gradient_sums(model) -> tuple[float, float]:
    """Absolute gradient on the way into and out of each stream."""

    def total(ends) -> float:
        return sum(float(p.grad.abs().sum()) for p in ends.parameters() if p.grad is not None)

    return total(model.video_ends), total(model.audio_ends)


@pytest.mark.parametrize(("video", "audio"), [(True, False), (False, True), (True, True)])
@pytest.mark.parametrize("alone", [True, False])
def test_only_present_streams_get_gradients(run, video, audio, alone):
    """``alone``: the batch has no such stream at all; otherwise a neighbour has it and only our loss is followed."""
    items = [_item(video, audio)] + ([] if alone else [_item(True, True)])
    batch = run.strategy.collate(items)
    losses = losses_at(run, batch, 0.5)
    sum(part[0] for part in losses if part is not None).backward()
    into_video, into_audio = _gradient_sums(run.model)
    assert (into_video > 0) == video
    assert (into_audio > 0) == audio


def test_a_batch_mate_with_sound_changes_nothing_for_a_silent_clip(run):
    silent, sounding = _item(True, False), _item(True, True)
    losses = []
    for items in ([silent], [silent, sounding]):
        batch = run.strategy.collate(items)
        found, _ = losses_at(run, batch, 0.5)
        losses.append(float(found[0].detach()))
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


@pytest.mark.parametrize("given", [True, False])
def test_a_clean_first_frame_does_not_count(run, given):
    batch = run.strategy.collate([_item(True, False)])
    for parameter in run.model.video_ends.leave.parameters():
        torch.nn.init.zeros_(parameter)  # velocity 0: the loss is the mean square of noise − clean
    conditions = [ConditionParams(kind="first_frame")] if given else []
    loss = losses_at(run, batch, 0.9, TaskParams(name="t", video=ModalityParams(conditions=conditions)))[0]
    clean = batch.clips[0].video[0][0]
    noise = torch.randn(clean.shape, generator=slot_generator(0, 0, 0))
    first = 6 if given else 0  # two rows of three cells
    expected = (noise - clean)[first:].square().mean()
    assert float(loss.detach()) == pytest.approx(float(expected), rel=1e-5)


def test_masked_tokens_do_not_count():
    velocity, clean, noise = torch.randn(3, 2, 5, 4).unbind(0)
    mask = torch.tensor([[True] * 5, [True, True, False, False, False]])
    loss = per_sample_loss(velocity, clean, noise, mask)
    expected = (velocity[1, :2] - noise[1, :2] + clean[1, :2]).square().mean()
    assert float(loss[1]) == pytest.approx(float(expected), rel=1e-5)
    assert float(per_sample_loss(velocity, clean, noise, torch.zeros_like(mask))[0]) == 0.0


def test_sigma_draws_are_independent_between_slots_and_reach_everywhere():
    params = SigmaParams(mean=0.0, std=0.3, uniform_fraction=0.25)
    draws = [draw_sigma(slot_generator(0, step, slot), params) for step in range(200) for slot in range(10)]
    assert len(set(draws)) == len(draws)  # no two slots or steps share noise
    histogram = torch.histc(torch.tensor(draws), 10, 0, 1) / len(draws)
    assert float(histogram.min()) > 0.012  # 0.025 expected of the floor alone; a narrow normal would leave 0
    plain = SigmaParams(uniform_fraction=0, shift=1.0)
    normal = [draw_sigma(slot_generator(0, 0, slot), plain) for slot in range(3000)]
    # the logit of a shifted logit-normal is normal about the shift
    logit = torch.logit(torch.tensor(normal))
    assert float(logit.mean()) == pytest.approx(1.0, abs=0.08)
    assert float(logit.std()) == pytest.approx(1.0, abs=0.05)


def test_video_and_audio_have_their_own_noise_levels(run):
    seen = []
    original = run.strategy._losses

    def watch(*args, sigma, **rest):
        seen.append(sigma)
        return original(*args, sigma=sigma, **rest)

    run.strategy._losses = watch
    batch = run.strategy.collate([_item(True, True)] * 4)
    run.strategy.loss(run.model, batch, step=0, slots=range(4), device=CPU)
    assert not torch.isclose(seen[0][0], seen[0][1]).any()


def test_two_ranks_draw_what_one_draws_and_share_nothing(run):
    """Slots count over the global batch, so splitting it changes no sample's noise."""
    batch = [_item(True, True) for _ in range(4)]
    whole = run.strategy.loss(run.model, run.strategy.collate(batch), step=3, slots=range(4), device=CPU)
    halves = [
        run.strategy.loss(run.model, run.strategy.collate(batch[s]), step=3, slots=range(4)[s], device=CPU)
        for s in (slice(0, 2), slice(2, 4))
    ]
    assert whole.loss.item() == pytest.approx(sum(h.loss.item() for h in halves) / 2, rel=1e-4)
    assert halves[0].figures["loss_video"] != halves[1].figures["loss_video"]


def test_loss_by_noise_level():
    found = by_sigma("video", [1.0, 3.0, 5.0, 9.0], [0.05, 0.15, 0.99, 0.5], [True, True, True, False])
    assert found == {"video/sigma_0.0_0.2": 2.0, "video/sigma_0.8_1.0": 5.0}


def test_heldout_loss_is_the_same_each_time(run):
    first = run.strategy.heldout(run.model, "low", device=CPU)
    torch.manual_seed(123)
    assert run.strategy.heldout(run.model, "low", device=CPU) == first
    assert set(first) == {"heldout/video", "heldout/audio", "heldout/loss"}
