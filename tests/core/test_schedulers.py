"""Schedules agree with diffusers and with their formulas in NumPy float64."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta

from aiprod.core.components.schedulers import AdaptiveFlowScheduler, VFlowScheduler
from aiprod.core.protocols import Scheduler
from aiprod.errors import CoreError


@pytest.mark.parametrize("tokens", [256, 1024, 1536, 2048, 4096, 8192])
@pytest.mark.parametrize("steps", [2, 8, 30])
@pytest.mark.parametrize("terminal", [0.1, None])
def test_adaptive_agrees_with_diffusers(tokens: int, steps: int, terminal: float | None) -> None:
    ours = AdaptiveFlowScheduler(terminal=terminal)
    theirs = FlowMatchEulerDiscreteScheduler(
        use_dynamic_shifting=True,
        base_image_seq_len=1024,
        max_image_seq_len=4096,
        base_shift=0.95,
        max_shift=2.05,
        shift_terminal=terminal,
    )
    mu = 0.95 + (min(max(tokens, 1024), 4096) - 1024) / 3072 * 1.1  # clamped outside the range
    theirs.set_timesteps(sigmas=np.linspace(1, 1 / steps, steps).tolist(), mu=mu)
    torch.testing.assert_close(ours.sigmas(steps, tokens), theirs.sigmas, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("shift", [1.0, 3.0, 5.0])
def test_fixed_shift_agrees_with_diffusers_given_sigmas(shift: float) -> None:
    theirs = FlowMatchEulerDiscreteScheduler(shift=shift)
    theirs.set_timesteps(sigmas=[1 - i / 8 for i in range(8)])
    torch.testing.assert_close(VFlowScheduler(shift).sigmas(8), theirs.sigmas, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("shift", [3.0, 5.0])
def test_the_shift_is_applied_once(shift: float) -> None:
    """diffusers applies a fixed shift twice to the lower end of its own grid; ours follows the formula."""
    theirs = FlowMatchEulerDiscreteScheduler(shift=shift)
    theirs.set_timesteps(8)
    grid = np.linspace(1, 0, 9)
    want = shift * grid / (1 + (shift - 1) * grid)
    ours = VFlowScheduler(shift).sigmas(8)
    np.testing.assert_allclose(ours.numpy(), want, rtol=1e-6)
    assert not torch.allclose(ours, theirs.sigmas, atol=1e-3)


@pytest.mark.parametrize("steps", [2, 4, 9, 50])
def test_linear_quadratic_agrees_with_diffusers(steps: int) -> None:
    from diffusers.pipelines.mochi.pipeline_mochi import linear_quadratic_schedule

    theirs = [*linear_quadratic_schedule(steps, 0.025), 0.0]
    ours = VFlowScheduler(spacing="linear_quadratic").sigmas(steps)
    np.testing.assert_allclose(ours.numpy(), theirs, rtol=1e-5, atol=1e-7)
    assert VFlowScheduler(spacing="linear_quadratic").sigmas(1).tolist() == [1, 0]


@pytest.mark.parametrize("steps", [1, 5, 20])
def test_beta_spacing_is_the_quantile_function(steps: int) -> None:
    ours = VFlowScheduler(spacing="beta").sigmas(steps)
    np.testing.assert_allclose(ours.numpy(), beta.ppf(np.linspace(1, 0, steps + 1), 0.6, 0.6), rtol=1e-5, atol=1e-7)


spacings = st.sampled_from(["linear", "linear_quadratic", "beta"])
schedulers = st.one_of(
    st.builds(AdaptiveFlowScheduler, terminal=st.one_of(st.none(), st.floats(0.01, 0.3))),
    st.builds(VFlowScheduler, shift=st.floats(0.2, 12), spacing=spacings),
)


@given(schedulers, st.integers(1, 60), st.integers(1, 100_000))
def test_every_schedule_falls_from_one_to_zero(scheduler: Scheduler, steps: int, tokens: int) -> None:
    sigmas = scheduler.sigmas(steps, tokens)
    assert isinstance(scheduler, Scheduler)
    assert sigmas.shape == (steps + 1,) and sigmas.dtype == torch.float32
    assert sigmas[0] == 1 and sigmas[-1] == 0
    assert (sigmas.diff() < 0).all()


def test_shift_grows_with_tokens_and_is_clamped() -> None:
    s = AdaptiveFlowScheduler()
    assert s.shift(10) == s.shift(1024) == 0.95
    assert s.shift(4096) == s.shift(10**6) == pytest.approx(2.05)
    assert s.shift(2560) == pytest.approx(1.5)
    assert AdaptiveFlowScheduler().sigmas(10, 1024)[-2].item() == pytest.approx(0.1)
    half = AdaptiveFlowScheduler(terminal=None).sigmas(2, 2560)[1].item()
    assert half == pytest.approx(math.exp(1.5) / (math.exp(1.5) + 1))


@pytest.mark.parametrize(
    "make",
    [
        lambda: AdaptiveFlowScheduler(base_tokens=9, max_tokens=9),
        lambda: AdaptiveFlowScheduler(terminal=1.0),
        lambda: AdaptiveFlowScheduler().sigmas(0, 1024),
        lambda: VFlowScheduler(shift=0),
        lambda: VFlowScheduler(spacing="cubic"),  # type: ignore[arg-type]
        lambda: VFlowScheduler(threshold=0),
        lambda: VFlowScheduler().sigmas(0),
    ],
)
def test_bad_settings_are_refused(make) -> None:
    with pytest.raises(CoreError, match="→"):
        make()
