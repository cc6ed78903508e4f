"""What generated video and sound really show, by classical vision, against what the prompt asked for.

Words and reference colours are those of the demo corpus. Nothing here uses the model that is measured. Chance is what
the same videos score under the prompts of the others, so a model that always makes the commonest answer gains nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from aiprod.evaluation.attributes import ATTRIBUTES, MeasuredVideo
from aiprod.evaluation.prompt_parser import parse


def adherence(prompts: Sequence[str], videos: Sequence[MeasuredVideo]) -> dict[str, dict[str, Any]]:
    """Share of videos that show what was asked, per attribute, with a 95 % interval and chance.

    Args:
        videos: one per prompt.

    Returns:
        attribute → ``n``, ``rate``, ``low``, ``high`` (Wilson), ``chance`` (the same videos under the other prompts)
        and ``beats_chance``: whether ``low`` exceeds it. Attributes that no prompt names are absent.
    """
    attributes_of_prompts = [parse(prompt) for prompt in prompts]
    report = {}
    for attribute in ATTRIBUTES:
        wanted = [(index, attribute.expected(a)) for index, a in enumerate(attributes_of_prompts)]
        used = [(index, value) for index, value in wanted if value is not None]
        if not used:
            continue
        seen = {index: attribute.seen(videos[index]) for index, _ in used}
        used = [(index, value) for index, value in used if seen[index] is not None]
        if not used:
            continue
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
