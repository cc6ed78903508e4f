"""Text to speech of others, where it is installed, as the voice that a model learns from: what it says, and when.

A teacher is given words with their phones, so that no dictionary but ours decides how they sound, and says itself when
each phone begins: nothing has to be aligned. What it speaks is synthetic, and says of which teacher it is.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
import wave
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from aiprod.errors import AiprodError
from aiprod.media.audio_resampling import resampled
from aiprod.speech.phoneme_signs import signs_of, stressed
from aiprod.speech.phones import SILENCE
from aiprod.speech.text_to_phones import Word
from aiprod.speech.voice import RATE, TimedUnit

Floats = NDArray[np.float32]
_HIBARI_FRAME_S, _HIBARI_LATE_S = 0.025, 0.05  # of a duration; phones are heard so much before their durations say


@dataclass(frozen=True)
class TaughtSpeech:
    """What a teacher said: sound at :data:`RATE`, its phones with the silences among them, and words."""

    sound: Floats
    phones: tuple[TimedUnit, ...]
    words: tuple[TimedUnit, ...]


class Teacher(Protocol):
    """One program or network, with its voices. It may be asked by several threads at once."""

    @property
    def name(self) -> str:
        """With its version, as rows and documents say it."""
        ...

    @property
    def licence(self) -> str:
        """Of the program or network, and its voices."""
        ...

    @property
    def voices(self) -> tuple[str, ...]:
        """Names of those that are installed with it."""
        ...

    def say(self, words: Sequence[Word], voice: str) -> TaughtSpeech:
        """Speak words; the same words give the same sound.

        Raises:
            AiprodError: it cannot, or it says other phones than it was given.
        """
        ...


def load_teacher(name: str) -> Teacher:
    """A teacher of :data:`TEACHERS`.

    Raises:
        AiprodError: it is not installed.
    """
    return TEACHERS[name]()


class Flite:
    """CMU Flite, a program of its own, with the voices of its package that were made from the ARCTIC recordings."""

    licence = "BSD-style"
    voices = ("slt", "rms", "awb", "kal", "kal16")
    _PHONES: Mapping[str, str] = {"pau": SILENCE, "ax": "AH"}

    def __init__(self) -> None:
        program = shutil.which("flite")
        if program is None:
            raise AiprodError("the teacher flite is not installed", "install the program, as by `apt install flite`")
        self._program = program
        stated = re.search(r"version:\s*flite-([\w.]+)", self._run("--version"))
        self.name = f"Flite {stated[1] if stated else 'of an unknown version'}"

    def say(self, words: Sequence[Word], voice: str) -> TaughtSpeech:
        """Speak words. Flite reads their spelling; one that it reads otherwise is given to it as a word of its own."""
        wanted = [phone for word in words for phone in word.phones]
        taught: set[int] = set()
        with tempfile.TemporaryDirectory() as folder:
            for _ in range(3):
                out = Path(folder) / "speech.wav"
                units = self._spoken(words, taught, voice, out)
                heard = [unit.name for unit in units if unit.name != SILENCE]
                if heard == wanted:
                    return TaughtSpeech(_read_wav(out), tuple(units), _words(words, units))
                wrong = _misread(words, wanted, heard)
                taught = taught | wrong if wrong - taught else set(range(len(words)))
        raise AiprodError(f"{self.name} says other phones than it was given", "leave the sentence out")

    def _spoken(self, words: Sequence[Word], taught: set[int], voice: str, out: Path) -> list[TimedUnit]:
        lexicon, spelt = [], []
        for number, word in enumerate(words):
            name = _pseudonym(number) if number in taught else word.text.lower()
            spelt.append(name)
            if number in taught:
                lexicon.append(f"{name} : {' '.join(_flite_phones(word))}\n")
        extra: list[str] = []
        if lexicon:
            path = out.with_suffix(".lexicon")
            path.write_text("".join(lexicon), encoding="ascii")
            extra = ["-add_lex", str(path)]
        said = self._run("-voice", voice, *extra, "-psdur", "-t", " ".join(spelt), "-o", str(out))
        units, begin = [], 0.0
        for name, stated in re.findall(r"([a-z]+):(\d+\.\d+)", said):
            end = float(stated)
            units.append(TimedUnit(self._PHONES.get(name, name.upper()), begin, end))
            begin = end
        if not units or not out.is_file():
            raise AiprodError(f"{self.name} says nothing", f"try `flite -voice {voice} -t hello`")
        return units

    def _run(self, *arguments: str) -> str:
        try:
            done = subprocess.run([self._program, *arguments], capture_output=True, text=True, timeout=60, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise AiprodError(f"flite does not run ({error})", "try `flite -t hello`") from None
        return done.stdout


class Hibari:
    """The network of the package hibari-tts, with the one voice that the package bundles: nothing is downloaded."""

    licence = "Apache-2.0"
    voices = ("heart",)
    _PACKAGE, _DURATIONS = "hibari-tts", b"/Round_output_0"

    def __init__(self) -> None:
        try:
            hibari: Any = import_module("hibari")  # of an extra, pinned there
            network = (Path(hibari.__file__).parent / "assets/hibari.onnx").read_bytes()
            # Durations are a value within the network. Messages of Protocol Buffers that follow each other are merged,
            # so a graph with one output more, written behind the network, makes it an output.
            self._hibari: Any = hibari.Hibari(model=network + _message(7, _message(12, _message(1, self._DURATIONS))))
            self._dsp: Any = import_module("hibari.dsp")
        except ImportError:
            raise AiprodError("the teacher hibari is not installed", 'pip install "aiprod[teacher]"') from None
        try:
            self.name = f"Hibari {version(self._PACKAGE)}"
        except PackageNotFoundError:
            self.name = f"Hibari {hibari.__version__}"

    def say(self, words: Sequence[Word], voice: str) -> TaughtSpeech:
        """Speak words."""
        signs, owners = _signs(words)
        numbers = self._hibari.ids(signs)
        if len(numbers) != len(signs) + 2:  # one before and one behind
            raise AiprodError(f"{self.name} has no sign for a phone of the words", "leave the sentence out")
        inputs = {"ids": np.asarray([numbers], np.int64), "speed": np.ones(1, np.float32)}
        *parts, durations = self._hibari.sess.run(None, inputs)
        sound = self._dsp.synth(*(part[0] for part in parts), np.random.default_rng(0))
        heard = resampled(np.asarray(sound, np.float32)[None], self._dsp.SR, RATE)[0].astype(np.float32)
        phones = [phone for word in words for phone in word.phones]
        ends = np.maximum(np.cumsum(durations) * _HIBARI_FRAME_S - _HIBARI_LATE_S, _HIBARI_FRAME_S)
        units = [TimedUnit(SILENCE, 0.0, float(ends[0]))]
        for number, name in enumerate([*phones, SILENCE]):
            last = float(ends[1 + max(n for n, owner in enumerate(owners) if owner == number)])
            units.append(TimedUnit(name, units[-1].end_s, last if number < len(phones) else len(heard) / RATE))
        return TaughtSpeech(heard, tuple(units), _words(words, units))


TEACHERS: Mapping[str, Callable[[], Teacher]] = {"flite": Flite, "hibari": Hibari}


def _words(words: Sequence[Word], units: Sequence[TimedUnit]) -> tuple[TimedUnit, ...]:
    """When each word is heard; the units are its phones, with silences anywhere."""
    spoken = iter([unit for unit in units if unit.name != SILENCE])
    timed = []
    for word in words:
        own = [next(spoken) for _ in word.phones]
        timed.append(TimedUnit(word.text, own[0].start_s, own[-1].end_s))
    return tuple(timed)


def _misread(words: Sequence[Word], wanted: Sequence[str], heard: Sequence[str]) -> set[int]:
    """The words of which not every phone is heard, with nothing between them."""
    place: dict[int, int] = {}
    for block in SequenceMatcher(None, wanted, heard, autojunk=False).get_matching_blocks():
        place |= {block.a + n: block.b + n for n in range(block.size)}
    wrong, first, end = set(), 0, -1
    for number, word in enumerate(words):
        at = [place.get(n, -1) for n in range(first, first + len(word.phones))]
        if at[0] < 0 or at != list(range(at[0], at[0] + len(at))):
            wrong.add(number)
        elif at[0] != end + 1 and number and number - 1 not in wrong:
            wrong |= {number - 1, number}
        end = max(at[-1], end)
        first += len(word.phones)
    return wrong


def _pseudonym(number: int) -> str:
    """A word that no dictionary has and that can be pronounced: others are spelt out letter by letter."""
    consonants, vowels = "bdgklmnprtvz", "aeiou"
    return f"z{vowels[number % 5]}{consonants[number // 5 % 12]}{vowels[number // 60 % 5]}"


def _flite_phones(word: Word) -> list[str]:
    """Phones as Flite's lexicon has them, with stress."""
    strong = stressed(word.phones, word.text)
    names = ["ax" if phone == "AH" and n != strong else phone.lower() for n, phone in enumerate(word.phones)]
    return [f"{name}{int(n == strong)}" if name[0] in "aeiou" else name for n, name in enumerate(names)]


def _signs(words: Sequence[Word]) -> tuple[str, list[int]]:
    """What Hibari reads, and of each sign the number of its phone: a space and a stress go with the phone behind them.

    The sign that ends the sentence has the number after the last.
    """
    signs, owners = "", list[int]()
    count = 0
    for number, word in enumerate(words):
        for n, sign in enumerate(signs_of(word.text, word.phones, "misaki")):
            written = " " + sign if number and not n else sign
            signs += written
            owners += [count] * len(written)
            count += 1
    return f"{signs}.", [*owners, count]


def _message(field: int, content: bytes) -> bytes:
    """A field of Protocol Buffers that holds bytes."""
    assert field < 16 and len(content) < 128
    return bytes([field << 3 | 2, len(content)]) + content


def _read_wav(path: Path) -> Floats:
    with wave.open(str(path), "rb") as file:
        rate, channels, width = file.getframerate(), file.getnchannels(), file.getsampwidth()
        if (channels, width) != (1, 2):
            raise AiprodError(f"flite wrote {channels} channels of {8 * width} bits", "use one of its voices")
        samples = (np.frombuffer(file.readframes(file.getnframes()), "<i2") / 32768).astype(np.float32)
    return samples if rate == RATE else resampled(samples[None], rate, RATE)[0].astype(np.float32)
