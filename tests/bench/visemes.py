"""From speech to visemes: our network, OpenFaceFX (from phones) and HeadAudio (from sound) on the same utterances.

``python -m tests.bench.visemes [--model models/visemes] [--speech datasets/v1/speech] [--faces datasets/v1/faces]
[--headaudio FOLDER]``. Peers are optional: ``pip install openfacefx==0.24.0``; ``npm pack
@met4citizen/headaudio@0.1.0``, unpacked, as ``--headaudio`` or ``HEADAUDIO`` (needs node); ``pip install hibari-tts``
for a voice that ours never heard, aligned by PocketSphinx.

Frames of 12.5 ms in which something is said, English, sentences that were not trained on. ``ours`` is the share of
frames with the viseme of the phone by the table of this package; ``own`` the same by the peer's own table, since they
disagree on some phones (L, NG, AW, IH, …). The correlation is that of the aperture. A peer's visemes are taken at the
delay that suits it best, and so is its aperture, after the better of none and 100 ms of smoothing, and HeadAudio is
told the pitch of a speaker that suits it best; ours are taken as they are.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from aiprod.base.files import contained
from aiprod.lips.file_audio import read_voice
from aiprod.lips.rows import FaceRow
from aiprod.lips.viseme_model import load_viseme_model
from aiprod.media.audio_resampling import resampled
from aiprod.speech.aligner import Aligner
from aiprod.speech.corpus import SOURCE
from aiprod.speech.features import FRAME_HZ
from aiprod.speech.ipa import phones_of_ipa
from aiprod.speech.lip_sync import correlation
from aiprod.speech.phones import ENGLISH, PHONES, SILENCE
from aiprod.speech.rows import SpeechRow
from aiprod.speech.sentences import command
from aiprod.speech.sound_files import read_sound
from aiprod.speech.text_to_phones import phrases
from aiprod.speech.visemes import SHAPES, VISEME_OF, VISEMES, middles, mouth_at, visemes_at
from aiprod.speech.voice import RATE, TimedUnit
from aiprod.storage.crypto.film_encryption import Vault
from aiprod.storage.manifest.manifest import read_rows

SENTENCES = 40
DELAYS = range(-8, 9)  # frames
PITCHES_HZ = (120, 150, 180)  # of HeadAudio, whose default is 150; at 200 it was hardly right at all
SMOOTH = 8  # frames, 100 ms: how long HeadAudio fades from one viseme to the next
APERTURE = np.array([SHAPES[name].aperture for name in VISEMES])
_HEADAUDIO = ("aa", "E", "I", "O", "U", "PP", "SS", "TH", "DD", "FF", "kk", "nn", "RR", "CH", "sil")
_MISAKI = {"EY": "A", "AY": "I", "OY": "Y", "AW": "W", "OW": "O", "CH": "ʧ", "JH": "ʤ", "ER": "ɜ", "G": "ɡ"}
_SCRIPT = Path(__file__).with_name("headaudio.mjs")
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Said:
    """An utterance at 16 kHz, its text, and when each phone is heard."""

    sound: NDArray[np.float32]
    text: str
    phones: list[TimedUnit]

    @property
    def times_s(self) -> Floats:
        """The middles of the frames."""
        return middles(int(len(self.sound) / RATE * FRAME_HZ), FRAME_HZ)


@dataclass(frozen=True)
class Guess:
    """What somebody made of an utterance: visemes ``[T, 15]``, and the aperture ``[T]``."""

    visemes: Floats
    aperture: Floats


@dataclass(frozen=True)
class Way:
    """How somebody goes from speech to visemes.

    Attributes:
        table: viseme of each phone, where it is not ours.
        delays: whether the delay that suits it best is looked for.
    """

    guesses: list[Guess]
    cpu_s: float
    table: dict[str, str] | None
    delays: bool


def drawn(folder: Path) -> list[Said]:
    """Held-out sentences of the drawn voice."""
    rows = [
        r
        for r in read_rows(folder, SpeechRow, Vault())
        if r.status == "ok" and r.source_id == SOURCE and r.split != "train"
    ]
    return [
        Said(read_sound(contained(folder, r.sound_name)), r.text, r.timed_phones())
        for r in rows
        if r.language == ENGLISH and r.sound_name
    ]


def heads(folder: Path) -> list[Said]:
    """The sound of films of heads that were not trained on."""
    rows = [r for r in read_rows(folder, FaceRow, Vault()) if r.split == "heldout" and r.language == ENGLISH]
    return [Said(read_voice(contained(folder, r.file_name)), r.text, r.timed_phones()) for r in rows]


def strange() -> list[Said] | None:
    """Sentences of the command grammar by Hibari's voice; None where it is not installed."""
    try:
        from hibari import Hibari
    except ImportError:
        return None
    voice, aligner, rng, found = Hibari(), Aligner(), np.random.default_rng(5), []
    for _ in range(SENTENCES):
        text = command(rng)
        words = [word for phrase in phrases(text, ENGLISH) for word in phrase.words]
        sound = resampled(np.asarray(voice(text, seed=0), np.float32)[None], 24_000, RATE)[0].astype(np.float32)
        phones, _ = aligner.align(sound, words, ENGLISH)
        found.append(Said(sound, text, phones))
    return found


def ours(model: Path, said: Sequence[Said]) -> Way:
    """Our network."""
    net = load_viseme_model(model)
    net.see(said[0].sound)
    began = time.process_time()
    seen = [net.see(each.sound).at(each.times_s) for each in said]
    taken = time.process_time() - began
    return Way([Guess(visemes, mouth[:, 0]) for visemes, mouth in seen], taken, None, False)


def openfacefx(said: Sequence[Said], aligned: bool) -> Way | None:
    """OpenFaceFX by the true times of phones, or by the text and the length alone; None where it is not installed."""
    try:
        import openfacefx as peer
        from openfacefx.visemes import PHONEME_TO_VISEME
    except ImportError:
        return None
    began, found = time.process_time(), []
    for each in said:
        if aligned:
            parts = [
                peer.PhonemeSegment("sil" if p.name == SILENCE else p.name, p.start_s, p.end_s) for p in each.phones
            ]
            track = peer.generate_from_alignment(parts, fps=FRAME_HZ)
        else:
            track = peer.generate_naive(each.text, len(each.sound) / RATE, fps=FRAME_HZ)
        weights = np.zeros((len(each.times_s), len(VISEMES)))
        for channel in track.channels:
            keys = [(key.time, key.value) for key in channel.keys]
            if channel.name in VISEMES and keys:
                weights[:, VISEMES.index(channel.name)] = np.interp(
                    each.times_s, [key[0] for key in keys], [key[1] for key in keys]
                )
        found.append(_guess(weights))
    table = {phone: PHONEME_TO_VISEME.get(phone, "sil") for phone in VISEME_OF[ENGLISH]}
    return Way(found, time.process_time() - began, {**table, SILENCE: "sil"}, True)


def headaudio(package: Path | None, said: Sequence[Said]) -> Way | None:
    """HeadAudio's nearest prototypes, at the pitch that suits it best; None without its package or node."""
    node = shutil.which("node")
    if package is None or not (package / "modules").is_dir() or node is None:
        return None
    with tempfile.TemporaryDirectory() as place:
        files = [Path(place) / f"{n}.f32" for n in range(len(said))]
        for path, each in zip(files, said, strict=True):
            path.write_bytes(each.sound.astype("<f4").tobytes())
        sounds, out = Path(place) / "sounds.json", Path(place) / "out.json"
        sounds.write_text(json.dumps([str(path) for path in files]))
        ways = []
        for hz in PITCHES_HZ:
            subprocess.run([node, str(_SCRIPT), str(package), str(sounds), str(out), str(hz)], check=True)
            ways.append(_headaudio_way(json.loads(out.read_text()), said))
    return max(ways, key=lambda way: share_right(way, said, VISEME_OF[ENGLISH]))


def _headaudio_way(read: dict[str, Any], said: Sequence[Said]) -> Way:
    order, found = [_HEADAUDIO.index(name) for name in VISEMES], []
    for each, heard in zip(said, read["heard"], strict=True):
        weights = np.array(heard["weights"])[:, order]
        at = np.abs(np.array(heard["times_s"])[None] - each.times_s[:, None]).argmin(1)
        found.append(_guess(weights[at]))
    known = {sign: _HEADAUDIO[number] for sign, number in read["phonemes"]}
    return Way(found, read["cpu_s"], _by_sign(known), True)


def _by_sign(known: dict[str, str]) -> dict[str, str]:
    """Viseme of each phone of ours, by one of the signs that stand for it."""
    table = {SILENCE: "sil", "HH": "SS", "ZH": "SS"}  # by its README: there are no prototypes of these two
    for phone in PHONES[ENGLISH]:
        if phone not in table:
            signs = [_MISAKI[phone]] if phone in _MISAKI else []
            signs += [s for s in known if len(s) == 1 and s not in _MISAKI.values() and _stands(s, phone)]
            table[phone] = known[signs[0]]
    return table


def _stands(sign: str, phone: str) -> bool:
    try:
        return phones_of_ipa(sign, ENGLISH) == (phone,)
    except Exception:
        return False


def _guess(weights: Floats) -> Guess:
    return Guess(weights, weights @ APERTURE / weights.sum(1).clip(1e-6))


def _moved(values: Floats, by: int) -> Floats:
    return values[np.clip(np.arange(len(values)) - by, 0, len(values) - 1)]


def share_right(way: Way, said: Sequence[Said], table: dict[str, str]) -> float:
    """Share of frames in which something is said whose viseme, of those that are not silence, is right."""

    def at(by: int) -> float:
        right = total = 0
        for guess, each in zip(way.guesses, said, strict=True):
            spoken = visemes_at(each.phones, ENGLISH, each.times_s) > 0
            true = np.array([VISEMES.index(name) for name in _names(each, table)])
            found = _moved(guess.visemes, by)[:, 1:].argmax(1) + 1
            right += int((found == true)[spoken].sum())
            total += int(spoken.sum())
        return right / total

    return max(at(by) for by in (DELAYS if way.delays else (0,)))


def _names(each: Said, table: dict[str, str]) -> list[str]:
    ends = np.array([phone.end_s for phone in each.phones])
    index = np.searchsorted(ends, each.times_s, side="right").clip(max=len(ends) - 1)
    return [table[each.phones[n].name] for n in index]


def follows(way: Way, said: Sequence[Said]) -> tuple[float, float]:
    """Mean correlation of the aperture with the truth, and with that of the next utterance."""
    true = [mouth_at(each.phones, ENGLISH, each.times_s)[:, 0] for each in said]

    def mean(by: int, smooth: int, off: int) -> float:
        values = []
        for n, guess in enumerate(way.guesses):
            made = np.convolve(_moved(guess.aperture, by), np.full(smooth, 1 / smooth), "same")
            values.append(correlation(made, true[(n + off) % len(true)]))
        return float(np.mean(values))

    if not way.delays:
        return mean(0, 1, 0), mean(0, 1, 1)
    by, smooth = max(((b, s) for b in DELAYS for s in (1, SMOOTH)), key=lambda each: mean(each[0], each[1], 0))
    return mean(by, smooth, 0), mean(by, smooth, 1)


def chance(said: Sequence[Said]) -> float:
    """Share of the most frequent viseme."""
    seen = Counter(int(v) for each in said for v in visemes_at(each.phones, ENGLISH, each.times_s) if v)
    return seen.most_common(1)[0][1] / sum(seen.values())


def compare(name: str, said: Sequence[Said], model: Path, package: Path | None) -> dict[str, Way]:
    """Print a table of one set of utterances; who took part."""
    seconds = sum(len(each.sound) for each in said) / RATE
    print(f"\n{name}: {len(said)} utterances, {seconds:.0f} s, most frequent viseme {chance(said):.2f}")
    print(f"{'':<34} {'ours':>6} {'own':>6} {'aperture':>9} {'mismatched':>11} {'CPU s per s':>12}")
    ways: dict[str, Way | None] = {
        "AIPROD, from sound": ours(model, said),
        "HeadAudio, from sound": headaudio(package, said),
        "OpenFaceFX, from true phones": openfacefx(said, aligned=True),
        "OpenFaceFX, from text and length": openfacefx(said, aligned=False),
    }
    for who, way in ways.items():
        if way is None:
            print(f"{who:<34} left out: not installed (see `python -m tests.bench.visemes --help`)")
            continue
        share, (matched, mismatched) = share_right(way, said, VISEME_OF[ENGLISH]), follows(way, said)
        own = share if way.table is None else share_right(way, said, way.table)
        cost = way.cpu_s / seconds
        print(f"{who:<34} {share:6.3f} {own:6.3f} {matched:9.3f} {mismatched:11.3f} {cost:12.5f}", flush=True)
    return {who: way for who, way in ways.items() if way is not None}


def main(
    model: Path = Path("models/visemes"),
    speech: Path = Path("datasets/v1/speech"),
    faces: Path = Path("datasets/v1/faces"),
    package: Path | None = None,
) -> None:
    """Print the tables; says what is missing."""
    missing = [str(path) for path in (model, speech, faces) if not path.is_dir()]
    if missing:
        print(f"visemes: skipped, there is no {' and no '.join(missing)}")
        return
    torch.set_num_threads(1)
    package = package or (Path(os.environ["HEADAUDIO"]) if os.environ.get("HEADAUDIO") else None)
    compare("the drawn voice", drawn(speech), model, package)
    compare("films of heads", heads(faces), model, package)
    other = strange()
    if other is None:
        print("\nanother voice: left out, hibari-tts is not installed")
    else:
        compare("Hibari's voice, aligned by PocketSphinx", other, model, package)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=Path("models/visemes"))
    parser.add_argument("--speech", type=Path, default=Path("datasets/v1/speech"))
    parser.add_argument("--faces", type=Path, default=Path("datasets/v1/faces"))
    parser.add_argument("--headaudio", type=Path, default=None)
    arguments = parser.parse_args()
    main(arguments.model, arguments.speech, arguments.faces, arguments.headaudio)
