"""Lines that a script states as text: what is heard is what `aiprod speak` says, where it is read and recorded."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from aiprod.base.files import read_json, sha256_file
from aiprod.cli import app
from aiprod.errors import AiprodError
from aiprod.film.dialogue import SpokenLine, _pieces, lines_to_speak, speak_lines
from aiprod.film.head_sync import lip_sync
from aiprod.film.make_film import FinishedFilm, make_film
from aiprod.film.record import moment, read_record, shots_standing_on
from aiprod.film.script import read_script
from aiprod.film.targets import _words, measure_film
from aiprod.inference.params import GenerationParams
from aiprod.media.audio import read_sound
from aiprod.media.segments import write_wav
from aiprod.speech import recogniser
from aiprod.speech.recogniser import installed
from aiprod.speech.text_to_phones import phrases
from aiprod.storage.result_cache import Memo
from tests.speech.small_model import small_model
from tests.speech.test_drawn_voice import spoken

TEXT = "Welcome to a film, doctor. Here we see a red circle!"
SCRIPT = """
title: Lines
size: 128x72
scenes:
  - shots:
      - {title: One, length: 6s}
    voice:
      - {text: "TEXT", speaker: bruno, at: 1s}
  - shots:
      - {title: Two, length: 3s}
    voice:
      - {text: Goodbye, at: 0.5s, language: en, seed: 3}
music:
  - {file: hum.wav, license: LicenseRef-own, gain_db: -12}
credits: {length: 4s}
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a speech model and music."""
    folder = tmp_path_factory.mktemp("spoken")
    small_model().save(folder / "models" / "speech")
    at = np.arange(9 * 48_000) / 48_000
    write_wav(folder / "hum.wav", np.stack([0.2 * np.sin(2 * np.pi * 90 * at)] * 2).astype(np.float32))
    (folder / "dvc.yaml").touch()
    return folder


@pytest.fixture(autouse=True)
def _there(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)


def script(text: str = TEXT, *more: tuple[str, str]) -> Path:
    path, said = Path("script.yaml"), SCRIPT.replace("TEXT", text)
    for old, new in more:
        said = said.replace(old, new)
    path.write_text(said)
    return path


def make(path: Path, out: str, memo: Memo | None = None) -> FinishedFilm:
    return make_film(path, Path(out), GenerationParams, memo, workers=1, stems=True)


@pytest.fixture(scope="module")
def made(place: Path) -> FinishedFilm:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        return make(script(), "out/film.mp4")


def test_a_line_is_what_the_command_speaks_and_is_heard_where_the_record_says(made: FinishedFilm) -> None:
    said = ["speak", TEXT, "--speaker", "bruno", "--seed", "42", "--out", "alone.wav"]
    assert CliRunner().invoke(app, said).exit_code == 0
    alone, kept = (read_sound(Path(name), 48_000, 1) for name in ("alone.wav", "out/film_voice/000.wav"))
    assert alone is not None and kept is not None
    assert alone.shape == kept.shape and np.abs(alone - kept).max() < 1e-3
    record = read_record(made.path.with_suffix(".json"))
    stem, first = read_sound(Path("out/film.dialogue.wav"), 48_000, 1), record["sounds"][0]["samples"][0]
    assert stem is not None and first == 48_000 and np.abs(stem[0, : first - 1]).max() == 0
    part, line = stem[0, first + 4000 : first + 60_000], kept[0, 4000:60_000]
    assert np.corrcoef(part, line)[0, 1] > 0.9999, "to the sample"
    heard = moment(record, Fraction(first + 1000, 48_000)).sounds[0].entry
    facts = record["ingredients"][heard["ingredient"]]["facts"]
    assert (facts["text"], facts["speaker"], facts["seed"]) == (TEXT, "bruno", 42)
    assert record["synthetic"] and record["speech_model_digest"] == facts["speech_model_digest"]
    assert any("Synthetic voices: alba, bruno" in line for line in record["credits"])
    assert len(shots_standing_on(record, set(), {facts["speech_model_digest"]})) == 2, "erasing a voice names them"


def test_subtitles_are_the_text_as_written_at_the_times_of_its_words(made: FinishedFilm) -> None:
    cues = made.path.with_suffix(".srt").read_text().split("\n\n")
    assert [cue.splitlines()[2] for cue in cues if cue.strip()] == [
        "Welcome to a film, doctor.",
        "Here we see a red circle!",
        "Goodbye",
    ]
    words = read_json(Path("out/film_voice/000.json"))["words"]
    first, second = 1 + words[0]["start_s"], 1 + words[5]["start_s"]
    for cue, begins in zip(cues, (first, second), strict=False):
        clock = cue.splitlines()[1].split(" --> ")[0].replace(",", ".").split(":")
        assert 0 <= begins - float(clock[2]) <= 1 / 24, "no later than the word, and within a frame of it"


def test_lips_of_a_drawn_head_go_with_the_line_and_a_late_sound_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Words are not measured here: to look for any in what an untrained voice says takes longer than all else."""
    monkeypatch.setattr(recogniser, "installed", lambda: False)
    said = "Pop a map by my barn, papa."
    (tmp_path / "script.yaml").write_text(
        f"""
title: Head
size: 320x180
scenes:
  - shots:
      - {{title: One, length: 1s}}
      - {{dissolve: 6f}}
      - {{head: 1}}
    voice:
      - {{text: Goodbye}}
      - {{text: "{said}", speaker: bruno, at: 0.25s}}
credits:
"""
    )
    done = make(tmp_path / "script.yaml", str(tmp_path / "film.mp4"))
    head = next(s for s in done.record["shots"] if done.record["ingredients"][s["ingredient"]]["kind"] == "head")
    line = done.record["sounds"][1]
    assert line["samples"][0] == (head["record_in"] + 6) * 2000
    measured, notes = measure_film(done.path, tmp_path)
    assert any("words were not measured" in note for note in notes)
    figures = {each.name: each for each in measured}
    assert figures["lip_sync_late_frames"].value == 0 and figures["lip_sync_correlation"].holds
    line["samples"] = [at + 3 * 2000 for at in line["samples"]]
    assert [each.late_frames for each in lip_sync(done.path, done.record, tmp_path)] == [3]


def test_music_makes_room_for_a_line(made: FinishedFilm) -> None:
    music, record = read_sound(Path("out/film.music.wav"), 48_000, 1), read_record(made.path.with_suffix(".json"))
    assert music is not None
    first, behind = record["sounds"][0]["samples"]
    level = [
        float(20 * np.log10(np.sqrt(np.mean(music[0, at : at + 9600] ** 2)))) for at in (9600, (first + behind) // 2)
    ]
    assert level[0] - level[1] == pytest.approx(12, abs=0.5)


def test_a_changed_line_is_spoken_alone_and_renders_no_picture(tmp_path: Path) -> None:
    memo = Memo(tmp_path / "memo", "test")
    first = make(script(), "kept/film.mp4", memo)
    changed = make(script(TEXT.replace("red", "blue")), "kept/film.mp4", memo)
    assert first.spoken == 2 and first.rendered > 0
    assert (changed.spoken, changed.rendered) == (1, 0), "the other line, and all pictures, are as they were"
    louder = make(script(TEXT, ("at: 1s", "at: 1.5s, gain_db: 3")), "kept/film.mp4", memo)
    assert (louder.spoken, louder.rendered) == (0, 0), "it is only placed elsewhere"
    fresh = make(script(TEXT, ("at: 1s", "at: 1.5s, gain_db: 3")), "fresh/film.mp4")
    assert sha256_file(fresh.path) == sha256_file(louder.path), "the same bytes without what was kept"


@pytest.mark.parametrize(
    "text",
    [
        "Dr. Smith sees us. It costs $3.50, and no more.",
        "Hello. Hello? ... Hello",
        "The red circle, which we see before the river and behind the mountain, moves slowly; the camera is still, "
        "and the music plays over the city.",
        "Say {R EH D}. Then go.",
        'It is <phoneme alphabet="ipa" ph="ɹɛd">read</phoneme>, you see.',
        "At 10.30 a.m. we go",
    ],
)  # fmt: skip
def test_cutting_a_text_into_subtitles_changes_nothing_of_what_is_spoken(text: str) -> None:
    from aiprod.speech.text_to_phones import bundled_dictionary

    try:
        whole = phrases(text, "en", bundled_dictionary())
    except AiprodError:  # a word that is in the large dictionary only
        pytest.skip("needs the dictionary of the extra voice")
    pieces = _pieces(SpokenLine(text, "", "en", 1.0, 0))
    assert [phrase for _, each in pieces for phrase in each] == whole
    assert all(shown and each and "<" not in shown and "{" not in shown for shown, each in pieces)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("speaker: bruno", "speaker: brno", "knows no speaker 'brno'"),
        ("language: en", "language: xx", "unknown language 'xx'"),
        ("text: Goodbye", "text: Qwxzt", "no pronunciation of 'Qwxzt'"),
        ("text: Goodbye", "text: ''", "needs a text to speak, or a file"),
        ("text: Goodbye", "text: '. . .'", "no words"),
        ("text: Goodbye", "file: hum.wav", "seed and speed are for lines without a file"),
        ("text: Goodbye", "license: CC0-1.0, text: Goodbye", "are for lines with a file"),
    ],
)
def test_what_cannot_be_spoken_is_said_before_anything_is_rendered(old: str, new: str, said: str) -> None:
    with pytest.raises(AiprodError, match=said):
        make(script(TEXT, (old, new)), "wrong/film.mp4")
    assert not list(Path("wrong").iterdir()) if Path("wrong").exists() else True


def test_without_a_speech_model_or_with_a_changed_one_the_error_says_what_to_do(tmp_path: Path) -> None:
    lines = [said for _, said in lines_to_speak(read_script(script()))]
    with pytest.raises(AiprodError, match="no speech model") as missing:
        speak_lines(lines, tmp_path, None, tmp_path / "models")
    assert "dvc repro train_speech" in str(missing.value)
    small_model().save(tmp_path / "speech")
    data = bytearray((tmp_path / "speech" / "model.safetensors").read_bytes())
    data[-1] ^= 1
    (tmp_path / "speech" / "model.safetensors").write_bytes(data)
    with pytest.raises(AiprodError, match="changed since it was saved"):
        speak_lines(lines, tmp_path, None, tmp_path / "speech")


@pytest.mark.skipif(not installed(), reason="words are measured by PocketSphinx, of the extra voice")
def test_a_line_that_is_no_command_is_measured_as_open_text(made: FinishedFilm) -> None:
    """The short one of two, since an untrained voice is searched for words for long."""
    record = read_record(made.path.with_suffix(".json"))
    figures, notes = _words({**record, "sounds": record["sounds"][1:]}, made.path, Path.cwd())
    found = {each.name: each for each in figures}
    assert not notes and found["words_open_text"].value == 1
    assert set(found) == {"words_open_text", "word_accuracy_open_text", "word_accuracy_open_text_before_mix"}


@pytest.mark.skipif(not installed(), reason="words are measured by PocketSphinx, of the extra voice")
def test_the_table_tells_a_line_that_is_understood_from_one_under_loud_music() -> None:
    draw, at = np.random.default_rng(5), np.arange(9 * 48_000) / 48_000
    loud = 0.3 * np.sin(2 * np.pi * 440 * at) + 0.1 * draw.standard_normal(at.size)
    write_wav(Path("loud.wav"), np.stack([loud, loud]).astype(np.float32))
    text = "Place blue at A two now."
    sound = np.repeat(spoken("place blue at A two now", speaker="bruno").sound, 3)  # 16 to 48 kHz
    write_wav(Path("line.wav"), np.stack([sound, sound]).astype(np.float32))
    line = (f'text: "{TEXT}", speaker: bruno', f'file: line.wav, text: "{text}", license: LicenseRef-own, speaker: b')
    other = ("- {text: Goodbye, at: 0.5s, language: en, seed: 3}", "- {file: line.wav, license: LicenseRef-own}")
    make(script(TEXT, line, other), "table/film.mp4")
    figures, notes = measure_film(Path("table/film.mp4"), Path.cwd())
    found = {each.name: each for each in figures}
    assert not notes and found["words_commands"].value == 12
    assert float(found["word_accuracy_commands_before_mix"].value) >= 0.8
    assert all(each.holds is not False for each in figures)
    loud_music = ("hum.wav, license: LicenseRef-own, gain_db: -12", "loud.wav, license: LicenseRef-own, gain_db: 12")
    make(script(TEXT, line, other, loud_music, ("credits: {length: 4s}", "ducking: false\ncredits:")), "table/film.mp4")
    said = CliRunner().invoke(app, ["measure", "film", "table/film.mp4", "--json"])
    assert said.exit_code == 1 and json.loads(said.stdout)["word_accuracy_commands"]["holds"] is False
    table = CliRunner().invoke(app, ["measure", "film", "table/film.mp4"])
    assert "MISSED" in table.stdout and "loudness_lufs" in table.stdout
    data = bytearray(Path("table/film.mp4").read_bytes())
    data[-1] ^= 1
    Path("table/film.mp4").write_bytes(data)
    with pytest.raises(AiprodError, match="not those that were delivered"):
        measure_film(Path("table/film.mp4"), Path.cwd())
