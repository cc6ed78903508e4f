"""Speech as a stream: the samples of the file, phrase by phrase, on a standard output that holds nothing else."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from typer.testing import CliRunner, Result

from aiprod.cli import app
from aiprod.errors import AiprodError
from aiprod.media.wav_stream import wav_header
from aiprod.speech.sound_stream import phrases_of_lines
from aiprod.speech.text_to_phones import phrases
from tests.speech.small_model import small_model_folder

TEXT = "Place blue at A two now. Bin red by B one now, please.\n\nSet 5 now."


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_model_folder(tmp_path_factory.mktemp("model"))


def speak(model: Path, *arguments: str, **options: Any) -> Result:
    return CliRunner().invoke(app, ["speak", *arguments, "--model", str(model)], **options)


def heard(source: str | int) -> np.ndarray:
    """Samples of a file, or of the WAV stream from a pipe, as FFmpeg reads them."""
    name = f"pipe:{source}" if isinstance(source, int) else source
    with av.open(name, format="wav") as container:
        stream = container.streams.audio[0]
        assert (stream.rate, stream.channels) == (48_000, 1)
        return np.concatenate([frame.to_ndarray()[0] for frame in container.decode(stream)])


def through_pipe(data: bytes) -> np.ndarray:
    reading, writing = os.pipe()

    def write() -> None:
        with os.fdopen(writing, "wb") as file:
            file.write(data)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        return heard(reading)
    finally:
        os.close(reading)
        thread.join()


@pytest.mark.parametrize("arguments", [["--stream"], ["--out", "-"]])
def test_a_stream_has_the_samples_of_the_file_to_the_bit(model: Path, tmp_path: Path, arguments: list[str]) -> None:
    how = ("--speaker", "bruno", "--speed", "1.3", "--seed", "7")
    assert speak(model, TEXT, *how, "--out", str(tmp_path / "whole.wav")).exit_code == 0
    result = speak(model, TEXT, *how, *arguments)
    assert result.exit_code == 0, result.exception
    whole = heard(str(tmp_path / "whole.wav"))
    assert np.array_equal(through_pipe(result.stdout_bytes), whole)
    assert len(result.stdout_bytes) == len(wav_header(48_000)) + 4 * len(whole), "nothing else is on standard output"
    raw = speak(model, TEXT, *how, "--raw")
    assert np.array_equal(np.frombuffer(raw.stdout_bytes, "<f4"), whole)
    assert "spoke" in result.stderr and f"{len(whole) / 48_000:.2f} s, 16 words" in result.stderr


def test_the_header_says_that_no_length_is_known() -> None:
    header = wav_header(48_000)
    assert header[:4] == b"RIFF" and header[8:12] == b"WAVE" and header[-8:-4] == b"data"
    assert struct.unpack("<I", header[4:8]) == struct.unpack("<I", header[-4:]) == (0xFFFFFFFF,)


def test_a_player_begins_while_the_rest_is_not_there(model: Path) -> None:
    data = speak(model, "Place blue at A two now.", "--stream").stdout_bytes
    reading, writing = os.pipe()
    played = threading.Event()

    def write() -> None:
        with os.fdopen(writing, "wb") as file:
            file.write(data)
            file.flush()
            played.wait(30)

    thread = threading.Thread(target=write)
    thread.start()
    with av.open(f"pipe:{reading}", options={"probesize": "2048"}) as container:
        for frame in container.decode(audio=0):
            if frame.pts > 48_000:
                break
        early = thread.is_alive()
        played.set()
        assert early and sum(frame.samples for frame in container.decode(audio=0)) > 0
    thread.join()
    os.close(reading)


def test_subtitles_are_streamed_at_their_times(model: Path, tmp_path: Path) -> None:
    file = tmp_path / "film.srt"
    file.write_text(
        "1\n00:00:01,500 --> 00:00:02,000\nPlace blue.\n\n2\n00:00:01,600 --> 00:00:02,000\nRed\n\n"
        "3\n00:00:30,250 --> 00:00:31,000\nnow\n"
    )
    assert speak(model, str(file), "--out", str(tmp_path / "spoken.wav")).exit_code == 0
    streamed = speak(model, str(file), "--stream")
    assert np.array_equal(through_pipe(streamed.stdout_bytes), heard(str(tmp_path / "spoken.wav")))
    assert "1 of 3 cues begin late" in streamed.stderr


def test_lines_that_end_sentences_are_the_phrases_of_the_whole_text() -> None:
    text = "Place blue at A two now.\n\n***\nBin red by B one now, please!\nSet 5 now.\n"
    assert list(phrases_of_lines(text.splitlines(keepends=True), "en")) == phrases(text, "en")
    wrapped = list(phrases_of_lines(["place blue\n", "at A two now\n"], "en"))
    assert [word.text for phrase in wrapped for word in phrase.words] == ["place", "blue", "at", "A", "two", "now"]


@pytest.mark.parametrize("lines", [[], ["\n"], ["***\n", "<speak>\n"]])
def test_lines_without_a_word_are_one_line(lines: list[str]) -> None:
    with pytest.raises(AiprodError, match="no words"):
        list(phrases_of_lines(lines, "en"))


def test_what_was_spoken_before_an_unknown_word_is_whole(model: Path, tmp_path: Path) -> None:
    assert speak(model, "Place blue now.", "--out", str(tmp_path / "first.wav")).exit_code == 0
    result = speak(model, "-", "--stream", input="Place blue now.\nred zzyzxq\nred\n")
    assert isinstance(result.exception, AiprodError) and "zzyzxq" in str(result.exception)
    assert np.array_equal(through_pipe(result.stdout_bytes), heard(str(tmp_path / "first.wav")))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["red", "--stream", "--out", "line.wav"], "not to line.wav"),
        (["red zzyzxq", "--stream"], "'zzyzxq'"),
        (["red", "--stream", "--speaker", "albo"], "no speaker 'albo'"),
    ],
)
def test_what_cannot_be_streamed_is_said_before_the_first_byte(model: Path, arguments: list[str], words: str) -> None:
    result = speak(model, *arguments)
    assert isinstance(result.exception, AiprodError) and words in str(result.exception)
    assert not result.stdout_bytes


def test_a_terminal_gets_no_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    from aiprod.commands.speak import _require_pipe

    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    with pytest.raises(AiprodError, match=r"is a terminal.*ffplay"):
        _require_pipe(Path("-"))


def test_a_line_is_heard_before_the_next_is_written_and_a_reader_may_leave(model: Path) -> None:
    command = [sys.executable, "-m", "aiprod.cli", "speak", "-", "--stream", "--model", str(model)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    ) as process:
        assert process.stdin and process.stdout and process.stderr
        size = len(wav_header(48_000))
        process.stdin.write(b"Place blue at A two now.\n")
        process.stdin.flush()  # and no more: the sound comes without the end of the text
        sound = process.stdout.read(size + 4 * 24_000)
        assert sound[:size] == wav_header(48_000) and np.abs(np.frombuffer(sound[size:], "<f4")).max() > 0
        process.stdout.close()
        process.stdin.write(b"Bin red by B one now.\n" * 3)
        process.stdin.close()
        assert process.stderr.read() == b""
        assert process.wait(60) == 0


@pytest.mark.slow
def test_a_long_text_loses_no_word(model: Path, tmp_path: Path) -> None:
    line = "The large red circle drifts to the left, and we see the house behind the tree.\n"
    result = speak(model, "-", "--raw", input=line * 60)
    assert result.exit_code == 0 and f"{60 * len(line.split())} words" in result.stderr
    (tmp_path / "long.txt").write_text(line * 60)
    assert speak(model, str(tmp_path / "long.txt"), "--out", str(tmp_path / "long.wav")).exit_code == 0
    assert np.array_equal(np.frombuffer(result.stdout_bytes, "<f4"), heard(str(tmp_path / "long.wav")))
