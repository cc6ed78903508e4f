"""Dubbing: who may be dubbed, what of a picture is changed and what never is, and what is said where it cannot be."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import Result
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from aiprod.base.denials import Refusal
from aiprod.cli import app
from aiprod.governance.audit.denials import append
from aiprod.governance.audit.log import AuditLog
from aiprod.lips.measure_file import pictures_of
from aiprod.lips.mouth_model import MouthModel, MouthModelConfig
from aiprod.lips.mouth_region import Square, cut, guide, mask, paste
from aiprod.lips.redrawing import Redrawer
from aiprod.lips.rows import FaceRow
from aiprod.lips.viseme_model import VisemeModel, VisemeModelConfig
from aiprod.media.audio import read_sound
from aiprod.media.encoding import write_wav
from aiprod.media.frames import VideoReader
from aiprod.qc.bundled.face_mesh import follow
from aiprod.rights.agreements import FACE, VOICE
from aiprod.speech.voice import RATE
from aiprod.storage.manifest.manifest import write_manifest
from tests.lips.talking import clip, faces, speech
from tests.speech.small_model import small_model
from tests.speech.test_speaking import consented


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with drawn heads and models that have learnt nothing."""
    root = tmp_path_factory.mktemp("project")
    (root / "dvc.yaml").write_text("stages: {}\n")
    rows, folder = faces()
    shutil.copytree(folder, root / "datasets/v1/faces")
    write_manifest(
        root / "datasets/v1/faces",
        rows,
        row_model=FaceRow,
        stage="make_faces",
        key=lambda row: row.clip_id,
        params_digest="",
        inputs={},
    )
    torch.manual_seed(0)
    small_model().save(root / "models/speech")
    VisemeModel(VisemeModelConfig(width=8)).save(root / "models/visemes")
    MouthModel(MouthModelConfig(size=32, width=8)).save(root / "models/lips")
    return root


@pytest.fixture
def project(made: Path, tmp_path: Path, state_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(made, tmp_path / "p")
    monkeypatch.chdir(tmp_path / "p")
    return tmp_path / "p"


def dub(*arguments: Any) -> Result:
    return CliRunner().invoke(app, ["dub", *map(str, arguments)])


def drawn(fault: str = "none") -> str:
    return f"datasets/v1/faces/{clip(fault)[0].file_name}"


@given(st.lists(st.floats(0, 1), min_size=4, max_size=4), st.floats(0, 1), st.floats(1, 1.5))
def test_a_mouth_that_is_asked_wider_is_sketched_no_narrower_and_a_closed_one_closed(
    mouth: list[float], other: float, opening: float
) -> None:
    model = MouthModel(MouthModelConfig(size=32, width=8))
    assert np.array_equal(model.sketched(np.array(mouth)), mouth)
    model.opening = opening
    sketched, wider = (model.sketched(np.array([a, *mouth[1:]])) for a in sorted((mouth[0], other)))
    assert sketched[0] <= wider[0] <= 1.2 and (sketched[1:] == mouth[1:]).all()
    assert model.sketched(np.array([0, *mouth[1:]]))[0] == 0 and sketched[0] >= min(mouth[0], other)


def test_a_drawn_head_says_a_text_and_the_result_says_that_it_is_synthetic(project: Path) -> None:
    result = dub(drawn(), "--text", "red now", "--out", "a.mp4")
    assert result.exit_code == 0, result.exception
    record = json.loads(Path("a.json").read_text())
    assert record["synthetic"] and "c2pa.dubbed" in record["actions"] and record["face"] == "drawn"
    assert {word["word"] for word in record["words"]} == {"red", "now"} and set(record["models"]) >= {"lips", "speech"}
    with VideoReader(Path("a.mp4")) as reader, VideoReader(Path(drawn())) as before:
        assert reader._container.metadata["comment"].startswith("synthetic")
        count = [sum(1 for _ in r.frames()) for r in (reader, before)]
    assert count[0] == count[1]
    new, old = read_sound(Path("a.mp4"), RATE, 1), read_sound(Path(drawn()), RATE, 1)
    assert new is not None and old is not None and abs(new.shape[1] - old.shape[1]) < 0.1 * RATE
    (entry,) = [e.value for e in AuditLog().entries()]
    assert entry["kind"] == "sample" and entry["facts"] == {"face": "drawn", "voice": "model"}
    assert dub(drawn(), "--text", "red now", "--out", "b.mp4").exit_code == 0
    assert Path("a.mp4").read_bytes() == Path("b.mp4").read_bytes()


@pytest.mark.parametrize("case", ["none named", "no record", "other purpose", "withdrawn", "given"])
@pytest.mark.parametrize("what", ["face", "voice"])
def test_a_person_is_dubbed_only_where_they_agreed_to_that(project: Path, what: str, case: str) -> None:
    purpose = {"face": FACE, "voice": VOICE}[what]
    if case in {"other purpose", "withdrawn", "given"}:
        other = VOICE if what == "face" else FACE
        consented(
            project, other if case == "other purpose" else purpose, "withdrawn" if case == "withdrawn" else "given"
        )
    named = [] if case == "none named" else [f"--{what}-consent", "2026-014"]
    if what == "face":
        shutil.copy(drawn(), "ada.mp4")
        with open("ada.mp4", "ab") as file:
            file.write(b"\0")  # other bytes than those that were drawn: anybody's film
        result = dub("ada.mp4", "--text", "red now", *named)
    else:
        write_wav("ada.wav", np.random.default_rng(0).normal(0, 0.1, (1, RATE)).astype(np.float32), RATE)
        result = dub(drawn(), "--audio", "ada.wav", *named)
    if case == "given":
        assert result.exit_code == 0, result.exception
        record = json.loads(Path("dubbed.json").read_text())
        assert record[what] == "consent" and record[f"{what}_consent"] == "2026-014"
        return
    error = result.exception
    assert isinstance(error, Refusal) and error.lack == "consent" and f"this {what} may not" in str(error)
    assert purpose in str(error) or case != "none named"
    append([error])
    (entry,) = AuditLog().entries()
    text = entry.data.decode()
    # As a word: the digests in an entry may hold the letters.
    assert purpose in text and not re.search(r"\bada\b", text)
    assert not Path("dubbed.mp4").exists()


def test_a_voice_that_this_project_drew_needs_no_consent(project: Path) -> None:
    row = min(speech()[0], key=lambda row: row.seconds or 9)
    assert row.sound_name is not None
    shutil.copy(drawn("two_faces"), "own.mp4")  # the sound of a drawn film, too
    result = dub(drawn(), "--audio", "own.mp4")
    assert result.exit_code == 0 and json.loads(Path("dubbed.json").read_text())["voice"] == "drawn", result.exception


@pytest.mark.parametrize(
    ("fault", "more", "words"),
    [
        ("hand", (), "mouth .* is hidden"),
        ("profile", (), "no face is seen"),
        ("two_faces", (), "2 faces are seen .* --face"),
        ("two_faces", ("--face", 5), "no face number 5"),
        ("none", ("--out", "x.mov"), "not named .mp4"),
        ("none", ("--text", ""), "either --text or --audio"),
        ("none", ("--text", "red now " * 30), "speech takes .* --speed"),
        ("none", ("--speaker", "dora"), "no speaker 'dora'"),
        ("none", ("--text", "xyzzy"), "xyzzy"),
    ],
)
def test_what_cannot_be_dubbed_is_named(project: Path, fault: str, more: tuple[Any, ...], words: str) -> None:
    result = dub(drawn(fault), "--text", "red now", *more)
    assert result.exit_code != 0 and result.exception is not None
    import re

    assert re.search(words, str(result.exception)), result.exception
    assert not list(Path().glob("*.mp4"))


def test_threads_do_not_wait_for_each_other_over_a_mouth(project: Path) -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        assert dub(drawn(), "--text", "red now").exit_code == 0
        assert torch.get_num_threads() == 1  # with two, a picture takes more than three times the processor time
    finally:
        torch.set_num_threads(before)


def test_a_face_that_leaves_the_picture_is_dubbed_as_long_as_it_is_there(project: Path) -> None:
    result = dub(drawn("leaves"), "--text", "red now")
    assert result.exit_code == 0 and "no face is seen: they are as they were" in result.output, result.exception


def test_another_film_than_the_one_that_was_given_is_never_overwritten(project: Path) -> None:
    before = Path(drawn()).read_bytes()
    assert "would overwrite it" in str(dub(drawn(), "--text", "red now", "--out", drawn()).exception)
    assert Path(drawn()).read_bytes() == before


@settings(max_examples=40, deadline=None)
@given(st.floats(-40, 140), st.floats(-40, 140), st.floats(12, 120), st.integers(0, 9))
def test_outside_of_the_mask_every_byte_stays(x: float, y: float, side: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    picture = rng.integers(0, 256, (96, 110, 3)).astype(np.uint8)
    before = picture.copy()
    square = Square(x, y, side, 0.1, 0.84)
    drawn_ = rng.integers(0, 256, (32, 32, 3)).astype(np.uint8)
    pasted = paste(picture, square, drawn_)
    assert (picture == before).all() and cut(picture, square, 32).shape == (32, 32, 3)
    left, top, size = square.box
    free = np.ones((96, 110), bool)
    for row, column in np.argwhere(mask(size) > 0):
        if 0 <= row + top < 96 and 0 <= column + left < 110:
            free[row + top, column + left] = False
    assert (pasted[free] == before[free]).all()


def test_a_new_network_can_move_a_jaw_and_covers_what_is_between_the_lips() -> None:
    model = MouthModel(MouthModelConfig(size=32, width=8)).eval()
    torch.nn.init.zeros_(model.leave.weight)
    torch.nn.init.zeros_(model.leave.bias)  # type: ignore[arg-type]
    rows = torch.linspace(0, 1, 32)[:, None].expand(1, 3, 32, 32)
    sketch = torch.zeros(1, 3, 32, 32)
    sketch[:, 0, 14:18, 12:20] = 1
    with torch.no_grad():
        still = model(torch.zeros(1, 3, 32, 32), rows, sketch)[0]
        assert (still[:, 15:17, 13:19] - 0.5).abs().max() < 0.05  # the hole has a new colour, what is round it has not
        assert torch.allclose(
            still[:, 22, 8:24], torch.lerp(rows[0, :, 22, 8:24], torch.tensor(0.5), 0.1192), atol=0.02
        )
        model.leave.bias[16:].fill_(1.0)
        moved = model(torch.zeros(1, 3, 32, 32), rows, sketch)[0]
    assert (still - moved)[:, 20:26, 8:24].min() > 0.08  # rows brighten downwards: what was above is lower now


def test_the_mask_never_changes_and_hides_mouth_jaw_and_cheeks_of_every_drawn_head() -> None:
    row, path = clip()
    with VideoReader(path) as reader:
        pictures = [picture for _, picture in pictures_of(path, reader)]
    tracked = list(follow(pictures))
    squares = Redrawer(MouthModel(MouthModelConfig(size=32, width=8)), tracked, 0.04).squares
    widest, closed = int(np.argmax(row.aperture)), int(np.argmin(row.aperture))
    for n in (widest, closed):
        face, square = tracked[n], squares[n]
        assert face is not None and square is not None
        left, top, side = square.box
        for point in face.points[[13, 14, 17, 61, 291, 152, 50, 280]]:  # lips, their corners, chin, cheeks
            column, line = (point - (left, top)).astype(int)
            assert mask(side)[line, column] > 0


def test_the_network_does_not_see_the_mouth_that_it_replaces() -> None:
    torch.manual_seed(1)
    model = MouthModel(MouthModelConfig(size=32, width=8)).eval()
    reference, square = torch.rand(2, 1, 3, 32, 32)
    sketch = torch.from_numpy(guide(np.array([0.5, 0.5, 0.2, 0.3]), Square(0, 0, 32, 0.0, 0.84), 32))[None]
    whole = model.mask == 1
    other = torch.where(model.mask > 0, torch.rand_like(square), square)
    with torch.no_grad():
        a, b = model(square, reference, sketch), model(other, reference, sketch)
    assert bool(whole.any()) and torch.equal(a[..., whole], b[..., whole])
    assert torch.equal(a[..., model.mask == 0], square[..., model.mask == 0])


@settings(max_examples=20, deadline=None)
@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1), st.floats(-0.5, 0.5))
def test_a_sketch_opens_with_the_mouth(
    aperture: float, width: float, rounding: float, teeth: float, angle: float
) -> None:
    square = Square(0, 0, 64, angle, 0.84)
    sketch = guide(np.array([aperture, width, rounding, teeth]), square, 64)
    wider = guide(np.array([min(1.0, aperture + 0.2), width, rounding, teeth]), square, 64)
    assert sketch.shape == (3, 64, 64) and sketch.min() >= 0 and sketch.max() <= 1
    assert (sketch[2] <= sketch[0] + 1e-6).all()
    if aperture <= 0.8:
        assert wider[0].sum() > sketch[0].sum()
    assert aperture > 0 or sketch[0].sum() == 0


def test_a_reference_is_of_another_time() -> None:
    _, path = clip()
    with VideoReader(path) as reader:
        pictures = [picture for _, picture in pictures_of(path, reader)]
    redrawer = Redrawer(MouthModel(MouthModelConfig(size=32, width=8)), list(follow(pictures)), 0.04)
    assert all(abs(n - redrawer.reference(n)) >= 10 for n in range(len(pictures)))


def test_what_is_still_to_be_heard_changes_nothing_that_was_seen() -> None:
    torch.manual_seed(0)
    model = VisemeModel(VisemeModelConfig(width=8)).eval()
    sound = np.random.default_rng(0).normal(0, 0.1, RATE).astype(np.float32)
    other = sound.copy()
    other[RATE // 2 :] = 0
    a, b = model.see(sound), model.see(other)
    until = int((0.5 - 0.075 - 0.05) * 80)  # what is heard beyond a moment, and the window of a spectrum
    assert (a.mouth[:until] == b.mouth[:until]).all() and (a.mouth[until + 8 :] != b.mouth[until + 8 :]).any()
    assert np.allclose(a.visemes.sum(1), 1, atol=1e-5)


def test_curves_of_a_voice_are_written(project: Path) -> None:
    result = CliRunner().invoke(app, ["visemes", drawn(), "--fps", "30", "--out", "v.json"])
    assert result.exit_code == 0, result.exception
    held = json.loads(Path("v.json").read_text())
    assert len(held["weights"]) == len(held["visemes"]) == pytest.approx(clip()[0].frames * 30 / 25, abs=2)
    wrong = CliRunner().invoke(app, ["visemes", drawn(), "--out", "v.txt"])
    assert "neither .csv nor .json" in str(wrong.exception)
