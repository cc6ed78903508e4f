"""What a prompt asks of a demo scene, in the words of the demo corpus."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from aiprod.data.sources.demo.plan import CAMERAS, COLOURS, GROUNDS, SHAPES


@dataclass(frozen=True)
class PromptAttributes:
    """What a prompt says about a demo scene; None or empty where it says nothing."""

    ground: str | None = None
    objects: tuple[tuple[str, str], ...] = field(default=())  # (colour, shape)
    camera: str | None = None
    motion: str | None = None
    direction: str | None = None  # left or right, where one object goes

    @property
    def colours(self) -> frozenset[str]:
        """Colours of the objects."""
        return frozenset(colour for colour, _ in self.objects)

    @property
    def shapes(self) -> frozenset[str]:
        """Shapes of the objects."""
        return frozenset(shape for _, shape in self.objects)


def parse(prompt: str) -> PromptAttributes:
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
    motion = re.search(r"\b(bounce|drift|glide)s?\b(?: along)?(?: (?:to|towards) the (left|right)\b)?", text)
    return PromptAttributes(
        ground[1] if ground else None,
        tuple(objects),
        camera if camera in CAMERAS else None,
        ("bounce" if motion[1] == "bounce" else "drift") if motion else None,
        motion[2] if motion else None,
    )
