"""A document of sections and entries, as Markdown and as JSON, with the queries of its figures at the end."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from aiprod.governance.dataset.queries import TABLES, Tables
from aiprod.governance.organisation import PLACE, Organisation


@dataclass(frozen=True)
class Figure:
    """A value that was counted: the query that yields it and the roots or digests of what it was asked of."""

    number: int
    label: str
    value: Any
    query: str
    tables: tuple[str, ...]


@dataclass(frozen=True)
class DocumentEntry:
    """A line of a document; ``figures`` are numbers of the figures in it."""

    label: str
    text: str
    figures: tuple[int, ...] = ()


@dataclass(frozen=True)
class Section:
    """A numbered part of a document."""

    title: str
    entries: list[DocumentEntry] = field(default_factory=list)


class Writer:
    """Writes one document: text, statements of the organisation, and counted figures.

    Args:
        tables: what figures are counted from.
        organisation: what no manifest can know.
    """

    def __init__(self, title: str, about: str, tables: Tables, organisation: Organisation) -> None:
        self.title, self.about, self.tables, self.organisation = title, about, tables, organisation
        self.sections: list[Section] = []
        self.figures: list[Figure] = []

    def section(self, title: str) -> None:
        """Begin a section."""
        self.sections.append(Section(title))

    def add(self, label: str, text: str, *figures: int) -> None:
        """A line of text; ``figures`` are the numbers of those it quotes."""
        self.sections[-1].entries.append(DocumentEntry(label, text, figures))

    def stated(self, label: str, name: str) -> None:
        """What the organisation states in a field of its file."""
        value = getattr(self.organisation, name)
        words = {True: "yes", False: "no"}.get(value, value) if isinstance(value, bool) else value
        self.add(label, str(words) if words is not None else f"not stated ({PLACE.as_posix()}: {name})")

    def figure(self, label: str, query: str) -> tuple[Any, int]:
        """Count; returns the value and the figure's number."""
        for known in self.figures:
            if known.query == query:
                return known.value, known.number
        value = self.tables.ask(query)
        table = query.split(" of ", 1)[1].split(maxsplit=1)[0]
        number = len(self.figures) + 1
        self.figures.append(Figure(number, label, value, query, TABLES[table]))
        return value, number

    def count(self, label: str, query: str, unit: str = "") -> None:
        """A line that is one figure."""
        value, number = self.figure(label, query)
        self.add(label, f"{plain_text(value)}{unit}", number)

    def document(self) -> dict[str, Any]:
        """As JSON."""
        roots = {name: head.merkle_root for name, head in self.tables.facts.heads.items()}
        return {
            "title": self.title,
            "about": self.about,
            "sections": [
                {"title": s.title, "entries": [vars(e) | {"figures": list(e.figures)} for e in s.entries]}
                for s in self.sections
            ],
            "figures": [vars(f) | {"tables": list(f.tables)} for f in self.figures],
            "manifest_roots": roots,
            "model_digest": self.tables.facts.training.get("model_digest"),
        }

    def markdown(self) -> str:
        """As Markdown."""
        lines = [f"# {self.title}", "", self.about, ""]
        for section in self.sections:
            lines += [f"## {section.title}", ""]
            for entry in section.entries:
                marks = "".join(f" [{number}]" for number in entry.figures)
                lines.append(f"- **{_safe(entry.label)}**: {_safe(entry.text)}{marks}")
            lines.append("")
        lines += [
            "## How each figure was counted",
            "",
            "`aiprod dataset count QUERY` counts it again.",
            "",
            "| | figure | value | query |",
            "| ---: | --- | ---: | --- |",
            *(f"| {f.number} | {_safe(f.label)} | {_safe(plain_text(f.value))} | `{f.query}` |" for f in self.figures),
            "",
            "Counted over the manifests with these Merkle roots (RFC 6962, SHA-256):",
            "",
            *(f"- `{name}`: `{head.merkle_root}`" for name, head in self.tables.facts.heads.items()),
            f"- model `{self.tables.facts.training.get('model_digest', 'none')}`",
            "",
        ]
        return "\n".join(lines)


def plain_text(value: Any) -> str:
    """A value as words."""
    if isinstance(value, float):
        return f"{value:.1f}"
    if isinstance(value, dict):
        return ", ".join(f"{key} {plain_text(n)}" for key, n in value.items()) or "none"
    if isinstance(value, list):
        return "; ".join(str(item) for item in value) or "none"
    return str(value)


def _safe(text: str) -> str:
    """Text that cannot break a table or smuggle in markup."""
    for sign, other in (("\\", "\\\\"), ("|", "\\|"), ("<", "&lt;"), ("\n", " "), ("[", "\\[")):
        text = text.replace(sign, other)
    return text
