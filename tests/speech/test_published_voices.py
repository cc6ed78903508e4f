"""`aiprod speak` with models in the formats of Kokoro and StyleTTS2: the same command, files and refusals."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest

from aiprod.errors import AiprodError
from aiprod.media.segments import write_wav
from aiprod.speech.phoneme_signs import phones_of_signs, signs_of, stressed
from aiprod.speech.published_voices import PublishedVoices, load_published
from aiprod.speech.synthesis import Voice, speak_all
from aiprod.speech.text_to_phones import phrases
from tests.models.published.speech_files import save_kokoro, save_styletts2
from tests.speech.test_drawn_voice import spoken
from tests.speech.test_speaking import consented, heard, speak

LINE = "Place blue at A two now."


@pytest.fixture(scope="module")
def kokoro(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_kokoro(tmp_path_factory.mktemp("kokoro") / "model")


def voices(path: Path) -> PublishedVoices:
    found = load_published(path)
    assert found is not None
    return found


def test_a_sentence_becomes_a_file_and_its_times(kokoro: Path, tmp_path: Path) -> None:
    out = tmp_path / "line.wav"
    result = speak(kokoro, f"{LINE} It costs $5.", "--out", str(out), "--speaker", "am_two")
    assert result.exit_code == 0, result.exception
    times = json.loads(out.with_suffix(".json").read_text())
    rate, channels, seconds = heard(out)
    assert (rate, channels) == (48_000, 1) and seconds == pytest.approx(times["seconds"], abs=0.01)
    assert " ".join(word["word"] for word in times["words"]) == "Place blue at A two now It costs five dollars"
    assert times["synthetic"] is True and times["speaker"] == "am_two"
    assert times["model"]["format"] == "Kokoro" and len(times["model"]["sha256"]) == 64
    phones = times["phones"]
    assert phones[0]["start_s"] == 0 and phones[-1]["end_s"] == pytest.approx(seconds, abs=0.01)
    assert all(abs(a["end_s"] - b["start_s"]) < 2e-4 for a, b in itertools.pairwise(phones))
    assert [p["phone"] for p in phones[1:6]] == ["P", "L", "EY", "S", "B"]


def test_a_stream_has_the_samples_of_the_file(kokoro: Path, tmp_path: Path) -> None:
    import av

    assert speak(kokoro, f"{LINE} {LINE}", "--out", str(tmp_path / "a.wav")).exit_code == 0
    raw = speak(kokoro, f"{LINE} {LINE}", "--raw")
    assert raw.exit_code == 0, raw.exception
    streamed = np.frombuffer(raw.stdout_bytes, "<f4")
    with av.open(str(tmp_path / "a.wav")) as container:
        whole = np.concatenate([frame.to_ndarray().reshape(-1) for frame in container.decode(audio=0)])
    assert len(streamed) == len(whole)


def test_twice_the_speed_is_about_half_as_long(kokoro: Path) -> None:
    model, said = voices(kokoro), phrases(LINE, "en")
    slow, fast = (
        sum(len(part.speech.sound) for part in speak_all(model, said, Voice("af_one", "en", speed)))
        for speed in (0.5, 1)
    )
    assert 1.6 < slow / fast < 2.4


def test_speakers_are_the_files_of_voices(kokoro: Path, tmp_path: Path) -> None:
    model = voices(kokoro)
    assert model.speakers == ("af_one", "am_two")
    sounds = [
        next(iter(speak_all(model, phrases(LINE, "en"), Voice(name, "en")))).speech.sound for name in model.speakers
    ]
    assert len(sounds[0]) != len(sounds[1]) or not np.array_equal(sounds[0], sounds[1])
    result = speak(kokoro, LINE, "--speaker", "af_onne", "--out", str(tmp_path / "a.wav"))
    assert isinstance(result.exception, AiprodError) and "af_one" in (result.exception.hint or "")


def test_braces_may_hold_the_models_own_signs(kokoro: Path) -> None:
    model = voices(kokoro)
    (phrase,) = phrases("{həlˈO wˈɜɹld} {R EH D}", "en", None, model.notation)
    assert phrase.words[0].signs == ("h", "ə", "l", "ˈO", " w", "ˈɜɹ", "l", "d")
    assert phrase.words[1].phones == ("R", "EH", "D") and phrase.words[1].signs == ()
    (part,) = speak_all(model, [phrase], Voice("af_one", "en"))
    assert [word.name for word in part.words] == ["həlˈO wˈɜɹld", "R EH D"]


def test_what_it_cannot_speak_is_refused(kokoro: Path, tmp_path: Path) -> None:
    out = str(tmp_path / "a.wav")
    for arguments, named in (
        (["mano", "--language", "qaa"], "English alone"),
        (["{" + "ˈa" * 400 + "}"], "longer than the 126"),
    ):
        result = speak(kokoro, *arguments, "--out", out)
        assert isinstance(result.exception, AiprodError) and named in str(result.exception)
    (kokoro.parent / "other").mkdir()
    (kokoro.parent / "other/x.pth").write_bytes(kokoro.read_bytes())
    result = speak(kokoro.parent / "other/x.pth", LINE, "--out", out)
    assert isinstance(result.exception, AiprodError) and "no configuration" in str(result.exception)


def test_a_voice_is_read_from_a_recording_with_consent_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kokoro: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    consented(tmp_path, "clone-voice")
    write_wav(tmp_path / "ada.wav", spoken("place blue at A two now", "alba").sound[None], 16_000)
    styletts2 = save_styletts2(tmp_path / "model")
    out = str(tmp_path / "out.wav")
    without = speak(styletts2, LINE, "--reference", "ada.wav", "--out", out)
    assert isinstance(without.exception, AiprodError) and "consent" in str(without.exception)
    given = speak(styletts2, LINE, "--reference", "ada.wav", "--consent", "2026-014", "--out", out)
    assert given.exit_code == 0, given.exception
    nobody = speak(styletts2, LINE, "--out", out)
    assert isinstance(nobody.exception, AiprodError) and "--reference" in (nobody.exception.hint or "")
    other = speak(kokoro, LINE, "--reference", "ada.wav", "--consent", "2026-014", "--out", out)
    assert isinstance(other.exception, AiprodError) and "Kokoro does not" in (other.exception.hint or "")


def test_signs_have_the_stress_before_a_vowel() -> None:
    assert "".join(signs_of("hello", ("HH", "AH", "L", "OW"), "misaki")) == "həlˈO"
    assert "".join(signs_of("world", ("W", "ER", "L", "D"), "misaki")) == "wˈɜɹld"
    assert "".join(signs_of("world", ("W", "ER", "L", "D"), "espeak")) == "wˈɜːld"
    assert "".join(signs_of("the", ("DH", "AH"), "misaki")) == "ðə"
    assert stressed(("B", "IH", "K", "AO", "Z")) == 3 and stressed(("S", "IH", "T", "IY")) == 1
    assert stressed(("S",)) is None
    assert phones_of_signs("wˈɜɹld", "misaki") == (("W", "ER", "L", "D"), ("w", "ˈɜɹ", "l", "d"))
