"""Recordings below a folder, with their texts: in the layouts of LJSpeech, VCTK and LibriTTS.

Which layout a folder has shows in what is there: ``metadata.csv`` and ``wavs``; ``txt`` and ``wav48…``; or files
``NAME.normalized.txt``. A ``NAME.TextGrid`` beside a sound gives the times of its phones and words.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from aiprod.base.names import film_name
from aiprod.base.structured import read_bounded
from aiprod.errors import AiprodError
from aiprod.media.discovery import key_of

_TABLE_MAX, _TEXT_MAX = 256 << 20, 1 << 16
_SOUNDS = (".wav", ".flac")
_MICROPHONES = ("", "_mic1", "_mic2")  # VCTK's second release has two of each; the first is taken
_NORMALISED = ".normalized.txt"
_DOCUMENTS = {
    "LJSpeech": ("metadata.csv",),
    "VCTK": ("txt/*/*.txt",),
    "LibriTTS": (f"**/*{_NORMALISED}", "**/*.original.txt", "**/*.trans.tsv", "**/*.book.tsv"),
}


@dataclass(frozen=True)
class Recording:
    """One sound file and what is said in it.

    Attributes:
        key: the sound's path within the folder.
        text_key: path of the file that has its text.
    """

    key: str
    path: Path
    speaker: str
    text: str
    text_key: str

    @property
    def text_grid(self) -> Path | None:
        """The file with its times, where there is one."""
        path = self.path.with_suffix(".TextGrid")
        return path if path.is_file() else None


@dataclass
class RecordingsFolder:
    """What a folder holds.

    Attributes:
        left_out: files that are not taken → why; each is said.
        documents: keys of the files that say what is spoken and by whom, and nothing of rights.
    """

    layout: str
    recordings: list[Recording] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    documents: set[str] = field(default_factory=set)


def recordings_below(folder: Path, source_id: str) -> RecordingsFolder:
    """Every recording with a text, in the order of their paths, and what is left out.

    Raises:
        AiprodError: the folder has none of the layouts, or a table or text cannot be read.
    """
    if (folder / "metadata.csv").is_file() and (folder / "wavs").is_dir():
        layout, recordings = "LJSpeech", _ljspeech(folder, source_id)
    elif (folder / "txt").is_dir() and (wavs := [p for p in sorted(folder.glob("wav48*")) if p.is_dir()]):
        layout, recordings = "VCTK", _vctk(folder, wavs[0])
    else:
        layout, recordings = "LibriTTS", _libritts(folder)
    texts = (path for form in _DOCUMENTS[layout] for path in folder.glob(form))
    recordings_folder = RecordingsFolder(layout, documents={key_of(path, folder) for path in texts})
    taken: set[Path] = set()
    for recording in recordings:
        if isinstance(recording, tuple):
            recordings_folder.left_out[recording[0]] = recording[1]
            continue
        taken.add(recording.path)
        recordings_folder.recordings.append(recording)
    if not taken and not recordings_folder.left_out:
        raise AiprodError(
            f"the folder of {source_id} has no recordings in a layout that is known",
            "LJSpeech (metadata.csv, wavs), VCTK (txt, wav48…) or LibriTTS (NAME.wav, NAME.normalized.txt)",
        )
    places = {path.parent for path in taken}
    for path in sorted(p for place in places for p in place.iterdir() if p.suffix.lower() in _SOUNDS):
        if path not in taken and not path.stem.endswith("_mic2"):
            recordings_folder.left_out[_key(path, folder)] = "nothing says what is spoken in it"
    recordings_folder.recordings.sort(key=lambda recording: recording.key)
    return recordings_folder


_Either = Recording | tuple[str, str]  # or (file, why it is left out)


def _ljspeech(folder: Path, source_id: str) -> Iterator[_Either]:
    table = folder / "metadata.csv"
    for number, line in enumerate(_text(table, _TABLE_MAX).splitlines(), 1):
        cells = [cell.strip() for cell in line.split("|")]
        if not line.strip():
            continue
        if len(cells) < 2 or not cells[0] or "/" in cells[0] or "\\" in cells[0]:
            yield f"metadata.csv, line {number}", "it is not `name|text` or `name|text|normalised text`"
            continue
        path = _sound(folder / "wavs", cells[0])
        if path is None:
            yield f"wavs/{cells[0]}.wav", "metadata.csv names it, and it is not there"
        else:
            yield Recording(_key(path, folder), path, source_id, cells[-1] or cells[1], "metadata.csv")


def _vctk(folder: Path, sounds: Path) -> Iterator[_Either]:
    for text in sorted((folder / "txt").glob("*/*.txt")):
        speaker = text.parent.name
        candidates = (_sound(sounds / speaker, f"{text.stem}{end}") for end in _MICROPHONES)
        path = next((path for path in candidates if path is not None), None)
        if path is None:
            yield _key(text, folder), f"there is no sound of it in {sounds.name}"
        else:
            yield Recording(_key(path, folder), path, speaker, _text(text, _TEXT_MAX).strip(), _key(text, folder))


def _libritts(folder: Path) -> Iterator[_Either]:
    for text in sorted(folder.rglob(f"*{_NORMALISED}")):
        name = text.name.removesuffix(_NORMALISED)
        path = _sound(text.parent, name)
        if path is None:
            yield _key(text, folder), "there is no sound beside it"
        else:
            speaker = name.split("_")[0]
            yield Recording(_key(path, folder), path, speaker, _text(text, _TEXT_MAX).strip(), _key(text, folder))


def _sound(folder: Path, name: str) -> Path | None:
    return next((path for end in _SOUNDS if (path := folder / f"{name}{end}").is_file()), None)


def _key(path: Path, folder: Path) -> str:
    return film_name(path.relative_to(folder).as_posix())


def _text(path: Path, most: int) -> str:
    try:
        return read_bounded(path, most, "give the recordings with their texts").decode("utf-8-sig")
    except UnicodeDecodeError:
        raise AiprodError(f"{path.name} is not UTF-8 text", "save it as UTF-8") from None
