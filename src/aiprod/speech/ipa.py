"""The International Phonetic Alphabet as phones of ours."""

from __future__ import annotations

from aiprod.errors import AiprodError
from aiprod.speech.phones import CONSTRUCTED, ENGLISH, PHONES, SILENCE

_ENGLISH = {
    "tʃ": "CH", "dʒ": "JH", "eɪ": "EY", "aɪ": "AY", "ɔɪ": "OY", "aʊ": "AW", "oʊ": "OW", "əʊ": "OW", "ɜɹ": "ER",
    "i": "IY", "ɪ": "IH", "ɛ": "EH", "e": "EH", "æ": "AE", "ʌ": "AH", "ə": "AH", "ɐ": "AH", "ɑ": "AA", "ɒ": "AA",
    "ɔ": "AO", "ʊ": "UH", "u": "UW", "ɝ": "ER", "ɚ": "ER", "ɜ": "ER", "l": "L", "ɫ": "L", "ɹ": "R", "r": "R",
    "w": "W", "j": "Y", "m": "M", "n": "N", "ŋ": "NG", "s": "S", "ʃ": "SH", "f": "F", "θ": "TH", "z": "Z", "ʒ": "ZH",
    "v": "V", "ð": "DH", "h": "HH", "p": "P", "t": "T", "k": "K", "b": "B", "d": "D", "ɡ": "G", "g": "G", "ɾ": "D",
}  # fmt: skip
_CONSTRUCTED = {
    "a": "A", "e": "E", "i": "I", "o": "O", "u": "U", "y": "UE", "m": "M", "n": "N", "r": "R", "l": "L", "s": "S",
    "x": "X", "p": "P", "t": "T", "k": "K", "d": "D",
}  # fmt: skip
_TABLES = {ENGLISH: _ENGLISH, CONSTRUCTED: _CONSTRUCTED}
_IGNORED = frozenset("ˈˌːˑ.‿ ͡ˈ'-|")  # stress, length and ties: lengths are the model's


def phones_of_ipa(text: str, language: str) -> tuple[str, ...]:
    """Phones of a transcription, the longest sign first.

    Raises:
        AiprodError: a sign stands for no phone of the language.
    """
    table, phones, at = _TABLES[language], [], 0
    text = text.strip().strip("/[]").replace("͡", "")
    while at < len(text):
        if text[at] in _IGNORED:
            at += 1
            continue
        sign = next((text[at : at + n] for n in (2, 1) if text[at : at + n] in table), None)
        if sign is None:
            raise AiprodError(
                f"{text[at]!r} in the transcription {text!r} is not a sound of language {language}",
                f"signs: {' '.join(table)}",
            )
        phones.append(table[sign])
        at += len(sign)
    return tuple(phones)


def phones_of_notation(text: str, language: str) -> tuple[str, ...]:
    """Phones of what stands in braces: symbols of ours with spaces between (stress digits are ignored), or IPA.

    Raises:
        AiprodError: neither.
    """
    symbols = [part.rstrip("012") for part in text.split()]
    if symbols and all(symbol in PHONES[language] and symbol != SILENCE for symbol in symbols):
        return tuple(symbols)
    phones = phones_of_ipa(text, language)
    if not phones:
        raise AiprodError("a transcription is empty", "give phones, such as {R EH D} or {ɹɛd}")
    return phones
