"""What a table is understood to say: every column and every line that is not, where a scan names only the first.

The rules are those of :mod:`aiprod.rights.tables`; nothing is decided here.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import PurePath

from aiprod.base.params import validate
from aiprod.errors import AiprodError
from aiprod.rights.columns import field_of
from aiprod.rights.declarations import SidecarRecord
from aiprod.rights.statements import fields_of
from aiprod.rights.tables import TableLine, csv_line, delimiter_of, film_columns, json_line, parsed_json, text_of

MAX_PROBLEMS = 50  # of lines that are told one by one


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Attributes:
        fills: the field that it fills; None where it says nothing of rights, or is not understood.
        problem: why it is not understood, with the nearest name.
    """

    name: str
    fills: str | None
    problem: str | None = None


@dataclass
class TableReport:
    """What one table says.

    Attributes:
        lines: how many lines speak of a film and are understood.
        problems: what in lines, or in the whole, stops the scan.
        untold: how many more lines are wrong.
        films: that it names, as they are written there.
    """

    name: str
    lines: int = 0
    columns: list[Column] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    untold: int = 0
    films: set[str] = field(default_factory=set)

    @property
    def stops(self) -> int:
        """How much in it stops a scan."""
        return len(self.problems) + self.untold + sum(column.problem is not None for column in self.columns)

    def add(self, error: AiprodError) -> None:
        """Enter a problem."""
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(str(error))
        else:
            self.untold += 1


def examine_table(name: str, content: bytes) -> TableReport:
    """Read a table to its end, whatever is wrong in it."""
    report = TableReport(name)
    try:
        text = text_of(name, content)
        if PurePath(name).suffix.lower() in (".jsonl", ".ndjson"):
            _json(report, text)
        else:
            _csv(report, text)
    except AiprodError as error:
        report.add(error)
    return report


def _csv(report: TableReport, text: str) -> None:
    delimiter, text = delimiter_of(text)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True, skipinitialspace=True)
    header: list[str] | None = None
    place: list[int] = []
    try:
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if header is None:
                header = [column.strip() for column in cells]
                report.columns = _columns(report, header)
                known = ["" if column.problem else column.name for column in report.columns]
                place = film_columns(known, f"the table {report.name}")
                continue
            report.films |= {cells[at].strip() for at in place if at < len(cells) and cells[at].strip()}
            _enter(report, partial(csv_line, header, place, cells, f"{report.name}, line {reader.line_num}"))
    except csv.Error as error:
        report.add(AiprodError(f"{report.name}, line {reader.line_num}: {error}", "save it as CSV in UTF-8"))


def _json(report: TableReport, text: str) -> None:
    seen: dict[str, None] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        where = f"{report.name}, line {number}"
        try:
            value = parsed_json(where, line)
        except AiprodError as error:
            report.add(error)
            continue
        if not isinstance(value, dict):
            report.add(AiprodError(f"{where} is {json.dumps(value)[:40]}, not an object", 'write {"file": "a.mp4"}'))
            continue
        new = [key for key in value if key not in seen]
        seen |= dict.fromkeys(new)
        report.columns += _columns(report, new)
        _enter(report, partial(json_line, value, where))


def _columns(report: TableReport, names: Iterable[str]) -> list[Column]:
    columns = []
    for name in names:
        try:
            columns.append(Column(name, field_of(name, report.name) if name else None))
        except AiprodError as error:
            columns.append(Column(name, None, error.hint))
    return columns


def _enter(report: TableReport, read: Callable[[], TableLine]) -> None:
    """Count a line that is understood; of one that is not, say why. A column that is not is said once, above."""
    unknown = {column.name for column in report.columns if column.problem}
    try:
        line = read()
        if line.film:
            report.films.add(line.film)  # of JSON lines
            cells = [(name, value) for name, value in line.cells if name not in unknown]
            validate(SidecarRecord, fields_of(cells, line.where), line.where)
            report.lines += 1
    except AiprodError as error:
        report.add(error)
