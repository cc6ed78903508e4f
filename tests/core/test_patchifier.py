"""Patches can be put together again, and sound lines up with picture at every frame rate."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from aiprod.core.components.patchifier import AudioLatentPatchifier, VideoLatentPatchifier
from aiprod.core.types import AudioCompression, AudioLatentShape, VideoCompression, VideoLatentShape
from aiprod.errors import CoreError

pytestmark = pytest.mark.bitwise

few = st.integers(1, 3)


@settings(max_examples=40, deadline=None)
@given(st.tuples(few, few, few), st.tuples(few, few, few), few, few)
def test_unpatchify_undoes_patchify(
    patch: tuple[int, int, int], grid: tuple[int, int, int], batch: int, channels: int
) -> None:
    patchifier = VideoLatentPatchifier(VideoCompression(4, 8, 8, channels), patch)
    sizes = [p * g for p, g in zip(patch, grid, strict=True)]
    latent = torch.randn(batch, channels, *sizes)
    tokens, positions = patchifier.patchify(latent, fps=24)
    shape = VideoLatentShape.of(latent)
    assert tokens.shape == (batch, patchifier.tokens(shape), patchifier.token_channels)
    assert positions.shape == (*tokens.shape[:2], 3)
    assert torch.equal(patchifier.unpatchify(tokens, shape), latent)


@given(st.integers(1, 50), st.integers(2, 7))
def test_latent_that_does_not_divide_names_the_nearest_valid(size: int, patch: int) -> None:
    patchifier = VideoLatentPatchifier(VideoCompression(4, 8, 8, 1), (1, patch, 1))
    shape = VideoLatentShape(1, 1, 2, size, 3)
    if size % patch == 0:
        assert patchifier.grid(shape) == (2, size // patch, 3)
        return
    with pytest.raises(CoreError, match=rf"height is {size}.*use .*\b{size - size % patch + patch}$"):
        patchifier.grid(shape)


@pytest.mark.parametrize("fps", [12, 24, 25, 29.97, 60])
@pytest.mark.parametrize("time", [1, 4, 8])
def test_sound_lines_up_with_picture(fps: float, time: int) -> None:
    """A token lies at the mean time of the frames (or samples) that it stands for, computed one by one in NumPy."""
    frames, hop, rate = 6, 1920, 48_000
    video = VideoLatentPatchifier(VideoCompression(time, 8, 8, 2))
    audio = AudioLatentPatchifier(AudioCompression(hop, 2, rate))
    shape = VideoLatentShape(1, 2, frames, 1, 1)
    # frame n is shown from n/fps to (n+1)/fps; latent 0 stands for frame 0, latent i for the next `time` frames
    shown = [[0], *(range((i - 1) * time + 1, i * time + 1) for i in range(1, frames))]
    want = np.array([np.mean([(n + 0.5) / fps for n in group]) for group in shown])
    got = video.positions(shape, fps)[0, :, 0].double().numpy()
    np.testing.assert_allclose(got, want, rtol=1e-6)

    pixels = shape.to_pixels(video.compression, fps)
    count = int(pixels.duration_s * rate) // hop
    if count:
        seconds = audio.positions(AudioLatentShape(1, 2, count))[0, :, 0].double().numpy()
        samples = np.arange(count * hop).reshape(count, hop)
        np.testing.assert_allclose(seconds, ((samples + 0.5) / rate).mean(axis=1), rtol=1e-6)
        # the sound of a clip spans the time of its picture to within one audio latent
        assert abs((seconds[-1] + hop / rate / 2) - pixels.duration_s) <= hop / rate
    # an event at t seconds is nearest to the video token whose frames show it
    for event in np.linspace(0, pixels.duration_s, 7, endpoint=False):
        frame = int(event * fps + 1e-9)
        owner = next(i for i, group in enumerate(shown) if frame in group)
        distance = np.abs(got - event)
        assert distance[owner] <= distance.min() + time / fps / 2


def test_space_positions_are_patch_centres_in_pixels() -> None:
    patchifier = VideoLatentPatchifier(VideoCompression(4, 8, 16, 1), (1, 2, 1))
    positions = patchifier.positions(VideoLatentShape(1, 1, 1, 4, 2), fps=24)[0]
    assert positions[:, 1].tolist() == [8, 8, 24, 24]
    assert positions[:, 2].tolist() == [8, 24, 8, 24]


def test_each_sample_may_have_its_own_rate_and_start() -> None:
    patchifier = VideoLatentPatchifier(VideoCompression(4, 8, 8, 1))
    shape = VideoLatentShape(2, 1, 3, 1, 1)
    both = patchifier.positions(shape, [12.0, 24.0], start_s=1.0)
    one = VideoLatentShape(1, 1, 3, 1, 1)
    assert torch.equal(both[:1], patchifier.positions(one, 12.0, start_s=1.0))
    assert torch.equal(both[1:], patchifier.positions(one, 24.0, start_s=1.0))
    assert torch.allclose(both[..., 0] - 1, patchifier.positions(shape, torch.tensor([12.0, 24.0]))[..., 0])
    for bad in (0.0, [24.0, 24.0, 24.0], [24.0, -1.0]):
        with pytest.raises(CoreError, match="fps"):
            patchifier.positions(shape, bad)


def test_a_patch_over_time_lies_in_the_middle_of_its_frames() -> None:
    patchifier = VideoLatentPatchifier(VideoCompression(4, 8, 8, 1), (2, 1, 1))
    seconds = patchifier.positions(VideoLatentShape(1, 1, 4, 1, 1), fps=1.0)[0, :, 0]
    # latents 0 and 1 stand for frames 0..4, latents 2 and 3 for frames 5..12
    assert seconds.tolist() == [2.5, 9.0]


def test_audio_patchify_round_trip() -> None:
    patchifier = AudioLatentPatchifier(AudioCompression(1920, 3, 48_000))
    latent = torch.randn(2, 3, 7)
    tokens, positions = patchifier.patchify(latent, start_s=2.0)
    shape = AudioLatentShape.of(latent)
    assert tokens.shape == (2, patchifier.tokens(shape), patchifier.token_channels)
    assert torch.equal(patchifier.unpatchify(tokens, shape), latent)
    assert positions[0, 0, 0].item() == pytest.approx(2.02)


def test_wrong_channels_tokens_and_patches_are_refused() -> None:
    video = VideoLatentPatchifier(VideoCompression(4, 8, 8, 4))
    audio = AudioLatentPatchifier(AudioCompression(1920, 3, 48_000))
    with pytest.raises(CoreError, match="give 4"):
        video.patchify(torch.zeros(1, 3, 2, 2, 2), fps=24)
    with pytest.raises(CoreError, match="give 3"):
        audio.patchify(torch.zeros(1, 2, 5))
    with pytest.raises(CoreError, match="needs"):
        video.unpatchify(torch.zeros(1, 7, 4), VideoLatentShape(1, 4, 2, 2, 2))
    with pytest.raises(CoreError, match="patch"):
        VideoLatentPatchifier(VideoCompression(4, 8, 8, 4), (1, 0, 1))


def test_gains_scale_channels_and_are_undone() -> None:
    patchifier = VideoLatentPatchifier(VideoCompression(4, 8, 8, 3), (1, 2, 1), [2.0, 1.0, 0.5])
    latent = torch.randn(2, 3, 2, 4, 5)
    tokens, _ = patchifier.patchify(latent, fps=24)
    plain, _ = VideoLatentPatchifier(VideoCompression(4, 8, 8, 3), (1, 2, 1)).patchify(latent, fps=24)
    torch.testing.assert_close(tokens, plain * torch.tensor([2.0, 2.0, 1.0, 1.0, 0.5, 0.5]))
    torch.testing.assert_close(patchifier.unpatchify(tokens, VideoLatentShape.of(latent)), latent)
    with pytest.raises(CoreError, match="give 3 numbers above 0"):
        VideoLatentPatchifier(VideoCompression(4, 8, 8, 3), gains=[1.0, 2.0])
