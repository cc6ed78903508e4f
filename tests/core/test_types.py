"""Sizes convert exactly both ways, invalid ones name valid ones, and a state survives its file format."""

from __future__ import annotations

import re

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from aiprod.core.generation import GenerationConfig
from aiprod.core.types import (
    AudioCompression,
    AudioLatentShape,
    AudioShape,
    LatentState,
    ModalityType,
    VideoCompression,
    VideoLatentShape,
    VideoPixelShape,
)
from aiprod.errors import CoreError

small = st.integers(1, 40)
compressions = st.builds(
    VideoCompression, time=st.integers(1, 9), height=st.integers(1, 33), width=st.integers(1, 33), channels=small
)
audio_compressions = st.builds(
    AudioCompression, hop=st.integers(1, 4000), channels=small, sample_rate=st.sampled_from([16_000, 44_100, 48_000])
)


@given(compressions, small, small, small, small)
def test_any_latent_decodes_to_a_video_that_encodes_to_it(
    compression: VideoCompression, batch: int, frames: int, height: int, width: int
) -> None:
    latent = VideoLatentShape(batch, compression.channels, frames, height, width)
    pixels = latent.to_pixels(compression, fps=24)
    assert pixels.to_latent(compression) == latent
    assert pixels.duration_s == pixels.frames / 24


@given(compressions, st.integers(1, 500), st.integers(1, 500), st.integers(1, 500))
def test_a_refused_video_size_names_valid_neighbours(
    compression: VideoCompression, frames: int, height: int, width: int
) -> None:
    sizes = {"frames": frames, "height": height, "width": width}
    try:
        VideoPixelShape(1, **sizes, fps=24.0).to_latent(compression)
    except CoreError as error:
        name = error.what.split()[0]
        offered = [int(n) for n in re.findall(r"\d+", error.hint)]
        assert offered and all(n > 0 for n in offered)
        below_and_above = [n - sizes[name] for n in offered]
        assert max(below_and_above) > 0 and max(below_and_above) - min(below_and_above) <= getattr(
            compression, {"frames": "time"}.get(name, name)
        )
        for n in offered:  # each of them is accepted where the given one was not
            changed = VideoPixelShape(1, **(sizes | {name: n}), fps=24.0)
            try:
                changed.to_latent(compression)
            except CoreError as again:
                assert again.what.split()[0] != name
    else:
        assert (frames - 1) % compression.time == 0
        assert height % compression.height == 0 and width % compression.width == 0


@given(audio_compressions, small, small)
def test_any_audio_latent_decodes_to_sound_that_encodes_to_it(
    compression: AudioCompression, batch: int, frames: int
) -> None:
    latent = AudioLatentShape(batch, compression.channels, frames)
    sound = latent.to_audio(compression)
    assert sound.to_latent(compression) == latent
    assert sound.duration_s == pytest.approx(frames / compression.latents_per_s)


def test_refused_audio_sizes() -> None:
    compression = AudioCompression(1920, 8, 48_000)
    with pytest.raises(CoreError, match="use 1920 or 3840"):
        AudioShape(1, 2000).to_latent(compression)
    with pytest.raises(CoreError, match=r"use 1920$"):
        AudioShape(1, 5).to_latent(compression)
    with pytest.raises(CoreError, match="resample"):
        AudioShape(1, 1920, sample_rate=44_100).to_latent(compression)
    with pytest.raises(CoreError, match="makes 8"):
        AudioLatentShape(1, 9, 3).to_audio(compression)
    with pytest.raises(CoreError, match="makes 16"):
        VideoLatentShape(1, 9, 3, 4, 4).to_pixels(VideoCompression(4, 8, 8, 16), 24)


@pytest.mark.parametrize("bad", [0, -1, 2.5, True, "3", None])
def test_sizes_are_whole_numbers_above_zero(bad: object) -> None:
    with pytest.raises(CoreError, match="height"):
        VideoPixelShape(1, 9, bad, 64, 24.0)  # type: ignore[arg-type]


def test_frame_rate_may_be_a_fraction_but_not_zero() -> None:
    assert VideoPixelShape(1, 30, 8, 8, 29.97).duration_s == pytest.approx(1.001, abs=1e-4)
    with pytest.raises(CoreError, match="fps"):
        VideoPixelShape(1, 30, 8, 8, 0.0)


def test_shapes_of_tensors() -> None:
    assert VideoLatentShape.of(torch.zeros(1, 2, 3, 4, 5)).shape == (1, 2, 3, 4, 5)
    assert AudioLatentShape.of(torch.zeros(1, 2, 3)).shape == (1, 2, 3)
    with pytest.raises(CoreError, match="needs 5"):
        VideoLatentShape.of(torch.zeros(1, 2, 3))
    assert ModalityType("audio") is ModalityType.AUDIO


def state(batch: int = 2, tokens: int = 5, masked: bool = True) -> LatentState:
    generator = torch.Generator().manual_seed(1)
    return LatentState(
        torch.randn(batch, tokens, 3, generator=generator),
        torch.rand(batch, tokens, generator=generator),
        torch.rand(batch, tokens, 3, generator=generator),
        torch.randn(batch, tokens, 3, generator=generator),
        torch.rand(batch, tokens, generator=generator) > 0.5 if masked else None,
    )


def test_token_times_are_sigma_times_mask() -> None:
    s = state()
    assert torch.equal(s.timesteps(0.5), s.denoise_mask * 0.5)
    per_sample = s.timesteps(torch.tensor([0.25, 1.0]))
    assert torch.equal(per_sample[0], s.denoise_mask[0] * 0.25) and torch.equal(per_sample[1], s.denoise_mask[1])


@pytest.mark.parametrize(
    "change",
    [
        {"latent": torch.zeros(2, 5)},
        {"denoise_mask": torch.zeros(2, 4)},
        {"positions": torch.zeros(1, 5, 3)},
        {"clean_latent": torch.zeros(2, 5, 4)},
        {"attention_mask": torch.zeros(2, 6, dtype=torch.bool)},
    ],
)
def test_tensors_of_a_state_must_fit_together(change: dict[str, torch.Tensor]) -> None:
    with pytest.raises(CoreError, match=next(iter(change))):
        state().replace(**change)


def test_generation_config_checks_bounds_and_names() -> None:
    config = GenerationConfig(frames=49, fps=24, height_px=480, width_px=832)
    assert config.video().frames == 49
    # 49 frames at 24 a second are 2.0417 s: 98 000 samples, that is 51.04 latents, rounded up
    assert config.sound(AudioCompression(1920, 8, 48_000)).samples == 52 * 1920
    with pytest.raises(ValidationError):
        GenerationConfig(steps=0)
    with pytest.raises(ValidationError):
        GenerationConfig(guidance_rescale=1.5)
    with pytest.raises(ValidationError):
        GenerationConfig(step="leap")  # type: ignore[arg-type]
    with pytest.raises(ValidationError):
        GenerationConfig(framess=9)  # type: ignore[call-arg]
