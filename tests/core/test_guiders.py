"""Guidance agrees with diffusers and does the same at every rank."""

from __future__ import annotations

import pytest
import torch
from diffusers.guiders import AdaptiveProjectedGuidance, ClassifierFreeGuidance, LTX2Guidance
from hypothesis import given, settings
from hypothesis import strategies as st

from aiprod.core.components.guiders import AdaptiveProjectedGuider, ClassifierFreeGuider, MultiModalGuider
from aiprod.core.protocols import Guider
from aiprod.errors import CoreError

pytestmark = pytest.mark.bitwise


def outputs(count: int, *shape: int, seed: int = 0) -> tuple[torch.Tensor, ...]:
    return tuple(torch.randn(count, *shape, generator=torch.Generator().manual_seed(seed)))


@pytest.mark.parametrize("scale", [0.0, 1.0, 4.0])
@pytest.mark.parametrize("rescale", [0.0, 0.7])
def test_cfg_agrees_with_diffusers(scale: float, rescale: float) -> None:
    c, u = outputs(2, 2, 8, 6)
    want = ClassifierFreeGuidance(guidance_scale=scale, guidance_rescale=rescale).forward(c, u).pred
    got = ClassifierFreeGuider(scale, rescale)(c, u)
    if scale != 1.0:  # diffusers switches itself off at 1 and then ignores the rescale as well
        torch.testing.assert_close(got, want, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("limit", [0.0, 2.5])
def test_apg_agrees_with_diffusers(eta: float, limit: float) -> None:
    c, u = outputs(2, 2, 8, 6)
    theirs = AdaptiveProjectedGuidance(guidance_scale=4.0, eta=eta, adaptive_projected_guidance_rescale=limit)
    got = AdaptiveProjectedGuider(4.0, eta, limit)(c, u)
    torch.testing.assert_close(got, theirs.forward(c, u).pred, rtol=1e-5, atol=1e-5)


def test_apg_momentum_agrees_with_diffusers_and_can_be_reset() -> None:
    theirs = AdaptiveProjectedGuidance(
        guidance_scale=4.0, eta=0.0, adaptive_projected_guidance_rescale=2.5, adaptive_projected_guidance_momentum=-0.5
    )
    ours = AdaptiveProjectedGuider(4.0, 0.0, 2.5, -0.5)
    pairs = [outputs(2, 2, 8, 6, seed=i) for i in range(3)]
    first = []
    for step, (c, u) in enumerate(pairs):
        theirs.set_state(step=step, num_inference_steps=3, timestep=torch.tensor(0))
        theirs.prepare_inputs({})
        first.append(ours(c, u))
        torch.testing.assert_close(first[-1], theirs.forward(c, u).pred, rtol=1e-5, atol=1e-5)
    ours.reset()
    torch.testing.assert_close(ours(*pairs[0]), first[0])


def test_four_term_guidance_agrees_with_diffusers() -> None:
    c, u, p, m = outputs(4, 2, 8, 6)
    theirs = LTX2Guidance(guidance_scale=3.0, stg_scale=1.0, modality_scale=2.0, guidance_rescale=0.7)
    got = MultiModalGuider(3.0, 1.0, 2.0, 0.7)(c, u, p, m)
    torch.testing.assert_close(got, theirs.forward(c, u, p, m).pred, rtol=1e-5, atol=1e-5)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 4), min_size=1, max_size=4), st.floats(0, 9), st.floats(0, 1), st.integers(0, 99))
def test_a_sample_is_guided_alike_at_any_rank_alone_or_in_a_batch(
    shape: list[int], scale: float, eta: float, seed: int
) -> None:
    c, u = outputs(2, 3, *shape, seed=seed)
    for guider in (ClassifierFreeGuider(scale), AdaptiveProjectedGuider(scale, eta, 1.5)):
        together = guider(c, u)
        assert isinstance(guider, Guider) and together.shape == c.shape
        flat = guider(c.flatten(1), u.flatten(1)).reshape(c.shape)
        torch.testing.assert_close(together, flat, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(together[1:2], guider(c[1:2], u[1:2]), rtol=1e-4, atol=1e-5)


def test_projected_step_is_orthogonal_and_limited() -> None:
    c, u = outputs(2, 2, 50)
    step = (AdaptiveProjectedGuider(2.0, eta=0.0, norm_limit=0.5)(c, u) - u) / 2
    assert (step * c).sum(1).abs().max() < 1e-4
    assert step.norm(dim=1).max() <= 0.5 + 1e-5


def test_rescale_restores_the_deviation() -> None:
    c, u = outputs(2, 2, 100)
    guided = ClassifierFreeGuider(8.0, rescale=1.0)(c, u)
    torch.testing.assert_close(guided.std(1), c.std(1), rtol=1e-4, atol=1e-5)


def test_what_is_off_needs_no_call_and_what_is_on_does() -> None:
    (c,) = outputs(1, 2, 8)
    off = MultiModalGuider(scale=1.0)
    assert not off.enabled and torch.equal(off(c), c)
    assert not ClassifierFreeGuider(1.0).enabled and not AdaptiveProjectedGuider(1.0).enabled
    on = MultiModalGuider(scale=2.0, perturbed=1.0, modality=1.5)
    assert on.enabled and on.needs_unconditional and on.needs_perturbed and on.needs_isolated
    with pytest.raises(CoreError, match="perturbed"):
        MultiModalGuider(scale=1.0, perturbed=1.0)(c)


def test_half_precision_goes_in_and_out_with_fp32_within() -> None:
    c, u = outputs(2, 2, 64)
    for guider in (ClassifierFreeGuider(5.0), AdaptiveProjectedGuider(5.0), MultiModalGuider(5.0)):
        got = guider(c.bfloat16(), u.bfloat16())
        assert got.dtype == torch.bfloat16
        torch.testing.assert_close(
            got.float(), guider(c.bfloat16().float(), u.bfloat16().float()), rtol=8e-3, atol=8e-3
        )
