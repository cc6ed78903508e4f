"""Phrases about what happens before a still camera: what moves, where, and when.

Before a camera that moves everything changes, and nothing is said of it here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from aiprod.captions.content import Claim, claim, measured
from aiprod.captions.phrases import GRAINY, LITTLE, MUCH, TRAVEL
from aiprod.captions.phrasing import Wording
from aiprod.captions.taxonomy import steady

Figures = Mapping[str, Any]
_LEAST = 0.002  # mean share of pixels that change; a running timecode has 0.0014
_MOST = 0.6  # share of all change from which it is said where it is
_HALF = 0.7
_INSIDE = 0.7  # share of all change that lies within the boxes of one person
_THROUGHOUT = 0.8
_PEAK_S = 2.0  # in a shorter clip the liveliest moment says nothing


def action(measurements: Mapping[str, Figures], wording: Wording) -> tuple[Claim, ...]:
    """That something moves, or a person, with place and time where these are plain."""
    movement, motion, camera = (measurements.get(name, {}) for name in ("movement", "motion", "camera"))
    if any(figures.get("status") != "ok" for figures in (movement, motion, camera)):
        return ()
    still = camera.get("movement") == "static" and steady(camera)
    grainy = float(motion["reversal_share"]) > GRAINY
    if not still or grainy or int(motion.get("cuts") or 0) or float(movement["changed_mean"]) < _LEAST:
        return ()
    cells = np.array(movement["cells"])
    energy = float(motion["energy_mean"])
    person = _by_the_person(cells, measurements.get("persons", {}))
    if person:
        who = wording.pick("who", ("a person moves", "somebody moves"))
    elif energy < LITTLE:
        who = wording.pick("who", ("something moves a little", "there is a little movement"))
    elif energy < MUCH:
        who = wording.pick("who", ("something moves", "there is movement"))
    else:
        who = "there is much movement"
    reframed = float(camera.get("travel") or 0.0) >= TRAVEL  # now and then, and then everything changes
    details = [] if reframed else [detail for detail in (_where(cells), _when(movement)) if detail]
    evidence = [
        measured(measurements, "movement", times_s=tuple(b for b, _ in movement["spans_s"])),
        measured(measurements, "camera"),
    ]
    return claim(", ".join([who, *details]), *evidence, *([measured(measurements, "persons")] if person else []))


def _by_the_person(cells: np.ndarray, persons: Figures) -> bool:
    """Whether most of the change lies where one person is seen."""
    if persons.get("status") != "ok" or int(persons["persons_max"]) != 1 or not persons["boxes"]:
        return False
    rows, columns = cells.shape
    inside = np.zeros(cells.shape, bool)
    for box in persons["boxes"]:
        x, y, width, height = (float(value) for value in box["box"])
        down, across = (np.arange(rows) + 0.5) / rows, (np.arange(columns) + 0.5) / columns
        inside |= np.outer((down >= y) & (down <= y + height), (across >= x) & (across <= x + width))
    return float(cells[inside].sum()) >= _INSIDE


def _where(cells: np.ndarray) -> str:
    """The third of the width and the half of the height that most change is in."""
    rows, columns = cells.shape
    thirds = cells.reshape(rows, 3, columns // 3).sum(axis=(0, 2))
    upper = float(cells[: rows // 2].sum())
    across = ("on the left", "in the middle", "on the right")[int(thirds.argmax())] if thirds.max() >= _MOST else ""
    half = "the upper half" if upper >= _HALF else "the lower half" if upper <= 1 - _HALF else ""
    if across and half:
        return f"mostly {across} and in {half}"
    return f"mostly {across}" if across else f"mostly in {half}" if half else ""


def _when(movement: Figures) -> str:
    """When it moves, where that is plain: all the time, at one end, with pauses; and when most."""
    spans: Sequence[Sequence[float]] = movement["spans_s"]
    length = float(movement["length_s"])
    if not spans or length <= 0:
        return ""
    covered = sum(end - begin for begin, end in spans) / length
    if covered < _THROUGHOUT:
        if spans[0][0] > 0.4 * length:
            return "towards the end"
        if spans[-1][1] < 0.6 * length:
            return "at the beginning"
        return "with pauses" if len(spans) > 1 else ""
    liveliest = movement.get("liveliest_s")
    if length < _PEAK_S or liveliest is None:
        return "throughout"
    part = float(liveliest) / length
    return f"most of all {'at the beginning' if part < 1 / 3 else 'half-way' if part < 2 / 3 else 'towards the end'}"
