"""Counting by a query that fits on a line, so that a figure in a document can be recomputed by whoever reads it.

``count of clips where verdict = APPROVED and shown > 0`` · ``sum duration_s of clips where shown > 0`` ·
``by license of films where status = ok`` · ``distinct film_id of clips`` · ``list obligations of films``

``=`` on a list asks whether it holds the value. Tables: ``films`` (a row per film), ``clips`` (a row per clip, with
what its film, verdict, caption and exposure say) and ``samples``.
"""

from __future__ import annotations

import operator
import re
from collections import Counter
from collections.abc import Callable
from functools import cached_property
from typing import Any

from aiprod.base.params import nearest
from aiprod.errors import AiprodError
from aiprod.governance.dataset import records as where
from aiprod.governance.dataset.records import Records
from aiprod.governance.dataset.voices import right_of

_QUERY = re.compile(r"^(?:(count)|(sum|distinct|list|by|max)\s+(\w+))\s+of\s+(\w+)(?:\s+where\s+(.+))?$")
_CONDITION = re.compile(r"^(\w+)\s*(!=|>=|<=|=|>|<)\s*(?:\"([^\"]*)\"|(\S+))$")
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
    ">=": operator.ge,
    "<=": operator.le,
}
TABLES = {
    "films": (where.FILMS, where.CLIPS, where.VERDICTS, "models/diffusion/exposure.json"),
    "clips": (where.FILMS, where.CLIPS, where.VERDICTS, where.CAPTIONS, "models/diffusion/exposure.json"),
    "samples": (where.SAMPLES,),
    "utterances": (where.SPEECH, "models/speech/training/exposure.json"),
}


_SPOKEN = (
    "utterance_id",
    "status",
    "source_id",
    "provenance",
    "synthetic",
    "speaker",
    "language",
    "split",
    "consent_ref",
)


class Tables:
    """The joined manifests as flat rows."""

    def __init__(self, facts: Records) -> None:
        self.facts = facts

    def ask(self, query: str) -> Any:
        """The answer: an int or float, a sorted list, or for ``by`` a mapping.

        Raises:
            AiprodError: the query is not one, or names a table or field that does not exist.
        """
        match = _QUERY.match(query.strip())
        if match is None:
            raise AiprodError(f"{query!r} is not a query", "for example: count of clips where verdict = APPROVED")
        count, verb, field, table, conditions = match.groups()
        rows = self.rows(table)
        for condition in re.split(r"\s+and\s+", conditions) if conditions else []:
            rows = _filtered(rows, condition)
        if count:
            return len(rows)
        values = [_field(row, field) for row in rows]
        if verb == "sum":
            return sum(value for value in values if value is not None)
        flat = [item for value in values for item in (value if isinstance(value, list) else [value])]
        if verb == "distinct":
            return len(set(flat))
        if verb == "max":
            return max((v for v in flat if v is not None), default=None)
        if verb == "list":
            return sorted({str(v) for v in flat if v is not None})
        return dict(sorted(Counter("none" if v is None else str(v) for v in flat).items()))

    def rows(self, table: str) -> list[dict[str, Any]]:
        """The rows of a table.

        Raises:
            AiprodError: no such table.
        """
        if table not in TABLES:
            raise AiprodError(f"there is no table {table!r}", nearest(table, list(TABLES)))
        rows: list[dict[str, Any]] = getattr(self, table)
        return rows

    @cached_property
    def films(self) -> list[dict[str, Any]]:
        """One row per film."""
        shown = {self.facts.clips[c].film_id for c in self.facts.exposure if c in self.facts.clips}
        return [{**_film(film), "shown": film.film_id in shown} for film in self.facts.films.values()]

    @cached_property
    def clips(self) -> list[dict[str, Any]]:
        """One row per clip."""
        return [self._clip(clip) for clip in self.facts.clips.values()]

    @cached_property
    def samples(self) -> list[dict[str, Any]]:
        """One row a generated video."""
        return [{"name": s.name, "prompt": s.prompt, "seed": s.facts.get("seed")} for s in self.facts.samples]

    @cached_property
    def utterances(self) -> list[dict[str, Any]]:
        """One row an utterance of the speech dataset."""
        heard = self.facts.heard
        return [
            {
                **{name: getattr(row, name) for name in _SPOKEN},
                "right": right_of(row),
                "seconds": row.seconds or 0.0,
                "heard": heard[key].times if key in heard else 0,
            }
            for key, row in self.facts.utterances.items()
        ]

    def _clip(self, clip: Any) -> dict[str, Any]:
        facts = self.facts
        film, verdict = facts.films.get(clip.film_id), facts.verdicts.get(clip.clip_id)
        caption, showing = facts.captions.get(clip.clip_id), facts.exposure.get(clip.clip_id)
        return {
            **({k: v for k, v in _film(film).items() if k not in ("status", "reasons", "duration_s")} if film else {}),
            "clip_id": clip.clip_id,
            "film_id": clip.film_id,
            "source": clip.source_id,
            "status": clip.status,
            "split": clip.split,
            "duration_s": clip.end_s - clip.start_s,
            "sound_s": clip.end_s - clip.start_s if clip.has_audio else 0.0,
            "frames": clip.frames,
            "width": clip.width,
            "height": clip.height,
            "verdict": verdict.status if verdict else None,
            "reasons": list(verdict.reasons) if verdict else list(clip.reasons),
            "score": verdict.score if verdict else None,
            "privacy_flags": list(verdict.privacy_flags) if verdict else [],
            "captioner": caption.captioner if caption else None,
            "caption_words": len(caption.caption.split()) if caption else 0,
            "tags": [t for t in caption.tags if ":" not in t] if caption else [],
            "shown": showing.times if showing else 0,
            "admitted": facts.admitted(clip.clip_id),
            "steps": list(clip.steps),
        }


def _film(film: Any) -> dict[str, Any]:
    rights = film.rights
    return {
        "film_id": film.film_id,
        "source": film.source_id,
        "status": "duplicate" if film.duplicate_of else film.status,
        "reasons": list(film.reasons),
        "license": film.media_license or "unknown",
        "right": film.effective_right,
        "basis": rights.get("personal_data_basis") or film.personal_data_basis,
        "host": rights.get("media_host") or "unknown",
        "terms": rights.get("acquisition_terms") or "unknown",
        "policy": rights.get("policy_approval") or "unknown",
        "contract": (rights.get("contract") or {}).get("id"),
        "consent_ref": film.consent_ref or rights.get("consent_ref"),
        "size_bytes": film.size_bytes,
        "obligations": list(film.obligations),
        "attribution": film.attribution,
        "url": film.url,
        "labels": list(film.labels),
        "duration_s": (film.facts or {}).get("duration_s"),
    }


def _filtered(rows: list[dict[str, Any]], condition: str) -> list[dict[str, Any]]:
    match = _CONDITION.match(condition.strip())
    if match is None:
        raise AiprodError(f"{condition!r} is not a condition", 'for example: verdict = APPROVED, host = "public web"')
    field, sign, quoted, bare = match.groups()
    text = quoted if quoted is not None else bare

    def holds(row: dict[str, Any]) -> bool:
        value = _field(row, field)
        if isinstance(value, list):
            return (text in value) == (sign == "=")
        if value is None:
            return (text == "none") == (sign == "=")
        wanted = _like(value, text)
        return _COMPARE[sign](value, wanted)

    return [row for row in rows if holds(row)]


def _like(value: Any, text: str) -> Any:
    """``text`` as the type of ``value``."""
    if isinstance(value, bool):
        return text == "true"
    if isinstance(value, int | float):
        try:
            return float(text)
        except ValueError:
            raise AiprodError(f"{text!r} is not a number", "compare a number with a number") from None
    return text


def _field(row: dict[str, Any], field: str) -> Any:
    if field not in row:
        raise AiprodError(f"rows have no field {field!r}", nearest(field, list(row)))
    return row[field]
