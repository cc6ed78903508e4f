"""First sound of streamed speech against the whole of the same text, in one run.

``python -m tests.bench.speech_stream [--model models/speech] [--rounds 5]`` prints, for texts of one to thirty
sentences, the least time of interleaved rounds: to the first sample of a stream with the model loaded, to the last
sample of the whole, their ratio, and the real-time factor. The last row is a process from its start, with imports and
loading, to its first sample.
"""

from __future__ import annotations

import argparse
import contextlib
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch

from aiprod.media.wav_stream import wav_header
from aiprod.speech.model import SpeechModel, load_speech_model
from aiprod.speech.sound_stream import speak_to_stream
from aiprod.speech.synthesis import Voice, speak_all
from aiprod.speech.text_to_phones import phrases
from tests.bench.figures import figure

SENTENCE = "The large red circle drifts to the left, and we see the house behind the tree. "


class _FirstHeardError(Exception):
    pass


def main(model: Path = Path("models/speech"), rounds: int = 5) -> None:
    """Print the table; says so where there is no model."""
    if not model.is_dir():
        print(f"streamed speech: skipped, there is no model in {model}")
        return
    torch.set_num_threads(1)
    loaded = load_speech_model(model)
    voice = Voice(loaded.speakers[0], "en")

    voices: dict[str, _Ours | _Hibari] = {"AIPROD": _Ours(loaded, voice)}
    if (peer := _hibari()) is None:
        print("Hibari: left out, hibari-tts is not installed")
    else:
        voices["Hibari"] = peer
    print(f"{'':<8} {'sentences':>9} {'first s':>8} {'whole s':>8} {'ratio':>7} {'real-time factor':>17}")
    for count in (1, 5, 30):
        firsts: dict[str, list[float]] = {who: [] for who in voices}
        wholes: dict[str, list[tuple[float, float]]] = {who: [] for who in voices}
        for _ in range(rounds):
            for who, each in voices.items():
                begin = time.process_time()
                each.first(SENTENCE * count)
                firsts[who].append(time.process_time() - begin)
                begin = time.process_time()
                seconds = each.whole(SENTENCE * count)
                wholes[who].append((time.process_time() - begin, seconds))
        for who in voices:
            early, (late, seconds) = min(firsts[who]), min(wholes[who])
            print(f"{who:<8} {count:9} {early:8.3f} {late:8.3f} {early / late:7.3f} {late / seconds:17.3f}", flush=True)
            if who == "AIPROD":
                figure(f"first sound of {count} sentences over the whole of them", early / late)
    commands = {"AIPROD": [sys.executable, "-m", "aiprod.cli", "speak", SENTENCE, "--stream", "--model", str(model)]}
    if peer is not None:
        script = "import sys, hibari; sys.stdout.buffer.write(next(hibari.Hibari().stream(sys.argv[1])).tobytes())"
        commands["Hibari"] = [sys.executable, "-c", script, SENTENCE]
    starts: dict[str, list[float]] = {who: [] for who in commands}
    for _ in range(min(rounds, 3)):
        for who, command in commands.items():
            starts[who].append(_from_start(command))
    for who, taken in starts.items():
        print(f"{who}, a process from its start to its first sample: {min(taken):.2f} s")


class _Ours:
    def __init__(self, model: SpeechModel, voice: Voice) -> None:
        self.model, self.voice = model, voice

    def first(self, text: str) -> None:
        def stop(_: bytes) -> None:
            raise _FirstHeardError

        with contextlib.suppress(_FirstHeardError):
            speak_to_stream(speak_all(self.model, phrases(text, "en"), self.voice), stop, raw=True)

    def whole(self, text: str) -> float:
        said = speak_all(self.model, phrases(text, "en"), self.voice)
        return speak_to_stream(said, lambda _: None, raw=True).seconds


class _Hibari:
    def __init__(self, voice: Any) -> None:
        self.voice = voice

    def first(self, text: str) -> None:
        next(iter(self.voice.stream(text)))

    def whole(self, text: str) -> float:
        return sum(len(part) for part in self.voice.stream(text)) / 24_000


def _hibari() -> _Hibari | None:
    try:
        from hibari import Hibari
    except ImportError:
        return None
    return _Hibari(Hibari())


def _from_start(command: list[str]) -> float:
    begin = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        process.stdout.read(len(wav_header(48_000)) + 1)
        taken = time.perf_counter() - begin
        process.stdout.read()
    return taken


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=Path("models/speech"))
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    main(arguments.model, arguments.rounds)
