"""The part of lineage that is about speech: utterances, whose voice they are, and the model that heard them."""

from __future__ import annotations

from aiprod.governance.dataset.records import Records
from aiprod.governance.dataset.voices import right_of
from aiprod.governance.lineage.node import Node

KINDS = ("utterance", "speaker")


def kind_of(facts: Records, asked: str) -> str | None:
    """Whether an utterance or a speaker is called that."""
    if asked in facts.utterances:
        return "utterance"
    return "speaker" if any(row.speaker == asked for row in facts.utterances.values()) else None


def node(facts: Records, kind: str, name: str) -> Node:
    """An utterance with its voice, or a voice with its utterances."""
    return _utterance(facts, name, voice=True) if kind == "utterance" else _speaker(facts, name)


def model(facts: Records, erasures: list[str] | None) -> Node:
    """The model of speech, with the voices that it heard."""
    heard = facts.heard
    about = {
        **({"affected_by_erasures": erasures} if erasures else {}),
        "utterances_heard": len(heard),
        "hearings": sum(one.times for one in heard.values()),
    }
    speakers = sorted({row.speaker for name, row in facts.utterances.items() if name in heard})
    unknown = [Node("utterance", name, {"problem": "no row in the manifest of speech"})
               for name in sorted(set(heard) - set(facts.utterances))]  # fmt: skip
    return Node("model", "speech", about, [*(_speaker(facts, name, heard=True) for name in speakers), *unknown])


def used_by(facts: Records, name: str) -> list[Node]:
    """The model that heard an utterance, or any of a speaker's."""
    mine = [key for key, row in facts.utterances.items() if name in (key, row.speaker) and key in facts.heard]
    if not mine:
        return []
    times = sum(facts.heard[key].times for key in mine)
    return [Node("model", "speech", {"times_heard": times, "utterances_heard": len(mine)})]


def _speaker(facts: Records, name: str, *, heard: bool = False) -> Node:
    rows = {
        key: row
        for key, row in sorted(facts.utterances.items())
        if row.speaker == name and (not heard or key in facts.heard)
    }
    about = {
        "provenance": sorted({row.provenance for row in rows.values()}),
        "right": sorted({right_of(row) for row in rows.values()}),
        "languages": sorted({row.language for row in rows.values()}),
        "utterances": len(rows),
    }
    return Node("speaker", name, about, [_utterance(facts, key, voice=False) for key in rows])


def _utterance(facts: Records, name: str, *, voice: bool) -> Node:
    row, heard = facts.utterances[name], facts.heard.get(name)
    about = {
        "times_heard": heard.times if heard else None,
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
