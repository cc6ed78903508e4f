"""Two captioners side by side on the same films, and where they disagree."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from aiprod.base.pages import with_policy
from aiprod.captions.captioner import Draft
from aiprod.captions.content import PARTS, Content

Agreement = Literal["same", "differs", "only first", "only second", ""]
_ALIKE = 0.5
_LITTLE = re.compile(
    r"(?:a|an|the|is|are|be|it|its|this|that|there|and|or|of|in|on|at|to|from|with|by|as|for|seen|visible|heard|can)"
)
_STILLS = 4
_STILL_PX = 320


@dataclass(frozen=True)
class CaptionerAnswer:
    """What one captioner says of a film; a reason in place of the sentence where it says nothing."""

    caption: str
    content: Content
    failed: bool = False

    @classmethod
    def of(cls, draft: Draft | str) -> CaptionerAnswer:
        """From a draft, or from the reason why there is none."""
        if isinstance(draft, str):
            return cls(draft, Content(), failed=True)
        return cls(draft.caption, draft.content)


@dataclass(frozen=True)
class ComparedPart:
    """One part of the content as two captioners have it.

    Attributes:
        part: such as `people`.
        agreement: `same` where half of the words or more are; empty where neither says anything, or where one of
            them failed: no answer is no disagreement.
    """

    part: str
    first: str
    second: str
    agreement: Agreement


@dataclass(frozen=True)
class CaptionComparison:
    """One film as two captioners have it.

    Attributes:
        overlap: share of the words of both sentences that both have, 0 to 1; 0 where one of them failed.
    """

    film: str
    first: CaptionerAnswer
    second: CaptionerAnswer
    lines: tuple[ComparedPart, ...]
    overlap: float

    @property
    def is_comparable(self) -> bool:
        """Whether both describe the film."""
        return not (self.first.failed or self.second.failed)

    def as_json(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "file": self.film,
            "captions": [self.first.caption, self.second.caption],
            "failed": [self.first.failed, self.second.failed],
            "content": [self.first.content.model_dump(mode="json"), self.second.content.model_dump(mode="json")],
            "agreement": {line.part: line.agreement for line in self.lines if line.agreement},
            "overlap": self.overlap,
        }


def compared(film: str, first: Draft | str, second: Draft | str) -> CaptionComparison:
    """What two captioners say of a film, part by part."""
    one, two = CaptionerAnswer.of(first), CaptionerAnswer.of(second)
    failed = one.failed or two.failed
    lines = []
    for part in PARTS:
        words = one.content.words(part), two.content.words(part)
        lines.append(ComparedPart(part, *words, agreement="" if failed else _agreement(*words)))
    sentences = ("", "") if failed else (one.caption, two.caption)
    return CaptionComparison(film, one, two, tuple(lines), round(overlap(*sentences), 3))


def _agreement(first: str, second: str) -> Agreement:
    if first and second:
        return "same" if overlap(first, second) >= _ALIKE else "differs"
    return "only first" if first else "only second" if second else ""


def overlap(first: str, second: str) -> float:
    """Words that both have, as a share of the words of either (Jaccard); words without content are not counted."""
    one, two = _words(first), _words(second)
    return len(one & two) / len(one | two) if one | two else float(first.casefold() == second.casefold() != "")


def _words(text: str) -> set[str]:
    return {word for word in re.findall(r"\w+", text.casefold()) if not _LITTLE.fullmatch(word)}


def totals(films: Sequence[CaptionComparison]) -> dict[str, dict[str, int]]:
    """Part → agreement → number of films, of parts and agreements that occur."""
    counted = {part: Counter[str]() for part in PARTS}
    for film in films:
        for line in film.lines:
            if line.agreement:
                counted[line.part][line.agreement] += 1
    return {part: dict(sorted(counts.items())) for part, counts in counted.items() if counts}


def page(names: tuple[str, str], films: Sequence[CaptionComparison], paths: Sequence[Path]) -> str:
    """An HTML page with stills, both captions and their parts; every word from outside is escaped."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    loader = FileSystemLoader(Path(__file__).parent)
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    shown = [(film, _stills(path)) for film, path in zip(films, paths, strict=True)]
    text = environment.get_template("comparison.html.j2").render(names=names, films=shown, totals=totals(films))
    return with_policy(text, (Path(__file__).parent / "comparison.html.j2").read_text(encoding="utf-8"))


def _stills(path: Path) -> list[str]:
    """A few frames as addresses that hold them; none of a film that does not decode."""
    from aiprod.captions.endpoint import data_url
    from aiprod.captions.frames import evenly_spread
    from aiprod.media.errors import MediaError

    try:
        return [data_url(picture) for picture in evenly_spread(path, _STILLS, _STILL_PX)]
    except MediaError:
        return []
