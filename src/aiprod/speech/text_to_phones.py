"""Grapheme to phoneme: text as phrases of words with phones. One way for training and for speaking.

A model keeps :data:`G2P` and :data:`VERSION`, and is not used with another.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from aiprod.base.params import nearest
from aiprod.errors import AiprodError
from aiprod.speech.english_lexicon import LETTERS, WORDS
from aiprod.speech.ipa import phones_of_ipa, phones_of_notation
from aiprod.speech.normalise import write_out
from aiprod.speech.numbers_in_words import digits
from aiprod.speech.phones import CONSTRUCTED, ENGLISH, LANGUAGES

G2P, VERSION = "aiprod-lexicon", 1
CHARACTERS_MAX = 1_000_000
_PHRASE_PHONES = 90  # a longer phrase is split between words: about six seconds

_CONSTRUCTED_LETTERS = {
    "a": "A",
    "e": "E",
    "i": "I",
    "o": "O",
    "u": "U",
    "ü": "UE",
    "m": "M",
    "n": "N",
    "r": "R",
    "l": "L",
}
_CONSTRUCTED_LETTERS |= {"s": "S", "x": "X", "p": "P", "t": "T", "k": "K", "d": "D"}
_CONSTRUCTED_DIGITS = ["nul", "uno", "do", "tre", "kar", "pin", "sex", "sep", "ot", "nin"]

_SSML = re.compile(
    r"<phoneme\b(?=[^>]*\bph\s*=\s*(?P<q>[\"'])(?P<ph>.*?)(?P=q))(?P<rest>[^>]*)>(?P<word>.*?)</phoneme\s*>",
    re.IGNORECASE | re.DOTALL,
)
_TOKEN = re.compile(r"\{[^{}]*\}|[^\W\d_]+(?:['’][^\W\d_]+)*|\d+|[.!?…]+|[,;:()\"“”—]|\n{2,}|-|\S")
_ENDS, _PAUSES = set(".!?…"), set(',;:()"“”—')
_QUIET = {"-", "'", "’", "*", "_", "/", "‘", "`", "|", "~", "#", "«", "»", "„"}


class NoWordsError(AiprodError):
    """There is nothing to say in a text."""

    def __init__(self) -> None:
        super().__init__("the text has no words", "give a sentence to speak")


@dataclass(frozen=True)
class Word:
    """A word as it is written in the captions, and its phones."""

    text: str
    phones: tuple[str, ...]


@dataclass(frozen=True)
class Phrase:
    """Words that are spoken in one breath, and whether a sentence ends with them."""

    words: tuple[Word, ...]
    ends: bool


def phrases(text: str, language: str, more: Mapping[str, tuple[str, ...]] | None = None) -> list[Phrase]:
    """What is said, in order; no word is left out.

    Args:
        more: further pronunciations; those of this package come first, so that they never change.

    Raises:
        AiprodError: no words, too much text, an unknown language, or a word whose sound is not known.
    """
    check_language(language)
    if len(text) > CHARACTERS_MAX:
        raise AiprodError(f"the text has {len(text):,} characters", f"at most {CHARACTERS_MAX:,}: give it in parts")
    text = _braces(text, language)
    result: list[Phrase] = []
    waiting: list[Word] = []

    def close(ends: bool) -> None:
        for place in _parts(waiting):
            result.append(Phrase(tuple(place), False))
        waiting.clear()
        if ends and result:
            result[-1] = Phrase(result[-1].words, True)

    for token in _TOKEN.findall(_written_out(text, language)):
        if token[0] in _ENDS or token.startswith("\n"):
            close(True)
        elif token in _PAUSES:
            close(False)
        elif token[0] == "{":
            spoken, _, shown = token[1:-1].partition("\x00")
            waiting.append(Word(shown or token[1:-1], phones_of_notation(spoken, language)))
        elif token not in _QUIET:
            waiting += _pronounced(token, language, more or {})
    close(True)
    if not result:
        raise NoWordsError
    return result


def check_language(language: str) -> None:
    """Refuse a language that nobody speaks here.

    Raises:
        AiprodError: unknown.
    """
    if language not in LANGUAGES:
        raise AiprodError(f"unknown language {language!r}", nearest(language, list(LANGUAGES)))


@functools.lru_cache(maxsize=1)
def bundled_dictionary() -> Mapping[str, tuple[str, ...]]:
    """CMUdict as the package pocketsphinx bundles it; empty where that is not installed."""
    try:
        from pocketsphinx import get_model_path
    except ImportError:
        return {}
    with open(get_model_path("en-us/cmudict-en-us.dict"), encoding="utf-8") as file:
        return _Dictionary(file.read())


class _Dictionary(Mapping[str, tuple[str, ...]]):
    """A dictionary in CMU's format that is searched as text: parsing its 134,000 lines takes longer than a sentence."""

    def __init__(self, text: str) -> None:
        self._text = f"\n{text}"

    def __getitem__(self, word: str) -> tuple[str, ...]:
        if not word or any(sign.isspace() for sign in word) or (at := self._text.find(f"\n{word} ")) < 0:
            raise KeyError(word)
        line = self._text[at + 1 : end if (end := self._text.find("\n", at + 1)) >= 0 else None]
        return tuple(line.split()[1:])

    def __iter__(self) -> Iterator[str]:
        return iter({line.split()[0]: None for line in self._text.splitlines() if line.strip()})

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __bool__(self) -> bool:
        return len(self._text) > 1


def _braces(text: str, language: str) -> str:
    """SSML's ``<phoneme>`` as braces that keep the word they stand for."""

    def braced(match: re.Match[str]) -> str:
        kind = re.search(r"\balphabet\s*=\s*[\"']([^\"']*)", match["rest"], re.IGNORECASE)
        notation = (kind[1] if kind else "ipa").lower()
        if notation not in {"ipa", "x-arpabet"}:
            raise AiprodError(f"<phoneme> has alphabet {notation!r}", "use ipa or x-arpabet")
        spoken = match["ph"].strip()
        if not spoken:
            raise AiprodError("a <phoneme> has an empty ph", "write its sound there, or leave the element out")
        phones = phones_of_ipa(spoken, language) if notation == "ipa" else phones_of_notation(spoken, language)
        return f"{{{' '.join(phones)}\x00{re.sub(r'[{}<>]', '', match['word']).strip()}}}"

    return re.sub(r"</?(?:speak|p|s)\b[^>]*>", " ", _SSML.sub(braced, text))


def _written_out(text: str, language: str) -> str:
    """Numbers in words, but nothing within braces is touched."""
    parts = re.split(r"(\{[^{}]*\})", text)
    spelled = write_out if language == ENGLISH else _made_digits
    return " ".join(
        part if n % 2 else "\n\n".join(spelled(block) for block in re.split(r"\n\s*\n", part))
        for n, part in enumerate(parts)
    )


def _made_digits(text: str) -> str:
    return re.sub(r"\d", lambda match: f" {_CONSTRUCTED_DIGITS[int(match[0])]} ", text)


def _parts(words: list[Word]) -> list[list[Word]]:
    parts: list[list[Word]] = []
    count = 0
    for word in words:
        if not parts or count + len(word.phones) > _PHRASE_PHONES:
            parts.append([])
            count = 0
        parts[-1].append(word)
        count += len(word.phones)
    return parts


def _pronounced(token: str, language: str, more: Mapping[str, tuple[str, ...]]) -> list[Word]:
    lower = token.lower().replace("’", "'")
    if language == CONSTRUCTED:
        letters = [_CONSTRUCTED_LETTERS.get(letter) for letter in lower]
        if None in letters:
            raise _unknown(token, language, f"its letters are {' '.join(_CONSTRUCTED_LETTERS)}")
        return [Word(token, tuple(letter for letter in letters if letter))]
    if token.isdecimal():  # "²" is a digit, but no number
        return [Word(name, WORDS[name]) for name in digits(token)]
    if len(token) == 1 and token.isupper() and token in {*map(str.upper, LETTERS)}:
        return [Word(token, LETTERS[lower])]  # a capital alone is a letter's name: "A" is not the article
    plain = "".join(c for c in unicodedata.normalize("NFKD", lower) if not unicodedata.combining(c))  # café
    known = (
        WORDS.get(lower)
        or more.get(lower)
        or WORDS.get(plain)
        or more.get(plain)
        or (LETTERS.get(lower) if len(lower) == 1 else None)
    )
    if known is not None:
        return [Word(token, known)]
    if lower.endswith("'s") and (stem := WORDS.get(lower[:-2]) or more.get(lower[:-2])):
        return [Word(token, (*stem, *_genitive(stem[-1])))]
    if token.isupper() and 2 <= len(token) <= 5 and all(letter in LETTERS for letter in lower):
        return [Word(letter, LETTERS[letter.lower()]) for letter in token]  # DVC
    raise _unknown(token, language, "install aiprod[voice] for a large dictionary" if not more else "")


def _genitive(last: str) -> tuple[str, ...]:
    if last in {"S", "Z", "SH", "ZH", "CH", "JH"}:
        return ("IH", "Z")
    return ("S",) if last in {"P", "T", "K", "F", "TH"} else ("Z",)


def _unknown(token: str, language: str, how: str) -> AiprodError:
    return AiprodError(
        f"no pronunciation of {token!r} is known in language {language}",
        f'give its sound, as in {{R EH D}} or <phoneme alphabet="ipa" ph="ɹɛd">red</phoneme>{"; " * bool(how)}{how}',
    )
