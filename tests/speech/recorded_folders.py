"""Small "recordings" in each layout: the drawn voices, written as a person's files would be."""

from __future__ import annotations

import functools
import wave
from pathlib import Path

import numpy as np

from aiprod.speech.text_to_phones import phrases
from aiprod.speech.voice import RATE, SPEAKERS, Utterance, speak

TEXTS = ("place blue at A two now", "set green by B four please", "bin white in C seven soon")


@functools.cache
def said(text: str, speaker: str, language: str = "en") -> Utterance:
    (phrase,) = phrases(text, language)
    words = [(word.text, word.phones) for word in phrase.words]
    return speak(words, SPEAKERS[speaker], language, np.random.default_rng(len(text)))


def write(path: Path, sound: np.ndarray, rate: int = RATE, channels: int = 1) -> Path:
    """A WAV file at any rate (by linear interpolation, which is no matter here) and number of channels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    at = np.arange(int(len(sound) * rate / RATE)) * RATE / rate
    samples = np.interp(at, np.arange(len(sound)), sound)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.repeat((samples.clip(-1, 1) * 32767).astype("<i2")[:, None], channels, 1).tobytes())
    return path


def text_grid(utterance: Utterance, short: bool = False) -> str:
    """As Praat writes it."""
    end = utterance.phones[-1].end_s
    tiers = {"words": _filled(utterance), "phones": [(p.name, p.start_s, p.end_s) for p in utterance.phones]}
    if short:
        lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", "0", f"{end}", "<exists>", "2"]
        for name, rows in tiers.items():
            lines += ['"IntervalTier"', f'"{name}"', "0", f"{end}", f"{len(rows)}"]
            lines += [line for label, start, stop in rows for line in (f"{start}", f"{stop}", f'"{_quiet(label)}"')]
        return "\n".join(lines) + "\n"
    lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", "xmin = 0 ", f"xmax = {end} "]
    lines += ["tiers? <exists> ", "size = 2 ", "item []: "]
    for number, (name, rows) in enumerate(tiers.items(), 1):
        lines += [f"    item [{number}]:", '        class = "IntervalTier" ', f'        name = "{name}" ']
        lines += ["        xmin = 0 ", f"        xmax = {end} ", f"        intervals: size = {len(rows)} "]
        for n, (label, start, stop) in enumerate(rows, 1):
            lines += [f"        intervals [{n}]:", f"            xmin = {start} ", f"            xmax = {stop} "]
            lines += [f'            text = "{_quiet(label)}" ']
    return "\n".join(lines) + "\n"


def _quiet(label: str) -> str:
    return "" if label == "SIL" else label


def _filled(utterance: Utterance) -> list[tuple[str, float, float]]:
    rows, at = [], 0.0
    for word in utterance.words:
        if word.start_s > at:
            rows.append(("", at, word.start_s))
        rows.append((word.name, word.start_s, word.end_s))
        at = word.end_s
    return [*rows, ("", at, utterance.phones[-1].end_s)]


def ljspeech(folder: Path) -> Path:
    for n, text in enumerate(TEXTS):
        utterance = said(text, "alba")
        path = write(folder / "wavs" / f"LJ001-000{n}.wav", utterance.sound, 22_050)
        path.with_suffix(".TextGrid").write_text(text_grid(utterance, short=bool(n)))
    lines = [f"LJ001-000{n}|{text.upper()}|{text}\n" for n, text in enumerate(TEXTS)]
    (folder / "metadata.csv").write_text("".join(lines))
    return folder


def vctk(folder: Path) -> Path:
    for person, speaker in (("p225", "alba"), ("p226", "bruno")):
        for n, text in enumerate(TEXTS, 1):
            utterance = said(text, speaker)
            path = write(
                folder / "wav48_silence_trimmed" / person / f"{person}_00{n}_mic1.wav", utterance.sound, 48_000
            )
            path.with_suffix(".TextGrid").write_text(text_grid(utterance))
            (folder / "txt" / person).mkdir(parents=True, exist_ok=True)
            (folder / "txt" / person / f"{person}_00{n}.txt").write_text(f"{text}\n")
    return folder


def libritts(folder: Path) -> Path:
    for n, text in enumerate(TEXTS):
        utterance = said(text, "carlo")
        path = write(folder / "84" / "121123" / f"84_121123_00000{n}_000000.wav", utterance.sound, 44_100, 2)
        path.with_suffix(".TextGrid").write_text(text_grid(utterance))
        path.with_suffix(".normalized.txt").write_text(text)
        path.with_suffix(".original.txt").write_text(text)
    return folder
