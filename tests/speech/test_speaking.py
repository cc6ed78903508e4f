"""Speaking with a model: every word is there once, times are of the sound, and a reference may be any file."""

from __future__ import annotations

import itertools
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from typer.testing import CliRunner, Result

from aiprod.base.denials import Refusal
from aiprod.cli import app
from aiprod.errors import AiprodError
from aiprod.governance.audit.log import AuditLog
from aiprod.media.audio_resampling import StreamResampler, resampled
from aiprod.media.segments import write_wav
from aiprod.rights.agreements import VOICE
from aiprod.speech.captions import as_srt, as_webvtt
from aiprod.speech.fundamental import fundamental
from aiprod.speech.model import load_speech_model
from aiprod.speech.reference import read_style
from aiprod.speech.subtitle_files import read_srt
from aiprod.speech.synthesis import Voice, speak_all
from aiprod.speech.text_to_phones import phrases
from aiprod.speech.vocoder import excitation
from aiprod.speech.voice import RATE, SPEAKERS, TimedUnit
from aiprod.speech.write_files import speak_to_files
from tests.governance.test_consent import GIVEN
from tests.speech.small_model import small_model, small_model_folder
from tests.speech.test_drawn_voice import spoken
from tests.warm import client as warm


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_model_folder(tmp_path_factory.mktemp("model"))


def speak(model: Path, *arguments: str, **options: Any) -> Result:
    return CliRunner().invoke(app, ["speak", *arguments, "--model", str(model)], **options)


def heard(path: Path) -> tuple[int, int, float]:
    """Rate, channels and seconds, as FFmpeg reads them."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        samples = sum(frame.samples for frame in container.decode(stream))
        return stream.rate, stream.channels, samples / stream.rate


def test_a_sentence_becomes_a_file_and_its_times(model: Path, tmp_path: Path) -> None:
    out = tmp_path / "line.wav"
    result = speak(model, "Place blue at A two now. It costs $5.", "--out", str(out), "--speaker", "bruno")
    assert result.exit_code == 0, result.exception
    times = json.loads(out.with_suffix(".json").read_text())
    rate, channels, seconds = heard(out)
    assert (rate, channels) == (48_000, 1) and seconds == pytest.approx(times["seconds"], abs=0.01)
    assert " ".join(word["word"] for word in times["words"]) == "Place blue at A two now It costs five dollars"
    assert times["synthetic"] is True
    spans = [(w["start_s"], w["end_s"]) for w in times["words"]]
    assert all(a < b for a, b in spans) and all(a[1] <= b[0] + 1e-4 for a, b in itertools.pairwise(spans))
    phones = times["phones"]
    assert phones[0]["start_s"] == 0 and phones[-1]["end_s"] == pytest.approx(seconds, abs=0.01)
    assert all(abs(a["end_s"] - b["start_s"]) < 2e-4 for a, b in itertools.pairwise(phones))
    assert out.with_suffix(".srt").read_text().count("-->") == 2
    assert out.with_suffix(".vtt").read_text().startswith("WEBVTT\n")


def test_text_from_a_file_and_from_standard_input_is_the_same_sound(model: Path, tmp_path: Path) -> None:
    text = tmp_path / "line.txt"
    text.write_text("bin red by B one now")
    assert speak(model, str(text), "--out", str(tmp_path / "a.wav")).exit_code == 0
    assert speak(model, "-", "--out", str(tmp_path / "b.wav"), input="bin red by B one now").exit_code == 0
    assert (tmp_path / "a.wav").read_bytes() == (tmp_path / "b.wav").read_bytes()


def test_twice_the_speed_takes_half_the_time(model: Path, tmp_path: Path) -> None:
    lengths = []
    for speed in ("1", "2"):
        out = tmp_path / f"{speed}.wav"
        assert speak(model, "place blue at A two now", "--speed", speed, "--out", str(out)).exit_code == 0
        lengths.append(heard(out)[2])
    assert lengths[1] == pytest.approx(lengths[0] / 2, rel=0.1)


@pytest.mark.slow
def test_ten_minutes_of_text_lose_no_word_and_come_piece_by_piece() -> None:
    line = "The large red circle drifts to the left, and we see the house behind the tree. "
    said = phrases(line * 150, "en")
    words, longest, total, first = 0, 0, 0, True
    for part, phrase in zip(speak_all(small_model(), said, Voice("alba", "en")), said, strict=True):
        sound = part.speech.sound
        assert not first or len(sound) < 10 * RATE, "the first sound does not wait for the last"
        assert [word.name for word in part.words] == [word.text for word in phrase.words]
        assert np.isfinite(sound).all()
        words, longest, total, first = (
            words + len(part.words),
            max(longest, len(sound)),
            total + part.quiet + len(sound),
            False,
        )
    assert words == 150 * len(line.split())
    assert total > 600 * RATE and longest < 10 * RATE


def test_what_is_written_phrase_by_phrase_is_the_whole_to_the_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = phrases("Place blue at A two now. Bin red by B one now. Set white in C four, please.", "en")
    parts = list(speak_all(small_model(), said, Voice("alba", "en")))
    whole = np.concatenate([sound for part in parts for sound in (np.zeros(part.quiet), part.speech.sound)])
    write_wav(tmp_path / "whole.wav", resampled(whole[None].astype(np.float32), RATE, 48_000), 48_000)
    pieces: list[int] = []
    put = StreamResampler.put

    def counted(self: StreamResampler, samples: np.ndarray) -> np.ndarray:
        pieces.append(samples.shape[1])
        return put(self, samples)

    monkeypatch.setattr(StreamResampler, "put", counted)
    speak_to_files(small_model(), said, tmp_path / "parts.wav", Voice("alba", "en"))
    assert (tmp_path / "parts.wav").read_bytes() == (tmp_path / "whole.wav").read_bytes()
    assert len(pieces) == len(said) > 2 and sum(pieces) == len(whole)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([""], "no words"),
        (["red zzyzxq"], "'zzyzxq'.*known in language en"),
        (["red", "--language", "klingon"], "unknown language 'klingon'"),
        (["red", "--speaker", "albo"], "no speaker 'albo'.*alba"),
        (["red", "--out", "line.mp3"], "not named .wav"),
        (["nowhere.txt"], "no file nowhere.txt"),
    ],
)
def test_what_cannot_be_spoken_is_one_line(model: Path, arguments: list[str], words: str) -> None:
    error = speak(model, *arguments).exception
    assert isinstance(error, AiprodError)
    with pytest.raises(AiprodError, match=words):
        raise error


def test_a_folder_that_is_no_speech_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AiprodError, match="not a checkpoint folder"):
        load_speech_model(tmp_path / "none")


@pytest.mark.parametrize(
    ("other", "why"),
    [
        ({"g2p": {"name": "aiprod-lexicon", "version": 0}}, "grapheme-to-phoneme"),
        ({"symbols": ["A"]}, "other phones or languages"),
        ({"states": None}, "trained by another version"),
    ],
)
def test_a_model_of_another_version_is_refused(model: Path, tmp_path: Path, other: dict[str, Any], why: str) -> None:
    from aiprod.models.checkpoint.folder import save_checkpoint

    save_checkpoint(tmp_path / "old", {**small_model().about(), **other}, small_model().state_dict(), "SpeechModel")
    with pytest.raises(AiprodError, match=rf"{why}.*train it again"):
        load_speech_model(tmp_path / "old")
    same = load_speech_model(model).state_dict()
    assert all(torch.equal(value, same[name]) for name, value in small_model().state_dict().items())


def consented(root: Path, purpose: str, state: str = "given") -> None:
    folder = root / "datasets/consent"
    folder.mkdir(parents=True)
    record = json.loads(json.dumps(GIVEN))
    record["pii_processing"]["purposes"][0]["purpose"] = purpose
    record["events"][-1]["event_state"] = state
    (folder / "2026-014.yaml").write_text(json.dumps(record))


@pytest.mark.parametrize("case", ["none named", "no record", "other purpose", "withdrawn"])
def test_a_voice_without_consent_is_refused_by_name_and_logged(
    model: Path, tmp_path: Path, state_home: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    from aiprod.governance.audit.denials import append

    monkeypatch.chdir(tmp_path)
    if case in {"other purpose", "withdrawn"}:
        consented(
            tmp_path,
            VOICE if case == "withdrawn" else "train-generative-models",
            "withdrawn" if case == "withdrawn" else "given",
        )
    named = [] if case == "none named" else ["--consent", "2026-014"]
    error = speak(model, "red", "--reference", "ada.wav", *named).exception
    assert isinstance(error, Refusal) and error.lack == "consent" and "voice may not be followed" in str(error)
    assert case == "none named" or "2026-014" in str(error)
    append([error])
    (entry,) = AuditLog().entries()
    text = entry.data.decode()
    # As a word: the digests in an entry may hold the letters.
    assert "clone-voice" in text and not re.search(r"\bada\b", text)
    assert not (tmp_path / "speech.wav").exists()


def test_a_reference_of_44100_hz_in_stereo_is_followed_where_its_person_agreed(
    model: Path, tmp_path: Path, state_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:

    monkeypatch.chdir(tmp_path)
    consented(tmp_path, VOICE)
    sound = resampled(spoken("lay green by M nine please", "alba").sound[None], RATE, 44_100).astype(np.float32)
    write_wav(tmp_path / "ada.wav", np.concatenate([sound, sound]), 44_100)
    result = speak(model, "red", "--reference", "ada.wav", "--consent", "2026-014")
    assert result.exit_code == 0, result.exception
    assert heard(tmp_path / "speech.wav")[0] == 48_000


def test_the_style_of_a_file_is_that_of_its_sound_at_any_rate_and_level(tmp_path: Path) -> None:

    styles = {}
    for name in ("alba", "carlo"):
        sound = spoken("lay green by M nine please", name).sound
        write_wav(tmp_path / f"{name}.wav", sound[None], RATE)
        loud = resampled(sound[None] * 0.3, RATE, 44_100).astype(np.float32)
        write_wav(tmp_path / f"{name}44.wav", np.concatenate([loud, loud]), 44_100)
        styles[name] = [read_style(tmp_path / f"{name}{rate}.wav") for rate in ("", "44")]
    same = max(float((a - b).abs().mean()) for a, b in styles.values())
    other = float((styles["alba"][0] - styles["carlo"][0]).abs().mean())
    assert same < other / 3


@pytest.mark.parametrize("case", ["short", "silent", "noise"])
def test_a_reference_without_a_voice_is_one_line(tmp_path: Path, case: str) -> None:
    rng = np.random.default_rng(0)
    sounds = {"short": np.zeros(1_000), "silent": np.zeros(2 * RATE), "noise": 0.1 * rng.standard_normal(2 * RATE)}
    write_wav(tmp_path / "x.wav", sounds[case].astype(np.float32)[None], RATE)
    with pytest.raises(AiprodError, match="voice"):
        read_style(tmp_path / "x.wav")


@pytest.mark.parametrize("hz", [95.0, 140.0, 220.0])
def test_the_vocoder_sings_the_note_it_is_given(hz: float) -> None:
    frames = 60
    model, features = small_model(), torch.full((1, 83, frames), 0.0)
    features[:, 80], features[:, 81] = np.log(hz), 1.0
    with torch.no_grad():
        sound = model.vocoder(features, torch.zeros_like(features), seed=0)[0].numpy()
    found = fundamental(sound)
    assert np.median(found[found > 0]) == pytest.approx(hz, rel=0.01) and (found > 0).mean() > 0.8
    source = excitation(features[:, 80], features[:, 81])
    assert float(source.square().mean().sqrt()) == pytest.approx(1.0, abs=0.05)


def test_subtitles_read_as_their_formats_say() -> None:
    cues = [TimedUnit("a --> b & <c>", 0.0, 1.2345), TimedUnit("two", 3_725.0, 3_726.5)]
    assert "00:00:00,000 --> 00:00:01,234" in as_srt(cues) or "00:00:00,000 --> 00:00:01,235" in as_srt(cues)
    assert "01:02:05,000 --> 01:02:06,500" in as_srt(cues) and as_srt(cues).count("-->") == 2
    assert "&amp; &lt;c>" in as_webvtt(cues) and as_webvtt(cues).count("-->") == 2


def test_measuring_a_file_needs_no_extra_and_words_name_theirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_wav(tmp_path / "x.wav", spoken("lay green by M nine please", "bruno").sound[None], RATE)
    monkeypatch.setitem(sys.modules, "pocketsphinx", None)
    plain = CliRunner().invoke(app, ["measure", "speech", str(tmp_path / "x.wav")])
    assert plain.exit_code == 0 and "f0_median_hz" in plain.stdout
    asked = CliRunner().invoke(
        app, ["measure", "speech", str(tmp_path / "x.wav"), "--text", "lay green by M nine please"]
    )
    assert isinstance(asked.exception, AiprodError) and "aiprod[voice]" in str(asked.exception)


def test_measuring_says_what_a_recogniser_hears(tmp_path: Path) -> None:
    pytest.importorskip("pocketsphinx", reason="needs aiprod[voice]")
    text = "set white in E two soon"
    write_wav(tmp_path / "x.wav", spoken(text, "bruno").sound[None], RATE)
    right = CliRunner().invoke(app, ["measure", "speech", str(tmp_path / "x.wav"), "--text", text]).stdout
    wrong = (
        CliRunner()
        .invoke(app, ["measure", "speech", str(tmp_path / "x.wav"), "--text", "bin red by Q nine now"])
        .stdout
    )
    level = [float(line.split()[-1]) for out in (right, wrong) for line in out.splitlines() if "word_accuracy " in line]
    assert level[0] >= 5 / 6 and level[1] < 0.5
    assert float(right.split("word_accuracy_chance")[1]) == 0.19  # a meter that knows the grammar says what it is worth


def test_the_command_line_says_it_in_one_line(model: Path) -> None:
    done = warm.run(("aiprod.cli", "speak", "", "--model", str(model)), Path.cwd(), os.environ)
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and "no words" in done.stderr


def test_every_speaker_is_one_that_the_model_knows() -> None:
    assert small_model().speakers == tuple(SPEAKERS)


def test_subtitles_are_spoken_at_their_times_and_their_numbers_are_not_read(model: Path, tmp_path: Path) -> None:
    file = tmp_path / "film.srt"
    file.write_bytes(
        "\ufeff1\r\n00:00:01,500 --> 00:00:02,000\r\n<i>Place blue.</i>\r\n\r\n"
        "2\r\n00:00:01,600 --> 00:00:02,000\r\n{\\an8}Red\r\n7\r\n\r\n"
        "3\r\n00:00:30,250 --> 00:00:31,000\r\n{B L UW}\r\n".encode()
    )
    out = tmp_path / "spoken.wav"
    result = speak(model, str(file), "--out", str(out))
    assert result.exit_code == 0, result.exception
    about = json.loads(out.with_suffix(".json").read_text())
    starts = [word["start_s"] for word in about["words"]]
    assert len(starts) == 5, about["words"]  # place blue; red seven; the sound
    assert 1.5 <= starts[0] < 2.2 and 30.25 <= starts[-1] < 31
    assert starts[2] > about["words"][1]["end_s"] and "1 of 3 cues begin late" in result.stderr + result.output
    phones = about["phones"]
    assert phones[0]["start_s"] == 0 and all(
        abs(a["end_s"] - b["start_s"]) < 2e-4 for a, b in itertools.pairwise(phones)
    )
    assert heard(out)[2] == pytest.approx(about["seconds"], abs=0.001)


def test_what_is_read_is_never_written_over(model: Path, tmp_path: Path) -> None:
    file, sound = tmp_path / "film.srt", tmp_path / "ada.wav"
    file.write_text("1\n00:00:01,500 --> 00:00:02,000\nred\n")
    write_wav(sound, np.zeros((1, RATE), np.float32), RATE)
    before = {path: path.read_bytes() for path in (file, sound)}
    for arguments in ([str(file), "--out", str(tmp_path / "film.wav")], ["red", "--reference", str(sound)]):
        error = speak(model, "--out", str(sound), *arguments).exception
        assert isinstance(error, AiprodError) and "would overwrite it" in str(error)
    assert {path: path.read_bytes() for path in (file, sound)} == before
    assert set(tmp_path.iterdir()) == {file, sound}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("no times here", "holds no cue"),
        ("1\n00:00:02,000 --> 00:00:03,000\nred\n\n2\n00:00:01,000 --> 00:00:02,000\nred\n", "not in order"),
        ("1\n99:00:02,000 --> 99:00:03,000\nred\n", "begins after"),
    ],
)
def test_subtitles_that_cannot_be_spoken_are_one_line(tmp_path: Path, content: str, words: str) -> None:
    with pytest.raises(AiprodError, match=words):
        read_srt(content, "film.srt")


def test_what_is_written_as_subtitles_is_read_again(tmp_path: Path) -> None:
    cues = [TimedUnit("place blue", 0.5, 1.25), TimedUnit("two, now", 3599.001, 3599.5)]
    assert [(cue.start_s, cue.text) for cue in read_srt(as_srt(cues), "x")] == [(c.start_s, c.name) for c in cues]
