"""``aiprod speak``: text to speech with the trained model, with the time of every word and phone."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from aiprod.speech.published_voices import PublishedVoices
    from aiprod.speech.text_to_phones import Phrase


_OUT, _STREAM = Path("speech.wav"), Path("-")


def speak(  # noqa: PLR0917 (typer calls it)
    text: Annotated[str, typer.Argument(help="What to say: text, a file (.txt, .srt), or - for standard input.")],
    out: Annotated[Path, typer.Option(help="The WAV file to write, 48 kHz; - is --stream.")] = _OUT,
    speaker: Annotated[str, typer.Option(help="Who speaks; default: the model's first speaker.")] = "",
    language: Annotated[str, typer.Option(help="en, or qaa: the demo's constructed language.")] = "en",
    speed: Annotated[float, typer.Option(min=0.25, max=4.0, help="2 = twice as fast.")] = 1.0,
    reference: Annotated[
        Path | None,
        typer.Option(help="Recording of one voice to imitate; needs --consent."),
    ] = None,
    consent: Annotated[
        str, typer.Option(help="For --reference: record of the person's consent, for the purpose clone-voice.")
    ] = "",
    model: Annotated[
        Path, typer.Option(help="Folder of the trained model, or a file or folder in Kokoro's or StyleTTS2's format.")
    ] = Path("models/speech"),
    seed: Annotated[int, typer.Option(min=0, max=2**62, help="The same seed and text give the same sound.")] = 0,
    stream: Annotated[
        bool, typer.Option("--stream", help="Write the WAV to standard output as it is spoken, phrase by phrase.")
    ] = False,
    raw: Annotated[
        bool, typer.Option("--raw", help="--stream without a header: 32-bit float, little-endian, 48 kHz, mono.")
    ] = False,
) -> None:
    """Speak a text into a WAV file, with word timings in files beside it (JSON, SRT, WebVTT).

    Example: aiprod speak "On 28 November 2026, place blue at A two now." --out line.wav

    Your own pronunciation: aiprod speak 'Say {B L UW}, or <phoneme alphabet="ipa" ph="ɹɛd">red</phoneme>.'

    A file: aiprod speak story.txt --speaker bruno --speed 1.2 --out story.wav

    Subtitles, each at its time: aiprod speak film.srt --out spoken.wav

    Heard while it is spoken: aiprod speak story.txt --stream | ffplay -nodisp -probesize 2048 -

    A published model: aiprod speak story.txt --model kokoro/kokoro-v1_0.pth --speaker af_heart --out story.wav
    """
    from aiprod.base.progress import log
    from aiprod.errors import AiprodError
    from aiprod.inference.revoked_models import refuse_affected_voice
    from aiprod.models.checkpoint.signing import refuse_unsigned
    from aiprod.speech.text_to_phones import bundled_dictionary, check_language, phrases

    stream = stream or raw or out == _STREAM
    if stream:
        _require_pipe(out)
    elif out.suffix.lower() != ".wav":
        raise AiprodError(f"{out} is not named .wav", "give a name that ends in .wav")
    else:
        _refuse_overwriting(out, (Path(text), reference, model))
    check_language(language)
    dictionary = bundled_dictionary() if language == "en" else None
    if reference is not None:
        _require_consent(consent)
    signed = model if model.is_dir() else model.resolve().parent if model.is_file() else model
    refuse_unsigned(signed.parent, (signed.name,))
    published = _published(model)
    notation = published.notation if published else None
    spoken: list[Phrase] = []
    starts: dict[int, float] = {}
    by_line = stream and text == "-"
    for start, part in [] if by_line else _cues(text):
        if start is not None:
            starts[len(spoken)] = start
        spoken += phrases(part, language, dictionary, notation)
    refuse_affected_voice(model)
    import torch  # two seconds of processor time, which no refusal above has to wait for

    from aiprod.speech.model import load_speech_model
    from aiprod.speech.synthesis import Voice

    torch.set_num_threads(1)  # a phrase is too small to be worth the wait of threads for each other
    loaded = published or load_speech_model(model)
    style = None if reference is None else published.read_style(reference) if published else _style(reference)
    name = _speaker(speaker, loaded.speakers) if speaker or style is None else ""
    voice = Voice(name, language, speed, style)
    if stream:
        from aiprod.speech.sound_stream import phrases_of_lines, speak_to_stream
        from aiprod.speech.synthesis import speak_all

        parts = phrases_of_lines(_lines(), language, dictionary, notation) if by_line else spoken
        written = speak_to_stream(speak_all(loaded, parts, voice, seed=seed, starts=starts), _put, raw=raw)
        log(f"spoke {written.seconds:.2f} s, {written.words} words")
    else:
        from aiprod.speech.write_files import speak_to_files

        written = speak_to_files(loaded, spoken, out, voice, seed=seed, starts=starts)
        log(f"wrote {out} ({written.seconds:.2f} s, {written.words} words), and its times as .json, .srt and .vtt")
    if written.late:
        late = f"{written.late} of {len(starts)} cues begin late, by {written.late_s:.2f} s at most"
        log(f"{late}: what is before them takes longer than its time; a higher --speed shortens it")


def _refuse_overwriting(out: Path, inputs: tuple[Path | None, ...]) -> None:
    """What is read is never written over: subtitles have the name of what is written beside the sound."""
    from aiprod.errors import AiprodError

    for path in (out.with_suffix(suffix) for suffix in (".wav", ".json", ".srt", ".vtt")):
        for read in inputs:
            try:
                same = read is not None and path.samefile(read)
            except (OSError, ValueError):  # one of them is no file; a text may be no name of one
                same = False
            if same:
                raise AiprodError(f"{path} is read, and --out would overwrite it", "write to another file")


def _require_pipe(out: Path) -> None:
    """A stream goes to a program or file behind standard output, and nowhere else."""
    from aiprod.errors import AiprodError

    if out not in {_OUT, _STREAM}:
        raise AiprodError(f"--stream writes to standard output, not to {out}", "leave out --stream or --out")
    if sys.stdout.isatty():
        hint = "send it on, as in `aiprod speak … --stream | ffplay -nodisp -probesize 2048 -`, or to a file by --out"
        raise AiprodError("standard output is a terminal, which plays no sound", hint)


def _put(data: bytes) -> None:
    """To standard output, at once: who listens waits for it."""
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def _lines() -> Iterator[str]:
    """Lines of standard input, each as soon as it is complete."""
    from aiprod.errors import AiprodError
    from aiprod.speech.text_to_phones import CHARACTERS_MAX

    try:
        while line := sys.stdin.readline(CHARACTERS_MAX + 1):
            yield line
    except UnicodeDecodeError:
        raise AiprodError("standard input is not UTF-8 text", "give it as UTF-8") from None


def _cues(text: str) -> list[tuple[float | None, str]]:
    """The parts of a text, each with the second that it is to begin at; only subtitles say one."""
    from aiprod.speech.subtitle_files import read_srt

    content = _read(text)
    if text.lower().endswith(".srt") and content != text:
        return [(cue.start_s, cue.text) for cue in read_srt(content, text)]
    return [(None, content)]


def _read(text: str) -> str:
    """The text itself, of a file, or of standard input."""
    from aiprod.base.structured import read_bounded
    from aiprod.errors import AiprodError
    from aiprod.speech.text_to_phones import CHARACTERS_MAX

    if text == "-":
        try:
            return sys.stdin.read(CHARACTERS_MAX + 1)
        except UnicodeDecodeError:
            raise AiprodError("standard input is not UTF-8 text", "give it as UTF-8") from None
    is_file = False
    if len(text) < 1_024 and "\n" not in text:
        try:
            is_file = Path(text).is_file()
        except (OSError, ValueError):
            is_file = False
    if is_file:
        try:
            return read_bounded(Path(text), 4 * CHARACTERS_MAX, "give a text file").decode("utf-8")
        except UnicodeDecodeError:
            raise AiprodError(f"{text} is not UTF-8 text", "save it as UTF-8") from None
    if Path(text).suffix.lower() in {".txt", ".srt", ".md"} and " " not in text:
        raise AiprodError(f"there is no file {text}", "give a text, a file that exists, or - for standard input")
    return text


def _published(model: Path) -> PublishedVoices | None:
    """A published model, which has its weights in a file of PyTorch's; its signs are needed to read a text."""
    from aiprod.errors import AiprodError

    is_file = model.suffix in (".pth", ".pt")
    if not is_file and not any(model.glob("*.pth")):
        return None
    from aiprod.speech.published_voices import load_published

    voices = load_published(model)
    if voices is None:
        what = f"{model} has no configuration of StyleTTS2 or Kokoro beside it"
        raise AiprodError(what, "give the folder with config.json or config.yml as it was published")
    return voices


def _speaker(name: str, known: tuple[str, ...]) -> str:
    from aiprod.base.params import nearest
    from aiprod.errors import AiprodError

    if not known:
        raise AiprodError("the model has no voices", "imitate one by --reference and --consent")
    if name and name not in known:
        raise AiprodError(f"the model knows no speaker {name!r}", nearest(name, list(known)))
    return name or known[0]


def _require_consent(consent: str) -> None:
    """A voice is personal data: whose it is must have agreed to this use of it."""
    from aiprod.speech.voice_consent import require_voice_consent

    require_voice_consent(consent)


def _style(reference: Path) -> Tensor:
    """How the reference sounds."""
    from aiprod.speech.reference import read_style

    return read_style(reference)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(speak)
