"""Making, stepping and saving an optimizer loads no compiler, and steps are torch's own to the bit."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import torch
from torch import nn

from aiprod.trainer.loop.eager import AdamW

PROGRAM = """
import sys, torch
from aiprod.trainer.loop.eager import AdamW
from aiprod.trainer.loop.accelerator import SingleEngine
from aiprod.trainer.loop.optimizers import OptimizerParams, make_optimizer
for name in ("adamw", "muon"):
    model = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.Linear(8, 2))
    optimizer = make_optimizer(model, OptimizerParams(name=name))
    engine = SingleEngine(device=torch.device("cpu"))
    model, optimizer = engine.prepare(model, optimizer)
    for _ in range(2):
        engine.backward(model(torch.ones(3, 8)).square().sum())
        engine.clip(model, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    optimizer.load_state_dict(optimizer.state_dict())
    if "torch._dynamo" not in sys.modules:
        print(name, "loads no compiler")
m = torch.nn.Linear(3, 1)
o = AdamW(m.parameters(), lr=0.1)
c = torch.compile(m, backend="eager")
a = c(torch.ones(2, 3))
a.sum().backward()
o.step()
o.zero_grad()
if "torch._dynamo" in sys.modules and not torch.equal(c(torch.ones(2, 3)), a):
    print("it can still be compiled")
"""


@pytest.fixture(scope="module")
def said() -> str:
    """What a new interpreter says, which trains with either optimizer and then compiles a model."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_training_loads_no_compiler(said: str, name: str) -> None:
    assert f"{name} loads no compiler" in said


@pytest.mark.bitwise
@pytest.mark.parametrize("how", [{"fused": True}, {"betas": (0.5, 0.9)}, {"fused": True, "weight_decay": 0.3}])
def test_steps_and_states_are_those_of_torch(how: dict[str, Any]) -> None:
    def trained(kind: type[torch.optim.AdamW]) -> tuple[nn.Module, torch.optim.AdamW]:
        torch.manual_seed(3)
        model = nn.Sequential(nn.Linear(16, 64), nn.GELU(), nn.Linear(64, 5))
        optimizer = kind(model.parameters(), lr=1e-2, **how)
        for _ in range(20):
            optimizer.zero_grad()
            model(torch.randn(7, 16)).square().mean().backward()
            optimizer.step()
        return model, optimizer

    (ours, own), (theirs, reference) = trained(AdamW), trained(torch.optim.AdamW)
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(a, b)
    reference.load_state_dict(own.state_dict())  # either reads what the other saved
    own.load_state_dict(reference.state_dict())


def test_a_closure_is_asked_for_its_loss_with_gradients() -> None:
    weight = nn.Parameter(torch.ones(2))
    optimizer = AdamW([weight], lr=0.1)

    def loss() -> Any:
        optimizer.zero_grad()
        value = weight.square().sum()
        value.backward()
        return value

    before: Any = optimizer.step(loss)
    assert before.item() == pytest.approx(2.0)
    assert float(weight.detach().sum()) < 2.0


def test_a_model_can_still_be_compiled(said: str) -> None:
    assert "it can still be compiled" in said
