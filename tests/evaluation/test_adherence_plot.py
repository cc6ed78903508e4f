"""The plot of prompt adherence tells what beats chance from what does not, and is equal for equal figures."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from aiprod.evaluation.adherence_plot import draw_adherence


def _about(rate: float, chance: float, *, beats: bool) -> dict[str, object]:
    return {"n": 50, "rate": rate, "low": rate - 0.1, "high": rate + 0.1, "chance": chance, "beats_chance": beats}


def _dark_and_pale(path: Path) -> tuple[int, int]:
    picture = cv2.imread(str(path))[..., ::-1].astype(int)
    near = [np.abs(picture - np.array(c)).max(-1) < 4 for c in ((0x2A, 0x6F, 0x97), (0xA9, 0xB7, 0xC6))]
    return int(near[0].sum()), int(near[1].sum())


def test_only_what_beats_chance_is_dark_and_equal_figures_give_equal_files(tmp_path: Path) -> None:
    figures = {"colour": _about(0.8, 0.2, beats=True), "shape": _about(0.2, 0.2, beats=False)}
    for name in ("a.png", "b.png"):
        draw_adherence(tmp_path / name, figures)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    dark, pale = _dark_and_pale(tmp_path / "a.png")
    assert 3 < dark / pale < 5, "areas as the shares 0.8 and 0.2"
    draw_adherence(tmp_path / "none.png", {"shape": figures["shape"]})
    assert _dark_and_pale(tmp_path / "none.png")[0] == 0


def test_nothing_measured_is_said(tmp_path: Path) -> None:
    draw_adherence(tmp_path / "empty.png", {})
    assert (tmp_path / "empty.png").stat().st_size > 1000
