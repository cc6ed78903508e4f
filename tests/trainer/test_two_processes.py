"""Two processes: the loss and weights of one at the same global batch, other noise on each, resume after a kill."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from aiprod.trainer.diffusion.flow import slot_generator
from tests.trainer.small_cache import SELDOM, make_run, write_cache
from tests.warm import client as warm

pytestmark = pytest.mark.bitwise

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import os, signal, sys, torch
from pathlib import Path
from aiprod.trainer.diffusion import tasks
from aiprod.trainer.loop.accelerator import make_engine
from aiprod.trainer.loop.optimizers import OptimizerParams, make_optimizer
from tests.trainer.small_cache import make_run
cache, folder, out, stop, sharding, name = Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:]
engine = make_engine(sharding=sharding)
assert engine.world == 2
drawn, make = [], tasks.slot_generator
def watched(*place):
    generator = make(*place)
    if place[0] == run.strategy.seed:  # the noise of the training; tasks are drawn from a stream of their own
        drawn.append((place[1], torch.randn(2, generator=make(*place)).tolist()))
    return generator
tasks.slot_generator = watched
def log(phase, step, figures):
    if step == int(stop) and "loss" in figures and engine.rank == 1:
        os.kill(os.getpid(), signal.SIGKILL)
run = make_run(cache, folder, engine=engine, log=log)
run.optimizer = make_optimizer(run.model, OptimizerParams(name=name))
ema = run.train()
from aiprod.trainer.loop.sharding import full_state_dict
weights, averages = full_state_dict(run.model), ema.state_dict()
split = sum(type(p).__name__ == "DTensor" for p in run.model.parameters())
torch.save({"weights": weights, "ema": averages, "loss": [r["loss"] for r in run.curve], "drawn": drawn,
            "split": split, "norm": [r["grad_norm"] for r in run.curve]}, f"{out}.{engine.rank}")
"""


def _launch(cache: Path, folder: Path, out: Path, *, stop: int = -1, sharding: str = "ddp", name: str = "adamw") -> int:
    """Start two ranks as torchrun does, which is what ``accelerate launch`` calls; its exit status."""
    path = f"{ROOT / 'src'}{os.pathsep}{ROOT}{os.pathsep}{folder.parent}"
    (folder.parent / "program_of_ranks.py").write_text(PROGRAM)
    environment = {
        **os.environ,
        "PYTHONPATH": path,
        "OMP_NUM_THREADS": "1",
        "ACCELERATE_USE_CPU": "true",
        "CUDA_VISIBLE_DEVICES": "",
    }
    command = [
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "2",
        "--no-python",
        "python",
        "-m",
        "program_of_ranks",
        str(cache),
        str(folder),
        str(out),
        str(stop),
        sharding,
        name,
    ]
    done = warm.run(command, ROOT, warm.environment(environment), timeout_s=280)
    assert done.returncode == 0 or stop >= 0, done.stderr[-3000:]
    return done.returncode


def _ends(out: Path) -> list[dict]:
    return [torch.load(f"{out}.{rank}", weights_only=True) for rank in (0, 1)]


def test_no_two_places_of_a_batch_share_noise():
    """A place counts over all ranks, so this says it for ranks too; the test below looks at two real ones."""
    drawn = {
        tuple(torch.randn(3, generator=slot_generator(1, step, slot)).tolist())
        for step in range(50)
        for slot in range(20)
    }
    assert len(drawn) == 1000


@pytest.mark.slow
def test_two_processes_train_what_one_trains(tmp_path: Path):
    cache = write_cache(tmp_path / "latents")
    one = make_run(cache, tmp_path / "one", loop=SELDOM)
    one.train()
    _launch(cache, tmp_path / "two", tmp_path / "two.pt")
    ends = _ends(tmp_path / "two.pt")
    alone = [row["loss"] for row in one.curve]
    assert ends[0]["loss"] == pytest.approx(alone, rel=0.01)
    assert not ends[0]["split"]
    for name, weight in ends[0]["weights"].items():
        assert torch.equal(weight, ends[1]["weights"][name]), name
    mine, other = ({tuple(noise) for step, noise in end["drawn"] if step < 14} for end in ends)
    assert len(mine) == len(other) == 28, "two of the four places of each of 14 steps"
    assert not mine & other, "no noise is drawn on both ranks"


@pytest.mark.long
@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_split_parameters_train_what_whole_ones_train(tmp_path: Path, name: str):
    """FSDP2 on two processes, its checkpoint taken up by one process, and the other way round."""
    cache = write_cache(tmp_path / "latents")
    _launch(cache, tmp_path / "whole", tmp_path / "whole.pt", name=name)
    _launch(cache, tmp_path / "split", tmp_path / "split.pt", sharding="fsdp2", name=name)
    whole, split = _ends(tmp_path / "whole.pt")[0], _ends(tmp_path / "split.pt")[0]
    assert split["split"] > 20
    assert split["loss"] == pytest.approx(whole["loss"], rel=1e-4)
    assert split["norm"] == pytest.approx(whole["norm"], rel=1e-3)
    for kind in ("weights", "ema"):
        for key, weight in whole[kind].items():
            assert torch.allclose(weight, split[kind][key], atol=1e-4), key
    assert _launch(cache, tmp_path / "cut", tmp_path / "no.pt", stop=6, sharding="fsdp2", name=name)
    _launch(cache, tmp_path / "cut", tmp_path / "again.pt", sharding="ddp", name=name)
    again = _ends(tmp_path / "again.pt")[0]
    for key, weight in whole["weights"].items():
        assert torch.allclose(weight, again["weights"][key], atol=1e-4), key


@pytest.mark.long
@pytest.mark.parametrize("sharding", ["ddp", "fsdp2"])
def test_a_killed_rank_ends_all_and_resume_reaches_the_same_weights(tmp_path: Path, sharding: str):
    cache = write_cache(tmp_path / "latents")
    _launch(cache, tmp_path / "whole", tmp_path / "whole.pt", sharding=sharding)
    ended = _launch(cache, tmp_path / "cut", tmp_path / "no.pt", stop=6, sharding=sharding)
    assert ended != 0, "the rank that is left ends too: one that waited for ever would meet the limit of _launch"
    assert not Path(f"{tmp_path / 'no.pt'}.0").exists()
    _launch(cache, tmp_path / "cut", tmp_path / "again.pt", sharding=sharding)
    whole, again = _ends(tmp_path / "whole.pt")[0], _ends(tmp_path / "again.pt")[0]
    assert again["loss"] == pytest.approx(whole["loss"], rel=1e-5)
    for name, weight in whole["weights"].items():
        assert torch.allclose(weight, again["weights"][name], atol=1e-5), name
