"""The review page: plays clips, takes verdicts. ``aiprod.governance.serving`` guards it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from markupsafe import Markup

from aiprod.governance.pages import render
from aiprod.governance.review.recording import BASES, NOTE_MAX
from aiprod.governance.review.session import Sitting
from aiprod.governance.serving.local_server import Answer, LocalServer, NotHere, as_json, new_nonce, page


class ReviewServer(LocalServer):
    """Serves one sitting.

    Args:
        port: 0 takes a free one.
    """

    def __init__(self, sitting: Sitting, port: int = 0) -> None:
        super().__init__(port, "aiprod review serve")
        self.sitting = sitting

    def get(self, path: str, query: Any) -> Answer:
        """The page, the clips, a video."""
        return look(self.sitting, path)

    def post(self, path: str, values: dict[str, Any]) -> Answer:
        """A decision, or that the last one is taken back."""
        return decide(self.sitting, path, values)


def look(sitting: Sitting, path: str, *, changes: bool = True, bar: Callable[[str], Markup] | None = None) -> Answer:
    """What the page and its script ask for.

    Args:
        changes: whether decisions are taken.
        bar: what stands above the page, given the nonce of its scripts; None where the review stands alone.

    Raises:
        AiprodError: there is nothing at that path.
    """
    if path == "":
        nonce = new_nonce()
        shown = {"actor": sitting.actor, "sample": sitting.sample, "bases": BASES, "note_max": NOTE_MAX}
        above = bar(nonce) if bar is not None else Markup()
        return page(render("review.html.j2", nonce=nonce, changes=changes, bar=above, **shown), nonce)
    if path == "clips":
        return as_json(sitting.clips())
    if path.startswith("video/"):
        return Answer("video/mp4", file=sitting.video(path.removeprefix("video/")), encrypted=True)
    raise NotHere


def decide(sitting: Sitting, path: str, values: dict[str, Any]) -> Answer:
    """What the page sent.

    Raises:
        AiprodError: it is malformed or refused.
    """
    if path not in ("verdict", "undo"):
        raise NotHere
    return as_json(sitting.undo() if path == "undo" else sitting.decide(values))
