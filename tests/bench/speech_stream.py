"""First sound of streamed speech against the whole of the same text, in one run.

``python -m tests.bench.speech_stream [--model models/speech] [--rounds 5]`` prints, for texts of one to thirty
sentences, the least time of interleaved rounds: to the first sample of a stream with the model loaded, to the last
sample of the whole, their ratio, and the real-time factor. The last row is a process from its start, with imports and
loading, to its first sample.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

import torch

from aiprod.media.wav_stream import wav_header
from aiprod.speech.model import load_speech_model
from aiprod.speech.sound_stream import speak_to_stream
from aiprod.speech.synthesis import Voice, speak_all
from aiprod.speech.text_to_phones import phrases

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

    def first(_: bytes) -> None:
        raise _FirstHeardError

    print(f"{'sentences':>9} {'first s':>8} {'whole s':>8} {'ratio':>7} {'real-time factor':>17}")
    for count in (1, 5, 30):
        said = phrases(SENTENCE * count, "en")
        firsts, wholes = [], []
        for _ in range(rounds):
            begin = time.perf_counter()
            try:
                speak_to_stream(speak_all(loaded, said, voice), first, raw=True)
            except _FirstHeardError:
                firsts.append(time.perf_counter() - begin)
            begin = time.perf_counter()
            spoken = speak_to_stream(speak_all(loaded, said, voice), lambda _: None, raw=True)
            wholes.append(time.perf_counter() - begin)
        early, late = min(firsts), min(wholes)
        print(f"{count:9} {early:8.3f} {late:8.3f} {early / late:7.3f} {late / spoken.seconds:17.3f}")
    starts = [_from_start(model) for _ in range(min(rounds, 3))]
    print(f"a process from its start to its first sample: {min(starts):.2f} s")


def _from_start(model: Path) -> float:
    begin = time.perf_counter()
    command = [sys.executable, "-m", "aiprod.cli", "speak", SENTENCE, "--stream", "--model", str(model)]
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
