"""The networks of the mouth, which saw drawn heads alone, on people's faces in films that are kept apart.

``python -m tests.bench.real_faces FOLDER [--models models]``: the folder holds films of the GRID corpus (Cooke et al.
2006), whose names say what is spoken: ``bbaf2n.mpg`` is "bin blue at F two now". Nothing is trained on them, and what
is drawn into them is measured and deleted.

For each film: in how many pictures the face is found, the AUC of lips that touch against open vowels with the sound in
its place and three frames off, the offset by phones that PocketSphinx aligns and as ``qc_measure`` finds it, how well
visemes and aperture are heard from the sound, and the same of the film whose mouth was drawn again from its own sound.
The mismatched levels are those with the next film's sound. Over all films, AUCs are of all their phones together.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from aiprod.errors import AiprodError
from aiprod.lips.dubbing import SOUND_HZ, find_face, write_dubbed
from aiprod.lips.file_audio import read_voice
from aiprod.lips.measure_file import MeasuredFilm, see
from aiprod.lips.mouth_model import load_mouth_model
from aiprod.lips.viseme_model import MouthPrediction, load_viseme_model
from aiprod.media.audio_resampling import resampled
from aiprod.media.probing import probe
from aiprod.qc.measure.measure_clip import measure_clip
from aiprod.qc.params import QcMeasureParams
from aiprod.speech.aligner import Aligner
from aiprod.speech.features import FRAME_HZ
from aiprod.speech.lip_sync import MouthTrack, SyncResult, area_under_curve, correlation, measure
from aiprod.speech.phones import ENGLISH
from aiprod.speech.text_to_phones import phrases
from aiprod.speech.visemes import CLOSED, OPEN, VISEME_OF, middles, visemes_at
from aiprod.speech.voice import RATE, TimedUnit

_WORDS: tuple[dict[str, str], ...] = (
    {"b": "bin", "l": "lay", "p": "place", "s": "set"},
    {"b": "blue", "g": "green", "r": "red", "w": "white"},
    {"a": "at", "b": "by", "i": "in", "w": "with"},
    {},
    {
        "z": "zero",
        "1": "one",
        "2": "two",
        "3": "three",
        "4": "four",
        "5": "five",
        "6": "six",
        "7": "seven",
        "8": "eight",
    }
    | {"9": "nine"},
    {"a": "again", "n": "now", "p": "please", "s": "soon"},
)
_SHIFTS = range(-5, 6)
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Spoken:
    """A film, its voice, when each phone is heard, and the face in it."""

    path: Path
    voice: NDArray[np.float32]
    phones: list[TimedUnit]
    film: MeasuredFilm

    @property
    def aperture(self) -> Floats:
        """NaN where there is no face."""
        return aperture_of(self.film)

    @property
    def sync(self) -> SyncResult:
        """Mouth against phones."""
        return measure(MouthTrack(self.film.times_s, self.aperture, self.film.step_s), self.phones, ENGLISH)


def aperture_of(film: MeasuredFilm) -> Floats:
    """How far the lips are apart in each picture."""
    return np.array([np.nan if face is None else face.aperture for face in film.faces])


def text_of(path: Path) -> str:
    """What is spoken in a film of the corpus, by its name."""
    code = path.stem[-6:]
    return " ".join(words.get(sign, sign.upper()) for words, sign in zip(_WORDS, code, strict=True))


def heard(path: Path, aligner: Aligner) -> Spoken:
    """Read a film."""
    film = see(path)
    voice = read_voice(path, film.start_s)
    words = [word for phrase in phrases(text_of(path), ENGLISH) for word in phrase.words]
    return Spoken(path, voice, aligner.align(voice, words, ENGLISH)[0], film)


def auc_of(films: Sequence[tuple[MeasuredFilm, list[TimedUnit]]], late: int) -> float:
    """Share of pairs of all films (open vowel, bilabial) in which the vowel's mouth is wider, each by its film's mean.

    Args:
        late: frames that the sound is moved back by.
    """
    kinds: dict[bool, list[float]] = {False: [], True: []}
    for film, phones in films:
        aperture = aperture_of(film)
        aperture = (aperture - np.nanmean(aperture)) / max(float(np.nanstd(aperture)), 1e-6)
        for phone in phones:
            viseme = VISEME_OF[ENGLISH].get(phone.name)
            if viseme not in CLOSED | OPEN:
                continue
            middle = (phone.start_s + phone.end_s) / 2 - late * film.step_s
            near = np.abs(film.times_s - middle) <= max((phone.end_s - phone.start_s) / 2, film.step_s / 2)
            if near.any() and np.isfinite(aperture[near]).any():
                kinds[viseme in OPEN].append(float(np.nanmean(aperture[near])))
    return area_under_curve(np.array(kinds[False]), np.array(kinds[True]))


def right(seen: MouthPrediction, each: Spoken) -> tuple[int, int, np.ndarray]:
    """Frames of what is said with the right viseme, all of them, and the visemes that are true."""
    times = middles(len(seen.visemes), FRAME_HZ)
    true = visemes_at(each.phones, ENGLISH, times)
    spoken = true > 0
    guess = seen.visemes[:, 1:].argmax(1) + 1
    return int((guess == true)[spoken].sum()), int(spoken.sum()), true[spoken]


def found_by_qc(path: Path) -> str:
    """What ``qc_measure`` says of the film."""
    facts = probe(path)
    assert facts.video is not None
    params = QcMeasureParams(models=["faces", "speech", "lips"])
    figures = measure_clip(path, facts, 0.0, facts.video.duration_s or 1.0, params, only=["lip_sync"])[0]["lip_sync"]
    late = figures.get("sound_late_frames")
    return "–" if late is None else f"{int(late):+d}"


def dubbed(each: Spoken, models: Path, place: Path) -> MeasuredFilm:
    """The film with its mouth drawn again from its own sound."""
    out = place / "again.mp4"
    film = find_face(each.path, 0)
    sound = resampled(each.voice[None], RATE, SOUND_HZ).astype(np.float32)
    visemes, mouths = load_viseme_model(models / "visemes"), load_mouth_model(models / "lips")
    write_dubbed(each.path, out, film, each.voice, sound, visemes, mouths, {"comment": "synthetic"})
    return see(out)


def main(folder: Path, models: Path) -> None:
    """Print the tables."""
    torch.set_num_threads(1)
    aligner, films = Aligner(), []
    for path in sorted(folder.glob("*.mpg")):
        try:
            films.append(heard(path, aligner))
        except AiprodError as error:
            print(f"{path.name}: left out: {error}")
    net = load_viseme_model(models / "visemes")
    seen = [net.see(each.voice) for each in films]
    again: list[MeasuredFilm] = []
    print("film, pictures with a face, of: offset by alignment, by qc_measure; film and drawn: deviation, correlation")
    with tempfile.TemporaryDirectory() as place:
        for each, mouth in zip(films, seen, strict=True):
            again.append(dubbed(each, models, Path(place)))
            wanted = mouth.at(each.film.times_s)[1][:, 0]
            drawn = aperture_of(again[-1])
            found = sum(face is not None for face in each.film.faces)
            sync, other = each.sync, Spoken(each.path, each.voice, each.phones, again[-1]).sync
            print(
                f"{each.path.name}: {found} of {len(each.film.faces)}, {sync.late_frames}, {found_by_qc(each.path)},"
                f" drawn {other.late_frames}; deviation {np.nanstd(each.aperture):.3f}, {np.nanstd(drawn):.3f};"
                f" sound and film {correlation(wanted, each.aperture):.2f}, sound and drawn"
                f" {correlation(wanted, drawn):.2f}",
                flush=True,
            )
    counts = [right(mouth, each) for mouth, each in zip(seen, films, strict=True)]
    true = np.concatenate([each[2] for each in counts])
    share, often = sum(c[0] for c in counts) / len(true), np.bincount(true).max() / len(true)
    print(f"visemes right {share:.3f}, the most frequent {often:.3f}")
    for name, seen_in in (("film", [each.film for each in films]), ("drawn", again)):
        pairs = list(zip(seen_in, [each.phones for each in films], strict=True))
        strange = list(zip(seen_in, [each.phones for each in (*films[1:], films[0])], strict=True))
        curve = " ".join(f"{late:+d}:{auc_of(pairs, late):.3f}" for late in _SHIFTS)
        print(f"{name}: AUC by shift {curve}; with the next film's sound {auc_of(strange, 0):.3f}")
        own = [correlation(m.at(f.times_s)[1][:, 0], aperture_of(f)) for m, f in zip(seen, seen_in, strict=True)]
        next_ = [
            correlation(m.at(f.times_s)[1][:, 0], aperture_of(f))
            for m, f in zip((*seen[1:], seen[0]), seen_in, strict=True)
        ]
        print(f"{name}: aperture heard against seen {np.mean(own):.3f}, next film's sound {np.mean(next_):.3f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--models", type=Path, default=Path("models"))
    arguments = parser.parse_args()
    main(arguments.folder, arguments.models)
