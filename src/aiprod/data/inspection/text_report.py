"""An inspection in words, for a terminal of 80 columns: what is there, what is understood of it, what is missing."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from aiprod.data.inspection.inspect_source import NOT_KNOWN, InspectedFilm, Inspection
from aiprod.data.inspection.template import NAME, unnamed
from aiprod.data.sources.remote import is_remote
from aiprod.printable import escape_controls
from aiprod.rights.table_report import TableReport

WIDTH = 80
_NAMES = 8  # of films that are told of each kind
_TOLD = 10  # problems of one table
_RIGHTS = {
    "train": "may be trained on",
    "train_with_obligations": "may be trained on, with obligations",
    "deny": "refused",
    NOT_KNOWN: "not known, because a scan stops before it",
}
_CREDIT = "attribution: the credit of each film goes into the model card"
_WAYS_ON = (  # what a reason holds → how to go on
    ("is not understood", "write a licence as its SPDX identifier, for example CC-BY-4.0, or `own` (docs/sources.md)"),
    ("is not a registered contract", "register a contract: aiprod sources contract {source} FILE --reason WORDS"),
    ("there is no record", "add the consent: aiprod consent record FILE (datasets/consent/README.md shows one)"),
)
_SIZES = ("bytes", "kB", "MB", "GB", "TB")


def in_words(inspection: Inspection, template: Path | None = None) -> str:
    """The whole report.

    Args:
        template: the table that was just written, to be filled in; None: none was.
    """
    lines = [
        *_head(inspection),
        *_tables(inspection),
        *_films(inspection),
        *_missing(inspection),
        *_next(inspection, template),
    ]
    return "\n".join(escape_controls(line) for line in lines)


def as_values(inspection: Inspection) -> dict[str, Any]:
    """The same as plain values."""
    return {
        "place": inspection.plan.place,
        "adapter": inspection.adapter,
        "source": inspection.plan.source_id,
        "judged_as": inspection.plan.why,
        "films": [vars(film) for film in inspection.films],
        "tables": [
            {
                "name": table.name,
                "lines": table.lines,
                "columns": [vars(column) for column in table.columns],
                "problems": table.problems,
                "problems_untold": table.untold,
            }
            for table in inspection.tables
        ],
        "others": dict(sorted(inspection.others.items())),
        "stops": inspection.stops,
        "absent": inspection.absent,
        "strays": inspection.strays,
        "unread": inspection.unread,
        "unopened": inspection.unopened,
    }


def _head(inspection: Inspection) -> Iterator[str]:
    known = sum(film.size or 0 for film in inspection.films)
    yield inspection.plan.place  # whole, to be copied
    yield f"{_count(len(inspection.films), 'film')}, {_size(known)} (adapter: {inspection.adapter})"
    if inspection.others:
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(inspection.others.items()))
        yield from _wrapped(f"other files: {kinds}", "  ")
    yield from _wrapped(f"rights are judged by {inspection.plan.why}")


def _tables(inspection: Inspection) -> Iterator[str]:
    yield ""
    yield "TABLES" if inspection.tables else "TABLES: none"
    for table in inspection.tables:
        wrong = len(table.problems) + table.untold
        stops = f", {_count(table.stops, 'problem')}" if table.stops else ""
        yield f"  {table.name}: {_count(table.lines, 'line')} understood{stops}"
        yield from _columns(table)
        for problem in table.problems[:_TOLD]:
            yield from _wrapped(f"! {problem}", "    ")
        if wrong > _TOLD:
            yield f"    ! and {wrong - _TOLD} more (--json tells {len(table.problems)})"
    for heading, names in (
        ("films that a table names and that are not there", inspection.absent),
        ("lines that name files elsewhere", inspection.strays),
        ("nothing is taken from", [f"{key}: {why}" for key, why in sorted(inspection.unread.items())]),
    ):
        if names:
            yield f"  {heading}:"
            yield from _some(names, "    ")


def _columns(table: TableReport) -> Iterator[str]:
    used = [
        column.name if column.name == column.fills else f"{column.name} ({column.fills})"
        for column in table.columns
        if column.fills
    ]
    left = [column.name for column in table.columns if column.name and not column.fills and not column.problem]
    odd = [f"{column.name}: {column.problem}" for column in table.columns if column.problem]
    if used:
        yield from _wrapped(f"understood: {', '.join(used)}", "    ")
    if left:
        yield from _wrapped(f"read for words against training only: {', '.join(left)}", "    ")
    for line in odd:
        yield from _wrapped(f"not understood: {line}", "    ")


def _films(inspection: Inspection) -> Iterator[str]:
    kinds: dict[tuple[int, str, tuple[str, ...]], list[InspectedFilm]] = {}
    for film in inspection.films:
        kinds.setdefault(_kind(film), []).append(film)
    for (_, heading, why), films in sorted(kinds.items(), key=lambda kind: (kind[0][0], -len(kind[1]), kind[0])):
        yield ""
        yield from _wrapped(f"{_count(len(films), 'FILM')}: {heading}")
        for reason in why:
            yield from _wrapped(f"- {reason}", "  ")
        yield from _some((_film(film) for film in films), "    ", len(films))
    if inspection.unopened:
        yield ""
        where = (
            "on a server or inside a shard"
            if is_remote(inspection.plan.place)
            else "inside a shard, or beyond --read-gib"
        )
        yield from _wrapped(
            f"{_count(inspection.unopened, 'film')} {_were(inspection.unopened)} listed and not opened ({where}): "
            "what they state about themselves is read when they are ingested"
        )


def _kind(film: InspectedFilm) -> tuple[int, str, tuple[str, ...]]:
    """By what films are told together: order, heading, reasons."""
    if film.problem is not None and film.right != "deny":
        kind, _, rest = film.problem.partition(": ")
        if kind == "duplicate":
            return (2, "cannot be ingested: a copy of another film here", ())
        return (2, "cannot be ingested", (f"{kind}: {rest}" if rest else kind,))
    if film.right == "deny":
        kind, _, rest = (film.problem or "").partition(": ")
        return (1, _RIGHTS["deny"], (*([rest] if kind == "sidecar" else []), *film.reasons))
    credited = any(text.startswith("attribution: ") for text in film.obligations)
    owed = [text for text in film.obligations if not text.startswith("attribution: ")]
    return (0 if film.right != NOT_KNOWN else 3, _RIGHTS[film.right], (*([_CREDIT] * credited), *owed))


def _film(film: InspectedFilm) -> str:
    facts = film.facts
    if facts is None:
        return film.key if film.size is None else f"{film.key}  {_size(film.size)}"
    length = f"{facts['duration_s']:.1f} s " if facts["duration_s"] is not None else ""
    sound = facts["audio"] or "no sound"
    return f"{film.key}  {_size(film.size or 0)} {length}{facts['width']}x{facts['height']} {facts['video']}, {sound}"


def _missing(inspection: Inspection) -> Iterator[str]:
    counts = Counter((column, why) for film in inspection.films for column, why in film.missing.items())
    yield ""
    known = all(film.right != NOT_KNOWN for film in inspection.films)
    yield "MISSING" if counts else "MISSING: nothing that a table could say" if known else "MISSING: not known"
    for (column, why), count in counts.most_common():
        yield from _wrapped(f"- {column} of {_count(count, 'film')}: {why}", "  ")


def _next(inspection: Inspection, template: Path | None) -> Iterator[str]:
    yield ""
    yield "NEXT"
    for stop in inspection.stops:
        yield from _wrapped(f"- {stop}", "  ")
    if not inspection.films:
        yield from _wrapped("- no film is there: name the place that has them (of a folder, all below it counts)", "  ")
        return
    against = "\n".join(reason for film in inspection.films if film.right == "deny" for reason in film.reasons)
    for sign, way in _WAYS_ON:
        if sign in against:
            yield from _wrapped(f"- {way.format(source=inspection.plan.source_id)}", "  ")
    if template is not None:
        yield from _wrapped(f"- fill in {template}", "  ")
    elif unnamed(inspection):
        yield from _wrapped(f"- --template writes {NAME} with the films that no table names, to fill in", "  ")
    elif any(film.missing for film in inspection.films):
        yield from _wrapped("- fill in what is missing in the tables", "  ")
    if inspection.plan.source_id == "inbox":
        own = "datasets/inbox" in inspection.plan.place
        put = "run `dvc repro`" if own else "copy the films and their table to datasets/inbox, then run `dvc repro`"
        yield from _wrapped(
            f"- {put}; or declare a source of your own in datasets/sources.yaml (docs/sources.md)", "  "
        )
    else:
        yield from _wrapped(
            f"- ingest.sources: [{inspection.plan.source_id}] in params.yaml enables it; then `dvc repro`", "  "
        )


def _some(lines: Iterable[str], indent: str, count: int | None = None) -> Iterator[str]:
    lines = list(lines)
    for line in lines[:_NAMES]:
        yield from _wrapped(line, indent)
    if len(lines) > _NAMES:
        yield f"{indent}… and {len(lines) - _NAMES} more (--json lists all)"


def _wrapped(text: str, indent: str = "") -> Sequence[str]:
    return textwrap.wrap(
        text, WIDTH, initial_indent=indent, subsequent_indent=f"{indent}  ", break_on_hyphens=False
    ) or [indent]


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number:,} {word}{'S' if word.isupper() else 's'}"


def _were(number: int) -> str:
    return "was" if number == 1 else "were"


def _size(size: float) -> str:
    for unit in _SIZES:
        if size < 1000 or unit == _SIZES[-1]:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    raise AssertionError
