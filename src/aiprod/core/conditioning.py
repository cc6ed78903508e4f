"""Conditions on a stream besides text: given frames, references, masks and time regions, applied in order to a state.

Training and sampling share this path. An item sets clean tokens and their denoise mask (1 − strength), or adds tokens
behind the stream's own; :class:`~aiprod.core.components.noiser.Noiser` then noises every token to σ·mask, and the
transformer is told that level a token. After sampling the stream's own tokens are ``latent[:, :N]``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from aiprod.core.components.patchifier import AudioLatentPatchifier, VideoLatentPatchifier
from aiprod.core.protocols import ConditioningItem
from aiprod.core.types import LatentState
from aiprod.errors import CoreError


def apply_conditions(state: LatentState, items: Iterable[ConditioningItem]) -> LatentState:
    """The state after all items, in order; a later item overrides an earlier one."""
    for item in items:
        state = item.apply(state)
    return state


@dataclass(frozen=True)
class FrameCondition:
    """Token frames that are given: the first (index 0), the last (−1) or any other.

    Attributes:
        tokens: ``[B or 1, n · h · w, C]`` clean tokens of n consecutive token frames.
        grid: token frames, rows and columns of the stream.
        index: first of the frames that are given; negative counts from the end, so −1 is the last frame.
        strength: 1 keeps them as they are, 0 leaves them free.
    """

    tokens: Float[Tensor, "batch given channels"]
    grid: tuple[int, int, int]
    index: int = 0
    strength: float = 1.0

    def apply(self, state: LatentState) -> LatentState:
        """The state with these frames in it.

        Raises:
            CoreError: the frames do not fit the grid.
        """
        frames, height, width = self.grid
        area = height * width
        _check_strength(self.strength)
        _check_grid(state, frames * area)
        count, rest = divmod(self.tokens.shape[1], area)
        first = self.index if self.index >= 0 else frames + self.index
        if rest or not count or not 0 <= first <= frames - count:
            raise CoreError(
                f"{self.tokens.shape[1]} tokens at frame {self.index} do not fit a grid of {self.grid}",
                f"give a multiple of {area} tokens that starts and ends inside {frames} frames",
            )
        return _overwrite(state, slice(first * area, (first + count) * area), self.tokens, 1 - self.strength)


@dataclass(frozen=True)
class KeyframeCondition:
    """A still that guides the video near a point in time without replacing a frame: tokens added behind the stream.

    Attributes:
        tokens: ``[B or 1, n, C]`` clean tokens of the still.
        positions: ``[B or 1, n, 3]`` of the still; ``at_s`` replaces its seconds.
        at_s: where it stands, in seconds.
        strength: 1 = as it is.
    """

    tokens: Float[Tensor, "batch given channels"]
    positions: Float[Tensor, "batch given axes"]
    at_s: float
    strength: float = 1.0

    def apply(self, state: LatentState) -> LatentState:
        """The state with the still's tokens behind its own.

        Raises:
            CoreError: the tokens do not fit the stream, or the strength is outside [0, 1].
        """
        positions = self.positions.clone()
        positions[..., 0] = self.at_s
        return _append(state, self.tokens, positions, self.strength)


@dataclass(frozen=True)
class ReferenceVideoCondition:
    """A clip or sound to look at (video to video, control): tokens with their own positions behind the stream."""

    tokens: Float[Tensor, "batch given channels"]
    positions: Float[Tensor, "batch given axes"]
    strength: float = 1.0

    def apply(self, state: LatentState) -> LatentState:
        """The state with the clip's tokens behind its own.

        Raises:
            CoreError: the tokens do not fit the stream, or the strength is outside [0, 1].
        """
        return _append(state, self.tokens, self.positions, self.strength)


@dataclass(frozen=True)
class MaskCondition:
    """Keep some tokens of a clip and make the rest (inpainting, outpainting).

    Attributes:
        tokens: ``[B or 1, N, C]`` clean tokens of the clip.
        mask: ``[B or 1, N]`` in [0, 1]: 1 = make afresh, 0 = keep.
    """

    tokens: Float[Tensor, "batch tokens channels"]
    mask: Float[Tensor, "batch tokens"]

    def apply(self, state: LatentState) -> LatentState:
        """The state that holds the clip, free where the mask is 1.

        Raises:
            CoreError: the mask is outside [0, 1].
        """
        low, high = self.mask.aminmax()
        if low < 0 or high > 1:
            raise CoreError(f"the mask reaches from {float(low):g} to {float(high):g}", "give values from 0 to 1")
        return _overwrite(state, slice(0, self.tokens.shape[1]), self.tokens, self.mask)


@dataclass(frozen=True)
class TemporalRegionCondition:
    """Make only the tokens of a time region afresh and keep the rest of the clip; serves video and sound alike.

    Attributes:
        tokens: ``[B or 1, N, C]`` clean tokens of the clip.
        start_s, end_s: tokens whose middle is in [start, end) are made.
    """

    tokens: Float[Tensor, "batch tokens channels"]
    start_s: float
    end_s: float

    def apply(self, state: LatentState) -> LatentState:
        """The state that holds the clip, free inside the region.

        Raises:
            CoreError: the region is empty.
        """
        if not self.start_s < self.end_s:
            raise CoreError(f"region {self.start_s} s to {self.end_s} s is empty", "give start < end")
        count = self.tokens.shape[1]
        seconds = state.positions[:, :count, 0]
        inside = (seconds >= self.start_s) & (seconds < self.end_s)
        return _overwrite(state, slice(0, count), self.tokens, inside.to(state.denoise_mask.dtype))


def _overwrite(state: LatentState, where: slice, tokens: Tensor, mask: float | Tensor) -> LatentState:
    target = state.clean_latent[:, where]
    _check_size(tokens, target)
    clean, latent, denoise = state.clean_latent.clone(), state.latent.clone(), state.denoise_mask.clone()
    clean[:, where] = tokens.to(clean)
    latent[:, where] = tokens.to(latent)
    denoise[:, where] = mask if isinstance(mask, float | int) else mask.to(denoise)
    return state.replace(clean_latent=clean, latent=latent, denoise_mask=denoise)


def _append(state: LatentState, tokens: Tensor, positions: Tensor, strength: float) -> LatentState:
    _check_strength(strength)
    batch, _, channels = state.latent.shape
    count, axes = tokens.shape[1], state.positions.shape[-1]
    if tokens.shape[0] not in (1, batch) or tokens.shape[2] != channels or positions.shape[1:] != (count, axes):
        raise CoreError(
            f"tokens {tuple(tokens.shape)} at positions {tuple(positions.shape)} do not fit the stream",
            f"give [{batch} or 1, n, {channels}] and [{batch} or 1, n, {axes}]",
        )
    more = tokens.to(state.latent).expand(batch, -1, -1)
    mask = state.attention_mask
    if mask is not None:  # a sample that lacks the stream must go on lacking it
        mask = torch.cat([mask, mask.any(dim=1, keepdim=True).expand(-1, count)], dim=1)
    return LatentState(
        latent=torch.cat([state.latent, more], dim=1),
        denoise_mask=torch.cat([state.denoise_mask, state.denoise_mask.new_full((batch, count), 1 - strength)], dim=1),
        positions=torch.cat([state.positions, positions.to(state.positions).expand(batch, -1, -1)], dim=1),
        clean_latent=torch.cat([state.clean_latent, more], dim=1),
        attention_mask=mask,
        own=state.latent.shape[1] if state.own is None else state.own,
    )


def _check_size(tokens: Tensor, target: Tensor) -> None:
    batch, count, channels = target.shape
    if tokens.ndim != 3 or tokens.shape[0] not in (1, batch) or tuple(tokens.shape[1:]) != (count, channels):
        raise CoreError(
            f"condition tokens have size {tuple(tokens.shape)}", f"the stream takes [{batch} or 1, {count}, {channels}]"
        )


def _check_grid(state: LatentState, tokens: int) -> None:
    if state.latent.shape[1] < tokens:
        raise CoreError(f"the stream has {state.latent.shape[1]} tokens", f"the grid needs {tokens}")


def _check_strength(strength: float) -> None:
    if not 0 <= strength <= 1:
        raise CoreError(f"strength is {strength}", "give a number from 0 to 1")


def coarse(latent: Tensor, block: int) -> Tensor:
    """A latent ``[C, F, H, W]`` averaged over blocks of cells and spread out again (smaller blocks at the edge)."""
    height, width = latent.shape[-2:]
    wide = _averaged(latent, block).repeat_interleave(block, -2).repeat_interleave(block, -1)
    return wide[..., :height, :width].contiguous()


def video_reference(
    latent: Tensor, patches: VideoLatentPatchifier, fps: float, *, block: int = 1, small: bool = False, every: int = 1
) -> tuple[Tensor, Tensor]:
    """Tokens ``[1, n, C]`` and positions of a clip to be looked at.

    Args:
        latent: ``[C, F, H, W]``.
        fps: frames a second.
        block: cells on a side over which it is averaged.
        small: one cell a block, at the place of the block, instead of as many as before.
        every: of so many token frames the first alone.
    """
    reference = coarse(latent, block)
    if small:
        reference = _averaged(latent, block)
        missing = [-size % cells for size, cells in zip(reference.shape[-2:], patches.patch[1:], strict=True)]
        reference = torch.nn.functional.pad(
            reference, (0, missing[1], 0, missing[0]), mode="replicate"
        )  # to whole tokens
    tokens, positions = patches.patchify(reference[None], fps=fps)
    if small:
        positions = positions * positions.new_tensor([1.0, block, block])
    frames = latent.shape[1] // patches.patch[0]
    return tuple(x.unflatten(1, (frames, -1))[:, ::every].flatten(1, 2) for x in (tokens, positions))


def audio_reference(
    latent: Tensor, patches: AudioLatentPatchifier, *, block: int = 1, small: bool = False
) -> tuple[Tensor, Tensor]:
    """Tokens ``[1, n, C]`` and positions of sound to be listened to, ``[C, T]``, averaged over ``block`` frames."""
    frames = latent.shape[-1]
    mean = torch.nn.functional.avg_pool1d(latent, block, ceil_mode=True, count_include_pad=False)
    if small:
        tokens, positions = patches.patchify(mean[None])
        return tokens, positions * block
    return patches.patchify(mean.repeat_interleave(block, -1)[None, :, :frames])


def _averaged(latent: Tensor, block: int) -> Tensor:
    return torch.nn.functional.avg_pool2d(latent, block, ceil_mode=True, count_include_pad=False)
