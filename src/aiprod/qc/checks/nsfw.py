"""Unsafe content: what an image classifier says of the stills, a named or a bundled one; else that none is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from aiprod.qc.bundled.catalogue import BUNDLED, missing
from aiprod.qc.checks import opennsfw
from aiprod.qc.checks.judging import Case, Judgements, Rule, judged
from aiprod.qc.clip_context import ClipContext, Still
from aiprod.qc.measurement import Figures, OfStills
from aiprod.qc.metric_table import FigureTable

if TYPE_CHECKING:
    from aiprod.media.media_info import VideoFacts
    from aiprod.qc.measure_params import NsfwParams, QcMeasureParams
    from aiprod.qc.params import NsfwPolicy, QcDecideParams

VERSION = "1"
METHOD = "none: no classifier is configured"
_NONE = "no classifier for unsafe content is configured"
_SIDE_PX = 448  # shorter side of what the classifier is given; its processor scales that to its own size


class Nsfw(OfStills):
    """Keeps the stills, upright and in square pixels, and has them classified together.

    Args:
        params: names the classifier, or none.
        why_not: why the bundled network is not used where none is named; None where it is.
    """

    name = "nsfw"
    version = VERSION
    method = METHOD

    def __init__(self, params: NsfwParams, why_not: str | None = _NONE) -> None:
        self._params, self._why_not = params, why_not
        self._fed = 0
        self._pictures: list[np.ndarray] = []

    @classmethod
    def begin(cls, params: QcMeasureParams, video: VideoFacts) -> Self:
        """By the classifier that is named, else by the bundled network where the parameters ask for it."""
        return cls(params.nsfw, missing("nsfw") if "nsfw" in params.uses else _NONE)

    def feed(self, still: Still) -> None:
        """Keep one still; the bundled network sees every other."""
        index, self._fed = self._fed, self._fed + 1
        if self._params.checkpoint or (self._why_not is None and index % 2 == 0):
            side_px = _SIDE_PX if self._params.checkpoint else opennsfw.SIDE_PX
            self._pictures.append(still.upright_rgb(side_px).copy())

    def measure(self, seen: ClipContext, measurements: Mapping[str, Figures]) -> dict[str, Any]:
        """Probabilities [still][label]; no threshold and no judgement of what a label means."""
        if seen.classifier is None:
            return self._by_bundled()
        classifier = seen.classifier()
        identity = {
            "method": f"transformers image classifier ({classifier.kind}) on the stills",
            "version": f"{VERSION}-{classifier.version}",
        }
        if not self._pictures:
            return {"status": "unmeasurable", "reason": "no stills", **identity}
        return {
            "status": "ok",
            "labels": list(classifier.labels),
            "several": classifier.several,
            "probabilities": classifier.probabilities(self._pictures),
            **identity,
        }

    def _by_bundled(self) -> dict[str, Any]:
        if self._why_not is not None:
            return {"status": "not_evaluated", "reason": self._why_not}
        identity = {"method": opennsfw.METHOD, "version": f"{VERSION}-{BUNDLED['nsfw'].identity()}"}
        if not self._pictures:
            return {"status": "unmeasurable", "reason": "no stills", **identity}
        shares = [opennsfw.probabilities(picture) for picture in self._pictures]
        return {"status": "ok", "labels": list(opennsfw.LABELS), "several": False, "probabilities": shares, **identity}


def judge(measurements: FigureTable, params: QcDecideParams) -> Judgements:
    """A still that a classifier finds unsafe asks for a review; unweighted. Without a classifier its status stands."""
    figures, policy = measurements["nsfw"], params.nsfw
    labels, several, stills = (figures.values(name) for name in ("labels", "several", "probabilities"))
    share = np.full(measurements.count, np.nan)
    known: dict[tuple[int, bool, int], float | None] = {}  # equal figures are one object
    for i in np.flatnonzero(figures.ok).tolist():
        key = id(labels[i]), bool(several[i]), id(stills[i])
        if key not in known:
            known[key] = unsafe_probability(labels[i], key[1], stills[i], policy)
        value = known[key]
        share[i] = np.nan if value is None else value
    return judged(
        figures,
        Case(
            np.isnan(share),
            None,
            "the classifier tells apart {labels}, none of which is in qc_decide.nsfw.labels",
            status="error",
        ),
        Case(
            share > policy.probability_max,
            0.0,
            f"unsafe content by {{share:.0%}} in a still, {policy.probability_max:.0%} is the limit",
            caps=True,
        ),
        Case(True, 1.0, "at most {share:.0%} unsafe in {stills} stills"),
        value=share,
        share=share,
        labels=lambda places: [", ".join(labels[i]) for i in places.tolist()],
        stills=lambda places: [len(stills[i]) for i in places.tolist()],
    )


def unsafe_probability(
    labels: Sequence[str], several: bool, stills: Sequence[Sequence[float]], policy: NsfwPolicy
) -> float | None:
    """The highest probability of unsafe content in a still; None where the classifier knows none of the labels.

    Args:
        several: whether a still may have several of the labels; else they exclude each other.
        stills: the probability of each label, for each still.
    """
    picked = _places(tuple(labels), tuple(policy.labels))
    if not picked:
        return None
    whole = max if several else sum  # labels that exclude each other add up
    return max(min(1.0, float(whole(still[index] for index in picked))) for still in stills)


@lru_cache(maxsize=16)  # one classifier measures a dataset, seldom more
def _places(labels: tuple[str, ...], wanted: tuple[str, ...]) -> tuple[int, ...]:
    """Which of a classifier's labels are wanted."""
    folded = {label.casefold() for label in wanted}
    return tuple(index for index, label in enumerate(labels) if label.casefold() in folded)


RULES = (Rule("nsfw", "nsfw", {"nsfw": ("labels", "several", "probabilities")}, judge, may_reject=True),)
