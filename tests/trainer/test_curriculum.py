"""Phases follow each other by steps, epochs and plateau, and their state survives a restart anywhere."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiprod.base.params import validate
from aiprod.errors import AiprodError
from aiprod.trainer.loop.curriculum import CurriculumConfig
from aiprod.trainer.loop.phases import PhaseScheduler

SIZE = {"height": 32, "width": 56, "frames": 9, "fps": 12.0}


def _phase(duration: dict, **more) -> dict:
    return {**SIZE, "duration": duration, "batch": 4, "lr_scale": 1.0, "weight_decay": 0.0, **more}


def _scheduler(phases: dict, lr: float = 1.0, clips: int = 10) -> PhaseScheduler:
    config = CurriculumConfig.model_validate({"phases": phases})
    return config.scheduler(lr, dict.fromkeys(phases, clips))


def _walk(scheduler: PhaseScheduler, loss: float = 1.0) -> list[tuple[str, float]]:
    seen = []
    while not scheduler.finished:
        seen.append((scheduler.name, scheduler.lr()))
        scheduler.advance(loss)
    return seen


def test_phases_in_the_order_they_are_written():
    seen = _walk(_scheduler({"z": _phase({"steps": 3}), "a": _phase({"steps": 2}, lr_scale=0.5)}))
    assert [name for name, _ in seen] == ["z", "z", "z", "a", "a"]
    assert [lr for _, lr in seen] == [1.0, 1.0, 1.0, 0.5, 0.5]


@given(epochs=st.floats(0.1, 9), clips=st.integers(1, 40), batch=st.integers(1, 9))
@settings(max_examples=40, deadline=None)
def test_epochs_show_every_clip_at_least_so_often(epochs, clips, batch):
    phase = _phase({"epochs": epochs}) | {"batch": batch}
    steps = len(_walk(_scheduler({"a": phase}, clips=clips)))
    assert steps * batch >= epochs * clips - 1e-6
    assert (steps - 1) * batch < epochs * clips


def test_plateau_ends_when_the_loss_stops_falling():
    plateau = {"window_steps": 2, "patience": 2, "min_improvement": 0.05, "min_steps": 4, "max_steps": 100}
    scheduler = _scheduler({"a": _phase({"plateau": plateau}), "b": _phase({"steps": 1})})
    losses = [8.0, 8.0, 4.0, 4.0, 2.0, 2.0, *([1.95] * 50)]  # windows: 8, 4, 2, then two without improvement
    steps = 0
    while scheduler.name == "a":
        scheduler.advance(losses[steps])
        steps += 1
    assert steps == 10


def test_plateau_has_an_upper_and_a_lower_bound():
    plateau = {"window_steps": 1, "patience": 1, "min_improvement": 0.0, "min_steps": 6, "max_steps": 8}
    assert len(_walk(_scheduler({"a": _phase({"plateau": plateau})}))) == 6
    falling = _scheduler({"a": _phase({"plateau": plateau})})
    steps = 0
    while not falling.finished:
        falling.advance(math.exp(-steps))
        steps += 1
    assert steps == 8


@given(stop=st.integers(0, 14))
@settings(max_examples=15, deadline=None)
def test_state_survives_a_restart_at_any_step(stop):
    phases = {
        "a": _phase(
            {"plateau": {"window_steps": 2, "patience": 2, "min_improvement": 0.01, "min_steps": 2, "max_steps": 9}}
        ),
        "b": _phase({"steps": 6}, warmup_steps=2, decay="cosine"),
    }
    one, two = _scheduler(phases), _scheduler(phases)
    for _ in range(stop):
        if not one.finished:
            one.advance(1.0)
    two.load_state_dict(one.state_dict())
    assert _walk(one) == _walk(two)


def test_warm_up_then_decay():
    rates = [
        lr
        for _, lr in _walk(
            _scheduler({"a": _phase({"steps": 22}, warmup_steps=2, decay="cosine", final_lr_fraction=0.1)})
        )
    ]
    assert rates[0] < rates[1] < rates[2] == 1.0
    assert all(a >= b for a, b in itertools.pairwise(rates[2:]))
    assert rates[12] == pytest.approx(0.55)  # half of a cosine from 1 to 0.1
    assert 0.1 < rates[-1] < 0.12


def test_a_phase_of_no_steps_is_passed_over():
    assert [n for n, _ in _walk(_scheduler({"a": _phase({"steps": 0}), "b": _phase({"steps": 1})}))] == ["b"]


@pytest.mark.parametrize(
    ("phase", "what"),
    [
        ({"duration": {"steps": 1, "epochs": 1}}, "exactly one"),
        ({"duration": {}}, "exactly one"),
        ({"duration": {"step": 1}}, "did you mean 'steps'"),
        ({"lr_scal": 1.0}, "did you mean 'lr_scale'"),
        ({"batch": 0}, "greater than or equal to 1"),
    ],
)
def test_mistakes_are_named(phase, what):
    with pytest.raises(AiprodError, match=what):
        validate(CurriculumConfig, {"phases": {"low": {**_phase({"steps": 1}), **phase}}}, "params.yaml: curriculum")


def test_a_phase_without_clips_is_an_error():
    config = CurriculumConfig.model_validate({"phases": {"low": _phase({"steps": 1})}})
    with pytest.raises(AiprodError, match="'low' has no usable clip"):
        config.scheduler(1.0, {"low": 0})
