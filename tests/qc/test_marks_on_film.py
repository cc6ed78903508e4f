"""Marks burnt into real film before a still camera: what none of the films shows alone, they show together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aiprod.executors.executor import ordered_map
from aiprod.qc.measure.standalone import FileJob, examine
from aiprod.qc.overlays.pools import SharedMark
from aiprod.qc.params import QcMeasureParams
from aiprod.qc.projections import ClipProjection, FilmProjection
from tests.qc.marks import BurnJob, burn, layer_of
from tests.qc.marks_of_rows import marks_of

LIGHT = QcMeasureParams(stills=1, face_stills=1)


def measured(paths: list[Path]) -> dict[str, dict[str, Any]]:
    """The figures of the check, by file."""
    found = {}
    for path, outcome in zip(paths, ordered_map(examine, [FileJob(p, LIGHT) for p in paths]), strict=True):
        assert outcome.value is not None and outcome.value[0].status == "ok", (path.name, outcome.reason)
        found[path.name] = outcome.value[0].measurements["watermark"]
    return found


def pooled(figures: dict[str, dict[str, Any]]) -> dict[str, SharedMark]:
    """What the films share, as the clips of one source."""
    films = [FilmProjection(name, "inbox", name, "ok", [], "allow", [], None, "none", None, 1) for name in figures]
    clips = [ClipProjection(name, name, 1, 0.0, 1.0, None, False) for name in figures]
    return marks_of(figures, films, clips)


@pytest.fixture(scope="module")
def untouched(open_films: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Figures of the open films as they are."""
    return {name: found["watermark"] for name, found in open_films.items()}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_films_without_a_shared_mark_are_not_accused(untouched: dict[str, dict[str, Any]]) -> None:
    assert pooled(untouched) == {}


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "pair",
    [("logo", "banner"), ("disc", "caption frame"), ("faint logo", "preview"), ("small logo", "address")],
)
def test_two_marks_in_one_source_are_found_and_told_apart(
    pair: tuple[str, str], untouched: dict[str, dict[str, Any]], shared_clips: Path, tmp_path: Path
) -> None:
    still = [name for name, figures in untouched.items() if figures["status"] == "unmeasurable"]
    told = {name: pair[i % 2] for i, name in enumerate(still)}
    jobs = [BurnJob(shared_clips / "open" / n, tmp_path / f"{n}.mp4", mark) for n, mark in told.items()]
    burnt = [outcome.value for outcome in ordered_map(burn, jobs)]
    assert None not in burnt
    figures = measured([path for path in burnt if path is not None])
    marked = {name: figures[f"{name}.mp4"] for name in told}
    alone = {name for name, f in marked.items() if f["status"] == "ok"}
    found = pooled(untouched | marked)
    for mark in pair:
        here = [name for name, drawn in told.items() if drawn == mark and name not in alone]
        true = layer_of(mark, 360, 640).box_area
        areas = [found[name].area / true for name in here if name in found]
        print(f"{mark:14} {len(areas)} of {len(here)} films, {np.median(areas or [0]):.2f} of the area ({true:.2%})")
        print("   missed:", *[name for name in here if name not in found])
        assert len(areas) >= 0.7 * len(here)
        assert 0.5 <= np.median(areas) <= 2.0
    wrong = set(found) - set(told)
    print(f"{len(alone)} measured alone, {len(wrong)} accused without a mark of {len(untouched) - len(told)}")
    assert not wrong
