"""Narrow layers go other ways than wide ones, to the same numbers."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from aiprod.core.vae import causal
from aiprod.core.vae.causal import CausalTimeConv, ResidualBlock, RMSNorm, Stream

pytestmark = pytest.mark.bitwise


@pytest.fixture
def block() -> ResidualBlock:
    torch.manual_seed(0)
    made = ResidualBlock(12, 3).double()
    for parameter in made.parameters():
        nn.init.normal_(parameter, std=0.3)
    return made


@pytest.mark.parametrize("streamed", [False, True])
def test_narrow_and_wide_ways_agree_forward_and_backward(
    block: ResidualBlock, streamed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = torch.randn(2, 5, 4, 6, 12, dtype=torch.float64)
    found = []
    for limit in (128, 0):
        monkeypatch.setattr(causal, "_NARROW", limit)
        stream = Stream() if streamed else None
        block.zero_grad()
        pieces = x.split([1, 4], dim=1) if streamed else (x,)
        out = torch.cat([block(piece, stream) for piece in pieces], dim=1)
        out.square().sum().backward()
        found.append([out.detach(), *(p.grad.clone() for p in block.parameters() if p.grad is not None)])
    assert len(found[0]) == 1 + len(list(block.parameters()))
    for narrow, wide in zip(*found, strict=True):
        torch.testing.assert_close(narrow, wide)


def test_without_gradients_the_block_computes_the_same_and_leaves_its_input_alone(block: ResidualBlock) -> None:
    x = torch.randn(1, 3, 4, 4, 12, dtype=torch.float64)
    before = x.clone()
    with torch.no_grad():
        quiet = block(x)
    assert torch.equal(x, before)
    torch.testing.assert_close(quiet, block(x), rtol=0, atol=0)


def test_the_norm_is_that_of_torch() -> None:
    x = torch.randn(2, 3, 4, 4, 24, dtype=torch.float64)
    norm = RMSNorm(24).double()
    nn.init.normal_(norm.weight)
    torch.testing.assert_close(norm(x), nn.functional.rms_norm(x, (24,), norm.weight, 1e-6))


def test_a_narrow_time_layer_looks_back_only() -> None:
    conv = CausalTimeConv(6, 3)
    x = torch.randn(1, 5, 2, 2, 6)
    changed = x.clone()
    changed[:, 3:] += 1
    with torch.no_grad():
        same = (conv(x) == conv(changed)).flatten(2).all(-1)[0]
    assert same.tolist() == [True, True, True, False, False]
