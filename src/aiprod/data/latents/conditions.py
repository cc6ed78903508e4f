"""Draws what is given of a clip: the clean tokens, the denoise mask and the references of one sample of a task."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from aiprod.core.components.patchifier import AudioLatentPatchifier, VideoLatentPatchifier
from aiprod.core.conditioning import (
    FrameCondition,
    MaskCondition,
    ReferenceVideoCondition,
    apply_conditions,
    audio_reference,
    video_reference,
)
from aiprod.core.protocols import ConditioningItem
from aiprod.core.types import LatentState, VideoLatentShape
from aiprod.data.latents.dataset import LatentItem
from aiprod.data.latents.tasks import ConditionParams, ModalityParams, TaskParams

Grid = tuple[int, int, int]


@dataclass(frozen=True)
class ClipTokens:
    """A clip as tokens ``[1, N, C]`` at positions ``[1, N, axes]``; None for a stream that it lacks."""

    item: LatentItem
    video: tuple[Tensor, Tensor] | None
    audio: tuple[Tensor, Tensor] | None


@dataclass(frozen=True)
class Extent:
    """How large a stream of a clip is.

    Attributes:
        grid: tokens along (time, height, width); sound has (frames, 1, 1).
        ends_s: when what each token frame stands for is over.
    """

    grid: Grid
    ends_s: tuple[float, ...]

    @classmethod
    def of_video(cls, patches: VideoLatentPatchifier, shape: VideoLatentShape, fps: float) -> Extent:
        """Of a video latent."""
        return cls(patches.grid(shape), tuple(patches.ends_s(shape, fps)))

    @classmethod
    def of_audio(cls, patches: AudioLatentPatchifier, frames: int) -> Extent:
        """Of an audio latent."""
        return cls((frames, 1, 1), tuple((n + 1) / patches.compression.latents_per_s for n in range(frames)))

    def within(self, seconds: float) -> int:
        """Token frames that are over at a time."""
        return sum(end <= seconds + 1e-6 for end in self.ends_s)


def misfit(task: TaskParams, video: Extent | None, audio: Extent | None) -> str | None:
    """Why clips of a size cannot feed a task, or None where they can."""
    generated = 0
    for (name, part), extent in zip(task.modalities, (video, audio), strict=True):
        if part.role == "absent":
            continue
        if extent is None:
            if part.role == "given":
                return f"no {name} to give"
            continue
        if part.role == "generated":
            generated += 1
            if (why := _too_small(part, extent)) is not None:
                return f"{name}: {why}"
    return None if generated else "nothing that it generates"


def _too_small(part: ModalityParams, extent: Extent) -> str | None:
    frames, height, width = extent.grid
    kept = 0
    for condition in part.conditions:
        if condition.kind in ("prefix", "suffix"):
            longest = condition.seconds[1]
            if not _stretch(extent, longest, condition.kind == "suffix"):
                return f"a {condition.kind} of {longest:g} s is shorter than a latent frame"
            kept += _stretch(extent, longest, condition.kind == "suffix")
        elif condition.kind in ("first_frame", "last_frame", "keyframes"):
            kept += condition.count
        elif condition.kind == "mask" and width == height == 1 and frames < 2:
            return "a single token has no part to mask"
        elif condition.kind == "crop" and height * width < 2:
            return "a single token a frame has no part to crop"
    if kept and kept >= frames:
        names = ", ".join(c.kind for c in part.conditions if c.kind not in ("mask", "crop", "reference"))
        return f"{names} may give {kept} of {frames} latent frames, and nothing would be left to make"
    return None


def _stretch(extent: Extent, seconds: float, at_end: bool) -> int:
    """Token frames in the first, or last, seconds of a clip."""
    if not at_end:
        return extent.within(seconds)
    return len(extent.ends_s) - sum(start < extent.ends_s[-1] - seconds - 1e-6 for start in (0.0, *extent.ends_s[:-1]))


class Conditioner:
    """Makes samples of clips.

    Args:
        video, audio: patchifiers that match the model.
    """

    def __init__(self, video: VideoLatentPatchifier, audio: AudioLatentPatchifier) -> None:
        self.video, self.audio = video, audio

    def tokens(self, item: LatentItem, sound: bool = True) -> ClipTokens:
        """A clip laid out as tokens; without its sound where the model has none."""
        return ClipTokens(
            item,
            self.video.patchify(item.video[None], fps=item.fps) if item.video is not None else None,
            self.audio.patchify(item.audio[None]) if sound and item.audio is not None else None,
        )

    def extents(self, clip: ClipTokens) -> tuple[Extent | None, Extent | None]:
        """Of both streams."""
        latent, fps = clip.item.video, clip.item.fps
        video = (
            Extent.of_video(self.video, VideoLatentShape.of(latent[None]), fps)
            if latent is not None and clip.video is not None
            else None
        )
        audio = Extent.of_audio(self.audio, clip.audio[0].shape[1]) if clip.audio is not None else None
        return video, audio

    def sample(
        self, task: TaskParams, clip: ClipTokens, random: torch.Generator
    ) -> tuple[LatentState | None, LatentState | None]:
        """Both streams with what is given of them; None for one that is absent.

        A stream's own tokens are as many as the clip has; references stand behind them.
        """
        streams: list[LatentState | None] = []
        latents, extents = (clip.video, clip.audio), self.extents(clip)
        for (name, part), tokens, extent in zip(task.modalities, latents, extents, strict=True):
            if tokens is None or extent is None or part.role == "absent":
                streams.append(None)
                continue
            state = LatentState.start(*tokens)
            if part.role == "given":
                streams.append(MaskCondition(tokens[0], torch.zeros(tokens[0].shape[:2])).apply(state))
                continue
            drawn = [c for c in part.conditions if float(torch.rand((), generator=random)) < c.probability]
            items = [self._item(c, clip, name == "video", extent, random) for c in sorted(drawn, key=_rank)]
            streams.append(apply_conditions(state, [item for group in items for item in group]))
        return streams[0], streams[1]

    def _item(
        self, c: ConditionParams, clip: ClipTokens, video: bool, extent: Extent, random: torch.Generator
    ) -> list[ConditioningItem]:
        streams = clip.video if video else clip.audio
        assert streams is not None
        tokens, (frames, height, width) = streams[0], extent.grid
        area = height * width

        def kept(first: int, count: int = 1) -> ConditioningItem:
            return FrameCondition(tokens[:, first * area : (first + count) * area], extent.grid, first)

        if c.kind == "first_frame":
            return [kept(0)]
        if c.kind == "last_frame":
            return [kept(frames - 1)]
        if c.kind == "keyframes":
            count = min(_whole(1, c.count, random), frames - 1)
            return [kept(int(n)) for n in sorted(torch.randperm(frames, generator=random)[:count].tolist())]
        if c.kind in ("prefix", "suffix"):
            low, high = c.seconds
            seconds = low + (high - low) * float(torch.rand((), generator=random))
            count = min(max(1, _stretch(extent, seconds, c.kind == "suffix")), frames - 1)
            return [kept(0, count) if c.kind == "prefix" else kept(frames - count, count)]
        if c.kind == "reference":
            return [self._reference(c, clip, video)]
        free = _free(c, extent.grid, video, random)
        return [MaskCondition(tokens, free.reshape(1, -1))]

    def _reference(self, c: ConditionParams, clip: ClipTokens, video: bool) -> ConditioningItem:
        item = clip.item
        if video:
            assert item.video is not None
            return ReferenceVideoCondition(
                *video_reference(item.video, self.video, item.fps, block=c.block, small=c.small, every=c.every)
            )
        assert item.audio is not None
        return ReferenceVideoCondition(*audio_reference(item.audio, self.audio, block=c.block, small=c.small))


def _rank(c: ConditionParams) -> int:
    """What says something of every token comes first, what is added behind them last."""
    return {"mask": 0, "crop": 0, "reference": 2}.get(c.kind, 1)


def _free(c: ConditionParams, grid: Grid, video: bool, random: torch.Generator) -> Tensor:
    """[t, h, w]: 1 where tokens are made, of a mask or a crop."""
    frames, height, width = grid
    free = torch.zeros(grid)
    if not video:
        count = min(_part(frames, c, random), max(1, frames - 1))
        first = _whole(0, frames - count, random)
        free[first : first + count] = 1.0
        return free
    if c.boxes:
        for left, top, right, bottom in c.boxes:
            rows, columns = (_cells(top, bottom, height), _cells(left, right, width))
            free[:, rows, columns] = 1.0
        return free
    tall, wide = _part(height, c, random), _part(width, c, random)
    if c.kind == "crop" and tall * wide == height * width:
        tall, wide = (tall, wide - 1) if wide > 1 else (tall - 1, wide)
    top, left = _whole(0, height - tall, random), _whole(0, width - wide, random)
    free[:, top : top + tall, left : left + wide] = 1.0
    return 1 - free if c.kind == "crop" else free


def _cells(low: float, high: float, count: int) -> slice:
    """The cells that a stretch touches, at least one."""
    first = min(int(low * count + 1e-9), count - 1)
    return slice(first, max(first + 1, -int(-(high * count - 1e-9) // 1)))


def _part(size: int, c: ConditionParams, random: torch.Generator) -> int:
    low, high = c.share
    return min(max(1, round(size * (low + (high - low) * float(torch.rand((), generator=random))))), size)


def _whole(low: int, high: int, random: torch.Generator) -> int:
    return int(torch.randint(low, high + 1, (), generator=random))
