"""Adapters start as nothing, train alone, and fused weights compute what the adapted model computes."""

from __future__ import annotations

import pytest
import torch

from aiprod.errors import AiprodError
from aiprod.models.checkpoint.lora import fuse_lora
from aiprod.trainer.diffusion.lora import LoraParams, add_lora, base_weights, lora_weights, save_lora
from aiprod.trainer.loop.optimizers import OptimizerParams, make_optimizer
from tests.trainer.small_cache import make_run, small_model, write_cache

pytestmark = pytest.mark.bitwise

PARAMS = LoraParams(rank=2, alpha=3.0)


def _output(model, run):
    batch = run.strategy.read("low", list(run.samplers["low"].next()[1]))
    with torch.no_grad():
        return run.strategy.loss(model, batch, step=0, slots=range(4), device=torch.device("cpu")).loss


@pytest.fixture
def run(tmp_path):
    return make_run(write_cache(tmp_path / "latents"), tmp_path / "ck", loop={"checkpoint_every_s": 1e6})


def test_only_adapters_train_and_fused_weights_compute_the_same(run, tmp_path):
    plain = {name: weight.clone() for name, weight in small_model().state_dict().items()}
    before = _output(run.model, make_run_position(run))
    add_lora(run.model, PARAMS, seed=0)
    assert torch.equal(_output(run.model, make_run_position(run)), before)  # B starts at 0
    run.optimizer = make_optimizer(run.model, OptimizerParams())
    ema = run.train()
    trained = run.model.state_dict()
    for name, weight in trained.items():
        if "lora_" not in name:
            assert torch.equal(weight, plain[name.replace(".base_layer.", ".")]), name
    assert any(float(w.abs().sum()) > 0 for n, w in lora_weights(trained).items() if "lora_B" in n)
    assert set(ema.state_dict()) - {"__updates__"} == {n for n in trained if "lora_" in n}
    assert base_weights(trained).keys() == plain.keys()
    save_lora(trained, PARAMS, tmp_path / "lora")
    fused = fuse_lora(base_weights(trained), tmp_path / "lora")
    for name, weight in plain.items():
        down, up = (trained.get(f"{name.removesuffix('.weight')}.lora_{part}.default.weight") for part in "AB")
        added = PARAMS.alpha / PARAMS.rank * up @ down if up is not None and down is not None else 0.0
        assert torch.allclose(fused[name], weight + added, atol=1e-6), name
    model = small_model()
    model.load_state_dict(fused)
    adapted, same = _output(run.model, make_run_position(run)), _output(model, make_run_position(run))
    assert float(adapted) == pytest.approx(float(same), rel=1e-5)


def make_run_position(run):
    """The run with its sampler back at the start, so that every call sees the same batch."""
    sampler = run.samplers["low"]
    sampler.load_state_dict({**sampler.state_dict(), "drawn": [0] * len(sampler.state_dict()["drawn"])})
    return run


def test_killed_and_resumed_adapters_are_the_same(tmp_path):
    cache = write_cache(tmp_path / "latents")
    ends = []
    for name, stop in (("whole", None), ("cut", 5)):

        class Killed(Exception):
            pass

        def log(phase, step, figures, stop=stop, killed=Killed):
            if step == stop and "loss" in figures:
                raise killed

        for attempt in range(2 if stop else 1):
            run = make_run(cache, tmp_path / name, log=log if not attempt else None)
            add_lora(run.model, PARAMS, seed=0)
            run.optimizer = make_optimizer(run.model, OptimizerParams())
            try:
                run.train()
            except Killed:
                continue
        ends.append(lora_weights(run.model.state_dict()))
    assert all(torch.equal(ends[0][n], ends[1][n]) for n in ends[0])


def test_a_name_that_matches_nothing_is_refused(run):
    with pytest.raises(AiprodError, match="matches no linear layer"):
        add_lora(run.model, LoraParams(targets="attention9"), seed=0)


@pytest.mark.parametrize("name", ["adamw8bit", "muon"])
def test_every_optimizer_trains_and_resumes(tmp_path, name):
    cache = write_cache(tmp_path / "latents")
    losses = []
    for folder, steps in (("a", {"low": 8, "high": 1}), ("b", {"low": 8, "high": 1})):
        run = make_run(cache, tmp_path / folder, steps=steps, loop={"checkpoint_every_s": 1e6})  # the last stays
        run.optimizer = make_optimizer(run.model, OptimizerParams(name=name))
        run.train()
        losses.append([row["loss"] for row in run.curve])
    assert losses[0] == losses[1]
    again = make_run(cache, tmp_path / "a", steps={"low": 8, "high": 1})
    again.optimizer = make_optimizer(again.model, OptimizerParams(name=name))
    again.train()  # reads the optimizer's state back
    assert [row["loss"] for row in again.curve] == losses[0]
