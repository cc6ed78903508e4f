"""What files beside films say of them: tables with one line per film, JSON and XMP named like the film.

What a table's columns and a JSON object's keys mean is in :mod:`aiprod.rights.columns`. Everything that is said of a
film counts: its line in a table and its JSON are merged field by field, and the narrower word rules.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import PurePosixPath
from typing import Any

from aiprod.base.names import caseless_name, film_name
from aiprod.base.params import validate
from aiprod.data.sources.similar_names import NearNames
from aiprod.data.sources.web_reservations import SiteRules
from aiprod.rights.declarations import PER_FILE, SidecarRecord, SourceDeclaration
from aiprod.rights.licence_words import quoted
from aiprod.rights.statements import fields_of, is_refusal, merged
from aiprod.rights.tables import PACKED, SPREADSHEETS, TABLES
from aiprod.rights.training_opt_outs import objection

OBJECTS = {".json", ".xmp", ".c2pa"}  # that speak of the film they are named like
MAX_BYTES = 16 << 20  # of a table or a JSON object; a larger one is refused by name


@dataclass
class Sidecars:
    """What lies beside the films of a folder.

    Args:
        records: by the film's path relative to the folder, in the form in which names are compared
            (:func:`aiprod.base.names.film_name`).
        problems: name of a film whose own JSON cannot be believed → why. What it would have said is unknown, so such a
            film must not be taken for one that nothing is said of.
        strays: lines of tables that name files outside of the folder, as ``table, line``.
        unread: documents that may have been meant to speak of films, and are not read → why.
        tables: film → the table that speaks of it.
        outside: names of films in the lines that are strays.
        files: names of what lies in the folder and is no sidecar.
        folders: what holds for all films in a folder and below it, by the folder (``.`` is the whole).
        folder_problems: folder → why what is said of all films in it cannot be believed, or forbids.
        sites: folder → the rules that it holds as the copy of a web site would.
        sheets: folder → the spreadsheet in it that may speak of films of which nothing else does.
    """

    records: dict[str, SidecarRecord] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)
    strays: list[str] = field(default_factory=list)
    unread: dict[str, str] = field(default_factory=dict)
    tables: dict[str, str] = field(default_factory=dict)
    outside: list[str] = field(default_factory=list)
    files: set[str] = field(default_factory=set)
    folders: dict[str, list[SidecarRecord]] = field(default_factory=dict)
    folder_problems: dict[str, str] = field(default_factory=dict)
    sites: dict[str, list[SiteRules]] = field(default_factory=dict)
    sheets: dict[str, str] = field(default_factory=dict)
    _requested: set[str] = field(default_factory=set)

    def of(self, key: str, source: SourceDeclaration | None = None) -> tuple[SidecarRecord | None, str | None]:
        """What is said of a film and of the folders that it lies in, and why that cannot be believed.

        Args:
            source: its declaration, whose word for files that nothing is said of a folder's word does not replace.
        """
        record, problem = self._own(key)
        problem, alone = problem or said_by_name(key), record is None and not is_spreadsheet(key)
        for folder in map(str, PurePosixPath(film_name(key)).parents):
            problem = problem or self.folder_problems.get(folder) or (self.sheets.get(folder) if alone else None)
            for statement in self.folders.get(folder, ()):
                record = with_own_words(record, statement, source)
            for rules in self.sites.get(folder, ()):
                closed = rules.of("/" + film_name(key).removeprefix("" if folder == "." else f"{folder}/"))
                if closed:
                    record = with_own_words(record, validate(SidecarRecord, closed, folder), source)
        return record, problem

    def _own(self, key: str) -> tuple[SidecarRecord | None, str | None]:
        name = film_name(key)
        self._requested.add(name)
        if name in self.records or name in self.problems:
            problem = self.problems.get(name)
            if problem is None and (twin := self._near.of(key, whole=True)) not in (None, name):
                problem = f"sidecar: {quoted(str(twin))} looks the same, is named as well, and is not here: keep one"
            return self.records.get(name), problem
        other = self._caseless.get(caseless_name(key))
        if other is None:
            near = self._near.of(key)
            words = (
                f"sidecar: it may be meant by {quoted(near)}: write its own name there" if near is not None else None
            )
            return None, words
        self._requested.add(other)
        return (
            None,
            f"sidecar: it is called {quoted(other)} there, and only the case differs: write it as the file's name",
        )

    def unused(self) -> list[str]:
        """Names of which something is said and that were never asked for, sorted."""
        return sorted(self.records.keys() - self._requested)

    @cached_property
    def with_files(self) -> set[str]:
        """The folders that hold any of ``files``, at any depth."""
        holding = {PurePosixPath(posixpath.dirname(name)) for name in self.files}
        return {str(folder) for place in holding for folder in (place, *place.parents)}

    @cached_property
    def _near(self) -> NearNames:
        return NearNames([*(self.records.keys() - self.files), *self.outside])

    @cached_property
    def caseless_films(self) -> dict[str, list[str]]:
        """``files`` by their names, and by their names without the ending, without regard to case."""
        films: dict[str, list[str]] = {}
        for name in sorted(self.files):
            for like in {name, str(PurePosixPath(name).with_suffix(""))}:
                films.setdefault(caseless_name(like), []).append(name)
        return films

    @cached_property
    def _caseless(self) -> dict[str, str]:
        return {caseless_name(name): name for name in sorted(self.records.keys() | self.problems.keys())}


_MAY_SPEAK = re.compile(  # names of most films hold none of this, and take no more time than to see so
    r"n[o0].?ai|n[o0]t|no[ _.-]|don.?t|kein|nicht|ohne|sans|sin[ _-]|senza|reserv|vorbehalt|getty|shutterstock|pond5|©|"
    r"\(c\)|copyright|cc[ _.-]by|"
    r"confiden|vertraul|editorial|reject|refus|denied|revok|withdr|expire|restrict|pending|embargo|priva|personal|commer|"
    r"forbid|prohib|verbot|gesperrt|interdi|禁|不|無断",
    re.IGNORECASE,
)


@lru_cache(maxsize=4096)
def _said_by_part(part: str, folder: bool) -> str | None:
    words = re.sub(r"[_.+-]+", " ", part)
    return objection(words) or (quoted(part) if folder and is_refusal(words) else None)


def said_by_name(key: str) -> str | None:
    """What the name of a film, or of a folder that it lies in, says against training; None where it says nothing."""
    if _MAY_SPEAK.search(key) is None:
        return None
    place = PurePosixPath(key)
    parts = [(place.stem, False), *((part, True) for part in place.parts[:-1])]
    objections = filter(None, (_said_by_part(part, folder) for part, folder in parts))
    first = next(objections, None)
    return None if first is None else f"sidecar: its name says {first}: call it otherwise if that is not meant"


def record_of(values: Mapping[str, Any], where: str) -> SidecarRecord:
    """A record from named values (CSV cells or a JSON object).

    Raises:
        AiprodError: a value is wrong; names the place.
    """
    pairs = [(str(key), value) for key, value in values.items() if key is not None]
    return validate(SidecarRecord, fields_of(pairs, where), where)


def merge_records(records: Iterable[SidecarRecord]) -> SidecarRecord:
    """Several records of one film as one, of which each field says the narrower word."""
    stated = [record.model_dump(exclude_none=True) for record in records]
    return SidecarRecord.model_validate(stated[0] if len(stated) == 1 else merged(stated))


def with_own_words(
    beside: SidecarRecord | None, inside: SidecarRecord, source: SourceDeclaration | None
) -> SidecarRecord:
    """What is said beside a film, with what it says of itself or its folder says of all, which only narrows."""
    beside = beside or SidecarRecord()
    if source is not None and inside.media_license and not beside.media_license and source.media_license == PER_FILE:
        words = source.files_without_sidecar  # whose place the film's own word would take
        beside = beside.model_copy(update={"media_license": words, "media_license_declared": words})
    return merge_records([beside, inside])


def is_spreadsheet(name: str) -> bool:
    """Whether a file is named like a spreadsheet, or a packed table, which are not read."""
    endings = [ending.lower() for ending in PurePosixPath(name).suffixes]
    if endings[-1:] and endings[-1] in PACKED:
        return bool({*endings[-2:-1]} & (TABLES | SPREADSHEETS))
    return endings[-1:] != [] and endings[-1] in SPREADSHEETS
