"""Conditions put the right tokens at the right place and leave everything else as it was."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from aiprod.core.components.noiser import Noiser
from aiprod.core.conditioning import (
    FrameCondition,
    KeyframeCondition,
    MaskCondition,
    ReferenceVideoCondition,
    TemporalRegionCondition,
    apply_conditions,
)
from aiprod.core.protocols import ConditioningItem
from aiprod.core.types import LatentState
from aiprod.errors import CoreError

pytestmark = pytest.mark.bitwise

GRID = (4, 2, 3)
AREA = 6


def fresh(batch: int = 2, channels: int = 5, mask: torch.Tensor | None = None) -> LatentState:
    tokens = GRID[0] * AREA
    positions = torch.zeros(batch, tokens, 3)
    positions[..., 0] = torch.arange(GRID[0]).repeat_interleave(AREA) * 0.5
    return LatentState.start(torch.zeros(batch, tokens, channels), positions, mask)


@settings(max_examples=30, deadline=None)
@given(st.integers(-4, 3), st.integers(1, 4), st.sampled_from([1, 2]), st.floats(0, 1))
def test_given_frames_are_kept_and_others_are_free(index: int, frames: int, batch: int, strength: float) -> None:
    tokens = torch.randn(batch, frames * AREA, 5)
    item = FrameCondition(tokens, GRID, index, strength)
    first = index if index >= 0 else 4 + index
    if first + frames > 4:
        with pytest.raises(CoreError, match="do not fit"):
            item.apply(fresh())
        return
    after = item.apply(fresh())
    given = slice(first * AREA, (first + frames) * AREA)
    assert isinstance(item, ConditioningItem)
    assert torch.equal(after.clean_latent[:, given], tokens.expand(2, -1, -1))
    torch.testing.assert_close(after.denoise_mask[:, given], torch.full((2, frames * AREA), 1 - strength))
    others = torch.ones(4 * AREA, dtype=torch.bool)
    others[given] = False
    assert (after.denoise_mask[:, others] == 1).all() and (after.clean_latent[:, others] == 0).all()


def test_a_kept_first_frame_stays_clean_under_noise() -> None:
    tokens = torch.randn(1, AREA, 5)
    noised = Noiser(seed=0)(apply_conditions(fresh(), [FrameCondition(tokens, GRID)]))
    assert torch.equal(noised.latent[:, :AREA], tokens.expand(2, -1, -1))
    assert noised.latent[:, AREA:].std() > 0.5


def test_later_items_override_earlier_ones_and_the_input_is_not_changed() -> None:
    before = fresh()
    a, b = torch.ones(1, AREA, 5), torch.full((1, AREA, 5), 2.0)
    after = apply_conditions(before, [FrameCondition(a, GRID), FrameCondition(b, GRID, 0, 0.5)])
    assert (after.clean_latent[:, :AREA] == 2).all() and (after.denoise_mask[:, :AREA] == 0.5).all()
    assert (before.clean_latent == 0).all() and (before.denoise_mask == 1).all()


@pytest.mark.parametrize("masked", [False, True])
def test_keyframes_and_references_stand_behind_the_stream(masked: bool) -> None:
    mask = torch.ones(2, 4 * AREA, dtype=torch.bool)
    mask[1] = False  # the second sample has no video, and gets none from a reference
    still, clip = torch.randn(1, AREA, 5), torch.randn(2, 2 * AREA, 5)
    positions = torch.rand(1, AREA, 3)
    items = [
        KeyframeCondition(still, positions, at_s=1.25),
        ReferenceVideoCondition(clip, torch.rand(2, 2 * AREA, 3), 0.9),
    ]
    after = apply_conditions(fresh(mask=mask if masked else None), items)
    n = 4 * AREA
    assert after.latent.shape == (2, n + 3 * AREA, 5)
    assert torch.equal(after.clean_latent[:, n : n + AREA], still.expand(2, -1, -1))
    assert torch.equal(after.clean_latent[:, n + AREA :], clip)
    assert (after.positions[:, n : n + AREA, 0] == 1.25).all()
    assert torch.equal(after.positions[0, n : n + AREA, 1:], positions[0, :, 1:])
    assert (after.denoise_mask[:, n : n + AREA] == 0).all()
    torch.testing.assert_close(after.denoise_mask[:, n + AREA :], torch.full((2, 2 * AREA), 0.1))
    if masked:
        assert after.attention_mask is not None
        assert after.attention_mask[0].all() and not after.attention_mask[1].any()
    else:
        assert after.attention_mask is None


def test_mask_and_time_region_free_only_their_tokens() -> None:
    clip = torch.randn(1, 4 * AREA, 5)
    mask = (torch.rand(1, 4 * AREA) > 0.5).float()
    after = MaskCondition(clip, mask).apply(fresh())
    assert torch.equal(after.denoise_mask, mask.expand(2, -1)) and torch.equal(after.clean_latent[0], clip[0])
    after = TemporalRegionCondition(clip, 0.5, 1.5).apply(fresh())
    frames = after.denoise_mask.reshape(2, 4, AREA)
    assert (frames[:, [0, 3]] == 0).all() and (frames[:, [1, 2]] == 1).all()
    audio = LatentState.start(torch.zeros(1, 10, 2), torch.arange(10.0).reshape(1, 10, 1) / 25)
    after = TemporalRegionCondition(torch.ones(1, 10, 2), 0.1, 0.2).apply(audio)
    assert after.denoise_mask[0].tolist() == [0, 0, 0, 1, 1, 0, 0, 0, 0, 0]


@pytest.mark.parametrize(
    ("item", "says"),
    [
        (FrameCondition(torch.zeros(1, 5, 5), GRID), "multiple of 6"),
        (FrameCondition(torch.zeros(1, AREA, 5), GRID, strength=1.1), "strength"),
        (FrameCondition(torch.zeros(1, AREA, 5), (9, 2, 3)), "grid needs 54"),
        (FrameCondition(torch.zeros(3, AREA, 5), GRID), "condition tokens"),
        (KeyframeCondition(torch.zeros(1, 6, 5), torch.zeros(1, 5, 3), 0.0), "do not fit the stream"),
        (ReferenceVideoCondition(torch.zeros(1, 6, 4), torch.zeros(1, 6, 3)), "do not fit the stream"),
        (MaskCondition(torch.zeros(1, 24, 5), torch.full((1, 24), 1.5)), "0 to 1"),
        (MaskCondition(torch.zeros(1, 30, 5), torch.ones(1, 30)), "condition tokens"),
        (TemporalRegionCondition(torch.zeros(1, 24, 5), 2.0, 2.0), "empty"),
    ],
)
def test_conditions_that_do_not_fit_are_refused(item: ConditioningItem, says: str) -> None:
    with pytest.raises(CoreError, match=says):
        item.apply(fresh())
