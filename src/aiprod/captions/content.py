"""What a caption claims, in the order in which it is said, each claim with its evidence."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Kind = Literal["ground truth", "stated", "measured", "model"]


class _Fixed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Evidence(_Fixed):
    """What a claim rests on.

    Attributes:
        kind: `ground truth` of a generated film; `stated` by the film's owner in a table or sidecar and not checked
            against the picture; `measured` by a check of quality control, with a bundled model or without; `model`:
            read off by a captioner's own model.
        source: name of the check, of the statement (`title` or `description`), of the scene, or of the captioner.
        method: of the check, or the name of the model.
        version: of the check and its model, or what the model's server says of its revision.
        times_s: times of the frames that show it, where it rests on single frames.
        confidence: least confidence of the model in it, where it gives one.
    """

    kind: Kind
    source: str
    method: str = ""
    version: str = ""
    times_s: tuple[float, ...] = ()
    confidence: float | None = None


class Claim(_Fixed):
    """A phrase and what it rests on.

    Attributes:
        words: a phrase; rules put it into the sentence as it is, a model may word the sentence otherwise.
        evidence: never empty.
    """

    words: str = Field(min_length=1)
    evidence: tuple[Evidence, ...] = Field(min_length=1)


class Content(_Fixed):
    """The claims of a caption. What nothing is known of has none.

    Attributes:
        subject: what the clip shows.
        action: what happens.
        place: where.
        people: whether and how people are seen.
        text: what can be read in the picture.
        sound: speech, music and other sound, or their absence.
        technique: shot, light, colours, camera.
    """

    subject: tuple[Claim, ...] = ()
    action: tuple[Claim, ...] = ()
    place: tuple[Claim, ...] = ()
    people: tuple[Claim, ...] = ()
    text: tuple[Claim, ...] = ()
    sound: tuple[Claim, ...] = ()
    technique: tuple[Claim, ...] = ()

    def words(self, part: str) -> str:
        """What is claimed of one part, phrases joined."""
        return "; ".join(claim.words for claim in getattr(self, part))


PARTS: tuple[str, ...] = tuple(Content.model_fields)
"""Names of the parts, in the order in which they are said."""


def claim(words: str, *evidence: Evidence) -> tuple[Claim, ...]:
    """One claim, or none where there are no words."""
    return (Claim(words=words, evidence=evidence),) if words else ()


def measured(
    measurements: Any, name: str, *, times_s: tuple[float, ...] = (), confidence: float | None = None
) -> Evidence:
    """Evidence from the figures of a check.

    Args:
        measurements: measurements of the clip, check → figures.
    """
    figures = measurements.get(name, {})
    return Evidence(
        kind="measured",
        source=name,
        method=str(figures.get("method") or ""),
        version=str(figures.get("version") or ""),
        times_s=times_s,
        confidence=confidence,
    )
