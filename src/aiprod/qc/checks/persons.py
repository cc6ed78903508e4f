"""Persons whose face need not show, hands, and a few things, by networks that lie here."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from aiprod.qc.bundled import blazeface, hands, persons
from aiprod.qc.bundled.catalogue import BUNDLED
from aiprod.qc.bundled.fitting import box_of, overlap
from aiprod.qc.checks.judging import Case, Judgements, Rule, judged
from aiprod.qc.clip_context import Still
from aiprod.qc.measurement import OfStills
from aiprod.qc.metric_table import FigureTable

if TYPE_CHECKING:
    from aiprod.media.media_info import VideoFacts
    from aiprod.qc.measure_params import QcMeasureParams
    from aiprod.qc.params import QcDecideParams

VERSION = "3"
METHOD = "none: no detector of persons is configured"
_BY_NETWORK = (
    "SSD on MobileNetV2 (Open Images) on the stills at a shorter side of 480 px, in turn on squares and on the whole; "
    "each of two candidates looked at again at three sizes, and the mean counts; a person is found where one still is "
    "sure, which ends the search, or all together are; a face that the networks for faces find is a person; hands, "
    "where the network thinks of a person, by a palm detector and a network for hands that agree"
)
_SIDE_PX = 480  # as the search for faces, which then shares the picture
_SURE = 0.46  # of one still
_TOGETHER, _SEVERAL = 0.34, 3  # mean of all stills, and how many it takes
_THING_MIN = 0.5  # mean of the best two stills
_BOXES_MAX = 64


class Persons(OfStills):
    """Looks at as many stills as the search for faces, until one shows a person for sure and one was seen whole."""

    name = "persons"
    version = VERSION
    method = METHOD

    def __init__(self, requested: bool, stills: int, of: int, faces: bool = False) -> None:
        """Search ``stills`` evenly chosen ones ``of`` those that will be fed, if it is asked for.

        Args:
            faces: whether faces are looked for by networks anyway: a face is a person, and costs nothing more.
        """
        self._requested, self._faces = requested, faces
        self._fed, self._decided, self._whole = 0, False, False
        self._chosen = {round((i + 0.5) * of / min(stills, of) - 0.5) for i in range(min(stills, of))}
        self._times_s: list[float] = []
        self._persons: list[list[dict[str, Any]]] = []
        self._hands: list[list[dict[str, Any]]] = []
        self._things: list[list[dict[str, Any]]] = []

    @classmethod
    def begin(cls, params: QcMeasureParams, video: VideoFacts) -> Self:
        """By the networks, where the parameters ask for them."""
        faces = "faces" in params.uses and not params.face_yunet_onnx
        return cls("persons" in params.uses, params.face_stills, params.stills, faces)

    def feed(self, still: Still) -> None:
        """Look at one still."""
        index, self._fed = self._fed, self._fed + 1
        if not self._requested or index not in self._chosen or (self._decided and self._whole):
            return
        picture, squares = still.upright_rgb(_SIDE_PX), len(self._times_s) % 2 == 0
        seen = list(blazeface.faces_in(still)) if self._faces else []
        boxes: list[dict[str, Any]] = []
        if self._decided or seen:  # only things are still asked for, and squares tell none
            things, hinted = ([] if squares else persons.things(picture)), False
        else:
            boxes, things, hinted = persons.find(picture, sure=_SURE, squares=squares)
        self._whole |= not squares
        self._decided |= bool(seen) or any(one["confidence"] >= _SURE for one in boxes)
        self._persons.append(
            _joined([*({**face, "confidence": max(_SURE, face["confidence"])} for face in seen), *boxes])
        )
        self._things.append(things)
        self._hands.append(hands.find(picture) if hinted and not self._decided else [])
        self._times_s.append(round(still.time_s, 3))

    def figures(self) -> dict[str, Any]:
        """Whether persons are seen, and boxes of persons, hands and things."""
        if not self._requested:
            return {"status": "not_evaluated", "reason": "no detector of persons is configured"}
        identity = {"method": _BY_NETWORK, "version": f"{VERSION}-{BUNDLED['persons'].identity()}"}
        if not self._times_s:
            return {"status": "unmeasurable", "reason": "no stills", **identity}
        best = [boxes[0]["confidence"] if boxes else 0.0 for boxes in self._persons]
        together = len(best) >= _SEVERAL and float(np.mean(best)) >= _TOGETHER
        present = max(best) >= _SURE or together
        kept = [[one for one in still if present and one["confidence"] >= _TOGETHER] for still in self._persons]
        sure = [sum(one["confidence"] >= _SURE for one in still) for still in kept]
        return {
            "status": "ok",
            "stills": len(self._times_s),
            "stills_with_persons": sum(1 for still in kept if still),
            "persons_max": max(*sure, 1) if present else 0,
            "stills_with_hands": sum(1 for still in self._hands if still),
            "times_s": self._times_s,
            "boxes": _numbered(kept),
            "hands": _numbered(self._hands),
            "things": _numbered(_likely(self._things)),
            **identity,
        }


def _joined(everyone: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One box for those that touch: the network answers for a head, a trunk and a whole person alike."""
    joined: list[dict[str, Any]] = []
    for one in everyone:
        box = np.array(one["box"])
        touching = [other for other in joined if overlap(box, np.array(other["box"])) > 0]
        boxes = np.array([one["box"], *(other["box"] for other in touching)])
        low, high = boxes[:, :2].min(axis=0), (boxes[:, :2] + boxes[:, 2:]).max(axis=0)
        confidence = max(other["confidence"] for other in (one, *touching))
        joined = [other for other in joined if all(other is not touched for touched in touching)]
        joined.append({"box": box_of(np.concatenate([low, high - low])), "confidence": confidence})
    return sorted(joined, key=lambda one: (-one["confidence"], one["box"]))


def _likely(stills: list[list[dict[str, Any]]]) -> list[list[dict[str, Any]]]:
    """The things of those labels that several stills agree on, or the only ones there are."""
    scores: dict[str, list[float]] = {}
    for still in stills:
        for label in {thing["label"] for thing in still}:
            best = max(thing["confidence"] for thing in still if thing["label"] == label)
            scores.setdefault(label, []).append(best)
    need = max(1, min(2, len(stills) // 2))  # every other still is looked at for persons alone
    kept = {label for label, best in scores.items() if sum(sorted(best)[-need:]) / need >= _THING_MIN}
    return [[thing for thing in still if thing["label"] in kept] for still in stills]


def _numbered(stills: Iterable[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    return [{"still": number, **one} for number, still in enumerate(stills) for one in still][:_BOXES_MAX]


def judge(measurements: FigureTable, params: QcDecideParams) -> Judgements:
    """A person asks for a review, for that is a matter of privacy; hands are told. Unweighted."""
    figures = measurements["persons"]
    persons_seen, hands_seen = figures.number("stills_with_persons"), figures.number("stills_with_hands")
    stills = figures.number("stills")
    return judged(
        figures,
        Case(persons_seen > 0, 0.0, "a person in {persons:.0f} of {stills:.0f} stills", caps=True, flags=("persons",)),
        Case(hands_seen > 0, 1.0, "no person, hands in {hands:.0f} of {stills:.0f} stills"),
        Case(True, 1.0, "no person in {stills:.0f} stills"),
        value=persons_seen,
        persons=persons_seen,
        hands=hands_seen,
        stills=stills,
    )


RULES = (Rule("persons", "persons", {"persons": ("stills_with_persons", "stills_with_hands", "stills")}, judge),)
