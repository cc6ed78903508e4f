"""A run that is killed and goes on equals one that was never killed, bit for bit."""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from aiprod.errors import AiprodError
from aiprod.trainer.loop.checkpoints import CheckpointStore
from tests.trainer.kills import make
from tests.trainer.small_cache import SELDOM, make_run
from tests.trainer.small_vaes import KINDS
from tests.trainer.stopping import Stop
from tests.warm import client as warm

pytestmark = pytest.mark.bitwise

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def whole(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """What the run that is never killed ends with."""
    run = make_run(cache, tmp_path_factory.mktemp("whole"), loop=SELDOM)
    ema = run.train()
    return _end(run, ema)


def _end(run, ema) -> dict[str, object]:
    return {
        "weights": {k: v.clone() for k, v in run.model.state_dict().items()},
        "ema": ema.state_dict(),
        "optimizer": run.optimizer.state_dict(),
        "curve": run.curve,
        "heldout": run.heldout,
        "ledger": run.ledger.state_dict(),
        "rng": torch.get_rng_state(),
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
                raise Stop

        run.log = stop
    else:
        loss = run.strategy.loss

        def failing(model, batch, *, step: int, **rest):
            if step == at_step:
                raise Stop
            return loss(model, batch, step=step, **rest)

        at_step = step
        monkeypatch.setattr(run.strategy, "loss", failing)
    with pytest.raises(Stop):
        run.train()
    torch.manual_seed(999)  # a new process has other random state
    again = make_run(cache, tmp_path, loop=SELDOM)
    end = _end(again, again.train())
    for name in ("weights", "ema", "optimizer", "curve", "heldout", "ledger"):
        assert _same(end[name], whole[name]), name


KILLS = {
    ("diffusion", 3, 1): False,
    ("video_vae", 2, 3): True,
    ("audio_vae", 2, 4): False,
    ("text_encoder", 2, 6): True,
    ("diffusion", 20, 2): True,
    **{(kind, 20, 5): True for kind in (*KINDS, "text_encoder")},
}  # → whether it takes long
FULL = {("diffusion", 0, 0): (30, False), ("video_vae", 0, 0): (30, True), ("audio_vae", 0, 0): (2, True)}
"""→ the checkpoint that stays, and whether it takes long."""


def long_where(cases: dict[tuple[str, int, int], bool]) -> list[Any]:
    """The cases, those that take long with the mark that says so."""
    return [pytest.param(case, marks=pytest.mark.long) if long else case for case, long in cases.items()]


@pytest.fixture(scope="module")
def killed(cache, tmp_path_factory, request):
    """What the runs that are killed say and leave: (kind, kills, seed) → its lines and its folder."""
    asked = [
        i.callspec.params["case"]
        for i in request.session.items
        if i.module is request.module and "case" in getattr(getattr(i, "callspec", None), "params", {})
    ]
    places = {str(tmp_path_factory.mktemp("killed")): case for case in dict.fromkeys(asked)}
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}", "OMP_NUM_THREADS": "1"}
    done = warm.run(("tests.trainer.kills", json.dumps(places), str(cache)), ROOT, environment)
    parts = done.stdout.split("== ")
    assert len(parts) == len(places) + 1, done.stdout + done.stderr[-3000:]
    codes = [part.split("\n", 1)[0] for part in parts[1:]]
    lines = [parts[0].splitlines(), *(part.splitlines()[1:] for part in parts[1:])]
    found = zip(places.items(), codes, lines[:-1], strict=True)
    return {case: (code, said, Path(place)) for (place, case), code, said in found}


@pytest.mark.slow
@pytest.mark.parametrize("case", long_where(KILLS))
def test_killed_by_sigkill_and_resumed_equals_never_killed(cache, tmp_path, killed, case):
    """Real processes, killed in steps, in checkpoint writes and between phases, at places drawn by the seed."""
    code, said, folder = killed[case]
    assert code == "0" and sum("checkpoints" in line for line in said) == case[1], said
    subject = make(str(cache) if case[0] == "diffusion" else case[0], tmp_path / "whole")
    subject.run.params = subject.run.params.model_copy(update=SELDOM)
    whole = subject.train()
    assert _same(torch.load(folder / "end.pt", weights_only=True), whole), said


@pytest.mark.parametrize("case", long_where({case: long for case, (_, long) in FULL.items()}))
def test_a_full_disk_leaves_the_checkpoint_before_and_says_so_in_one_line(cache, killed, case):
    """The file system refuses what goes beyond a size, as it does at the end of a disk or a quota."""
    code, said, folder = killed[case]
    step, _ = FULL[case]
    assert code == "2", said
    assert said[-1].startswith("no space left"), said
    assert f"the checkpoint step_{step:08d} is intact → free some space" in said[-1], said
    assert sorted(_steps(folder / "ck")) == [step - 1, step]
    assert [p for p in (folder / "ck").iterdir() if p.name.startswith(".")] == []
    assert make(str(cache) if case[0] == "diffusion" else case[0], folder / "ck").store.latest().step == step


def _steps(folder: Path) -> list[int]:
    return [int(p.name.removeprefix("step_")) for p in folder.glob("step_*")]


def test_other_settings_are_refused_with_the_difference(cache, tmp_path):
    make_run(cache, tmp_path, steps={"low": 1, "high": 1}).train()
    with pytest.raises(AiprodError, match=r"lr: 0.002 → absent|batch: absent → 7"):
        CheckpointStore(tmp_path, {"batch": 7}).latest()


def test_damaged_checkpoint_falls_back_to_the_one_before(cache, whole, tmp_path):
    run = make_run(cache, tmp_path)
    run.log = _kill_at(6)
    with pytest.raises(Stop):
        run.train()
    newest = sorted(tmp_path.glob("step_*"))[-1]
    victim = newest / "model.safetensors"
    victim.write_bytes(victim.read_bytes()[:-7])
    again = make_run(cache, tmp_path, loop=SELDOM)
    assert _same(_end(again, again.train())["weights"], whole["weights"])


def _kill_at(step):
    def log(phase, at, figures):
        if at == step and "loss" in figures:
            raise Stop

    return log


def test_the_best_checkpoint_stays_and_can_be_delivered(cache, tmp_path):
    steps = {"low": 2, "high": 9}
    run = make_run(cache, tmp_path / "a", steps=steps, loop={"validate_every_steps": 1, "deliver": "best"})
    falling = iter([9.0, 8.0, 7.0, 5.0, 3.0, 4.0, 4.0, 4.0, 4.0, 4.0, 4.0, 4.0, 4.0, 4.0])  # the least: step 4
    heldout = run.strategy.heldout
    run.strategy.heldout = lambda *a, **k: {**heldout(*a, **k), "heldout/loss": next(falling)}
    ema = run.train()
    assert run.best["phase"] == "high" and sorted(_steps(tmp_path / "a")) == [run.best["step"], 10, 11]
    kept = run.store.at(run.best["step"]).tensors["ema"]
    assert _same(ema.state_dict(), kept)
    last = make_run(cache, tmp_path / "a", steps=steps, loop={"validate_every_steps": 1})
    assert not _same(last.train().state_dict(), kept)


def test_finished_runs_are_pruned_and_unfinished_ones_are_not(cache, tmp_path):
    for number in range(5):
        store = make_run(cache, tmp_path / f"run{number}", steps={"low": 2, "high": 1}).store
        store.keep_finished = 2
        store.save(1, tensors={}, objects={}, values={})
        store.save(2, tensors={}, objects={}, values={})
        if number:
            store.finish()
    left = {p.name: sorted(_steps(p)) for p in tmp_path.iterdir()}
    assert left == {"run0": [1, 2], "run3": [2], "run4": [2]}


def test_a_new_start_beside_an_unfinished_run_says_what_differs(tmp_path, capsys):
    CheckpointStore(tmp_path / "a", {"lr": 1, "code": "x"}).save(7, tensors={}, objects={}, values={})
    assert CheckpointStore(tmp_path / "b", {"lr": 2, "code": "x"}).latest() is None
    said = capsys.readouterr().err
    assert "starting from step 0" in said and "step_00000007" in said and "lr: 1 → 2" in said and "code" not in said


def test_a_loss_that_is_no_number_stops_with_the_step(cache, tmp_path):
    run = make_run(cache, tmp_path)
    loss = run.strategy.loss

    def broken(*arguments, step, **rest):
        found = loss(*arguments, step=step, **rest)
        return found if step < 2 else type(found)(found.loss * float("nan"), found.figures)

    run.strategy.loss = broken
    with pytest.raises(AiprodError, match="is nan at step 2 of phase 'low'"):
        run.train()
    assert CheckpointStore(tmp_path, {"lr": 2e-3}).latest().step == 2


def test_keeps_the_last_checkpoints_only(cache, tmp_path):
    make_run(cache, tmp_path).train()
    assert sorted(_steps(tmp_path)) == [13, 14]
    shutil.rmtree(tmp_path)


def test_a_finished_run_is_not_trained_again(cache, whole, tmp_path):
    make_run(cache, tmp_path, loop=SELDOM).train()
    again = make_run(cache, tmp_path)
    again.log = _kill_at(0)
    assert _same(_end(again, again.train())["weights"], whole["weights"])


@pytest.mark.parametrize("prefetch", [1, 7])
def test_how_far_is_read_ahead_changes_nothing(cache, whole, tmp_path, prefetch):
    run = make_run(cache, tmp_path, loop={"prefetch": prefetch, **SELDOM})
    assert _same(_end(run, run.train())["weights"], whole["weights"])


def test_waiting_for_data_is_told(cache, tmp_path):
    """Where reading takes longer than a step, the loop waits, and the share says so."""
    run = make_run(cache, tmp_path, steps={"low": 6, "high": 1}, loop={"checkpoint_every_s": 60.0})
    load = run.strategy.load

    def slow_load(*arguments):
        time.sleep(0.1)
        return load(*arguments)

    run.strategy.load = slow_load
    run.train()
    assert 0.09 < run.data_wait_s < run.wall_s, "nothing can be computed before the first batch is there"
    assert run.data_wait_share == round(run.data_wait_s / run.wall_s, 5)


def test_reading_goes_on_while_a_step_is_computed(cache, tmp_path):
    run = make_run(cache, tmp_path, steps={"low": 20, "high": 1}, loop={"checkpoint_every_s": 60.0})
    load, loss = run.strategy.load, run.strategy.loss
    computing, read_meanwhile = threading.Event(), []

    def watched_load(*arguments):
        read_meanwhile.append(computing.is_set())
        return load(*arguments)

    def waiting_loss(*arguments, **rest):
        computing.set()
        time.sleep(0.03)  # lets the reader go on
        computing.clear()
        return loss(*arguments, **rest)

    run.strategy.load, run.strategy.loss = watched_load, waiting_loss
    run.train()
    assert any(read_meanwhile), "without reading ahead every batch would be read between two steps"
