"""Clips that are cached mirrored as well stand in a batch either way, by a lot that place and step alone decide."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from aiprod.trainer.loop.samplers import Draw
from tests.trainer.small_cache import make_run, write_cache

CPU = torch.device("cpu")


@pytest.fixture
def run(tmp_path):
    run = make_run(write_cache(tmp_path / "cache", silent=0), tmp_path / "checkpoints")
    dataset = run.strategy.dataset

    def mirrored(phase, clip_id):
        item = dataset.load(phase, clip_id)
        return dataclasses.replace(item, video=100 + item.video, audio=100 + item.audio, text=100 + item.text)

    dataset.load_mirrored = mirrored
    return run


def _seen(run, step: int, slots: list[int], monkeypatch) -> list[tuple[bool, bool, bool]]:
    """Whether video, sound and text of each place were the mirrored ones."""
    ids = sorted({row.clip_id for row in run.strategy.dataset.usable("low", "train")})[:4]
    found = []

    def losses(model, streams, text, **_):
        video, audio = streams
        for i, (hidden, _mask) in enumerate(text):
            found.append((bool(video.clean[i].mean() > 50), bool(audio.clean[i].mean() > 50), bool(hidden.mean() > 50)))
        return None, None

    monkeypatch.setattr(run.strategy, "_losses", losses)
    monkeypatch.setattr(run.strategy, "params", run.strategy.params.model_copy(update={"text_dropout": 0.0}))
    batch = run.strategy.load("low", Draw(None, ids), slots)
    run.strategy.loss(run.model, batch, step=step, slots=slots, device=CPU)
    return found


def test_half_of_all_places_are_mirrored_in_video_sound_and_text_alike(run, monkeypatch):
    seen = [place for step in range(100) for place in _seen(run, step, [0, 1, 2, 3], monkeypatch)]
    assert all(video == audio == text for video, audio, text in seen)
    assert 150 < sum(video for video, _, _ in seen) < 250  # five deviations about 200 of 400


def test_the_lot_depends_on_step_and_place_and_not_on_how_ranks_share_the_batch(run, monkeypatch):
    for step in range(10):
        whole = _seen(run, step, [0, 1, 2, 3], monkeypatch)
        parts = [place for slots in ([0, 1], [2, 3]) for place in _seen(run, step, slots, monkeypatch)]
        assert whole == parts


def test_held_out_clips_are_measured_as_they_are(run):
    expected = run.strategy.heldout(run.model, "low", device=CPU)
    run.strategy.dataset.load_mirrored = lambda phase, clip_id: pytest.fail("a held-out clip was mirrored")
    assert run.strategy.heldout(run.model, "low", device=CPU) == expected
