"""Teachers: what they speak is what they were given, with times, and every row and record says who taught."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from aiprod.base.files import read_json
from aiprod.errors import AiprodError
from aiprod.lips.corpus import MakeFacesParams, make_faces
from aiprod.speech.corpus import MakeSpeechParams, make_corpus, plans
from aiprod.speech.meters import MeterInput, Meters
from aiprod.speech.model import SpeechModel, load_speech_model
from aiprod.speech.phones import ENGLISH, SILENCE
from aiprod.speech.rows import SpeechRow
from aiprod.speech.synthesis import Voice
from aiprod.speech.taught import TaughtPlan, TeacherParams, make_taught, taught_plans
from aiprod.speech.teachers import Flite, Hibari, TaughtSpeech, Teacher, _misread, load_teacher
from aiprod.speech.text_to_phones import Word, phrases
from aiprod.speech.voice import RATE, SPEAKERS, speak
from aiprod.speech.write_files import speak_to_files
from aiprod.trainer.loop.context import TrainContext, no_log
from aiprod.trainer.speech.train import TrainSpeechParams, train_speech

MARK = "synthetic, teacher: Drawn 1.0, voice "
needs_flite = pytest.mark.skipif(shutil.which("flite") is None, reason="the program flite is not installed")
needs_hibari = pytest.mark.skipif(importlib.util.find_spec("hibari") is None, reason="aiprod[teacher] is not installed")


class DrawnTeacher:
    """A teacher whose truth is known: the drawn voice."""

    name, licence, voices = "Drawn 1.0", "Apache-2.0", ("alba", "bruno")

    def say(self, words: Sequence[Word], voice: str) -> TaughtSpeech:
        if words[0].text == "bin":
            raise AiprodError("Drawn 1.0 says other phones than it was given", "leave the sentence out")
        spoken = speak([(w.text, w.phones) for w in words], SPEAKERS[voice], ENGLISH, np.random.default_rng(1))
        return TaughtSpeech(spoken.sound, spoken.phones, spoken.words)


def words_of(text: str) -> list[Word]:
    return [word for phrase in phrases(text, ENGLISH) for word in phrase.words]


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[SpeechRow], Path]:
    folder, teachers = tmp_path_factory.mktemp("taught"), {"flite": TeacherParams(commands=12, descriptions=4)}
    loaded: dict[str, Teacher] = {"flite": DrawnTeacher()}
    own = make_corpus(MakeSpeechParams(commands=4, descriptions=4, made=4), folder, 1)
    to_teach = taught_plans(teachers, loaded, 0, 0.3, {row.text for row in own})  # type: ignore[arg-type]
    return [*own, *make_taught(to_teach, loaded, folder, 2)], folder  # type: ignore[arg-type]


def test_rows_of_a_teacher_are_marked_and_timed(taught: tuple[list[SpeechRow], Path]) -> None:
    rows = [row for row in taught[0] if row.taught]
    assert len(rows) == 16 and {row.provenance for row in rows} == {f"{MARK}alba", f"{MARK}bruno"}
    assert all(row.synthetic and row.source_id == "teacher_flite" for row in rows)
    refused = [row for row in rows if row.status == "refused"]
    assert refused and all(row.reasons and row.text.startswith("bin") for row in refused)
    for row in rows:
        if row.status == "ok":
            assert [p for p in row.phones if p != SILENCE] == [p for w in words_of(row.text) for p in w.phones]
            assert row.phone_ends_s == sorted(row.phone_ends_s) and row.seconds == row.phone_ends_s[-1]
            assert len(row.f0_hz) == pytest.approx(row.seconds * 80, abs=1.01)
    own = [row for row in taught[0] if not row.taught]
    assert own and not {row.text for row in own} & {row.text for row in rows}
    assert {row.split for row in rows} == {"train", "heldout"}


def test_teachers_hold_out_the_same_sentences() -> None:
    loaded: dict[str, Teacher] = {"flite": DrawnTeacher(), "hibari": DrawnTeacher()}
    teachers = {"flite": TeacherParams(commands=30, descriptions=0), "hibari": TeacherParams(commands=20)}
    made = taught_plans(teachers, loaded, 3, 0.3, ())  # type: ignore[arg-type]
    splits: dict[str, set[str]] = {}
    for plan in made:
        splits.setdefault(plan.text, set()).add(plan.split)
    assert any(len([p for p in made if p.text == text]) == 2 for text in splits)
    assert all(len(each) == 1 for each in splits.values())
    assert len({plan.utterance_id for plan in made}) == len(made)


def test_a_model_and_what_it_speaks_name_the_teachers(taught: tuple[list[SpeechRow], Path], tmp_path: Path) -> None:
    trainer = {"steps": 1, "batch": 2, "checkpoint_every_s": 0.0}
    sizes = {"width": 16, "decoder": 16, "blocks": 1, "vocoder": 16}
    params = TrainSpeechParams.model_validate(
        {"model": sizes, "trainer": trainer, "heldout_utterances": 1, "threads": 1}
    )
    context = TrainContext(1e-3, 7, "x", lambda fingerprint: tmp_path / "state", {"speech": "d"}, no_log)
    rows, data = taught
    train_speech(params, rows, context, data=data, models=tmp_path / "m", reports=tmp_path / "r")
    about = read_json(tmp_path / "m/config.json")
    assert about["taught_by"] == {"flite_alba": f"{MARK}alba", "flite_bruno": f"{MARK}bruno"}
    model = load_speech_model(tmp_path / "m")
    speak_to_files(model, phrases("we see the house", ENGLISH), tmp_path / "line.wav", Voice("flite_alba", ENGLISH))
    assert read_json(tmp_path / "line.json")["taught_by"] == [f"{MARK}alba", f"{MARK}bruno"]
    assert "taught_by" not in SpeechModel(model.config, ["alba"]).about()  # a model without teachers says nothing


def test_a_head_that_a_teacher_speaks_for_says_so(taught: tuple[list[SpeechRow], Path], tmp_path: Path) -> None:
    spoken = [row for row in taught[0] if row.taught and row.status == "ok"]
    rows = make_faces(MakeFacesParams(train=2, heldout=2, faults=False), spoken, taught[1], tmp_path, 1)
    assert {MARK in row.provenance for row in rows} == {True}


def test_words_that_are_read_otherwise_are_told() -> None:
    words = words_of("at A two now")
    wanted = [phone for word in words for phone in word.phones]
    assert _misread(words, wanted, wanted) == set()
    assert _misread(words, wanted, ["AE", "T", "AH", "T", "UW", "N", "AW"]) == {1}
    assert _misread(words, wanted, ["AE", "T", "EY", "S", "T", "UW", "N", "AW"]) == {1, 2}


def test_a_teacher_that_is_not_installed_is_told_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(AiprodError, match="flite is not installed") as caught:
        load_teacher("flite")
    assert "apt install flite" in str(caught.value)
    monkeypatch.setitem(__import__("sys").modules, "hibari", None)
    with pytest.raises(AiprodError, match="hibari is not installed") as caught:
        load_teacher("hibari")
    assert "aiprod[teacher]" in str(caught.value)


def test_a_voice_that_a_teacher_has_not_is_refused() -> None:
    teachers = {"flite": TeacherParams(voices=["brunno"])}
    with pytest.raises(AiprodError, match="brunno") as caught:
        taught_plans(teachers, {"flite": DrawnTeacher()}, 0, 0.1, ())  # type: ignore[arg-type, dict-item]
    assert "'bruno'" in str(caught.value)


@pytest.mark.parametrize("teacher", [pytest.param(Flite, marks=needs_flite), pytest.param(Hibari, marks=needs_hibari)])
def test_an_installed_teacher_says_each_phone_when_it_says(teacher: type[Flite | Hibari], tmp_path: Path) -> None:
    loaded: Flite | Hibari = teacher()
    name = "flite" if teacher is Flite else "hibari"
    texts = ["place blue at A two now", "a small brown hexagon turns over there", "set white with H zero soon"]
    texts += [
        plan.text for plan in plans(MakeSpeechParams(commands=6, descriptions=6, made=4)) if plan.language == "en"
    ]
    made = [TaughtPlan(name, loaded.voices[0], text, "train") for text in dict.fromkeys(texts)]  # type: ignore[arg-type]
    rows = make_taught(made, {name: loaded}, tmp_path, 1)  # type: ignore[dict-item]
    assert {row.status for row in rows} == {"ok"} and loaded.name in rows[0].provenance
    examples = []
    for row in rows:
        spoken = [(unit.name, unit.end_s - unit.start_s) for unit in row.timed_phones() if unit.name != SILENCE]
        assert [phone for phone, _ in spoken] == [p for w in words_of(row.text) for p in w.phones]
        assert min(seconds for _, seconds in spoken) > 0
        pitch = dict(zip(range(len(row.f0_hz)), row.f0_hz, strict=True))
        voiced = [
            pitch.get(int((u.start_s + u.end_s) * 40), 0) > 0
            for u in row.timed_phones()
            if u.name in {"IY", "EY", "AA", "OW", "AY"}
        ]
        silent = [pitch.get(int((u.start_s + u.end_s) * 40), 0) > 0 for u in row.timed_phones() if u.name == "S"]
        examples.append((np.mean(voiced or [1.0]), np.mean(silent or [0.0])))
    voiced_share, silent_share = np.mean(examples, 0)
    assert voiced_share > 0.8 and silent_share < 0.25  # times that are 50 ms late: 0.39
    again = loaded.say(words_of(texts[0]), loaded.voices[0])
    assert np.array_equal(again.sound, loaded.say(words_of(texts[0]), loaded.voices[0]).sound)
    assert len(again.sound) / RATE == pytest.approx(again.phones[-1].end_s, abs=0.05)
    heard = MeterInput(again.sound, again.phones, ENGLISH, "t")
    assert Meters([heard]).phone_accuracy([heard]) > 0.9
