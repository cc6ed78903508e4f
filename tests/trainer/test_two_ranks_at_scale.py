"""Two ranks with the settings that real film is trained with, and killed in a write and between phases."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
import torch

from aiprod.core.transformer.config import AVTransformerConfig
from aiprod.core.transformer.model import AVTransformer
from aiprod.trainer.loop.accelerator import Engine, make_engine
from aiprod.trainer.loop.loop import TrainingRun
from aiprod.trainer.loop.optimizers import OptimizerParams, make_optimizer
from tests.trainer.kills import BETWEEN, Subject, plan
from tests.trainer.ranks import on_two_ranks
from tests.trainer.small_cache import TEXT, make_run, write_cache

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]
SECOND = 5  # a seed that draws the second checkpoint for what happens within one
HERE = "tests.trainer.test_two_ranks_at_scale"
SCALE = {"accumulation": 2, "validate_every_steps": 4, "deliver": "best", "prefetch": 4}  # as in params/gpu.yaml


def at_scale(cache: str, folder: Path, engine: Engine) -> TrainingRun:
    """bf16, AdamW in 8 bits, accumulation and gradient checkpointing (without ``compile``: minutes on a CPU)."""
    run = make_run(Path(cache), folder, engine=engine, loop=SCALE)
    run.model = wide_model()
    run.model.enable_gradient_checkpointing(True)
    run.optimizer = make_optimizer(run.model, OptimizerParams(name="adamw8bit"))
    return run


def wide_model() -> AVTransformer:
    """bitsandbytes keeps 8 bits for tensors of 4096 values and more, so it is wider than other small ones."""
    torch.manual_seed(4)
    return AVTransformer(
        AVTransformerConfig.demo(
            video_channels=4,
            audio_channels=3,
            text_dim=TEXT,
            video_width=96,
            audio_width=48,
            cross_width=48,
            video_heads=2,
            audio_heads=2,
            cross_heads=2,
            depth=2,
            time_ratio=1.0,
        )
    )


def train_at_scale(cache: str, out: str, stop: str = "-1") -> None:
    """What each rank does; rank 1 dies at step ``stop``."""
    engine = make_engine("bf16")
    run = at_scale(cache, Path(out) / "ck", engine)

    def log(phase: str, step: int, figures: dict[str, float]) -> None:
        if step == int(stop) and "loss" in figures and engine.rank == 1:
            os.kill(os.getpid(), 9)

    run.log = log
    ema = run.train()
    _keep(run, ema.state_dict(), f"{out}/end.{engine.rank}")


def train_and_die(cache: str, out: str, where: str, rank: str) -> None:
    """A plain run on two ranks of which one dies at a place that the single-process tests know."""
    engine = make_engine()
    subject = Subject.__new__(Subject)
    subject.run = make_run(Path(cache), Path(out) / "ck", engine=engine)
    subject.store = subject.run.store
    if engine.rank == int(rank):
        plan(subject, where, random.Random(SECOND))
    ema = subject.run.train()
    _keep(subject.run, ema.state_dict(), f"{out}/end.{engine.rank}")


def _keep(run: TrainingRun, averages: dict[str, torch.Tensor], path: str) -> None:
    torch.save({"weights": run.model.state_dict(), "ema": averages, "loss": [row["loss"] for row in run.curve]}, path)


def _ends(folder: Path) -> list[dict]:
    return [torch.load(folder / f"end.{rank}", weights_only=True) for rank in (0, 1)]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_cache(tmp_path_factory.mktemp("latents")))


def test_the_settings_for_real_film_train_what_one_process_trains(cache, tmp_path):
    """And what plain AdamW trains in full precision, as far as bf16 and 8 bits go; killed, it goes on."""
    (tmp_path / "two").mkdir()
    done = on_two_ranks(f"{HERE}:train_at_scale", cache, str(tmp_path / "two"))
    assert done.returncode == 0, done.stderr[-3000:]
    first, second = _ends(tmp_path / "two")
    alone = at_scale(cache, tmp_path / "one", make_engine("bf16"))
    alone.train()
    kept = [value for state in alone.optimizer.state.values() for value in state.values()]
    assert any(torch.is_tensor(v) and v.dtype == torch.uint8 for v in kept), "some averages of gradients have 8 bits"
    plain = make_run(Path(cache), tmp_path / "plain")
    plain.model = wide_model()
    plain.optimizer = make_optimizer(plain.model, OptimizerParams())
    plain.train()
    assert first["loss"] == pytest.approx([row["loss"] for row in alone.curve], rel=0.01)
    assert first["loss"] == pytest.approx([row["loss"] for row in plain.curve], rel=0.05)
    for part in ("weights", "ema"):
        assert all(torch.equal(weight, second[part][name]) for name, weight in first[part].items())
    fresh = wide_model().state_dict()
    assert any(not torch.equal(weight, fresh[name]) for name, weight in first["weights"].items())
    (tmp_path / "cut").mkdir()
    assert on_two_ranks(f"{HERE}:train_at_scale", cache, str(tmp_path / "cut"), "9").returncode != 0
    assert not (tmp_path / "cut" / "end.0").exists()
    done = on_two_ranks(f"{HERE}:train_at_scale", cache, str(tmp_path / "cut"))
    assert done.returncode == 0, done.stderr[-3000:]
    assert _ends(tmp_path / "cut")[0]["loss"] == pytest.approx(first["loss"], rel=1e-3)


@pytest.fixture(scope="module")
def whole(cache, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    done = on_two_ranks(f"{HERE}:train_and_die", cache, str(folder), "nowhere", "0")
    assert done.returncode == 0, done.stderr[-3000:]
    return _ends(folder)[0]


@pytest.mark.parametrize(
    ("where", "rank"),
    [
        ("in a write", 0),
        ("before a rename", 0),
        ("in the pruning", 0),
        (BETWEEN[0], 0),
        (BETWEEN[1], 0),
        (BETWEEN[0], 1),
    ],
)
def test_killed_where_a_checkpoint_or_a_phase_ends_both_go_on_from_a_whole_one(cache, whole, tmp_path, where, rank):
    """Rank 0 writes for both: dead in half a write it leaves the checkpoint before, and rank 1 follows it there."""
    done = on_two_ranks(f"{HERE}:train_and_die", cache, str(tmp_path), where, str(rank))
    assert done.returncode != 0 and not (tmp_path / "end.0").exists(), (done.stdout, done.stderr[-3000:])
    done = on_two_ranks(f"{HERE}:train_and_die", cache, str(tmp_path), "nowhere", "0")
    assert done.returncode == 0, done.stderr[-3000:]
    assert "continuing at step" in done.stderr
    for end in _ends(tmp_path):
        assert end["loss"] == pytest.approx(whole["loss"], rel=1e-5)
        for name, weight in whole["weights"].items():
            assert torch.allclose(weight, end["weights"][name], atol=1e-5), name
