"""The three stages of a film make what `aiprod film` makes, and each changes with what it reads alone."""

from __future__ import annotations

import shutil
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from aiprod.base.files import digest_folder, read_json, sha256_file, write_json
from aiprod.color.balance import HEIGHT, WIDTH, save, train
from aiprod.errors import AiprodError
from aiprod.film.assemble import montage
from aiprod.film.edit import HEARD, PICTURES, SEEN, WHOLE, read_edit
from aiprod.film.finish import Finished, finish_edit
from aiprod.film.ingredients import Ingredients
from aiprod.film.looks import LOOKS, grade, graded
from aiprod.film.make_film import make_film
from aiprod.film.record import changed, read_record
from aiprod.inference.params import GenerationParams
from aiprod.media.encoding import encode
from aiprod.media.mapped_wav import mapped_wav
from aiprod.media.segments import write_wav
from aiprod.montage.balancing import gains_of
from aiprod.montage.reading import read_timeline
from aiprod.storage.result_cache import Memo
from tests.montage.conftest import numbered

pytest.importorskip("PyOpenColorIO", reason="the extra `color` is not installed")
FILMS = Path("datasets/films")
PERSONAL = f"c0{'a' * 16}"
SCRIPT = """
title: Stages
size: 256x144
scenes:
  - name: first
    grade: {exposure: 0.3, luts: [{file: look.cube}]}
    shots:
      - {title: Stages, length: 12f}
      - {dissolve: 6f}
      - {film: a.mp4, from: 0.5s, length: 20f, license: LicenseRef-own}
      - {film: b.mp4, length: 20f, license: LicenseRef-own, grade: {cdl: {slope: [1.1, 1, 0.9]}}}
      - {chart: true, length: 4f}
    voice:
      - {file: words.wav, at: 0.3s, text: Hello, speaker: Ada, license: LicenseRef-own}
credits: {length: 2s}
"""


def tone(hertz: float, seconds: float, level: float = 0.1) -> np.ndarray:
    wave = level * np.sin(2 * np.pi * hertz * np.arange(round(seconds * 48_000)) / 48_000)
    return np.stack([wave, wave]).astype(np.float32)


def place(root: Path) -> Path:
    """A workspace with a script and the files that it names."""
    films = root / FILMS
    films.mkdir(parents=True)
    for name, base, hertz in (("a", 0, 440), ("b", 1000, 600)):
        pictures = (numbered(base + n) for n in range(48))
        encode(films / f"{name}.mp4", pictures, Fraction(24), tone(hertz, 2.0), crf=14, preset="ultrafast")
    write_wav(films / "words.wav", tone(300, 1.0))
    rows = "".join(f"{r} {g} {b}\n" for b in (0, 1) for g in (0, 1) for r in (0, 0.9))
    (films / "look.cube").write_text(f"LUT_3D_SIZE 2\n{rows}")
    (films / "script.yaml").write_text(SCRIPT)
    return root


def run(root: Path, memo: Memo | None = None) -> Finished:
    """The stages one after another, each into an empty folder as DVC has it."""
    kept = memo or Memo(root / ".memo", "test")
    for name in ("montage", "grade", "film"):
        shutil.rmtree(root / "reports" / name, ignore_errors=True)
        (root / "reports" / name).mkdir(parents=True)
    montage(FILMS / "script.yaml", Path("reports/montage"), GenerationParams, kept, FILMS)
    grade(Path("reports/montage") / PICTURES / SEEN, Path("reports/grade"))
    return finish_edit(Path("reports/montage"), Path("reports/grade"), Path("reports/film"), kept)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = place(tmp_path_factory.mktemp("stages") / "here")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        run(root)
    return root


def test_the_stages_make_the_film_of_the_command(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(made)
    alone = make_film(FILMS / "script.yaml", Path("alone/film.mp4"), GenerationParams, None, workers=1)
    film = Path("reports/film/film.mp4")
    assert sha256_file(film) == sha256_file(alone.path)
    record = read_record(film.with_suffix(".json"))
    same = ("shots", "sounds", "scenes", "delivery", "credits", "obligations", "fingerprint", "script_sha256")
    assert {key: record[key] for key in same} == {key: alone.record[key] for key in same}
    assert changed(record, film, made)[1:] == ([], []), "every file of it is found and is what it was"
    for name in (
        "film.poster.png",
        "film.srt",
        "film.credits.txt",
        "film_scopes/shot-001.png",
        "film_scopes/shot-002.png",
    ):
        assert (film.parent / name).read_bytes() == (alone.path.parent / name).read_bytes()
    pytest.importorskip("opentimelineio", reason="the extra `montage` is not installed")
    assert all(path.is_file() for path in read_timeline(film.with_suffix(".otio")).films())


def test_outputs_hold_no_place_and_are_the_same_in_another(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = place(tmp_path / "there" / "deeper")
    monkeypatch.chdir(other)
    run(other)
    for name in ("montage", "grade", "film"):
        folder = made / "reports" / name
        assert digest_folder(folder) == digest_folder(other / "reports" / name), name
        for path in (p for p in folder.rglob("*") if p.is_file()):
            assert str(made).encode() not in path.read_bytes(), path


def test_a_change_reaches_the_stages_that_read_it(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "here"
    shutil.copytree(made, root)
    monkeypatch.chdir(root)
    parts = {
        name: Path("reports") / name for name in (f"montage/{PICTURES}", f"montage/{HEARD}", "grade", "film/film.mp4")
    }

    def digests() -> dict[str, str]:
        return {name: digest_folder(p) if p.is_dir() else sha256_file(p) for name, p in parts.items()}

    def after(old: str, new: str) -> tuple[set[str], Finished]:
        (root / FILMS / "script.yaml").write_text(SCRIPT.replace(old, new))
        done = run(root)
        return {name for name, digest in digests().items() if digest != before[name]}, done

    before = digests()
    louder, done = after("at: 0.3s", "at: 0.4s, gain_db: 3")
    assert louder == {f"montage/{HEARD}", "film/film.mp4"} and done.rendered == 0, "a changed line grades nothing"
    warmer, done = after("slope: [1.1, 1, 0.9]", "slope: [1.1, 1, 0.8]")
    assert warmer == {f"montage/{PICTURES}", "grade", "film/film.mp4"} and done.rendered == 1, "and mixes nothing"
    assert after("nothing", "else")[0] == set(), "and all is as before"


@pytest.mark.parametrize(
    ("name", "by"),
    [
        ("datasets/films/a.mp4", {"film"}),
        ("reports/montage/pictures/film_files/*-look.cube", {"grade"}),
        ("reports/montage/pictures/film_drawn/chart-000-004.png", {"grade", "film"}),
    ],
)
def test_what_is_not_what_was_edited_is_refused_by_name(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, by: set[str]
) -> None:
    root = tmp_path / "here"
    shutil.copytree(made, root)
    monkeypatch.chdir(root)
    path = next(root.glob(name))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    memo = Memo(root / ".memo", "test")
    stages = {
        "grade": lambda: grade(Path("reports/montage") / PICTURES / SEEN, tmp_path / "out"),
        "film": lambda: finish_edit(Path("reports/montage"), Path("reports/grade"), tmp_path, memo),
    }
    called = Path(name).name.removeprefix("*-")
    for said in ("is not what was edited", "is missing"):
        for stage in by:
            with pytest.raises(AiprodError, match=f"{called} {said}"):
                stages[stage]()
        path.unlink(missing_ok=True)


def test_grades_of_another_edit_or_version_are_refused(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(made)
    shutil.copytree(made / "reports/grade", tmp_path / "grade")
    grades = read_json(tmp_path / "grade" / LOOKS)
    for entry in grades["grades"]:
        for table in entry.get("luts", ()):
            table["file"] = "0" * 64
    for value, said in ((grades, "is of another edit"), ({**grades, "format": 9}, "no grades of this version")):
        write_json(tmp_path / "grade" / LOOKS, value)
        with pytest.raises(AiprodError, match=said):
            finish_edit(Path("reports/montage"), tmp_path / "grade", tmp_path, Memo(tmp_path / "memo", "test"))
    edit = read_json(made / "reports/montage" / WHOLE)
    write_json(tmp_path / "edit.json", {**edit, "format": 9})
    with pytest.raises(AiprodError, match="not an edit of this version"):
        read_edit(tmp_path / "edit.json", Ingredients(tmp_path))


def test_no_stage_opens_a_personal_clip(made: Path, tmp_path: Path) -> None:
    edit = read_json(made / "reports/montage" / WHOLE)
    clip = {"kind": "clip", "name": f"{PERSONAL}-000", "stored": f"{PERSONAL}-000.mp4", "file": "x", "sha256": "0"}
    write_json(tmp_path / "edit.json", {**edit, "ingredients": [clip, *edit["ingredients"]]})
    with pytest.raises(AiprodError, match="is of a film that is stored encrypted"):
        read_edit(tmp_path / "edit.json", Ingredients(tmp_path, personal=False))


@pytest.mark.parametrize(
    ("script", "reason"),
    [("", "film.script names no script"), ("datasets/films/script.yaml", "a.mp4 does not exist")],
)
def test_a_refusal_is_the_output_of_each_stage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, reason: str
) -> None:
    root = place(tmp_path)
    monkeypatch.chdir(root)
    for name in ("AIPROD_HOME", "DVC_ROOT", "DVC_STAGE"):
        monkeypatch.delenv(name, raising=False)
    (root / "dvc.yaml").write_text("stages: {}\n")
    (root / "params.yaml").write_text(f"film: {{script: '{script}'}}\nsample: {{}}\n")
    (root / FILMS / "a.mp4").unlink()
    from pipeline import film, grade, montage

    for stage in (montage, grade, film):
        stage.main()
    for folder in ("montage", "montage/pictures", "grade", "film"):
        assert read_json(root / "reports" / folder / "refused.json")["reasons"] == [reason]
        assert [path.name for path in (root / "reports" / folder).iterdir() if path.is_file()] == ["refused.json"]
    assert read_json(root / "metrics/film.json") == {"film_s": 0.0}


@pytest.fixture(scope="module")
def balanced(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with a model of white balance that has learnt a little."""
    root = place(tmp_path_factory.mktemp("balance"))
    rng = np.random.default_rng(0)
    films = {n: rng.integers(0, 255, (3, HEIGHT, WIDTH, 3), np.uint8) for n in ("one", "two", "three")}
    save(train(films, 3, 4), root / FILMS / "net.safetensors")
    return root


def looked(root: Path, *grades: str) -> list[tuple[float, tuple[float, ...]]]:
    """Exposure and white balance of two shots with these grades."""
    shots = "".join(
        f"      - {{film: {name}.mp4, license: LicenseRef-own, grade: {each}}}\n"
        for name, each in zip("ab", grades, strict=True)
    )
    (root / FILMS / "script.yaml").write_text(f"title: T\nsize: 256x144\ncredits:\nscenes:\n  - shots:\n{shots}")
    from aiprod.film.assemble import assemble

    with Ingredients(root / FILMS) as ingredients:
        folder = root / "made"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        made = assemble(FILMS / "script.yaml", (folder, folder), "film", ingredients, GenerationParams, None)
        shots = graded(made.edit).shots
    return [(clip.grade.exposure, clip.grade.white_balance) for clip in shots if clip.grade is not None]


def test_a_shot_is_balanced_and_others_are_matched_to_it(balanced: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(balanced)
    a, b, net = (balanced / FILMS / name for name in ("a.mp4", "b.mp4", "net.safetensors"))
    alone, matched = gains_of(a, net), gains_of(b, net, a)
    found = looked(balanced, "{auto: net.safetensors, like: 0, exposure: 0.2}", "{auto: net.safetensors, like: 0}")
    assert found[0] == (pytest.approx(0.2 + alone.exposure, abs=1e-4), alone.white_balance), "what is stated is on top"
    assert found[1][0] == pytest.approx(alone.exposure + matched.exposure, abs=2e-4)
    product = [one * other for one, other in zip(alone.white_balance, matched.white_balance, strict=True)]
    assert found[1][1] == pytest.approx(product, abs=1e-3), "it is matched to what the first shot is brought to"
    plain = looked(balanced, "{exposure: 0.5}", "{auto: net.safetensors, like: 0}")
    assert plain[1] == (matched.exposure, matched.white_balance), "the shot that it follows is not balanced"


@pytest.mark.parametrize(
    ("grade", "said"),
    [
        ("{auto: none.safetensors}", "none.safetensors does not exist"),
        ("{like: 0}", "auto is no file"),
        ("{auto: net.safetensors, like: 2}", "like is 2 → give a number of a shot of the scene, 0 to 1"),
        ("{auto: net.safetensors, like: first}", "like is 'first'"),
        ("{auto: look.cube}", "look.cube cannot be read"),
    ],
)
def test_a_balance_that_cannot_be_found_is_said(
    balanced: Path, monkeypatch: pytest.MonkeyPatch, grade: str, said: str
) -> None:
    monkeypatch.chdir(balanced)
    with pytest.raises(AiprodError) as error:
        looked(balanced, grade, "{}")
    assert said in str(error.value)


def test_shots_that_follow_each_other_are_refused(balanced: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(balanced)
    with pytest.raises(AiprodError, match="is to look like itself"):
        looked(balanced, "{auto: net.safetensors, like: 1}", "{auto: net.safetensors, like: 0}")


@pytest.mark.parametrize("samples", [1, 100_000])
def test_a_mapped_file_is_what_was_written(tmp_path: Path, samples: int) -> None:
    sound = np.random.default_rng(0).normal(size=(2, samples)).astype(np.float32)
    write_wav(tmp_path / "a.wav", sound)
    assert np.array_equal(mapped_wav(tmp_path / "a.wav"), sound)
    (tmp_path / "b.wav").write_bytes((tmp_path / "a.wav").read_bytes()[:30])
    with pytest.raises(AiprodError, match=r"b\.wav is no sound of 32-bit float"):
        mapped_wav(tmp_path / "b.wav")
