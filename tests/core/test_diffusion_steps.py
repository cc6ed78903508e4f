"""Steps follow the flow: exact where it is straight, of their stated order where it bends, neutral for kept tokens."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from pydantic import ValidationError

from aiprod.core.components.diffusion_steps import (
    SAMPLERS,
    AncestralFlowStep,
    EulerFlowStep,
    HeunFlowStep,
    NoiserStep,
    ResFlowStep,
    to_denoised,
    to_velocity,
)
from aiprod.core.components.noiser import Noiser
from aiprod.core.components.schedulers import VFlowScheduler
from aiprod.core.protocols import DiffusionStep
from aiprod.core.types import LatentState
from aiprod.errors import CoreError

pytestmark = pytest.mark.bitwise

ALL = (EulerFlowStep, HeunFlowStep, ResFlowStep, AncestralFlowStep, NoiserStep)
STRAIGHT = (EulerFlowStep, HeunFlowStep, ResFlowStep)


def test_euler_agrees_with_diffusers() -> None:
    scheduler = FlowMatchEulerDiscreteScheduler(shift=3.0)
    scheduler.set_timesteps(sigmas=[1 - i / 6 for i in range(6)])
    torch.manual_seed(0)
    ours = theirs = torch.randn(2, 5, 4)
    for t, a, b in zip(scheduler.timesteps, scheduler.sigmas, scheduler.sigmas[1:], strict=False):
        velocity = torch.randn(2, 5, 4)
        theirs = scheduler.step(velocity, t, theirs, return_dict=False)[0]
        ours = EulerFlowStep().step(ours, velocity, a, b)
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


def gaussian_velocity(deviation: float):
    """The exact velocity when x₀ ~ N(0, deviation²): x₀ given x is k·x, k = (1−σ)·d² / ((1−σ)²d² + σ²)."""

    def velocity(x: torch.Tensor, sigma: float | torch.Tensor) -> torch.Tensor:
        s = float(sigma)
        k = (1 - s) * deviation**2 / ((1 - s) ** 2 * deviation**2 + s**2)
        return (x - k * x) / s if s else x * 0

    return velocity


def solve(step: DiffusionStep, steps: int, start: float, end: float, deviation: float) -> float:
    """Relative error against the exact flow, along which x is proportional to its own standard deviation."""
    velocity = gaussian_velocity(deviation)
    grid = torch.linspace(start, end, steps + 1, dtype=torch.float64).tolist()
    x = torch.ones(1, 1, 1)
    for a, b in pairwise(grid):
        x = step.step(x, velocity(x, a), a, b, predict=velocity)
    spread = lambda s: math.sqrt((1 - s) ** 2 * deviation**2 + s**2)  # noqa: E731
    return abs(x.item() - spread(end) / spread(start)) / (spread(end) / spread(start))


@pytest.mark.parametrize(("step", "order"), [(EulerFlowStep(), 1), (HeunFlowStep(), 2), (ResFlowStep(), 2)])
def test_error_falls_with_the_stated_order(step: DiffusionStep, order: int) -> None:
    coarse, fine = (solve(step, n, 0.9, 0.2, deviation=0.4) for n in (8, 16))
    assert coarse / fine == pytest.approx(2**order, rel=0.3)


@pytest.mark.parametrize(
    "step",
    [
        EulerFlowStep("denoised"),
        HeunFlowStep("denoised"),
        ResFlowStep("denoised"),
        AncestralFlowStep("denoised"),
        NoiserStep("denoised"),
    ],
)
def test_a_model_that_knows_the_clean_sample_reaches_it(step: DiffusionStep) -> None:
    torch.manual_seed(1)
    clean, x = torch.randn(2, 4, 3), torch.randn(2, 4, 3)
    for a, b in zip(s := VFlowScheduler().sigmas(5), s[1:], strict=False):
        x = step.step(x, clean, a, b, predict=lambda *_: clean, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(x, clean, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("make", STRAIGHT)
def test_a_constant_velocity_is_integrated_exactly(make) -> None:
    torch.manual_seed(3)
    clean, noise = torch.randn(2, 4, 3), torch.randn(2, 4, 3)
    x, velocity = noise, noise - clean
    for a, b in zip(s := VFlowScheduler(3.0).sigmas(4), s[1:], strict=False):
        x = make().step(x, velocity, a, b, predict=lambda *_: velocity)
        torch.testing.assert_close(x, Noiser.mix(clean, noise, b), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("make", ALL)
def test_velocity_and_denoised_predictions_are_the_same_step(make) -> None:
    torch.manual_seed(4)
    x, clean = torch.randn(2, 4, 3), torch.randn(2, 4, 3)
    run = lambda kind, out: make(kind).step(  # noqa: E731
        x,
        out,
        0.7,
        0.4,
        predict=lambda y, s: clean if kind == "denoised" else to_velocity(y, clean, s),
        generator=torch.Generator().manual_seed(0),
    )
    torch.testing.assert_close(
        run("denoised", clean), run("velocity", to_velocity(x, clean, 0.7)), rtol=1e-4, atol=1e-5
    )
    torch.testing.assert_close(to_denoised(x, to_velocity(x, clean, 0.7), 0.7), clean, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("make", ALL)
def test_levels_per_token_equal_levels_per_sample_and_kept_tokens_stay(make) -> None:
    torch.manual_seed(5)
    x, v = torch.randn(2, 4, 3), torch.randn(2, 4, 3)
    mask = torch.tensor([[1.0, 1, 0, 1], [1, 0, 0, 1]])
    kwargs = lambda: {"predict": lambda y, s: v, "generator": torch.Generator().manual_seed(0)}  # noqa: E731
    token = make().step(x, v, 0.8 * mask, 0.5 * mask, **kwargs())
    plain = make().step(x, v, 0.8, 0.5, **kwargs())
    sample = make().step(x, v, torch.tensor([0.8, 0.8]), torch.tensor([0.5, 0.5]), **kwargs())
    kept = mask == 0
    assert torch.equal(token[kept], x[kept])
    torch.testing.assert_close(token[~kept], plain[~kept], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(sample, plain, rtol=1e-6, atol=1e-6)
    everything_kept = make().step(x, v, 0 * mask, 0 * mask, **kwargs())
    assert torch.equal(everything_kept, x)


@pytest.mark.parametrize("make", ALL)
def test_the_sample_keeps_its_dtype(make) -> None:
    x = torch.randn(1, 3, 2).bfloat16()
    assert make().step(x, x, 0.9, 0.3, predict=lambda y, s: y).dtype == torch.bfloat16
    assert make().step(x, x, 0.9, 0.0, predict=lambda y, s: y).dtype == torch.bfloat16


@pytest.mark.parametrize(
    "step", [AncestralFlowStep("denoised"), NoiserStep("denoised"), AncestralFlowStep("denoised", 0.4)]
)
def test_stochastic_steps_keep_the_marginal(step: DiffusionStep) -> None:
    """With x₀ known, x at every level is x₀·(1−σ) plus noise of deviation σ; 40 000 draws give it to about 1 %."""
    generator = torch.Generator().manual_seed(6)
    clean = torch.full((1, 40_000, 1), 0.7)
    x = torch.randn(clean.shape, generator=generator)
    for a, b in ((1.0, 0.8), (0.8, 0.5), (0.5, 0.2)):
        x = step.step(x, clean, a, b, generator=generator)
        assert x.mean().item() == pytest.approx(0.7 * (1 - b), abs=0.015)
        assert x.std().item() == pytest.approx(b, rel=0.02)


def test_ancestral_without_noise_is_euler() -> None:
    torch.manual_seed(7)
    x, v = torch.randn(2, 4, 3), torch.randn(2, 4, 3)
    torch.testing.assert_close(AncestralFlowStep(eta=0.0).step(x, v, 0.7, 0.3), EulerFlowStep().step(x, v, 0.7, 0.3))


def test_res_with_the_two_levels_equal_changes_nothing() -> None:
    torch.manual_seed(8)
    x, v = torch.randn(1, 4, 3), torch.randn(1, 4, 3)
    torch.testing.assert_close(ResFlowStep().step(x, v, 0.5, 0.5, predict=lambda y, s: v), x)


@pytest.mark.parametrize("make", [HeunFlowStep, ResFlowStep])
def test_second_order_steps_say_that_they_call_the_model_again(make) -> None:
    x = torch.zeros(1, 2, 2)
    with pytest.raises(CoreError, match="predict="):
        make().step(x, x, 0.9, 0.5)
    assert torch.isfinite(make().step(x, x, 0.9, 0.0)).all()  # the last step needs no second call
    with pytest.raises(CoreError, match="velocity or denoised"):
        make("noise")


def test_noiser_mixes_by_the_flow_rule_and_is_seeded() -> None:
    clean = torch.randn(2, 4, 3)
    state = LatentState.start(clean, torch.zeros(2, 4, 1))
    state = state.replace(denoise_mask=torch.tensor([[1.0, 1, 0, 0.5], [1, 1, 1, 1]]))
    noised = Noiser(seed=3)(state, 0.8)
    noise = Noiser(seed=3).noise(clean)
    want = (1 - 0.8 * state.denoise_mask[..., None]) * clean + 0.8 * state.denoise_mask[..., None] * noise
    torch.testing.assert_close(noised.latent, want)
    assert torch.equal(noised.latent[0, 2], clean[0, 2])
    assert not torch.equal(Noiser(seed=4)(state).latent, Noiser(seed=5)(state).latent)
    theirs = FlowMatchEulerDiscreteScheduler()
    t = theirs.timesteps[torch.tensor([100, 700])]
    torch.testing.assert_close(
        Noiser.mix(clean, noise, t / 1000), theirs.scale_noise(clean, t, noise), rtol=1e-5, atol=1e-6
    )
    generator = torch.Generator().manual_seed(3)
    assert torch.equal(Noiser(generator=generator).noise(clean), noise)


def test_every_sampler_is_known_by_its_name_wherever_one_is_asked_for() -> None:
    from typer.testing import CliRunner

    from aiprod.cli import app
    from aiprod.core.generation import GenerationConfig
    from aiprod.inference.params import GenerationParams

    told = CliRunner(env={"COLUMNS": "200"}).invoke(app, ["generate", "--help"]).output
    for name, make in SAMPLERS.items():
        assert GenerationConfig(step=name).step == GenerationParams(step=name).step == name
        assert isinstance(make(0.5), DiffusionStep)
        assert name in told
    with pytest.raises(ValidationError, match="did you mean 'euler'"):
        GenerationParams(step="eular")
