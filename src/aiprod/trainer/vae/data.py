"""Clips decoded once into memory for autoencoder training: pictures as uint8, sound as float16."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Annotated, TypeVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from aiprod.base.denials import last_line
from aiprod.base.params import Params
from aiprod.base.progress import log, progress
from aiprod.errors import AiprodError, per_item
from aiprod.media.audio import read_sound
from aiprod.media.clips import read_pictures
from aiprod.storage.clip_store import decrypted_copy, refuse_damaged
from aiprod.trainer.training_set import TrainingClip

T = TypeVar("T")


Side = Annotated[int, Field(ge=8, le=16_384)]


class VideoDataParams(Params):
    """Which pictures the video autoencoder sees."""

    height: int = Field(default=64, ge=8, le=16_384, description="pixels, of the largest pictures")
    width: int = Field(default=112, ge=8, le=16_384, description="pixels, of the largest pictures")
    smaller: list[tuple[Side, Side]] = Field(
        default=[(48, 80), (32, 56)], description="(height, width) of smaller pictures that are mixed in"
    )
    smaller_share: float = Field(default=0.4, ge=0, lt=1, description="share of steps on smaller pictures")
    fps: float = Field(default=12.0, gt=0, le=240)
    frames: int = Field(default=9, ge=1, le=100_000, description="frames of a training window")
    clip_frames: int = Field(
        default=48, ge=1, le=100_000, description="maximum frames read per clip, at an offset fixed by its id"
    )
    cache_mb: int = Field(default=512, ge=1, description="memory for clips; beyond it a fixed choice of them is used")


class AudioDataParams(Params):
    """Which sound the audio autoencoder hears."""

    window_s: float = Field(default=1.0, gt=0, le=3600, description="length of a training window, rounded to hops")
    clip_s: float = Field(
        default=10.0, gt=0, le=36_000, description="maximum seconds read per clip, at an offset fixed by its id"
    )
    loud_share: float = Field(default=0.5, ge=0, le=1, description="share of windows laid round loud moments")
    cache_mb: int = Field(default=512, ge=1, description="memory for sound; beyond it a fixed choice of clips is used")


@dataclass
class DecodedClips:
    """Decoded clips in memory, and those that could not be used, with the reason."""

    clips: list[TrainingClip] = field(default_factory=list)
    tensors: list[Tensor] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.tensors)


def load_pictures(clips: Sequence[TrainingClip], data: VideoDataParams, seed: int, what: str) -> DecodedClips:
    """Pictures uint8 ``[F, H, W, 3]`` of each clip, at least ``data.frames`` of them (a short clip holds its last)."""

    def read(clip: TrainingClip) -> Tensor:
        available = max(1, math.floor(clip.frames / clip.fps * data.fps + 1e-6))
        wanted = max(data.frames, min(available, data.clip_frames))
        start_s = _place(clip, seed, (available - wanted) / data.fps)
        with decrypted_copy(clip.path) as path:
            return torch.from_numpy(read_pictures(path, data.height, data.width, data.fps, wanted, start_s))

    cost = data.clip_frames * data.height * data.width * 3
    return _load(clips, read, cost, data.cache_mb, seed, what)


def load_sound(  # noqa: PLR0917
    clips: Sequence[TrainingClip], data: AudioDataParams, hop: int, rate: int, seed: int, what: str
) -> DecodedClips:
    """Sound float16 ``[2, T]`` of each clip that has any, T whole hops and at least one window (padded with zeros)."""
    window = window_samples(data, hop, rate)

    def read(clip: TrainingClip) -> Tensor:
        duration_s = clip.frames / clip.fps
        length_s = min(duration_s, data.clip_s)
        with decrypted_copy(clip.path) as path:
            sound = read_sound(path, rate, 2, start_s=_place(clip, seed, duration_s - length_s), duration_s=length_s)
        if sound is None:
            raise AiprodError("no sound")
        whole = max(window, sound.shape[1] // hop * hop)
        padded = np.zeros((2, whole), np.float16)
        padded[:, : min(whole, sound.shape[1])] = np.clip(sound, -1, 1)[:, :whole]
        return torch.from_numpy(padded)

    cost = int(data.clip_s * rate) * 2 * 2
    return _load([c for c in clips if c.has_audio], read, cost, data.cache_mb, seed, what)


def window_samples(data: AudioDataParams, hop: int, rate: int) -> int:
    """Samples of a training window: whole hops, at least one."""
    return max(1, round(data.window_s * rate / hop)) * hop


def _place(clip: TrainingClip, seed: int, room_s: float) -> float:
    """Where a stretch of a long clip starts: fixed by the clip's id, so that every run reads the same."""
    share = int(hashlib.sha256(f"{seed}:{clip.clip_id}".encode()).hexdigest()[:8], 16) / 0xFFFFFFFF
    return round(max(0.0, room_s) * share, 3)


def _load(  # noqa: PLR0917
    clips: Sequence[TrainingClip],
    read: Callable[[TrainingClip], Tensor],
    cost: int,
    budget_mb: int,
    seed: int,
    what: str,
) -> DecodedClips:
    most = max(1, budget_mb * 1_000_000 // cost)
    chosen = sorted(clips, key=lambda c: c.clip_id)
    decoded = DecodedClips()
    if len(chosen) > most:
        log(f"{what}: {most} of {len(chosen)} clips fit into cache_mb = {budget_mb}; the choice is fixed by the seed")
        ranked = sorted(chosen, key=lambda c: hashlib.sha256(f"{seed}:{c.clip_id}".encode()).digest())
        decoded.left_out.update({c.clip_id: "beyond cache_mb" for c in ranked[most:]})
        chosen = sorted(ranked[:most], key=lambda c: c.clip_id)

    refuse_damaged((clip.path, clip.sha256) for clip in chosen)

    def attempt(clip: TrainingClip) -> Tensor | str:
        try:
            return read(clip)
        except AiprodError as error:
            last_line(error)  # a missing key is refused, and that is logged
            return error.what
        except Exception as error:  # one clip never costs the others
            return per_item(error, "the decoder")

    with ThreadPoolExecutor(2) as pool:  # FFmpeg works outside Python's lock
        for clip, result in zip(chosen, progress(pool.map(attempt, chosen), what, len(chosen)), strict=True):
            if isinstance(result, str):
                decoded.left_out[clip.clip_id] = result
                log(f"{what}: {clip.clip_id} left out: {result}")
            else:
                decoded.clips.append(clip)
                decoded.tensors.append(result)
    return decoded


def pixels(picture: Tensor, size: tuple[int, int] | None = None) -> Tensor:
    """uint8 ``[B, F, H, W, 3]`` to float ``[B, 3, F, H, W]`` in [−1, 1], scaled to cover ``size`` and cropped."""
    x = picture.permute(0, 4, 1, 2, 3).float() / 127.5 - 1
    if size is None or size == tuple(x.shape[3:]):
        return x
    height, width = size
    scale = max(height / x.shape[3], width / x.shape[4])
    tall, wide = max(height, round(x.shape[3] * scale)), max(width, round(x.shape[4] * scale))
    flat = functional.interpolate(x.transpose(1, 2).flatten(0, 1), (tall, wide), mode="bilinear", antialias=True)
    top, left = (tall - height) // 2, (wide - width) // 2
    flat = flat[:, :, top : top + height, left : left + width]
    return flat.unflatten(0, (x.shape[0], x.shape[2])).transpose(1, 2)
