"""Lines that a script states as text, spoken by the project's speech model, and again only where they change."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiprod.base.files import link_or_copy, read_json
from aiprod.base.params import nearest
from aiprod.errors import AiprodError

if TYPE_CHECKING:
    from aiprod.film.script import Script
    from aiprod.speech.model import SpeechModel
    from aiprod.speech.text_to_phones import Phrase
    from aiprod.storage.result_cache import Memo

MODEL = Path("models/speech")
_CUE = 84  # characters of two lines of a subtitle, as broadcasters have them
_SENTENCES, _CLAUSES = re.compile(r"(?<=[.!?…])\s+"), re.compile(r"(?<=[,;:])\s+")


@dataclass(frozen=True)
class SpokenLine:
    """A line that is to be spoken."""

    text: str
    speaker: str
    language: str
    speed: float
    seed: int


@dataclass(frozen=True)
class Cue:
    """What is read while it is heard, in seconds from the start of its line."""

    text: str
    start_s: float
    end_s: float


@dataclass(frozen=True)
class RenderedLine:
    """A line that was spoken, and the facts that its record keeps."""

    path: Path
    cues: list[Cue]
    facts: dict[str, Any]


def lines_to_speak(script: Script) -> list[tuple[tuple[int, int], SpokenLine]]:
    """Scene and place of each line that states no file; a seed that is not stated is the script's."""
    spoken: list[tuple[tuple[int, int], SpokenLine]] = []
    for number, scene in enumerate(script.scenes):
        for place, line in enumerate(scene.voice):
            if line.file is None:
                seed = script.seed if line.seed is None else line.seed
                spoken.append(
                    ((number, place), SpokenLine(line.text, line.speaker, line.language or "en", line.speed, seed))
                )
    return spoken


def speak_lines(
    lines: Sequence[SpokenLine], folder: Path, memo: Memo | None, model: Path = MODEL
) -> tuple[list[RenderedLine], int]:
    """Write ``000.wav`` … with the times of their words into ``folder``.

    Returns:
        The lines in their order, and how many were spoken now.

    Raises:
        AiprodError: there is no trained speech model, or it does not know the speaker, the language or a word.
    """
    from aiprod.models.checkpoint.folder import check_folder
    from aiprod.speech.text_to_phones import G2P, VERSION

    if not (model / "config.json").is_file():
        raise AiprodError(f"there is no speech model in {model} to speak the lines", "`dvc repro train_speech`")
    digest = check_folder(model, require_digest=True)
    rendered: list[RenderedLine] = []
    loaded: list[SpeechModel] = []
    count = 0
    for number, line in enumerate(lines):
        pieces = _pieces(line)
        path = folder / f"{number:03d}.wav"
        key = (
            memo.key("speech", vars(line), digest, G2P, VERSION, [_sounds(each) for _, each in pieces]) if memo else ""
        )
        kept = memo.get(key) if memo else None
        if kept is None:
            loaded = loaded or [_load(model)]
            build = partial(_speak, loaded[0], line, [phrase for _, each in pieces for phrase in each])
            count += 1
            kept = memo.put(key, build) if memo else (build(folder, path.name), folder)
        speaker, place = kept
        if memo:
            for suffix in (".wav", ".json"):
                link_or_copy(place / f"line{suffix}", path.with_suffix(suffix))
        times = read_json(path.with_suffix(".json"))
        taught = {name: times[name] for name in ("taught_by",) if name in times}
        facts = {**vars(line), "speaker": speaker, "speech_model_digest": digest, **taught}
        rendered.append(RenderedLine(path, _cues(pieces, times["words"]), facts))
    return rendered, count


def _load(model: Path) -> SpeechModel:
    from aiprod.speech.model import load_speech_model

    return load_speech_model(model)


def _speak(
    model: SpeechModel, line: SpokenLine, phrases: Sequence[Phrase], folder: Path, name: str = "line.wav"
) -> str:
    """Speak a line into a folder; who speaks."""
    from aiprod.speech.synthesis import Voice
    from aiprod.speech.write_files import speak_to_files

    if line.speaker and line.speaker not in model.speakers:
        what = f"the speech model knows no speaker {line.speaker!r}"
        raise AiprodError(what, nearest(line.speaker, list(model.speakers)))
    speaker = line.speaker or model.speakers[0]
    out = folder / name
    with _one_thread():
        speak_to_files(model, phrases, out, Voice(speaker, line.language, line.speed), seed=line.seed)
    for suffix in (".srt", ".vtt"):  # the film has its own, of all its lines
        out.with_suffix(suffix).unlink()
    return speaker


@contextmanager
def _one_thread() -> Iterator[None]:
    """With one thread the sums of a line are the same on every number of cores."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _pieces(line: SpokenLine) -> list[tuple[str, list[Phrase]]]:
    """What is shown at once, as it is written, with what is spoken meanwhile.

    Where parts of a text would not sound as they do within it, and where it holds notation, words are shown as spoken.
    """
    from aiprod.speech.text_to_phones import ENGLISH, bundled_dictionary, check_language, phrases

    check_language(line.language)
    more = bundled_dictionary() if line.language == ENGLISH else None
    whole = phrases(line.text, line.language, more)
    spoken = [(" ".join(word.text for word in phrase.words), [phrase]) for phrase in whole]
    if set("{<") & set(line.text):
        return spoken
    parts = [" ".join(part.split()) for part in _SENTENCES.split(line.text)]
    parts = [part for long in parts for part in ([long] if len(long) <= _CUE else _CLAUSES.split(long)) if part]
    try:
        pieces = [(part, phrases(part, line.language, more)) for part in parts]
    except AiprodError:  # a part without words
        return spoken
    same = [_sounds([phrase]) for _, each in pieces for phrase in each] == [_sounds([phrase]) for phrase in whole]
    # what is spoken is what the whole text says, so that pauses are those of `aiprod speak`
    rest = iter(whole)
    return [(part, [next(rest) for _ in each]) for part, each in pieces] if same else spoken


def _sounds(phrases: Sequence[Phrase]) -> list[Any]:
    return [[word.text, *word.phones] for phrase in phrases for word in phrase.words]


def _cues(pieces: Sequence[tuple[str, Sequence[Phrase]]], words: Sequence[dict[str, Any]]) -> list[Cue]:
    """Subtitles from the times of the words."""
    cues, at = [], 0
    for text, phrases in pieces:
        count = sum(len(phrase.words) for phrase in phrases)
        own = words[at : at + count]
        cues.append(Cue(text, own[0]["start_s"], own[-1]["end_s"]))
        at += count
    return cues
