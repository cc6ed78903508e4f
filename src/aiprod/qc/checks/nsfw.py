"""Unsafe content: what an image classifier says of the stills, where one is named; else the row says that none is."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from aiprod.qc.checks.judging import Judgement, Rule, absent
from aiprod.qc.clip_context import Evidence, Still
from aiprod.qc.measurement import Figures, OfStills

if TYPE_CHECKING:
    from aiprod.media.media_info import VideoFacts
    from aiprod.qc.measure_params import NsfwParams, QcMeasureParams
    from aiprod.qc.params import NsfwPolicy, QcDecideParams

VERSION = "1"
METHOD = "none: no classifier is configured"
_SIDE_PX = 448  # shorter side of what the classifier is given; its processor scales that to its own size


class Nsfw(OfStills):
    """Keeps the stills, upright and in square pixels, and has them classified together.

    Args:
        params: names the classifier, or none.
    """

    name = "nsfw"
    version = VERSION
    method = METHOD

    def __init__(self, params: NsfwParams) -> None:
        self._params = params
        self._pictures: list[np.ndarray] = []

    @classmethod
    def begin(cls, params: QcMeasureParams, video: VideoFacts) -> Self:
        """By the classifier that is named, if one is."""
        return cls(params.nsfw)

    def feed(self, still: Still) -> None:
        """Keep one still."""
        if self._params.checkpoint:
            self._pictures.append(still.upright_rgb(_SIDE_PX))

    def measure(self, seen: Evidence, found: Mapping[str, Figures]) -> dict[str, Any]:
        """Probabilities [still][label]; no threshold and no judgement of what a label means."""
        if seen.classifier is None:
            return {"status": "not_evaluated", "reason": "no classifier for unsafe content is configured"}
        classifier = seen.classifier()
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


def judge(found: Mapping[str, Figures], params: QcDecideParams) -> Judgement:
    """A still that a classifier finds unsafe asks for a review; unweighted. Without a classifier its status stands."""
    figures, policy = found["nsfw"], params.nsfw
    if figures["status"] != "ok":
        return absent(figures)
    share = unsafe_probability(figures, policy)
    if share is None:
        words = f"the classifier tells apart {', '.join(figures['labels'])}, none of which is in qc_decide.nsfw.labels"
        return Judgement("error", None, None, words)
    if share > policy.probability_max:
        words = f"unsafe content by {share:.0%} in a still, {policy.probability_max:.0%} is the limit"
        return Judgement("ok", share, 0.0, words, caps=True)
    return Judgement("ok", share, 1.0, f"at most {share:.0%} unsafe in {len(figures['probabilities'])} stills")


def unsafe_probability(figures: Mapping[str, Any], policy: NsfwPolicy) -> float | None:
    """The highest probability of unsafe content in a still; None where the classifier knows none of the labels."""
    picked = _places(tuple(figures["labels"]), tuple(policy.labels))
    if not picked:
        return None
    whole = max if figures["several"] else sum  # labels that exclude each other add up
    return max(min(1.0, float(whole(still[index] for index in picked))) for still in figures["probabilities"])


@lru_cache(maxsize=16)  # one classifier measures a dataset, seldom more
def _places(labels: tuple[str, ...], wanted: tuple[str, ...]) -> tuple[int, ...]:
    """Which of a classifier's labels are wanted."""
    folded = {label.casefold() for label in wanted}
    return tuple(index for index, label in enumerate(labels) if label.casefold() in folded)


RULES = (Rule("nsfw", "nsfw", {"nsfw": ("labels", "several", "probabilities")}, judge, may_reject=True),)
