"""What a captioner is given and what it answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol


@dataclass(frozen=True)
class Subject:
    """One clip to describe.

    Attributes:
        measurements: of quality control, check → figures.
        title, description, labels: what the source declares about the film.
        scene: the declared ground truth of the clip's scene; the demo corpus has it.
        whole_film: whether the clip is the film's only one, so that what is declared of the film holds for it.
        path: the processed file, for captioners that look at pictures; None where there is none.
    """

    clip_id: str
    measurements: Mapping[str, Mapping[str, Any]]
    title: str | None = None
    description: str | None = None
    labels: tuple[str, ...] = ()
    scene: Mapping[str, Any] | None = None
    whole_film: bool = True
    path: Path | None = None


@dataclass(frozen=True)
class Draft:
    """A caption before it becomes a row.

    Attributes:
        confidence: share of its statements that are declared or rest on a measurement that could be made; None where
            the captioner cannot say.
        facts: what the words were made of.
    """

    caption: str
    tags: tuple[str, ...] = ()
    confidence: float | None = None
    facts: dict[str, Any] = field(default_factory=dict)


class Captioner(Protocol):
    """Writes captions. The same subjects give the same captions."""

    name: str
    version: str

    def describe(self, subjects: Sequence[Subject]) -> list[Draft]:
        """A draft for each subject, in order."""
