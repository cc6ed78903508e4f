"""A run that is killed and goes on equals one that was never killed, bit for bit."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from aiprod.base.errors import AiprodError
from aiprod.trainer.checkpoints import CheckpointStore
from tests.trainer.small_cache import make_run, write_cache

ROOT = Path(__file__).resolve().parents[2]


class Killed(Exception):
    """Stands for the end of the process."""


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_cache(tmp_path_factory.mktemp("latents"))


@pytest.fixture(scope="module")
def whole(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """What the run that is never killed ends with."""
    run = make_run(cache, tmp_path_factory.mktemp("whole"))
    ema = run.train()
    return _end(run, ema)


def _end(run, ema) -> dict[str, object]:
    return {
        "weights": {k: v.clone() for k, v in run.model.state_dict().items()}, "ema": ema.state_dict(),
        "optimizer": run.optimizer.state_dict(), "curve": run.curve, "heldout": run.heldout,
        "ledger": run.ledger.state_dict(), "rng": torch.get_rng_state(),
    }


def _same(a: object, b: object) -> bool:
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and torch.equal(a, b)
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(_same(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple):
        return isinstance(b, list | tuple) and len(a) == len(b) and all(map(_same, a, b))
    return a == b


@pytest.mark.parametrize("step", [0, 3, 7, 8, 12])
@pytest.mark.parametrize("where", ["in a step", "after the update"])
def test_killed_and_resumed_equals_never_killed(  # noqa: PLR0917 (fixtures)
    cache, whole, tmp_path, step, where, monkeypatch
):
    run = make_run(cache, tmp_path)
    if where == "after the update":  # after the weights changed, before anything was saved
        def stop(phase, at, figures):
            if at == step and "loss" in figures:
                raise Killed

        run.log = stop
    else:
        loss = run.strategy.loss

        def failing(model, batch, *, step: int, **rest):
            if step == at_step:
                raise Killed
            return loss(model, batch, step=step, **rest)

        at_step = step
        monkeypatch.setattr(run.strategy, "loss", failing)
    with pytest.raises(Killed):
        run.train()
    torch.manual_seed(999)  # a new process has other random state
    again = make_run(cache, tmp_path)
    end = _end(again, again.train())
    for name in ("weights", "ema", "optimizer", "curve", "heldout", "ledger"):
        assert _same(end[name], whole[name]), name


def test_kill_dash_nine(cache, whole, tmp_path):
    """A real process, killed by SIGKILL at moments of its own choosing until it gets through."""
    program = (
        "import sys, torch; from pathlib import Path; from tests.trainer.small_cache import make_run\n"
        "run = make_run(Path(sys.argv[1]), Path(sys.argv[2])); ema = run.train()\n"
        "torch.save({'weights': run.model.state_dict(), 'ema': ema.state_dict()}, sys.argv[3])\n"
    )
    out = tmp_path / "end.pt"
    command = [sys.executable, "-c", program, str(cache), str(tmp_path / "ck"), str(out)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    kills = 0
    while not out.exists():
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL)
        seen = len(_steps(tmp_path / "ck"))
        while process.poll() is None and kills < 2:
            steps = _steps(tmp_path / "ck")
            if steps and max(steps) >= 4 * (kills + 1) and len(steps) + max(steps) > seen:
                process.send_signal(signal.SIGKILL)
                kills += 1
                break
            time.sleep(0.002)
        process.wait(timeout=120)
    end = torch.load(out, weights_only=True)
    assert kills == 2
    assert _same(end["weights"], whole["weights"])
    assert _same(end["ema"], whole["ema"])


def _steps(folder: Path) -> list[int]:
    return [int(p.name.removeprefix("step_")) for p in folder.glob("step_*")]


def test_other_settings_are_refused_with_the_difference(cache, tmp_path):
    make_run(cache, tmp_path, steps={"low": 1, "high": 1}).train()
    with pytest.raises(AiprodError, match=r"lr: 0.002 → absent|batch: absent → 7"):
        CheckpointStore(tmp_path, {"batch": 7}).latest()


def test_damaged_checkpoint_falls_back_to_the_one_before(cache, whole, tmp_path):
    run = make_run(cache, tmp_path)
    run.log = _kill_at(6)
    with pytest.raises(Killed):
        run.train()
    newest = sorted(tmp_path.glob("step_*"))[-1]
    victim = newest / "model.safetensors"
    victim.write_bytes(victim.read_bytes()[:-7])
    again = make_run(cache, tmp_path)
    assert _same(_end(again, again.train())["weights"], whole["weights"])


def _kill_at(step):
    def log(phase, at, figures):
        if at == step and "loss" in figures:
            raise Killed

    return log


def test_full_disk_leaves_the_checkpoint_before_and_says_so(cache, tmp_path, monkeypatch):
    run = make_run(cache, tmp_path)
    run.log = _kill_at(4)
    with pytest.raises(Killed):
        run.train()
    before = sorted(p.name for p in tmp_path.glob("step_*"))
    write = Path.write_bytes

    def full(self, data):
        if ".step_" in str(self):
            raise OSError(28, "No space left on device")
        return write(self, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(AiprodError, match=r"no space left.*step_00000004 is intact"):
        make_run(cache, tmp_path).train()
    monkeypatch.undo()
    assert sorted(p.name for p in tmp_path.glob("step_*")) == before
    assert CheckpointStore(tmp_path, {"lr": 2e-3}).latest().step == 4


def test_keeps_the_last_checkpoints_only(cache, tmp_path):
    make_run(cache, tmp_path).train()
    assert _steps(tmp_path) == [13, 14] or sorted(_steps(tmp_path)) == [13, 14]
    shutil.rmtree(tmp_path)


def test_a_finished_run_is_not_trained_again(cache, whole, tmp_path):
    make_run(cache, tmp_path).train()
    again = make_run(cache, tmp_path)
    again.log = _kill_at(0)
    assert _same(_end(again, again.train())["weights"], whole["weights"])
