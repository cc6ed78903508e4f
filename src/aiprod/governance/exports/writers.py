"""Documents as texts, all asked for in one way: by the records and the way from their folder to the workspace."""

from __future__ import annotations

import json

from aiprod.governance.dataset import statistics as count
from aiprod.governance.dataset.records import Records
from aiprod.governance.exports import croissant as croissants
from aiprod.governance.exports import model_card as cards
from aiprod.governance.exports.openlineage import job_events
from aiprod.repo.dvc_lock import Lock


def croissant(facts: Records, top: str) -> str:
    """The dataset as Croissant."""
    return json.dumps(croissants.croissant(facts, top=top), indent=1, ensure_ascii=False) + "\n"


def model_card(facts: Records, _top: str = "") -> str:
    """The model card."""
    return cards.model_card(facts)


def openlineage(facts: Records, _top: str = "") -> str:
    """One OpenLineage event a line."""
    events = job_events(facts.root, Lock(facts.root))
    return "".join(json.dumps(event, ensure_ascii=False) + "\n" for event in events)


def attributions(facts: Records, _top: str = "") -> str:
    """Credits and obligations, one per line: those of films that the model was shown, then those of the others."""
    rows = count.obligations(facts)
    shown = [row["obligation"] for row in rows if row["shown"]]
    not_shown = [row["obligation"] for row in rows if not row["shown"]]
    parts = [unknown, ""] if (unknown := count.unknown_clips(facts)) else []
    for title, lines in (
        ("This model was trained on films that ask for:", shown),
        ("Films in the dataset that this model was not shown ask for:", not_shown),
    ):
        if lines:
            parts += [title, "", *(f"- {line}" for line in lines), ""]
    return "\n".join(parts or ["No film in this dataset asks for anything.", ""])
