"""A film from a script: what it shows is what its record says, it is made again only where it changed, and checked."""

from __future__ import annotations

import itertools
import json
import random
import re
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from typer.testing import CliRunner

from aiprod.base.files import read_json, sha256_file, write_json
from aiprod.cli import app
from aiprod.errors import AiprodError
from aiprod.film.ingredients import _closest
from aiprod.film.make_film import FinishedFilm, ProfileViolation, make_film
from aiprod.film.record import changed, films_below, moment, read_record
from aiprod.film.script import read_script
from aiprod.inference.params import GenerationParams
from aiprod.media.audio import read_sound
from aiprod.media.encoding import encode
from aiprod.media.segments import write_wav
from aiprod.media.video_form import VideoForm
from aiprod.montage.cut import cut
from aiprod.montage.reading import read_timeline
from aiprod.storage.result_cache import Memo
from tests.montage.conftest import lumas_of, numbered, numbers_of

RATE = Fraction(24)
SOURCES = {"a": (Fraction(24), 0, 440), "b": (Fraction(25), 1000, 1000), "c": (Fraction(30000, 1001), 2000, 2500)}


def tone(hertz: float, seconds: float, level: float = 0.1) -> np.ndarray:
    wave = level * np.sin(2 * np.pi * hertz * np.arange(round(seconds * 48_000)) / 48_000)
    return np.stack([wave, wave]).astype(np.float32)


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Films whose pictures carry numbers of their own, each with a tone of its own, and a spoken line."""
    folder = tmp_path_factory.mktemp("material")
    for name, (rate, base, hertz) in SOURCES.items():
        count = round(4 * rate)
        pictures = (numbered(base + n) for n in range(count))
        encode(folder / f"{name}.mp4", pictures, rate, tone(hertz, float(count / rate)), crf=14, preset="ultrafast")
    write_wav(folder / "words.wav", tone(300, 1.0))
    return folder


def script(folder: Path, more: str = "", shots: str = "", top: str = "") -> Path:
    text = f"""
title: Numbers
rate: 24
size: 256x144
{top}
scenes:
  - name: first
    shots:
      - {{film: a.mp4, from: 0.5s, length: 40f, license: LicenseRef-own, fit: stretch}}
      - {{film: b.mp4, from: 1s, length: 31f, license: CC-BY-4.0, attribution: Jane Doe, fit: stretch}}
      - {{film: c.mp4, from: 0.25s, length: 50f, license: CC0-1.0, fit: stretch}}
{shots}
    voice:
      - {{file: words.wav, at: 1s, text: Hello there, speaker: Ada, language: en, license: LicenseRef-own}}
{more}
"""
    path = folder / "script.yaml"
    path.write_text(text)
    return path


def make(path: Path, out: Path, memo: Memo | None = None) -> FinishedFilm:
    return make_film(path, out, GenerationParams, memo, workers=1)


@pytest.fixture(scope="module")
def made(material: Path) -> FinishedFilm:
    return make(script(material, "credits: {length: 2s}"), material / "out" / "film.mp4")


def test_the_record_is_right_for_random_frames_and_samples(made: FinishedFilm) -> None:
    shown, record = numbers_of(made.path), read_record(made.path.with_suffix(".json"))
    names = [Path(each.get("file", "")).stem for each in record["ingredients"]]
    sound = read_sound(made.path, 48_000, 2)
    assert sound is not None and len(shown) == record["frames"]
    draw = random.Random(5)
    right = 0
    for _ in range(200):
        sample = draw.randrange(record["samples"])
        found = moment(record, Fraction(sample, 48_000))
        seen = [s for s in found.pictures if s.source_frame is not None]
        if found.frame >= 121:
            assert not seen, "credits are a still"
            continue
        assert len(seen) == 1
        _, base, hertz = SOURCES[names[seen[0].entry["ingredient"]]]
        assert shown[found.frame] == base + (seen[0].source_frame or 0), found
        heard = {names[h.entry["ingredient"]] for h in found.sounds}
        assert names[seen[0].entry["ingredient"]] in heard
        assert ("words" in heard) == (48_000 <= sample < 96_000)
        window = sound[0, max(0, sample - 1200) : sample + 1200]
        near = {n for s in (-1300, 1300) for h in moment(record, Fraction(max(0, sample + s), 48_000)).sounds
                for n in [names[h.entry["ingredient"]]]}  # fmt: skip
        if near == heard and "words" not in heard and window.size == 2400:
            spectrum = np.abs(np.fft.rfft(window * np.hanning(2400)))
            assert abs(float(np.argmax(spectrum)) * 20 - hertz) <= 40, "the tone of that film"
            right += 1
    assert right > 40


def test_a_flipped_bit_in_any_ingredient_is_named(made: FinishedFilm, material: Path) -> None:
    record = read_record(made.path.with_suffix(".json"))
    record["script"] = str(material / "script.yaml")  # as it is where the workspace is its folder
    assert changed(record, made.path, material)[1] == ["film.json: the record was changed after the film was made"]
    record = read_record(made.path.with_suffix(".json"))
    assert changed(record, made.path, material)[1:] == ([], [])
    assert all(each.get("file") for each in record["ingredients"])
    for name in ("a.mp4", "b.mp4", "c.mp4", "words.wav", "out/film.mp4", "out/film_drawn/credits-000.png"):
        path = material / name
        kept = path.read_bytes()
        data = bytearray(kept)
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
        wrong = changed(record, made.path, material)[1]
        path.write_bytes(kept)
        assert len(wrong) == 1 and Path(name).name in wrong[0]
    values = read_json(made.path.with_suffix(".json"))
    values["shots"][0]["shown"][1] += 1
    assert "the record was changed" in changed(values, made.path, material)[1][0]


def test_the_record_of_a_long_film_is_found_in_a_workspace(made: FinishedFilm, tmp_path: Path) -> None:
    record = dict(made.record) | {"fingerprint": {"look": ["0123456789abcdef"] * 100_000}}
    write_json(tmp_path / "film.json", record)
    write_json(tmp_path / "other.json", {"kind": "film", "format": 1, "look": "x" * 9000})
    assert [(path.name, found) for path, found in films_below(tmp_path)] == [("film.json", record)]


def test_the_credits_go_into_black(made: FinishedFilm) -> None:
    lumas = lumas_of(made.path)
    assert lumas[-13].max() > 150 and lumas[-1].max() < 40
    assert all(a.max() >= b.max() - 2 for a, b in itertools.pairwise(lumas[-12:]))


def test_credits_name_who_asks_for_it_and_no_machine_is_named(made: FinishedFilm, material: Path) -> None:
    text = made.path.with_name("film.credits.txt").read_text()
    assert "Jane Doe (CC-BY-4.0)" in text and "Voices: Ada" in text and "- attribution: Jane Doe" in text
    assert "Hello there" in made.path.with_suffix(".srt").read_text()
    for suffix in (".json", ".otio", ".edl"):
        assert str(material) not in made.path.with_suffix(suffix).read_text()
    delivery = made.record["delivery"]
    assert abs(delivery["lufs"] + 23) <= 0.5 and delivery["true_peak_dbtp"] <= -1
    assert delivery["sound_offset_samples"] == 0 and delivery["frames"] == made.record["frames"] == 121 + 48


def test_the_timeline_beside_a_film_finds_its_media_and_cuts_the_same_film(made: FinishedFilm, tmp_path: Path) -> None:
    pytest.importorskip("opentimelineio", reason="the extra `montage` is not installed")
    read = read_timeline(made.path.with_suffix(".otio"))
    assert read.frames == made.record["frames"] and {film.suffix for film in read.films()} == {".mp4", ".png", ".wav"}
    again = cut(read, tmp_path / "again.mp4", form=VideoForm(read.rate, read.width, read.height), workers=1)
    assert numbers_of(again.path)[:120] == numbers_of(made.path)[:120]


def test_a_changed_line_renders_only_the_shots_that_it_touches(material: Path, tmp_path: Path) -> None:
    memo = Memo(tmp_path / "memo", "test")
    first = make(script(material), tmp_path / "film.mp4", memo)
    digest = sha256_file(first.path)
    again = make(script(material), tmp_path / "film.mp4", memo)
    assert (again.rendered, sha256_file(again.path)) == (0, digest), "the same bytes, from what was kept"
    louder = script(material)
    louder.write_text(louder.read_text().replace("at: 1s, text", "at: 1.5s, gain_db: 3, text"))
    spoken = make(louder, tmp_path / "film.mp4", memo)
    assert spoken.rendered == 0 and spoken.reused == first.rendered and sha256_file(spoken.path) != digest
    graded = script(material)
    graded.write_text(graded.read_text().replace("from: 1s, length: 31f", "from: 1s, length: 20f"))
    assert make(graded, tmp_path / "film.mp4", memo).rendered == 1, "the others moved, and are the same"
    fresh = make(script(material), tmp_path / "other" / "film.mp4", None)
    assert sha256_file(fresh.path) == digest, "and without anything that was kept"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("{film: a.mp4, length: 1s}", "a.mp4 has no licence"),
        ("{film: a.mp4, length: 1s, license: CC-BY-NC-4.0}", "a.mp4 may not be used"),
        ("{film: a.mp4, length: 1s, license: CC-BY-4.0}", "asks for credit"),
        ("{film: a.mp4, sample: 1}", "shows one thing"),
        ("{film: a.mp4, lenght: 1s}", "lenght"),
        ("{title: 'ༀ', length: 1s}", "no font here has"),
        ("{title: T}", "a title needs a length"),
        ("{sample: 998}", "there is no sample"),
        ("{clip: c0000-000}", "there is no clip"),
    ],
)
def test_what_cannot_be_used_is_said_before_anything_is_rendered(
    material: Path, tmp_path: Path, wrong: str, said: str
) -> None:
    path = material / "wrong.yaml"
    path.write_text(f"title: T\nsize: 256x144\nscenes:\n  - shots:\n      - {wrong}\n")
    with pytest.raises(AiprodError, match=said):
        make(path, tmp_path / "film.mp4")
    assert not list(tmp_path.iterdir())


def test_a_film_that_fails_its_profile_is_refused_with_every_reason(material: Path, tmp_path: Path) -> None:
    black = [np.zeros((144, 256, 3), np.uint8)] * 60
    strobe = [np.full((144, 256, 3), 255 * (n // 3 % 2), np.uint8) for n in range(48)]
    encode(tmp_path / "bad.mp4", [*black, *strobe], RATE, tone(500, 4.5, 1e-4), crf=14)
    path = tmp_path / "bad.yaml"
    path.write_text(
        "title: T\nsize: 256x144\ncredits:\nscenes:\n  - shots:\n      - {film: bad.mp4, license: LicenseRef-own}\n"
    )
    with pytest.raises(ProfileViolation) as error:
        make(path, tmp_path / "film.mp4")
    reasons = "; ".join(error.value.reasons)
    assert "loudness" in reasons and "sync" not in reasons
    assert "black: 2.62 s" in reasons and "frozen: 2.62 s" in reasons and "general flashes" in reasons
    assert not (tmp_path / "film.mp4").exists() and (tmp_path / "film.refused.mp4").is_file()


def test_lineage_answers_on_the_command_line(
    made: FinishedFilm, material: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(material)
    asked = ["lineage", "out/film.mp4", "--at", "00:00:02:00", "--json"]
    answers = []
    for inside in (False, True):  # of a project; a film is made without one, too
        if inside:
            (material / "dvc.yaml").touch()
        said = CliRunner().invoke(app, asked)
        assert said.exit_code == 0, said.output
        answers.append(json.loads(said.stdout))
    assert answers[0] == answers[1]
    found = answers[0]
    assert [node["kind"] for node in found["subject"]["children"]] == ["shot", "sound"]
    shot = found["subject"]["children"][0]
    assert shot["children"][0]["name"] == "b.mp4" and "picture 33" in shot["facts"]["shows"]
    assert found["obligations"] == ["attribution: Jane Doe (CC-BY-4.0)"]
    over = CliRunner().invoke(app, ["lineage", "out/film.mp4", "--at", "00:01:00:00"])
    assert over.exception is not None and "nothing at 60 s" in str(over.exception)
    (material / "dvc.yaml").unlink()
    other = CliRunner().invoke(app, ["lineage", "a.mp4"])
    assert "not inside an AIPROD project" in str(other.exception), "nothing is known of it"


def test_the_scripts_of_the_repository_are_read() -> None:
    root = Path(__file__).resolve().parents[2]
    scripts = sorted((root / "datasets" / "films").glob("*.yaml"))
    assert scripts
    for path in scripts:
        assert read_script(path).scenes


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("{sampel: 0, length: 1s}", "unknown key 'scenes.0.shots.0.shot.sampel' → did you mean 'sample'?"),
        ("{sample: 0, form: 1s}", "unknown key 'scenes.0.shots.0.shot.form' → did you mean 'from'?"),
        ("{sample: 0, volume: 1s}", "unknown key 'scenes.0.shots.0.shot.volume' → known keys: "),
        ("{title: '', length: 1s}", "s.yaml: scenes.0.shots.0.shot.title"),
    ],
)
def test_what_is_misspelt_in_a_script_is_named_with_the_nearest_key(tmp_path: Path, line: str, told: str) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(f"title: X\nscenes:\n  - name: one\n    shots:\n      - {line}\n")
    with pytest.raises(AiprodError, match=re.escape(told)):
        read_script(path)


def test_of_many_films_some_are_named_and_the_rest_counted() -> None:
    known = [f"clean-{n:04}" for n in range(5000)]
    assert _closest("clean-9999x", known).startswith("did you mean 'clean-")
    assert _closest("nothing", known).endswith("clean-0019 and 4980 more") and _closest("zz", ["b"]) == "known keys: b"


def test_a_master_is_prores_with_pcm_at_its_loudness_and_each_sample_of_the_mix(material: Path, tmp_path: Path) -> None:
    path = script(material, "credits:", top="profile: ebu_r128_master")
    with pytest.raises(AiprodError, match=r"name it film\.mov"):
        make(path, tmp_path / "film.mp4")
    made = make_film(path, tmp_path / "film.mov", GenerationParams, None, workers=1, stems=True)
    with av.open(str(made.path)) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        assert (video.codec_context.name, video.codec_context.pix_fmt) == ("prores", "yuv422p10le")
        assert audio.codec_context.name.startswith("pcm_s24") and audio.rate == 48_000
        assert (video.start_time, audio.start_time or 0) == (0, 0)
    assert len(numbers_of(made.path)) == made.record["frames"] == 121
    sound = read_sound(made.path, 48_000, 2)
    assert sound is not None and sound.shape[1] == made.record["samples"]
    stems = sum(read_sound(stem, 48_000, 2) for stem in sorted(tmp_path.glob("film.*.wav")))
    assert np.abs(sound - stems).max() < 2**-22, "nothing lossy lies between mix and master"
    pyloudnorm = pytest.importorskip("pyloudnorm", reason="another implementation of BS.1770")
    assert pyloudnorm.Meter(48_000).integrated_loudness(sound.T) == pytest.approx(-23, abs=0.1)
    assert made.record["delivery"]["sound_offset_samples"] == 0 and made.record["delivery"]["true_peak_dbtp"] <= -1
