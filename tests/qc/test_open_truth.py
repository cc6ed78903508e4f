"""Precision and recall of the checks on real film, against what a person wrote down after looking at the frames.

``open_truth.csv`` leaves a cell empty where the film cannot be called one thing (several shots, nothing to see).
``overlay`` is any lettering burnt into the picture.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aiprod.qc.checks.flicker import FlickerLimits
from aiprod.qc.duplicates.clusters import Matches
from aiprod.qc.params import DuplicateParams

TRUTH = Path(__file__).with_name("open_truth.csv")


def _camera(found: dict[str, Any]) -> bool | None:
    return found["camera"]["movement"] == "static" if found["camera"]["status"] == "ok" else None


def _tracking(found: dict[str, Any]) -> bool | None:
    return found["camera"]["movement"].startswith("tracks") if found["camera"]["status"] == "ok" else None


def _overlay(found: dict[str, Any]) -> bool | None:
    mark = found["watermark"]
    return mark["area_fraction"] > 0 if mark["status"] == "ok" else None


# column, the value that counts as a hit, what the measurements say (None: they cannot say), least precision and recall
CHECKS: tuple[tuple[str, str, Callable[[dict[str, Any]], bool | None], float, float], ...] = (
    ("camera", "static", _camera, 0.9, 0.9),
    ("camera", "tracking", _tracking, 1.0, 1.0),
    ("face", "yes", lambda m: m["faces"]["found"], 1.0, 0.87),
    ("cuts", "yes", lambda m: m["motion"]["cuts"] > 0, 1.0, 1.0),
    ("letterbox", "yes", lambda m: m["borders"].get("letterboxed"), 1.0, 1.0),
    ("sound", "silent", lambda m: m["events"].get("kind") == "silent", 1.0, 1.0),
    ("sound", "none", lambda m: m["events"]["status"] == "unmeasurable", 1.0, 1.0),
    ("black", "yes", lambda m: m["black"]["black_s"] >= 2, 1.0, 1.0),
    ("overlay", "yes", _overlay, 1.0, 0.2),
)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_precision_and_recall_on_real_film(open_films: dict[str, dict[str, Any]]) -> None:
    found = open_films
    truth = {row["file"]: row for row in csv.DictReader(TRUTH.open(encoding="utf-8"))}
    assert found.keys() == truth.keys()
    for name, measured in found.items():  # none of them flickers or pumps, and none comes near
        swings, limits = measured["flicker"], FlickerLimits()
        assert swings.get("flicker", 0.0) < 0.8 * limits.flicker_max, (name, swings)
        assert swings.get("pumping", 0.0) < 0.8 * limits.pumping_max, (name, swings)
    lines, low = [], []
    for column, value, says, precision_least, recall_least in CHECKS:
        hits = [(says(found[name]), row[column] == value) for name, row in truth.items() if row[column]]
        right = sum(1 for said, true in hits if said and true)
        said_so = sum(1 for said, _ in hits if said)
        wanted = sum(1 for _, true in hits if true)
        unsaid = sum(1 for said, _ in hits if said is None)
        precision, recall = right / max(said_so, 1) if said_so else 1.0, right / max(wanted, 1)
        lines.append(
            f"{column}={value:<8} precision {precision:.2f} recall {recall:.2f} "
            f"({right} right, {said_so} said, {wanted} true, {unsaid} unmeasurable, of {len(hits)})"
        )
        if precision < precision_least or recall < recall_least:
            low.append(lines[-1])
    print("\n".join(lines))
    assert not low, low
    static = [name for name, row in truth.items() if row["camera"] == "static"]
    alarms = [name for name in static if _overlay(found[name])]
    assert not alarms  # a mark is never claimed before a still camera
    followed = [name for name in truth if _tracking(found[name])]
    assert followed == ["tractor_288p25_10s.webm"]  # nor in films of several shots, which no one word is true of
    names = list(truth)
    matches = Matches.of([found[name]["fingerprint"] for name in names], DuplicateParams(), range(len(names)))
    pairs = [{names[a], names[b]} for a, b in matches.pictures]
    count = len(names) * (len(names) - 1) // 2
    print(f"near duplicates: {len(pairs)} pair of {count} said, 1 true")
    assert pairs == [{"mdn_rabbit_240p30_lowres.mp4", "mdn_rabbit_480p30.mp4"}]  # the second was made from the first
    sounds = [{names[a], names[b]} for a, b in matches.sounds]
    assert all(pair in pairs for pair in sounds)
