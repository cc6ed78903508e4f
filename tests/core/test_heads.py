"""Rotary positions and head normalisation against NumPy float64 and diffusers, and the written-out backward pass."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from diffusers.models.embeddings import apply_rotary_emb, get_timestep_embedding
from diffusers.models.normalization import RMSNorm

from aiprod.core.transformer.model import sinusoid
from aiprod.core.transformer.qkv_projection import HeadSizes, normalise_heads, split_heads, split_heads_plainly
from aiprod.core.transformer.rotary import axis_pairs, frequencies, rotate, rotation

PERIODS = ((0.25, 60.0), (64.0, 8192.0), (64.0, 8192.0))


def test_rotation_agrees_with_numpy_in_float64() -> None:
    rng = np.random.default_rng(0)
    positions = rng.uniform(0, 1, (2, 11, 3)) * np.array([600.0, 1080.0, 1920.0])
    positions = positions.astype(np.float32)
    x = rng.standard_normal((2, 11, 2, 32))
    got = rotate(torch.from_numpy(x), rotation(torch.from_numpy(positions), 32, PERIODS))
    want = np.empty_like(x)
    pair = 0
    for axis, pairs in enumerate((6, 5, 5)):
        shortest, longest = PERIODS[axis]
        for j in range(pairs):
            period = shortest * (longest / shortest) ** (j / (pairs - 1))
            angle = 2 * np.pi * positions[..., axis].astype(np.float64) / period
            c, s = np.cos(angle)[..., None], np.sin(angle)[..., None]
            a, b = x[..., 2 * pair], x[..., 2 * pair + 1]
            want[..., 2 * pair], want[..., 2 * pair + 1] = a * c - b * s, a * s + b * c
            pair += 1
    np.testing.assert_allclose(got.numpy(), want, rtol=1e-5, atol=1e-6)


def test_rotation_agrees_with_diffusers_given_the_same_angles() -> None:
    torch.manual_seed(0)
    x = torch.randn(1, 9, 2, 16)
    by = rotation(torch.rand(1, 9, 1) * 10, 16, PERIODS[:1])
    cos, sin = (t[0, :, 0].repeat_interleave(2, -1) for t in by)
    want = apply_rotary_emb(x.transpose(1, 2), (cos, sin)).transpose(1, 2)
    torch.testing.assert_close(rotate(x, by), want, rtol=1e-5, atol=1e-6)


def test_products_depend_on_distance_in_seconds_alone() -> None:
    """A video frame and a sound one hour into a film meet as they would at its start."""
    torch.manual_seed(0)
    q, k = torch.randn(2, 1, 1, 1, 16, dtype=torch.double)

    def score(t: float, u: float) -> float:
        turned = [rotate(x, rotation(torch.tensor([[[at]]]), 16, PERIODS[:1])) for x, at in ((q, t), (k, u))]
        return float((turned[0] * turned[1]).sum())

    for distance in (0.0, 0.04, 1.5):
        assert score(3600.0, 3600.0 + distance) == pytest.approx(score(0.0, distance), abs=5e-3)


def test_axes_share_a_head_and_one_pair_turns_at_the_shortest_period() -> None:
    assert axis_pairs(32, 3) == (6, 5, 5) and axis_pairs(16, 1) == (8,)
    assert frequencies(1, 0.5, 8.0).tolist() == [pytest.approx(4 * np.pi)]
    assert (2 * np.pi / frequencies(3, 0.5, 8.0)).tolist() == pytest.approx([0.5, 2.0, 8.0])


def test_normalised_heads_agree_with_diffusers() -> None:
    x = torch.randn(2, 5, 4, 16, generator=torch.Generator().manual_seed(0))
    want = RMSNorm(16, eps=1e-6, elementwise_affine=False)(x)
    torch.testing.assert_close(normalise_heads(x, torch.ones(4)), want, rtol=1e-5, atol=1e-6)


def test_noise_level_embedding_agrees_with_diffusers() -> None:
    t = torch.tensor([0.0, 1.0, 250.5, 999.0])
    want = get_timestep_embedding(t, 256, flip_sin_to_cos=True, downscale_freq_shift=0)
    # angles reach 999 radians, where fp32 resolves about 6e-5
    torch.testing.assert_close(sinusoid(t[None], 256)[0], want, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("transposed", [False, True])
def test_written_out_backward_equals_autograd(dtype: torch.dtype, transposed: bool) -> None:
    torch.manual_seed(0)
    sizes = HeadSizes(16, 2, 12, 2)
    projected = torch.randn(2, 5, sizes.total, dtype=dtype, requires_grad=True)
    wide = torch.promote_types(dtype, torch.float32)
    scales = tuple((0.5 + torch.rand(n, dtype=wide)).requires_grad_() for n in (6, 4))
    rotations = (rotation(torch.rand(2, 5, 1), 8, PERIODS[:1]), rotation(torch.rand(2, 5, 1), 6, PERIODS[:1]))
    fused = split_heads(projected, scales, rotations, sizes)
    plain = split_heads_plainly(projected, scales, rotations, sizes)
    tolerance = {torch.float64: 1e-12, torch.float32: 1e-5, torch.bfloat16: 3e-2}[dtype]
    weights = [torch.randn(t.shape, dtype=dtype) for t in plain]
    if transposed:  # as the gradient of an attention may arrive
        weights = [w.transpose(2, 3).contiguous().transpose(2, 3) for w in weights]
    gradients = []
    for name, heads in (("fused", fused), ("plain", plain)):
        gradients.append(torch.autograd.grad(list(heads), (projected, *scales), grad_outputs=weights))
        assert all(h.dtype == dtype for h in heads), name
    for a, b in zip(fused, plain, strict=True):
        torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b, rtol=5 * tolerance, atol=5 * tolerance)
