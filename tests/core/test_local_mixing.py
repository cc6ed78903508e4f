"""The depthwise convolution: the grid it finds, what it mixes, and what it leaves alone."""

from __future__ import annotations

import itertools

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from aiprod.core.components.patchifier import VideoLatentPatchifier
from aiprod.core.transformer.config import AVTransformerConfig
from aiprod.core.transformer.costs import Workload, count_flops, count_parameters
from aiprod.core.transformer.local_mixing import DepthwiseConv, depthwise, token_grid
from aiprod.core.transformer.modality import ModalityInput
from aiprod.core.transformer.model import AVTransformer
from aiprod.core.types import VideoCompression, VideoLatentShape
from aiprod.errors import CoreError

CONFIG = AVTransformerConfig(
    video_channels=6,
    audio_channels=5,
    text_dim=7,
    video_width=24,
    audio_width=24,
    cross_width=16,
    video_heads=2,
    audio_heads=2,
    cross_heads=2,
    depth=2,
    depthwise_conv=True,
)
GRID = st.tuples(st.integers(1, 4), st.integers(1, 5), st.integers(1, 5))


def drawn(module: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.15)
    return module.eval()


def positions(grid: tuple[int, int, int], fps: float = 12.0) -> Tensor:
    return VideoLatentPatchifier(VideoCompression(4, 8, 8, 16)).positions(VideoLatentShape(1, 16, *grid), fps)


def video(grid: tuple[int, int, int], batch: int = 1, seed: int = 1) -> ModalityInput:
    count = grid[0] * grid[1] * grid[2]
    g = torch.Generator().manual_seed(seed)
    return ModalityInput(
        torch.randn(batch, count, 6, generator=g),
        torch.rand(batch, 1, generator=g),
        positions(grid).expand(batch, -1, -1),
        torch.randn(batch, 3, 7, generator=g),
        own=count,
    )


@settings(max_examples=30, deadline=None)
@given(GRID, st.integers(0, 4), st.sampled_from([12.0, 23.976, 25.0]))
def test_the_grid_is_found_also_before_references_and_padding(
    grid: tuple[int, int, int], more: int, fps: float
) -> None:
    own = positions(grid, fps)
    count = own.shape[1]
    later = own[:, -1:] + torch.tensor([1.0, 0.0, 0.0])  # as a keyframe after the end: it would go on in the order
    assert token_grid(torch.cat([own, later.expand(-1, more, -1)], 1), own=count) == grid
    padded, mask = F.pad(own, (0, 0, 0, more)), torch.arange(count + more)[None] < count
    assert token_grid(padded, mask) == grid
    absent = torch.cat([torch.zeros_like(padded), padded])
    assert token_grid(absent, torch.cat([torch.zeros_like(mask), mask])) == grid
    assert token_grid(padded, torch.zeros_like(mask)) is None


@settings(max_examples=15, deadline=None)
@given(GRID, st.integers(0, 3))
def test_a_token_hears_its_26_neighbours_and_no_other(grid: tuple[int, int, int], behind: int) -> None:
    width, count = 3, grid[0] * grid[1] * grid[2]
    conv = drawn(DepthwiseConv(width))
    x = torch.randn(2, count + behind, width)
    seen = F.layer_norm(x, (width,), eps=1e-6)
    wanted = x.clone()
    for frame, row, column in itertools.product(*map(range, grid)):
        total = conv.bias.detach().clone()
        for dt, dy, dx in itertools.product((-1, 0, 1), repeat=3):
            t, r, c = frame + dt, row + dy, column + dx
            if 0 <= t < grid[0] and 0 <= r < grid[1] and 0 <= c < grid[2]:
                there = seen[:, (t * grid[1] + r) * grid[2] + c]
                total = total + there * conv.kernel[:, 0, dt + 1, dy + 1, dx + 1]
        wanted[:, (frame * grid[1] + row) * grid[2] + column] += total
    assert torch.allclose(conv(x, grid), wanted, atol=1e-5)
    assert torch.equal(conv(x, grid)[:, count:], x[:, count:])


@settings(max_examples=15, deadline=None)
@given(GRID, st.integers(1, 3), st.booleans(), st.lists(st.booleans(), min_size=3, max_size=3))
def test_its_gradients_are_those_of_torchs_convolution(
    grid: tuple[int, int, int], batch: int, channels_last: bool, wanted: list[bool]
) -> None:
    volume = torch.randn(batch, 2, *grid, dtype=torch.float64)
    if channels_last:
        volume = volume.to(memory_format=torch.channels_last_3d)
    tensors = volume, torch.randn(2, 1, 3, 3, 3, dtype=torch.float64), torch.randn(2, dtype=torch.float64)
    grads = []
    for function in (depthwise, lambda v, k, b: F.conv3d(v, k, b, padding=1, groups=2)):
        inputs = [t.clone().requires_grad_(w) for t, w in zip(tensors, wanted, strict=True)]
        out = function(*inputs)
        if any(wanted):
            out.backward(torch.cos(torch.arange(out.numel(), dtype=torch.float64)).view_as(out))
        grads.append([out.detach(), *(i.grad for i in inputs)])
    for ours, theirs in zip(*grads, strict=True):
        assert (ours is None) == (theirs is None)
        assert ours is None or torch.allclose(ours, theirs)


def test_a_new_model_computes_as_one_without_it_until_it_has_learnt() -> None:
    torch.manual_seed(3)
    plain = AVTransformer(CONFIG.model_copy(update={"depthwise_conv": False}))
    for parameter in plain.parameters():
        nn.init.normal_(parameter, std=0.15)
    convolved = AVTransformer(CONFIG)
    missing = convolved.load_state_dict(plain.state_dict(), strict=False).missing_keys
    assert len(missing) == 4 and all(name.startswith("blocks.") and ".video.convolution." in name for name in missing)
    given_video = video((3, 2, 4), 2)
    assert torch.equal(plain(given_video, None).video, convolved(given_video, None).video)
    convolved(given_video, None).video.square().mean().backward()
    assert all(convolved.get_parameter(name).grad.abs().sum() > 0 for name in missing)  # type: ignore[union-attr]


def test_samples_depend_neither_on_batch_mates_nor_on_absent_ones() -> None:
    model = drawn(AVTransformer(CONFIG))
    two = video((3, 2, 4), 2)
    one = ModalityInput(*(t[1:] if isinstance(t, Tensor) else t for t in two))
    alone = model(one, None).video
    assert torch.allclose(model(two, None).video[1:], alone, atol=1e-5)
    mask = torch.tensor([[False] * 24, [True] * 24])
    latent = two.latent.masked_fill(~mask[..., None], float("nan"))
    beside = model(two._replace(token_mask=mask, latent=latent), None).video
    assert torch.allclose(beside[1:], alone, atol=1e-5) and (beside[0] == 0).all()


def test_a_reference_is_looked_at_but_is_no_neighbour() -> None:
    model = drawn(AVTransformer(CONFIG))
    own = video((2, 2, 3))
    for place in (torch.tensor([9.0, 4.0, 4.0]), torch.tensor([0.0, 0.0, 0.0])):
        with_one = own._replace(
            latent=torch.cat([own.latent, torch.ones(1, 1, 6)], 1),
            positions=torch.cat([own.positions, place.expand(1, 1, 3)], 1),
        )
        assert model(with_one, None).video.shape == (1, 13, 6)


def test_tokens_off_a_grid_and_grids_of_two_sizes_are_refused() -> None:
    model = drawn(AVTransformer(CONFIG))
    given_video = video((2, 2, 3))
    order = torch.randperm(12, generator=torch.Generator().manual_seed(0))
    with pytest.raises(CoreError, match="do not form a grid"):
        model(given_video._replace(positions=given_video.positions[:, order]), None)
    both = torch.cat([given_video.positions, positions((3, 2, 2))])
    mixed = video((2, 2, 3), 2)._replace(positions=both)
    with pytest.raises(CoreError, match=r"\(2, 2, 3\), \(3, 2, 2\)"):
        model(mixed, None)


def test_parameters_and_operations_are_counted() -> None:
    from torch.utils.flop_counter import FlopCounterMode

    config = CONFIG.model_copy(update={"depth": 1})
    without = config.model_copy(update={"depthwise_conv": False})
    model = AVTransformer(config)
    assert count_parameters(config) == sum(p.numel() for p in model.parameters())
    counts = []
    for m in (model, AVTransformer(without)):
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            m(video((3, 2, 4), 2), None)
        counts.append(counter.get_total_flops())
    work = Workload(2, 24, 0, 3)
    assert counts[0] - counts[1] == count_flops(config, work) - count_flops(without, work)
