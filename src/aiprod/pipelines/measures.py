"""What generated video and sound really show, by classical vision, against what the prompt asked for.

Words and reference colours are those of the demo corpus. Nothing here uses the model that is measured. Chance is what
the same videos score under the prompts of the others, so a model that always makes the commonest answer gains nothing.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from aiprod.data.demo_corpus.plan import CAMERAS, COLOURS, GROUNDS, SHAPES
from aiprod.pipelines.seeing import seen_camera, seen_colour, seen_ground


@dataclass(frozen=True)
class Asked:
    """What a prompt says about a demo scene; None or empty where it says nothing."""

    ground: str | None = None
    objects: tuple[tuple[str, str], ...] = field(default=())  # (colour, shape)
    camera: str | None = None

    @property
    def colours(self) -> frozenset[str]:
        """Colours of the objects."""
        return frozenset(colour for colour, _ in self.objects)


def parse(prompt: str) -> Asked:
    """Read the words of the demo corpus out of a sentence."""
    text = prompt.lower()
    objects = re.findall(rf"\b({'|'.join(COLOURS)})\s+({'|'.join(SHAPES)})s?\b", text)
    ground = re.search(rf"\b({'|'.join(GROUNDS)})\b(?:\s+\w+)?\s+(?:background|ground)", text)
    camera = None
    moves = re.search(r"\b(pan|tilt|zoom)s?(?:ning|ing|ming|s)?\s+(left|right|up|down|in|out)\b", text)
    if moves:
        camera = f"{moves[1]} {moves[2]}"
    elif re.search(r"camera is (?:still|static)|static camera|still camera", text):
        camera = "static"
    return Asked(ground[1] if ground else None, tuple(objects), camera if camera in CAMERAS else None)


def sound_onsets_s(sound: np.ndarray, rate: int) -> list[float]:
    """Times at which the sound rises sharply: 10 ms energy at least 6 dB over the mean of the 60 ms before it."""
    hop = rate // 100
    frames = sound[:, : sound.shape[1] // hop * hop].mean(axis=0).reshape(-1, hop)
    level = 10 * np.log10(np.square(frames).mean(axis=1) + 1e-8)
    onsets: list[float] = []
    for i in range(1, len(level)):
        before = level[max(0, i - 6) : i].mean()
        if level[i] > before + 6 and level[i] > -50 and (not onsets or i / 100 - onsets[-1] > 0.1):
            onsets.append(i / 100)
    return onsets


@dataclass(frozen=True)
class Attribute:
    """One thing that can be asked for and measured."""

    name: str
    asked: Callable[[Asked], Any]
    seen: Callable[[np.ndarray], str]
    matches: Callable[[Any, str], bool]


ATTRIBUTES = (
    Attribute("ground_colour", lambda a: a.ground, seen_ground, lambda asked, seen: asked == seen),
    Attribute("object_colour", lambda a: a.colours or None, seen_colour, lambda asked, seen: seen in asked),
    Attribute("camera", lambda a: a.camera, seen_camera, lambda asked, seen: asked == seen),
)


def adherence(prompts: Sequence[str], videos: Sequence[np.ndarray]) -> dict[str, dict[str, Any]]:
    """Share of videos that show what was asked, per attribute, with a 95 % interval and chance.

    Args:
        videos: uint8 RGB [F, H, W, 3], one a prompt.

    Returns:
        attribute → ``n``, ``rate``, ``low``, ``high`` (Wilson), ``chance`` (the same videos under the other prompts)
        and ``beats_chance``: whether ``low`` exceeds it. Attributes that no prompt names are absent.
    """
    asked = [parse(prompt) for prompt in prompts]
    report = {}
    for attribute in ATTRIBUTES:
        wanted = [(index, attribute.asked(a)) for index, a in enumerate(asked)]
        used = [(index, value) for index, value in wanted if value is not None]
        if not used:
            continue
        seen = {index: attribute.seen(videos[index]) for index, _ in used}
        hits = sum(attribute.matches(value, seen[index]) for index, value in used)
        others = [attribute.matches(value, seen[index]) for index, _ in used for other, value in used if other != index]
        low, high = wilson(hits, len(used))
        chance = sum(others) / len(others) if others else None
        report[attribute.name] = {
            "n": len(used),
            "rate": round(hits / len(used), 4),
            "low": round(low, 4),
            "high": round(high, 4),
            "chance": round(chance, 4) if chance is not None else None,
            "beats_chance": chance is not None and low > chance,
        }
    return report


def wilson(hits: int, n: int, z: float = 1.959964) -> tuple[float, float]:
    """95 % confidence interval of a share (Wilson 1927)."""
    if n == 0:
        return 0.0, 1.0
    share = hits / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return max(0.0, centre - half), min(1.0, centre + half)
