"""Sentences of the demo: a small command grammar, open descriptions of scenes, and the constructed language's.

The command grammar is that of the GRID corpus (Cooke et al. 2006): six slots, 51 words. It is what a recogniser can be
asked about with a known chance level.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

COMMANDS: tuple[tuple[str, ...], ...] = (
    ("bin", "lay", "place", "set"),
    ("blue", "green", "red", "white"),
    ("at", "by", "in", "with"),
    tuple("ABCDEFGHIJKLMNOPQRSTUVXYZ"),
    ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"),
    ("again", "now", "please", "soon"),
)
_SIZES, _COLOURS = (
    ("large", "small", "medium"),
    ["cyan", "maroon", "teal", "olive", "navy", "black", "brown", "pink", "orange", "yellow", "purple"],
)
_SHAPES = ["circle", "square", "triangle", "star", "hexagon", "diamond"]
_MOVES = ("bounces", "drifts", "falls", "turns", "moves", "waits")
_WAYS = ("to the left", "to the right", "up", "down", "slowly", "quickly", "over there", "behind the tree")
_GROUNDS = ["striped", "dotted", "checked", "cloudy", "speckled", "brick", "wavy", "marbled", "plain"]
_CAMERAS = ("the camera is still", "the camera pans left", "the camera tilts up", "the camera zooms out")
_OPEN = (
    "a {size} {colour} {shape} {move} {way}",
    "the {shape} {move} over a {colour} {ground} background",
    "this {shape} is {colour} and that {shape2} is {colour2}",
    "{camera} while a {shape} {move}",
    "we see the {colour} {thing} before the {time}",
    "the voice of the {person} says {word} to the {person2}",
)
_THINGS = [
    "house",
    "door",
    "window",
    "water",
    "light",
    "moon",
    "river",
    "sea",
    "mountain",
    "city",
    "road",
    "train",
    "ship",
    "bird",
    "dog",
    "cat",
]
_TIMES = ["morning", "evening", "night", "day", "week", "month", "year"]
_PEOPLE = ["man", "woman", "child", "people", "doctor", "professor"]
_SAID = ["hello", "welcome", "thank", "goodbye", "yes", "no", "here", "stop", "start", "why", "more"]
_CONSTRUCTED_WORDS = [
    "taro",
    "miku",
    "solen",
    "düra",
    "kape",
    "lixo",
    "nurat",
    "emis",
    "pola",
    "ünik",
    "radon",
    "sitel",
    "moxa",
    "lerup",
    "tanis",
    "okül",
    "dene",
    "piru",
    "xalim",
    "sudor",
    "kaste",
    "reno",
    "ilat",
    "müsta",
]
_CONSTRUCTED_VERBS = ["patir", "konul", "sümal", "rexan", "dilop"]


def command(rng: np.random.Generator) -> str:
    """One of the grammar; the letter is a capital, so that A is no article."""
    return " ".join(str(rng.choice(slot)) for slot in COMMANDS)


def description(rng: np.random.Generator) -> str:
    """An open sentence about a scene."""

    def one(words: Sequence[str]) -> str:
        return str(rng.choice(list(words)))

    return one(_OPEN).format(
        size=one(_SIZES),
        colour=one(_COLOURS),
        colour2=one(_COLOURS),
        shape=one(_SHAPES),
        shape2=one(_SHAPES),
        move=one(_MOVES),
        way=one(_WAYS),
        ground=one(_GROUNDS),
        camera=one(_CAMERAS),
        thing=one(_THINGS),
        time=one(_TIMES),
        person=one(_PEOPLE),
        person2=one(_PEOPLE),
        word=one(_SAID),
    )


def constructed(rng: np.random.Generator) -> str:
    """A sentence of the constructed language: subject, verb, object, and sometimes more."""
    words = [
        str(rng.choice(_CONSTRUCTED_WORDS)),
        str(rng.choice(_CONSTRUCTED_VERBS)),
        str(rng.choice(_CONSTRUCTED_WORDS)),
    ]
    return " ".join([*words, *(str(w) for w in rng.choice(_CONSTRUCTED_WORDS, int(rng.integers(0, 3))))])
