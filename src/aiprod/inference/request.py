"""What is asked of a pipeline, and what comes back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class VideoCondition:
    """Pictures of which some pixels are kept.

    Attributes:
        pictures: uint8 RGB [F, H, W, 3]; what is not kept is looked at by the encoder alone.
        kept: bool [F, H, W]; these pixels come back as they are, bit for bit.
    """

    pictures: np.ndarray
    kept: np.ndarray


@dataclass(frozen=True)
class AudioCondition:
    """Sound of which some samples are kept.

    Attributes:
        samples: float32 [2, S].
        kept: bool [S]; these samples come back as they are, bit for bit.
    """

    samples: np.ndarray
    kept: np.ndarray


@dataclass(frozen=True)
class Request:
    """One video to make.

    Attributes:
        first_frame: uint8 RGB [H, W, 3] of the size that is generated.
        reference, reference_sound: uint8 RGB [F, H, W, 3] and float32 [2, S] to look at and listen to, of the size that
            is generated, for a model trained with references.
        source, source_sound: a video, and its sound as long or None, that any model changes: it is noised to the
            ``strength`` of the call and denoised under the prompt (Meng et al., SDEdit, 2021, arXiv:2108.01073).
        stills: (number of a frame, uint8 RGB [H, W, 3]) that the video is to pass through.
        video, audio: of which parts are kept.
        absent: modalities that are neither given nor made: ``video`` for sound alone, ``audio`` for a silent video.
    """

    prompt: str
    seed: int
    first_frame: np.ndarray | None = None
    reference: np.ndarray | None = None
    source: np.ndarray | None = None
    source_sound: np.ndarray | None = None
    stills: tuple[tuple[int, np.ndarray], ...] = ()
    video: VideoCondition | None = None
    audio: AudioCondition | None = None
    reference_sound: np.ndarray | None = None
    absent: frozenset[str] = frozenset()

    @property
    def passed(self) -> tuple[tuple[int, np.ndarray], ...]:
        """All stills, the first frame among them."""
        return self.stills if self.first_frame is None else ((0, self.first_frame), *self.stills)


@dataclass(frozen=True)
class GeneratedClip:
    """Pictures uint8 [F, H, W, 3] at ``fps`` (none where sound alone was made), and sound float32 [channels, samples]
    that lasts as long, or None."""

    request: Request
    pictures: np.ndarray
    sound: np.ndarray | None
    fps: float
    sample_rate: int
