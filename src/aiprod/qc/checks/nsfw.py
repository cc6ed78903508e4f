"""Unsafe content: what an image classifier says of the stills, where one is named; else the row says that none is."""

from __future__ import annotations

from typing import Any

import numpy as np

from aiprod.media.facts import VideoFacts
from aiprod.media.frames import Scaler, upright
from aiprod.qc.clip_context import Still
from aiprod.qc.params import NsfwParams

VERSION = "1"
METHOD = "none: no classifier is configured"
_SIDE_PX = 448  # shorter side of what the classifier is given; its processor scales that to its own size


def measure() -> dict[str, Any]:
    """An answer that is never a score."""
    return {"status": "not_evaluated", "reason": "no classifier for unsafe content is configured"}


class Nsfw:
    """Keeps the stills, upright and in square pixels, and has them classified together.

    Args:
        params: names the classifier.
        video: facts of the film.
    """

    def __init__(self, params: NsfwParams, video: VideoFacts) -> None:
        self._params, self._orientation = params, video.orientation
        shrink = min(1.0, _SIDE_PX / min(video.display_width, video.display_height))
        wide, tall = (max(2, round(side * shrink)) for side in (video.display_width, video.display_height))
        stored = (tall, wide) if video.orientation.transpose else (wide, tall)
        self._scaler = Scaler(*stored, "rgb24", exact=True)
        self._pictures: list[np.ndarray] = []

    def feed(self, still: Still) -> None:
        """Keep one still."""
        self._pictures.append(upright(self._scaler.array(still.frame), self._orientation))

    def figures(self) -> dict[str, Any]:
        """Probabilities [still][label]; no threshold and no judgement of what a label means."""
        from aiprod.qc.image_classifier import load_classifier

        classifier = load_classifier(self._params)
        told = {
            "method": f"transformers image classifier ({classifier.kind}) on the stills",
            "version": f"{VERSION}-{classifier.version}",
        }
        if not self._pictures:
            return {"status": "unmeasurable", "reason": "no stills", **told}
        return {
            "status": "ok",
            "labels": list(classifier.labels),
            "several": classifier.several,
            "probabilities": classifier.probabilities(self._pictures),
            **told,
        }
