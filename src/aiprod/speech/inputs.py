"""Rows and phrases as the tensors that the model takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from aiprod.speech.acoustic import STYLE, PhraseBatch
from aiprod.speech.features import FRAME_HZ
from aiprod.speech.phones import LANGUAGES, SILENCE, SYMBOLS
from aiprod.speech.voice import TimedUnit

NUMBER = {symbol: number for number, symbol in enumerate(SYMBOLS, 1)}


@dataclass(frozen=True)
class Phones:
    """The phones of a phrase between two silences.

    Attributes:
        places: 1: begins a word, 2: ends one, 3: both, 0: neither.
        words: number of the word of each, −1: none.
    """

    symbols: tuple[str, ...]
    places: tuple[int, ...]
    words: tuple[int, ...]


def phones_of_words(words: Sequence[Sequence[str]]) -> Phones:
    """With a silence before and after."""
    symbols, places, owners = [SILENCE], [0], [-1]
    for number, phones in enumerate(words):
        for n, symbol in enumerate(phones):
            symbols.append(symbol)
            places.append((n == 0) + 2 * (n == len(phones) - 1))
            owners.append(number)
    return Phones((*symbols, SILENCE), (*places, 0), (*owners, -1))


def phones_of_times(phones: Sequence[TimedUnit], words: Sequence[TimedUnit]) -> Phones:
    """Of an utterance whose times are known: a phone belongs to the word in whose time its middle lies."""
    middles = [(phone.start_s + phone.end_s) / 2 for phone in phones]
    owners = [next((n for n, w in enumerate(words) if w.start_s <= at < w.end_s), -1) for at in middles]
    places = [
        0 if owner < 0 else (n == 0 or owners[n - 1] != owner) + 2 * (n + 1 == len(owners) or owners[n + 1] != owner)
        for n, owner in enumerate(owners)
    ]
    return Phones(tuple(phone.name for phone in phones), tuple(places), tuple(owners))


def frames_of_times(phones: Sequence[TimedUnit], total: int) -> list[int]:
    """Whole frames of each phone, which together are ``total``."""
    ends = np.round(np.array([phone.end_s for phone in phones]) * FRAME_HZ).astype(int).clip(0, total)
    ends[-1] = total
    return [int(n) for n in np.diff(ends, prepend=0)]


def batch_of(
    phones: Sequence[Phones],
    languages: Sequence[str],
    speakers: Sequence[int],
    styles: Sequence[Tensor | None],
) -> PhraseBatch:
    """Padded.

    Args:
        speakers: numbers from 1; 0: none.
        styles: normalised, or none.
    """
    longest = max(len(each.symbols) for each in phones)
    numbers, places = (torch.zeros(len(phones), longest, dtype=torch.long) for _ in range(2))
    for row, each in enumerate(phones):
        numbers[row, : len(each.symbols)] = torch.tensor([NUMBER[symbol] for symbol in each.symbols])
        places[row, : len(each.symbols)] = torch.tensor(each.places)
    return PhraseBatch(
        phones=numbers,
        places=places,
        language=torch.tensor([LANGUAGES.index(language) for language in languages]),
        speaker=torch.tensor(list(speakers)),
        style=torch.stack([torch.zeros(STYLE) if style is None else style for style in styles]),
    )
