"""The desk's pages, and what each takes. ``aiprod.governance.serving`` guards them.

Looking takes no role but for what is private: clips that wait for a review are shown to reviewers, and names of an
erased film's files to who may erase. What changes something calls what the commands call, and asks the roles again.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from markupsafe import Markup

from aiprod.errors import AiprodError
from aiprod.governance.audit.log import AuditLog
from aiprod.governance.audit.unfinished_erasures import problems
from aiprod.governance.desk import erasing
from aiprod.governance.desk.comparison import Side, compare, side
from aiprod.governance.desk.dossier_files import dossier_file
from aiprod.governance.desk.home import DOSSIER, overview
from aiprod.governance.desk.person import person
from aiprod.governance.lineage.at_revision import SHOWN, lineage_at
from aiprod.governance.lineage.labels import label_parts
from aiprod.governance.pages import render
from aiprod.governance.policy.roles import require
from aiprod.governance.review.server import decide, look
from aiprod.governance.review.session import Sitting
from aiprod.governance.serving.local_server import Answer, LocalServer, NotHere, as_json, leads_on, new_nonce, page
from aiprod.printable import escape_controls
from aiprod.repo.revisions import revision_names

_TEMPLATES = Path(__file__).parent / "templates"
_ASKED_MAX = 500
_SIDES_KEPT = 8
_SAMPLE = "sample/"
# What a thing of a lineage can be looked up by: its name.
_LINKED = {"film", "clip", "model", "sample", "utterance", "speaker", "head", "finished film"}
_PAGES = (  # name, address, title, what its key does
    ("home", "", "Home", "home: the dossier"),
    ("lineage", "lineage", "Lineage", "lineage"),
    ("review", "review/", "Review", "review"),
    ("compare", "compare", "Compare", "compare samples"),
    ("erase", "erase", "Erase", "erase"),
)
_LEADS_ON = {"review": "review/", "dossier": "dossier/index.html", "dossier/": "index.html"}  # as a person types them
_REVIEW_KEYS = (
    ("A U R", "approve, not sure, reject"),
    ("Z", "undo the last decision"),
    ("J K", "next, previous clip"),
    ("Space M", "play or pause, sound"),
    (", .", "a picture back, on"),
    ("N Esc", "into the note, out of it"),
)
_COMPARE_KEYS = (
    ("Space", "play or pause both"),
    ("S", "sound of the other side"),
    ("V", "both sides, only A, only B"),
    ("J K", "next, previous prompt"),
    (", .", "a picture back, on"),
    ("M", "no sound, sound"),
)


class DeskServer(LocalServer):
    """The desk of one person.

    Args:
        root: the workspace.
        named: who sits at it, as for :func:`aiprod.governance.policy.roles.require`.
        port: 0 takes a free one.
        changes: whether decisions and erasures are taken.
    """

    def __init__(self, root: Path, named: str | None, port: int = 0, *, changes: bool = False) -> None:
        self.root, self.named, self.log = root, named, AuditLog()
        self.person = person(root, named)  # as the file of roles is now, so that a wrong one is told before anything
        self._sittings: dict[str | None, Sitting] = {}
        self._sides: dict[str, Side] = {}
        super().__init__(port, "aiprod desk", changes=changes)

    def get(self, path: str, query: Mapping[str, str]) -> Answer:
        """A page or a file of it."""
        if path in _LEADS_ON:
            return leads_on(_LEADS_ON[path])
        if path.startswith("dossier/"):
            return dossier_file(self.root / DOSSIER, path.removeprefix("dossier/"))
        if path.startswith("review/"):
            return self._review(path.removeprefix("review/"))
        pages = {
            "": self._home,
            "lineage": self._lineage,
            "compare": self._compare,
            "compare/video": self._video,
            "erase": self._erase,
            "erase/search": self._search,
        }
        if path not in pages:
            raise NotHere
        return pages[path](query)

    def post(self, path: str, values: dict[str, Any]) -> Answer:
        """A decision of a review, or an erasure."""
        if path == "erase":
            return as_json(erasing.erase(self.root, values, self.named, self.log))
        if path.startswith("review/"):
            name, rest = _sample_of(path.removeprefix("review/"))
            require(self.named, "review", root=self.root, log=self.log)
            if name in self._sittings:
                return decide(self._sittings[name], rest, values)
        raise NotHere

    def error_page(self, path: str, line: str) -> Answer | None:
        """An error as a page of the desk."""
        what, _, fix = line.partition(" → ")
        return self._page("error", "error.html.j2", "Error", _top(path), what=what, fix=fix)

    def _home(self, query: Mapping[str, str]) -> Answer:
        return self._page("home", "home.html.j2", "Home", desk=overview(self.root), has_review="review" in self._may)

    @property
    def _may(self) -> frozenset[str]:
        """What may be done by whom the file of roles now says; it may have been changed since the start."""
        return person(self.root, self.named).may

    def _lineage(self, query: Mapping[str, str]) -> Answer:
        asked, rev, at = (_word(query, name) for name in ("q", "rev", "at"))
        rehash, every = "hash" in query, "all" in query
        shown: dict[str, Any] = {"asked": asked, "rev": rev, "at": at, "rehash": rehash, "every": every}
        shown |= {"revisions": revision_names(self.root), "walked": None}
        if not asked:
            return self._page("lineage", "lineage.html.j2", "Lineage", **shown)
        target = self._target(asked)
        options: dict[str, Any] = {"rev": rev or None, "at": at or None, "rehash": rehash}
        try:
            with lineage_at(self.root, target, shown=None if every else SHOWN, **options) as (_, walked):
                shown |= {"walked": walked, "parts": label_parts, "linked": _LINKED, "most": None if every else SHOWN}
        except (OSError, ValueError):  # no file system has a file of that name
            raise AiprodError(f"{escape_controls(asked)} is no name of anything here") from None
        return self._page("lineage", "lineage.html.j2", "Lineage", **shown)

    def _target(self, asked: str) -> str:
        """What was asked, as a whole path where it is a file of the workspace; the desk looks at no others."""
        if "\0" in asked:
            raise AiprodError("that is no name of anything here", "give an id, a model or a file of the workspace")
        full = Path(os.path.abspath(self.root / asked))
        if not full.is_relative_to(self.root):
            hint = f"`aiprod lineage {escape_controls(asked)}` looks at any file"
            raise AiprodError("the desk looks at files of this workspace only", hint)
        there = os.path.isfile(full) or ("/" in asked and os.path.exists(full))  # a film's name may have a slash, too
        return str(full) if there else asked

    def _review(self, path: str) -> Answer:
        name, rest = _sample_of(path)
        actor = require(self.named, "review", root=self.root, log=self.log)
        sitting = self._sittings.get(name)
        if rest == "" and (sitting is None or not sitting.begun):  # what waits may have changed since
            sitting = self._sittings[name] = Sitting(self.root, actor, name, self.log)
        if sitting is None:
            raise NotHere
        top = _top(f"review/{path}")
        return look(sitting, rest, changes=self.changes, bar=lambda nonce: self._bar("review", nonce, top))

    def _compare(self, query: Mapping[str, str]) -> Answer:
        asked = [_word(query, name) for name in ("a", "b")]
        shown: dict[str, Any] = {"a": asked[0], "b": asked[1], "revisions": revision_names(self.root), "found": None}
        if "b" in query:
            shown["found"] = compare(*(self._read_side(spec) for spec in asked))
        return self._page("compare", "compare.html.j2", "Compare", **shown)

    def _read_side(self, spec: str) -> Side:
        read = side(self.root, spec)
        self._sides.pop(spec, None)
        self._sides[spec] = read
        for old in list(self._sides)[:-_SIDES_KEPT]:
            self._sides.pop(old, None)
        return read

    def _video(self, query: Mapping[str, str]) -> Answer:
        spec = _word(query, "of")
        read = self._sides.get(spec) or self._read_side(spec)
        video = read.videos.get(_word(query, "name"))
        if video is None:
            raise NotHere
        return Answer("video/mp4", file=video.path)

    def _erase(self, query: Mapping[str, str]) -> Answer:
        asked, may = _word(query, "q"), "erase" in self._may
        todo = erasing.planned(self.root, asked) if asked else None
        shown: dict[str, Any] = {"asked": asked, "todo": todo, "may": may, "changes": self.changes, "notes": problems()}
        return self._page("erase", "erase.html.j2", "Erase", **shown)

    def _search(self, query: Mapping[str, str]) -> Answer:
        places = "erase" in self._may
        return as_json(erasing.found_in_the_clear(self.root, _word(query, "q"), places=places))

    def _page(self, name: str, template: str, title: str, top: str = "./", /, **values: Any) -> Answer:
        nonce = new_nonce()
        bar = self._bar(name, nonce, top)
        return page(render(template, _TEMPLATES, nonce=nonce, title=title, bar=bar, **values), nonce)

    def _bar(self, here: str, nonce: str, top: str) -> Markup:
        """The bar at the top: the pages, who sits here, and the keys."""
        keys = {"review": _REVIEW_KEYS, "compare": _COMPARE_KEYS}.get(here, ())
        who, values = person(self.root, self.named), {"pages": _PAGES, "here": here, "nonce": nonce, "top": top}
        text = render("bar.html.j2", _TEMPLATES, who=who, keys=keys, changes=self.changes, **values)
        return Markup(text)  # noqa: S704 (rendered with everything escaped)


def _top(path: str) -> str:
    """The way from a page to the first one."""
    return "../" * path.count("/") or "./"


def _word(query: Mapping[str, str], name: str) -> str:
    """A value of the address."""
    word = query.get(name, "").strip()
    if len(word) > _ASKED_MAX:
        raise AiprodError("that is longer than any name here", "give an id, a model or a file of the workspace")
    return word


def _sample_of(path: str) -> tuple[str | None, str]:
    """Name of the drawn sample that a path of the review is of, and the rest of the path."""
    if not path.startswith(_SAMPLE):
        return None, path
    name, _, rest = path.removeprefix(_SAMPLE).partition("/")
    return name, rest
