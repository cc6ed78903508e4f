"""A run without a clip goes on from what an earlier run had before it, and equals one that never had the clip."""

from __future__ import annotations

import shutil
import statistics
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from aiprod.base.files import write_json
from aiprod.data.latents.buckets import BucketSampler
from aiprod.data.latents.dataset import LatentDataset
from aiprod.data.latents.rows import LatentRow
from aiprod.errors import AiprodError
from aiprod.governance.erasure.cost import costs
from aiprod.media.clips import read_clip
from aiprod.storage.crypto.film_encryption import film_of
from aiprod.storage.manifest.manifest import read_rows, write_manifest
from aiprod.trainer.diffusion.joining import joined
from aiprod.trainer.loop.curriculum import CurriculumConfig, PhaseConfig
from aiprod.trainer.loop.loop import TrainingRun
from aiprod.trainer.revocable import RevocableParams
from tests.trainer.small_cache import DIGESTS, PHASES, make_run, write_cache

pytestmark = pytest.mark.bitwise

CLIPS, SETTLED = 10, 4  # the first four clips stay, six may be erased
STEPS = {"low": 2, "high": 20}
LAST = RevocableParams(place="last", share=0.5, shards=3)
EVERY = [f"c{number:016d}-000" for number in range(CLIPS)]
REVOCABLE = EVERY[SETTLED:]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_cache(tmp_path_factory.mktemp("latents"), clips=CLIPS, silent=1)


def without(cache: Path, folder: Path, clip_id: str) -> Path:
    """The cache as the stage writes it where the clip never was."""
    shutil.copytree(cache, folder)
    rows = [row for row in read_rows(folder, LatentRow) if row.clip_id != clip_id]
    for path in folder.rglob(f"{clip_id}.safetensors"):
        path.unlink()
    about: dict[str, Any] = {"stage": "cache_latents", "params_digest": "p", "inputs": DIGESTS}
    write_manifest(folder, rows, row_model=LatentRow, key=lambda row: row.row_id, **about)
    return folder


def run_on(cache: Path, training: Path, revocable: RevocableParams = LAST) -> TrainingRun:
    """A run whose checkpoints lie below ``training``, in a folder of its own for each set of clips."""
    dataset = LatentDataset(cache, DIGESTS, apart=lambda clip: revocable.place == "last" and clip in REVOCABLE)
    run = make_run(cache, training / dataset.head.merkle_root[:12], steps=STEPS, loop={"checkpoint_every_s": 1e9})
    run.strategy.dataset = dataset
    phase = {"height": 8, "width": 8, "frames": 1, "fps": 1, "batch": 4, "lr_scale": 1, "weight_decay": 0}
    phases = {name: {**phase, "duration": {"steps": count}} for name, count in STEPS.items()}
    run.samplers, run.levels = joined(
        dataset,
        CurriculumConfig.model_validate({"phases": phases}),
        revocable,
        {"lr": 2e-3},
        lambda name, buckets, batch: BucketSampler(buckets, batch=batch, seed=0),
    )
    return run


def made(run: TrainingRun) -> tuple[dict[str, Any], int]:
    """Everything that a run ends with, and how many steps it made itself."""
    steps: list[int] = []
    run.log = lambda phase, step, figures: steps.append(step) if "step_s" in figures else None
    ema = run.train()
    run.store.finish()
    weights = {name: value.clone() for name, value in run.model.state_dict().items()}
    end = {"weights": weights, "ema": ema.state_dict(), "optimizer": run.optimizer.state_dict()["state"]}
    return {**end, "curve": run.curve, "heldout": run.heldout, "ledger": run.ledger.state_dict()}, len(steps)


def same(a: Any, b: Any) -> bool:
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    return bool(a == b)


def test_after_an_erasure_a_run_equals_one_that_never_had_the_clip_at_a_fraction_of_its_cost(
    cache: Path, tmp_path: Path
) -> None:
    """Weights, averages, optimizer, curve, held-out losses and ledger, for a clip of each shard."""
    before, whole = made(run_on(cache, tmp_path / "a"))
    assert whole == sum(STEPS.values())
    assert set(before["ledger"]) == set(EVERY)
    shards = {LAST.shard(clip): clip for clip in REVOCABLE}
    assert set(shards) == {1, 2, 3}
    for shard, clip in shards.items():
        rest = without(cache, tmp_path / f"rest{shard}", clip)
        training = tmp_path / f"training{shard}"
        shutil.copytree(tmp_path / "a", training)
        after, steps = made(run_on(rest, training))
        never, every = made(run_on(rest, tmp_path / f"fresh{shard}"))
        assert every == whole and clip not in never["ledger"]
        for name, value in never.items():
            assert same(after[name], value), name
        assert not same(after["weights"], before["weights"])
        assert steps == [10, 7, 4][shard - 1]


def test_nothing_of_a_real_clip_is_in_weights_that_went_on_without_it(
    cache: Path, shared_clips: Path, tmp_path: Path
) -> None:
    """Bit for bit what a run ends with that never had it; and before, the model did learn from it."""
    clip = next(clip for clip in reversed(REVOCABLE) if LAST.shard(clip) == 2)
    filmed = put_film(shutil.copytree(cache, tmp_path / "filmed"), clip, shared_clips / "open/bee_720p30_4s.mp4")
    before, whole = made(run_on(filmed, tmp_path / "training"))
    other, _ = made(run_on(cache, tmp_path / "other"))
    assert before["ledger"][clip] and not same(before["weights"], other["weights"]), "its pictures made a difference"
    rest = without(filmed, tmp_path / "rest", clip)
    after, steps = made(run_on(rest, tmp_path / "training"))
    never, every = made(run_on(without(cache, tmp_path / "never", clip), tmp_path / "fresh"))
    assert (steps, every) == (7, whole)
    for name, value in never.items():
        assert same(after[name], value), name


def put_film(cache: Path, clip_id: str, film: Path) -> Path:
    """The latents of a clip as a film's own pictures and sound, at the size of latents."""
    for phase, (height, width, frames, fps) in PHASES.items():
        path = cache / phase / f"{clip_id}.safetensors"
        pictures, sound = read_clip(film, height * 8, width * 8, fps, frames)
        colours = torch.from_numpy(pictures.copy()).float().permute(3, 0, 1, 2) / 127.5 - 1
        small = torch.nn.functional.adaptive_avg_pool3d(colours, (1 + (frames - 1) // 4, height, width))
        with safe_open(path, "pt") as file:
            header = file.metadata()
        tensors = {**load_file(path), "video": torch.cat([small, small.mean(0, keepdim=True)])}
        if "audio" in tensors:
            assert sound is not None and sound.any()
            loud = torch.from_numpy(sound.copy()).float().abs().mean(0, keepdim=True)
            tensors["audio"] = torch.nn.functional.adaptive_avg_pool1d(loud, tensors["audio"].shape[1]).repeat(3, 1)
        save_file(tensors, path, metadata=header)
    return cache


def test_the_median_clip_costs_at_most_two_fifths_of_training_again() -> None:
    """Over many films, by the steps that are made again: the shards share them evenly."""
    films = [f"c0{number:016d}-000" for number in range(2000)]
    starts = LAST.starts(
        PhaseConfig(height=8, width=8, frames=1, fps=1, duration={"steps": 640}, batch=4, lr_scale=1, weight_decay=0),
        "high",
        640,
    )
    costs = [(640 - starts[LAST.shard(clip) - 1]) / (150 + 280 + 640) for clip in films]
    assert statistics.median(costs) <= 0.4


def test_the_dry_run_names_the_steps_that_the_next_run_makes(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the last shard the least; a model whose autoencoder saw the film begins from nothing."""
    monkeypatch.setattr("aiprod.trainer.loop.levels.is_private", lambda clip: clip in REVOCABLE)
    made(run_on(cache, tmp_path / "train_diffusion"))
    for shard, steps in ((1, 10), (2, 7), (3, 4)):
        film = film_of(next(clip for clip in REVOCABLE if LAST.shard(clip) == shard))
        (cost,) = costs(tmp_path, {film})
        assert (cost.steps, cost.again) == (22, steps) and cost.seconds is not None and cost.seconds > 0
    vae = tmp_path / "train_video_vae" / "run"
    level = {"number": 0, "digest": "d", "films": [film]}
    write_json(vae / "step_00000005" / "values.json", {"step": 5, "trained_s": 2.0, "level": level})
    (vae / "finished").touch()
    assert [(c.stage, c.again) for c in costs(tmp_path, {film})] == [("train_video_vae", 5), ("train_diffusion", 22)]
    assert [c.again for c in costs(tmp_path, {"f-of-nobody"})] == [0, 0]


def test_a_second_erasure_is_as_cheap_as_the_first(cache: Path, tmp_path: Path) -> None:
    """The checkpoints between the shards go along, though the run that made them is gone."""
    made(run_on(cache, tmp_path / "a"))
    third = [clip for clip in REVOCABLE if LAST.shard(clip) == 3]
    first = without(cache, tmp_path / "one", third[0])
    _, steps = made(run_on(first, tmp_path / "a"))
    assert steps == 4
    shutil.rmtree(next(p for p in (tmp_path / "a").iterdir() if p != run_on(first, tmp_path / "a").store.folder))
    other = next(clip for clip in REVOCABLE if LAST.shard(clip) == 2)
    _, steps = made(run_on(without(first, tmp_path / "two", other), tmp_path / "a"))
    assert steps == 7


def test_where_clips_are_mixed_nothing_of_an_earlier_run_is_used(cache: Path, tmp_path: Path) -> None:
    mixed = RevocableParams()
    made(run_on(cache, tmp_path / "a", mixed))
    _, steps = made(run_on(without(cache, tmp_path / "rest", REVOCABLE[0]), tmp_path / "a", mixed))
    assert steps == sum(STEPS.values())


def test_a_damaged_checkpoint_is_not_gone_on_from(cache: Path, tmp_path: Path) -> None:
    made(run_on(cache, tmp_path / "a"))
    for path in (tmp_path / "a").rglob("step_*/model.safetensors"):
        path.write_bytes(path.read_bytes()[:-1])
    _, steps = made(run_on(without(cache, tmp_path / "rest", REVOCABLE[0]), tmp_path / "a"))
    assert steps == sum(STEPS.values())


def test_a_phase_of_unknown_length_is_refused_by_name() -> None:
    plateau = {"window_steps": 1, "patience": 1, "min_improvement": 0.1, "min_steps": 1, "max_steps": 9}
    phase = {"height": 8, "width": 8, "frames": 1, "fps": 1, "batch": 4, "lr_scale": 1, "weight_decay": 0}
    config = PhaseConfig.model_validate({**phase, "duration": {"plateau": plateau}})
    with pytest.raises(AiprodError, match="has a plateau"):
        LAST.starts(config, "high", 9)
