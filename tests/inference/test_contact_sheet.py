"""The contact sheet: pictures apart from each other, with times, and prompts in the letters they were given in."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from aiprod.inference.pipeline import GeneratedClip, Request
from aiprod.inference.video_writer import _BETWEEN, contact_sheet


def sheet(path: Path, prompt: str, fps: float = 8.0) -> np.ndarray:
    pictures = np.full((9, 32, 48, 3), (90, 20, 20), np.uint8)
    contact_sheet([GeneratedClip(Request(prompt, 0), pictures, None, fps, 48_000)], path)
    return np.asarray(cv2.imread(str(path)))


def test_pictures_of_one_video_stand_apart(tmp_path: Path) -> None:
    picture = sheet(tmp_path / "a.png", "x")
    row = next(line for line in picture if (line == (20, 20, 90)).all(axis=1).sum() > picture.shape[1] / 2)
    gaps = (row == 255).all(axis=1)
    edges = np.flatnonzero(np.diff(gaps.astype(int)) == 1)
    assert len(edges) == 4 and gaps.sum() == 4 * _BETWEEN, "five pictures, four gaps"


def test_letters_outside_ascii_are_drawn_and_times_follow_the_rate(tmp_path: Path) -> None:
    drawn = {text: sheet(tmp_path / "b.png", text) for text in ("????", "круг", "grün", "grun", "κύκλος")}
    different = {text: picture.tobytes() for text, picture in drawn.items()}
    assert len(set(different.values())) == len(different)
    slow, fast = sheet(tmp_path / "c.png", "x", 8.0), sheet(tmp_path / "d.png", "x", 16.0)
    assert slow.shape == fast.shape and not np.array_equal(slow, fast), "the same pictures at other times"
