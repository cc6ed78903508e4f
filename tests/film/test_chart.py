"""The colours of a chart in a finished film are those of its grade; where they are not, the table says so."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from aiprod.cli import app
from aiprod.film.chart import PATCHES, codes_off
from aiprod.film.make_film import FinishedFilm, make_film
from aiprod.film.scopes import scopes_of
from aiprod.film.targets import measure_film
from aiprod.inference.params import GenerationParams

pytest.importorskip("PyOpenColorIO", reason="the extra `color` is not installed")
SCRIPT = """
title: Charts
size: 640x360
scenes:
  - shots:
      - {chart: true, length: 4f}
      - chart: true
        length: 4f
        grade: {exposure: -0.5, cdl: {slope: [1.1, 1, 0.9], offset: [0, 0.02, 0], power: [1, 1.1, 1], saturation: 0.8}}
credits:
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> FinishedFilm:
    folder = tmp_path_factory.mktemp("chart")
    (folder / "script.yaml").write_text(SCRIPT)
    return make_film(folder / "script.yaml", folder / "film.mp4", GenerationParams, None, workers=1)


def test_a_chart_keeps_its_colours_through_grade_and_delivery(made: FinishedFilm) -> None:
    figures = {each.name: each for each in measure_film(made.path, made.path.parent)[0]}
    assert figures["chart_patches"].value == 2 * len(PATCHES)
    assert figures["chart_codes_off_most"].holds and float(figures["chart_codes_off_most"].value) < 2


def test_scopes_of_a_grade_lie_beside_the_film(made: FinishedFilm) -> None:
    found = scopes_of(made.record, made.path.with_name("film_scopes"))
    assert [path.name for path, _ in found] == ["shot-001.png"], "the first shot has no grade"
    assert found[0][1] == f"{made.record['ingredients'][0]['name']}, at 00:00:00:04, scene “scene 1”"
    picture = cv2.imread(str(found[0][0]))
    assert picture is not None and picture.shape[0] == 2 * 256 + 8
    assert np.abs(picture[:256].astype(int) - picture[-256:]).mean() > 1, "the grade is seen"


def test_a_chart_that_is_graded_otherwise_than_the_record_says_is_seen(made: FinishedFilm) -> None:
    plain, graded = made.record["shots"]
    swapped = {**made.record, "shots": [plain | {"grade": graded["grade"]}, graded]}
    off = codes_off(made.path, swapped)
    assert max(off[: len(PATCHES)]) > 20 and max(off[len(PATCHES) :]) < 2


def test_lineage_names_the_look_up_table_and_a_changed_digit_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = "".join(f"{r} {g} {b}\n" for b in (0, 1) for g in (0, 1) for r in (0, 0.9))
    (tmp_path / "look.cube").write_text(f"LUT_3D_SIZE 2\n{rows}")
    shot = "{chart: true, length: 6f, grade: {luts: [{file: look.cube}]}}"
    (tmp_path / "script.yaml").write_text(
        f"title: Look\nsize: 256x144\nscenes:\n  - shots:\n      - {shot}\ncredits:\n"
    )
    monkeypatch.chdir(tmp_path)
    make_film(Path("script.yaml"), Path("film.mp4"), GenerationParams, None, workers=1)
    asked = ["lineage", "film.mp4", "--at", "3f"]
    said = CliRunner().invoke(app, asked)
    assert said.exit_code == 0 and "look.cube" in said.stdout and "0 mismatches" in said.stdout
    (tmp_path / "look.cube").write_text(f"LUT_3D_SIZE 2\n{rows.replace('0.9', '0.8', 1)}")
    said = CliRunner().invoke(app, asked)
    assert said.exit_code == 1 and "MISMATCH look.cube" in said.stdout
