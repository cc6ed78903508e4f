"""Where and when something changes: in the right cells, upright, and not by grain."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from aiprod.media.media_info import Orientation
from aiprod.qc.checks.movement import COLUMNS, ROWS, Movement
from aiprod.qc.clip_context import SmallFrame

FPS = 24


def figures(pictures: list[np.ndarray], orientation: Orientation | None = None) -> dict:
    check = Movement(orientation or Orientation())
    for index, plane in enumerate(pictures):
        check.feed(SmallFrame(index, index / FPS, plane, plane, 16.0, 235.0))
    return check.figures()


def square(down: float, across: float, moving: range, length: int = 96) -> list[np.ndarray]:
    """A bright square that quivers about a place, in shares of the height and width, in some of the pictures."""
    pictures = []
    for index in range(length):
        plane = np.full((90, 160), 60, np.uint8)
        y, x = round(down * 90), round(across * 160) + (index % 2) * 4 * (index in moving)
        plane[y - 6 : y + 6, x - 6 : x + 6] = 200
        pictures.append(plane)
    return pictures


@pytest.mark.parametrize(("down", "across"), [(0.25, 0.17), (0.75, 0.5), (0.75, 0.83)])
def test_change_is_where_something_moves(down: float, across: float) -> None:
    found = figures(square(down, across, range(96)))
    cells = np.array(found["cells"])
    assert cells.shape == (ROWS, COLUMNS) and cells.sum() == pytest.approx(1.0, abs=0.02)
    y, x = np.unravel_index(cells.argmax(), cells.shape)
    assert abs((y + 0.5) / ROWS - down) < 0.2 and abs((x + 0.5) / COLUMNS - across) < 0.1


def test_a_film_on_its_side_is_looked_at_upright() -> None:
    turned = Orientation(transpose=True, flip_x=True)
    cells = np.array(figures(square(0.25, 0.17, range(96)), turned)["cells"])
    upright = [turned.turned(plane) for plane in square(0.25, 0.17, range(96))]
    assert np.array_equal(cells, np.array(figures(upright)["cells"]))


def test_the_time_of_movement_is_told() -> None:
    found = figures(square(0.5, 0.5, range(48, 72)))
    [(begin, end)] = found["spans_s"]
    assert begin == pytest.approx(2.0, abs=0.1) and end == pytest.approx(3.0, abs=0.1)
    assert begin <= found["liveliest_s"] <= end
    assert [len(figures(square(0.5, 0.5, range(0)))["spans_s"])] == [0]


def test_grain_is_no_movement() -> None:
    noise = np.random.default_rng(0)
    pictures = [np.clip(noise.normal(120, 2, (90, 160)), 0, 255).astype(np.uint8) for _ in range(24)]
    assert figures(pictures)["changed_mean"] < 0.001
    assert figures([np.full((90, 160), 120, np.uint8)] * 24)["liveliest_s"] is None
    assert figures([pictures[0]])["status"] == "unmeasurable"


def test_on_film_a_hand_at_the_right_bottle_is_found_there(shared_clips: Path) -> None:
    """In the last five seconds a hand takes the right one of three bottles; before that the other two."""
    from aiprod.qc.measure.standalone import FileJob, examine
    from aiprod.qc.measure_params import QcMeasureParams

    film = shared_clips / "open" / "intel_bottle_360p30_40s.mp4"
    row, _ = examine(FileJob(film, QcMeasureParams()))
    found = row.measurements["movement"]
    cells = np.array(found["cells"])
    assert cells.reshape(ROWS, 3, COLUMNS // 3).sum(axis=(0, 2)).min() > 0.1, "each of the three bottles is taken once"
    assert len(found["spans_s"]) > 3
