"""The latent upsampler's sizes, its start, and that a sample does not depend on its neighbours."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from aiprod.core.latent_upsampler import (
    LatentUpsampler,
    LatentUpsamplerConfig,
    interpolated,
    smaller,
    upsample,
)
from aiprod.core.types import VideoCompression, VideoPixelShape
from aiprod.core.vae.statistics import LatentStatistics
from aiprod.errors import CoreError

WAYS = [
    {"spatial_upsample": True},
    {"spatial_upsample": True, "dims": 2},
    {"spatial_upsample": False, "temporal_upsample": True},
    {"spatial_upsample": True, "temporal_upsample": True},
]


def network(shortcut: bool = True, **changes) -> LatentUpsampler:
    torch.manual_seed(0)
    config = LatentUpsamplerConfig(in_channels=3, mid_channels=32, shortcut=shortcut, **changes)
    model = LatentUpsampler(config).eval()
    if shortcut:
        torch.nn.init.normal_(model.final_conv.weight, std=0.1)  # so that the network has a say
    return model


@settings(deadline=None, max_examples=25)
@given(
    way=st.sampled_from(WAYS),
    shortcut=st.booleans(),
    size=st.tuples(st.integers(1, 5), st.integers(1, 7), st.integers(1, 7)),
)
def test_any_size_becomes_twice_as_large_and_time_keeps_its_first_frame(way, shortcut, size):
    model = network(shortcut, **way)
    frames, height, width = size
    with torch.no_grad():
        found = model(torch.randn(2, 3, *size))
    space = 2 if way.get("spatial_upsample") else 1
    time = 2 * frames - 1 if way.get("temporal_upsample") else frames
    assert found.shape == (2, 3, time, height * space, width * space)
    for mode in ("nearest", "trilinear"):
        assert interpolated(torch.randn(2, 3, *size), model.config.factors, mode).shape == found.shape


@pytest.mark.parametrize("way", WAYS)
def test_a_new_one_is_nearest_neighbour_interpolation(way):
    model = LatentUpsampler(LatentUpsamplerConfig(in_channels=3, mid_channels=32, **way))
    latent = torch.randn(1, 3, 3, 4, 5)
    with torch.no_grad():
        assert torch.equal(model(latent), interpolated(latent, model.config.factors, "nearest"))


def test_trilinear_keeps_a_gradient_in_time_and_the_frames_that_were_there():
    latent = torch.arange(4.0).view(1, 1, 4, 1, 1).expand(1, 1, 4, 2, 2)
    found = interpolated(latent, (2, 1, 1), "trilinear")
    assert torch.allclose(found[0, 0, :, 0, 0], torch.arange(7.0) / 2)
    assert torch.equal(interpolated(latent, (2, 1, 1), "nearest")[:, :, ::2], latent)


@pytest.mark.parametrize("shortcut", [True, False])
def test_a_sample_is_the_same_alone_and_among_others(shortcut):
    torch.set_num_threads(1)
    model, statistics = network(shortcut), LatentStatistics(3)
    statistics.mean.copy_(torch.tensor([1.0, -2.0, 0.5]))
    statistics.std.copy_(torch.tensor([3.0, 0.1, 1.0]))
    latents = torch.randn(3, 3, 2, 3, 5)
    with torch.no_grad():
        together = upsample(model, statistics, latents)
        alone = torch.cat([upsample(model, statistics, each[None]) for each in latents])
        raw = model(statistics.denormalize(latents[:1]))
    assert torch.equal(together, alone)
    if not shortcut:  # published networks take latents as the encoder makes them
        assert torch.allclose(together[:1], statistics.normalize(raw))


@settings(deadline=None, max_examples=60)
@given(
    frames=st.integers(1, 60),
    height=st.integers(1, 300),
    width=st.integers(1, 300),
    factors=st.sampled_from([(1, 2, 2), (2, 1, 1), (2, 2, 2)]),
    patch=st.integers(1, 2),
)
def test_a_half_is_upsampled_to_exactly_the_whole_or_refused_with_sizes_that_have_one(
    frames, height, width, factors, patch
):
    c = VideoCompression(4, 8, 8, 3)
    cell = (c.time, c.height * patch, c.width * patch)
    try:
        half = smaller((frames, height, width), factors, cell)
    except CoreError as error:
        name, pixels = error.what.split()[0], int(error.what.split()[2])
        assert {"frames": frames, "height": height, "width": width}[name] == pixels
        near = [int(word) for word in error.hint.replace(",", "").split() if word.isdigit()]
        for value in near:
            smaller(
                tuple(
                    value if key == name else 1 + 2 * c.time if key == "frames" else 4 * c.height
                    for key in ("frames", "height", "width")
                ),
                factors,
                cell,
            )
        return
    if (frames - 1) % c.time or height % c.height or width % c.width:
        return  # what is not upsampled is checked by the autoencoder
    whole = VideoPixelShape(1, frames, height, width, 1.0).to_latent(c)
    small = VideoPixelShape(1, *half, 1.0).to_latent(c)
    time = 2 * small.frames - 1 if factors[0] == 2 else small.frames
    assert (time, small.height * factors[1], small.width * factors[2]) == (whole.frames, whole.height, whole.width)


def test_what_makes_no_sense_is_refused():
    with pytest.raises(ValidationError, match="neither space nor time"):
        LatentUpsamplerConfig(in_channels=3, spatial_upsample=False)
    with pytest.raises(ValidationError, match="dims is 2"):
        LatentUpsamplerConfig(in_channels=3, dims=2, temporal_upsample=True)
    with pytest.raises(CoreError, match="has 5 channels, and the upsampler takes 3"):
        upsample(network(), LatentStatistics(5), torch.randn(1, 5, 1, 2, 2))
