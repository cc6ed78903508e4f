"""Films of different shape and length in one batch of a vision-language captioner."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np

from aiprod.captions.captioner import Subject
from aiprod.captions.params import VlmParams
from aiprod.captions.vlm import VlmCaptioner
from aiprod.media.encoding import encode


def check_mixed_batch(checkpoint: Path, folder: Path, tall: tuple[int, int]) -> None:
    """Each film has the caption that it has alone, and the same again.

    Args:
        folder: where the films are written.
        tall: height and width of the second film; the first is 48 by 64.
    """
    subjects = []
    for number, ((height, width), length) in enumerate((((48, 64), 24), (tall, 12))):
        path = folder / f"{number}.mp4"
        encode(path, (np.full((height, width, 3), 9 * n + 20, np.uint8) for n in range(length)), Fraction(24), None)
        subjects.append(Subject(path.stem, {}, path=path))
    captioner = VlmCaptioner(
        VlmParams(checkpoint=str(checkpoint), frames=3, tokens_max=6, device="cpu", batch=2, longest_side_px=96)
    )
    together = [d.caption for d in captioner.describe(subjects)]
    assert all(together) and together == [captioner.describe([s])[0].caption for s in subjects]
    assert together == [d.caption for d in captioner.describe(subjects)]
