"""The part of lineage that is about speech: utterances, whose voice they are, heads that say them, and their models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiprod.governance.dataset.records import LIPS, OF_SPEECH, ExposureCount, Records
from aiprod.governance.dataset.voices import right_of
from aiprod.governance.lineage.node import Node

KINDS = ("utterance", "speaker", "head")
MODELS = (*OF_SPEECH, LIPS)


def kind_of(facts: Records, target: str) -> str | None:
    """Whether an utterance, a head or a speaker is called that."""
    if target in facts.utterances:
        return "utterance"
    if target in facts.faces:
        return "head"
    return "speaker" if any(row.speaker == target for row in facts.utterances.values()) else None


def node(facts: Records, kind: str, name: str) -> Node:
    """An utterance with its voice, a voice with its utterances, or a head with what it says."""
    if kind == "head":
        return _head(facts, name)
    return _utterance(facts, name, voice=True) if kind == "utterance" else _speaker(facts, name)


def model(facts: Records, name: str, erasures: list[str] | None) -> Node:
    """A model of :data:`MODELS`, with the voices that it heard or the heads that it saw."""
    seen = facts.ledger(name)
    shown = sum(one.times for one in seen.values())
    about: dict[str, Any] = {"affected_by_erasures": erasures} if erasures else {}
    if name == LIPS:
        about |= {"heads_seen": len(seen), "showings": shown}
        return Node("model", name, about, [_head(facts, head) for head in sorted(seen)])
    about |= {"utterances_heard": len(seen), "hearings": shown}
    speakers = sorted({row.speaker for key, row in facts.utterances.items() if key in seen})
    unknown = [Node("utterance", key, {"problem": "no row in the manifest of speech"})
               for key in sorted(set(seen) - set(facts.utterances))]  # fmt: skip
    return Node("model", name, about, [*(_speaker(facts, one, seen) for one in speakers), *unknown])


def used_by(facts: Records, kind: str, name: str) -> list[Node]:
    """The models that heard an utterance, any of a speaker's, or saw a head that says one."""
    mine = [key for key, row in facts.utterances.items() if name in (key, row.speaker)]
    models = []
    for heard_by in OF_SPEECH if kind != "head" else ():
        heard = facts.ledger(heard_by)
        times = [heard[key].times for key in mine if key in heard]
        if times:
            models.append(Node("model", heard_by, {"times_heard": sum(times), "utterances_heard": len(times)}))
    seen = facts.ledger(LIPS)
    heads = [key for key, row in facts.faces.items() if (kind == "head" and key == name) or row.utterance_id in mine]
    shown = [seen[key].times for key in heads if key in seen]
    if shown:
        models.append(Node("model", LIPS, {"times_shown": sum(shown), "heads_seen": len(shown)}))
    return models


def sounds_of(facts: Records, kind: str, name: str) -> list[Any]:
    """The rows of utterances behind a thing of :data:`KINDS`, or behind a model of :data:`MODELS`."""
    heads = [row.utterance_id for row in heads_of(facts, kind, name)]
    heard = facts.ledger(name) if kind == "model" and name in OF_SPEECH else {}
    return [
        row
        for key, row in sorted(facts.utterances.items())
        if row.sound_name and ((kind in KINDS and name in (key, row.speaker)) or key in heads or key in heard)
    ]


def heads_of(facts: Records, kind: str, name: str) -> list[Any]:
    """The rows of heads behind the model of lips, or that of one head."""
    if kind == "head":
        return [facts.faces[name]]
    seen = facts.ledger(LIPS) if (kind, name) == ("model", LIPS) else {}
    return [facts.faces[key] for key in sorted(seen) if key in facts.faces]


def _head(facts: Records, name: str) -> Node:
    row, seen = facts.faces.get(name), facts.ledger(LIPS).get(name)
    if row is None:
        return Node("head", name, {"problem": "no row in the manifest of faces"})
    about = {
        "times_shown": seen.times if seen else None,
        "provenance": [row.provenance],
        "split": row.split,
        "fault": row.fault if row.fault != "none" else None,
        "sha256": row.file_sha256,
    }
    known = {key: value for key, value in about.items() if value is not None}
    says = row.utterance_id
    below = _utterance(facts, says, voice=True) if says in facts.utterances else Node("utterance", says)
    return Node("head", name, known, [below])


def _speaker(facts: Records, name: str, heard: Mapping[str, ExposureCount] | None = None) -> Node:
    rows = {
        key: row
        for key, row in sorted(facts.utterances.items())
        if row.speaker == name and (heard is None or key in heard)
    }
    about = {
        "provenance": sorted({row.provenance for row in rows.values()}),
        "right": sorted({right_of(row) for row in rows.values()}),
        "languages": sorted({row.language for row in rows.values()}),
        "utterances": len(rows),
    }
    return Node("speaker", name, about, [_utterance(facts, key, heard, voice=False) for key in rows])


def _utterance(facts: Records, name: str, heard: Mapping[str, ExposureCount] | None = None, *, voice: bool) -> Node:
    row, times = facts.utterances[name], (facts.heard if heard is None else heard).get(name)
    about = {
        "times_heard": times.times if times else None,
        "text": row.text,
        "language": row.language,
        "split": row.split,
        "status": row.status,
        "reasons": row.reasons or None,
        "sha256": row.sound_sha256,
    }
    whose = {"provenance": [row.provenance], "right": [right_of(row)], "source": row.source_id}
    known = {key: value for key, value in about.items() if value is not None}
    return Node("utterance", name, known, [Node("speaker", row.speaker, whose)] if voice else [])
