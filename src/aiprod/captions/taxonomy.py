"""The words that rows use: camera movements and content tags."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

CAMERA = (
    "static", "pan left", "pan right", "tilt up", "tilt down", "zoom in", "zoom out", "roll", "tracking", "handheld",
    "undetermined",
)  # fmt: skip
_MEASURED = {
    "static": "static",
    "pans left": "pan left",
    "pans right": "pan right",
    "tilts up": "tilt up",
    "tilts down": "tilt down",
    "moves in": "zoom in",
    "moves out": "zoom out",
    "rolls clockwise": "roll",
    "rolls anticlockwise": "roll",
    "handheld": "handheld",
}
_TAGS = {
    "synthetic": r"synthetic|generated|animat\w*|cgi|rendered",
    "nature": r"nature|flowers?|bees?|butterfl\w*|insects?|animals?|birds|forest|sea|river|water|landscape",
    "human_action": r"person|people|man|woman|human|hands?|speech|walk\w*|talk\w*|danc\w*|faces?",
    "object_interaction": r"bounc\w*|collid\w*|collision|hand enters|picks? up|puts? down|hits?",
}


def camera_movement(camera: Mapping[str, Any] | None, declared: str | None) -> str:
    """One of ``CAMERA``: as declared, else as measured."""
    if declared is not None and declared in CAMERA:
        return declared
    if camera is None:
        return "undetermined"
    return _MEASURED.get(str(camera.get("movement")), "undetermined")


def content_tags(words: Iterable[str]) -> list[str]:
    """Tags whose words occur in what the source declares; nothing is guessed from pictures."""
    text = " ".join(words).lower()
    return [tag for tag, pattern in _TAGS.items() if re.search(rf"\b({pattern})\b", text)]
