"""Faces by a network that the user names: read rightly, pinned by its bytes, refused by name where it is none.

The network is one of ours in YuNet's form, for YuNet's own weights are no part of this program: what they find is not
tested here.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from aiprod.base.files import sha256_file
from aiprod.cli import app
from aiprod.errors import AiprodError
from aiprod.media.media_info import Orientation
from aiprod.qc.checks.faces import judge as faces
from aiprod.qc.checks.yunet import YuNet
from aiprod.qc.measure.measure_clip import measure_file
from aiprod.qc.measure.stage import measure_all
from aiprod.qc.params import QcMeasureParams
from aiprod.storage.clip_store import ClipStore
from aiprod.storage.result_cache import Memo
from tests.qc.films import write
from tests.qc.one_clip import answer
from tests.qc.onnx_files import bright_squares
from tests.qc.test_stage import dataset


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bright_squares(tmp_path_factory.mktemp("network") / "yunet.onnx")


def picture(squares: list[tuple[int, int]], level: int = 240, height: int = 288, width: int = 512) -> np.ndarray:
    """Dark, with bright squares on the network's grid of 32 pixels at (column, row)."""
    plane = np.full((height, width), 30, np.uint8)
    for column, row in squares:
        plane[32 * row : 32 * row + 32, 32 * column : 32 * column + 32] = level
    return plane


def test_boxes_are_where_the_network_says_in_shares_of_the_picture(network: Path) -> None:
    find = YuNet(str(network), Orientation())
    assert find(picture([]), 288) == []
    assert find(picture([(2, 3)], level=130), 288) == [], "a score under 0.9 is no face"
    for factor in (1, 2):  # scaled down to the height that was asked for
        large = np.kron(picture([(2, 3), (9, 5)]), np.ones((factor, factor), np.uint8))
        found = sorted(find(large, 288))
        assert found == [
            pytest.approx((64 / 512, 96 / 288, 32 / 512, 32 / 288), abs=1e-3),
            pytest.approx((288 / 512, 160 / 288, 32 / 512, 32 / 288), abs=1e-3),
        ]


def test_film_is_searched_the_right_way_up(network: Path) -> None:
    stored = picture([(2, 3)], height=512, width=288)
    turned = Orientation(transpose=True, flip_x=True)
    assert YuNet(str(network), turned)(stored, 288) == [
        pytest.approx(((512 - 128) / 512, 64 / 288, 32 / 512, 32 / 288), abs=1e-3)
    ]


def test_a_hit_asks_for_a_review_and_the_row_says_by_which_file(tmp_path: Path, network: Path) -> None:
    seen = write(tmp_path / "seen.mp4", [picture([(2, 3), (9, 5)])] * 24)
    nobody = write(tmp_path / "nobody.mp4", [picture([])] * 24)
    params = QcMeasureParams(face_yunet_onnx=str(network))
    for path, count in ((seen, 2), (nobody, 0)):
        figures = measure_file(path, params)[0]["faces"]
        assert (figures["found"], figures["faces_max"]) == (count > 0, count)
        assert figures["method"].startswith("YuNet") and sha256_file(network)[:16] in figures["version"]
        assert answer(faces, {"faces": figures}).caps == (count > 0)
        assert measure_file(path, QcMeasureParams())[0]["faces"]["method"].startswith("Haar")


def test_results_are_pinned_by_the_files_bytes_and_not_by_its_place(tmp_path: Path, network: Path) -> None:
    moved, other = tmp_path / "moved.onnx", bright_squares(tmp_path / "other.onnx", least=0.6)
    shutil.copy(network, moved)
    by_file = [QcMeasureParams(face_yunet_onnx=str(p)).work_digest() for p in (network, moved, other)]
    assert by_file[0] == by_file[1] != by_file[2]
    assert QcMeasureParams().work_digest() not in by_file


@pytest.mark.parametrize("wrong", ["absent", "folder", "text", "another network"])
def test_what_is_no_such_network_stops_the_run_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: str
) -> None:
    path = tmp_path / "given.onnx"
    if wrong == "folder":
        path.mkdir()
    elif wrong == "text":
        path.write_text("not a network")
    elif wrong == "another network":
        bright_squares(path, outputs=("cls", "obj"))
    params, (films, clips) = QcMeasureParams(face_yunet_onnx=str(path), workers=1), dataset(tmp_path, 1)
    with pytest.raises(AiprodError, match=r"face_yunet_onnx: .*given\.onnx (cannot be read|does not load)"):
        measure_all(
            films, clips, params, memo=Memo(tmp_path / "memo", ""), store=ClipStore(tmp_path), thumbs=tmp_path / "t"
        )
    (tmp_path / "dvc.yaml").touch()
    (tmp_path / "params.yaml").write_text(f"qc_measure: {{face_yunet_onnx: {path}}}\nqc_decide: {{}}\n")
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["qc", str(tmp_path / "raw" / "f0.mp4")])
    assert result.exit_code != 0 and "face_yunet_onnx" in str(result.exception)
    assert "REJECTED" not in result.output
