"""The captioner that needs no model of its own: what checks measured and owners state, in a few sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

from aiprod.captions import detection_phrases, motion_phrases, phrases
from aiprod.captions.captioner import Captioner, Draft, Subject
from aiprod.captions.content import Claim, Content, claim, measured
from aiprod.captions.demo_scene import DemoScene
from aiprod.captions.owner_metadata import tags_of, topic_claim
from aiprod.captions.phrasing import Wording, capital

if TYPE_CHECKING:
    from aiprod.captions.params import CaptionParams

_DARK, _WHOLLY = 0.5, 0.95  # of the clip's pictures
_LIT = 0.01  # contrast: black film has up to 0.005, one with a small title 0.02


class RuleBased(Captioner):
    """Says what is stated of the subject, then people, text, speech and sound, then shot, light, colours and camera.

    A demo scene is described by its declared ground truth, because the source states exactly what it shows.
    """

    name = "rule_based"
    summary = "what quality control measures and what the source states, by rules; no model of its own"
    version = "6"

    def __init__(self, seed: int = 0, *, statements: bool = True) -> None:
        """With the wording of ``seed``.

        Args:
            statements: whether titles and descriptions of the source are used.
        """
        self._seed, self._statements = seed, statements
        self._scenes = DemoScene(seed)

    @classmethod
    def begin(cls, params: CaptionParams) -> Self:
        """With the seed and the choice about statements."""
        return cls(params.seed, statements=params.statements)

    def describe(self, subjects: Sequence[Subject]) -> list[Draft]:
        """A draft for each subject."""
        return [self._one(subject) for subject in subjects]

    def _one(self, subject: Subject) -> Draft:
        wording = Wording(subject.clip_id, self._seed)
        black = float(subject.measurements.get("black", {}).get("black_fraction") or 0.0)
        if black > _DARK:
            return self._black(subject, wording)
        if subject.scene is not None:
            return self._scenes.describe([subject])[0]
        return self._measured(subject, wording)

    def _black(self, subject: Subject, wording: Wording) -> Draft:
        measurements = subject.measurements
        whole = float(measurements["black"]["black_fraction"]) >= _WHOLLY
        lit = float(measurements.get("palette", {}).get("contrast") or 0.0) > _LIT  # a title, or lamps in the dark
        words = "almost all of the picture is black" if lit else "the picture is black"
        content = Content(
            text=detection_phrases.text(measurements),
            sound=heard(measurements, wording),
            technique=claim(
                words if whole else "the picture is black most of the time",
                measured(measurements, "black"),
                *([measured(measurements, "palette")] if lit else []),
            ),
        )
        read = "".join(f"{capital(c.words)}. " for c in content.text)
        rest = "; ".join(c.words for c in (*content.technique, *content.sound))
        return Draft(f"{read}{capital(rest)}.", tuple(tags_of(subject)), 1.0, content)

    def _measured(self, subject: Subject, wording: Wording) -> Draft:
        measurements = subject.measurements
        acting = motion_phrases.action(measurements, wording)
        content = Content(
            subject=(topic_claim(subject) if self._statements else ())
            + detection_phrases.things(measurements, wording),
            action=acting,
            people=detection_phrases.people(measurements, wording),
            text=detection_phrases.text(measurements),
            sound=heard(measurements, wording),
            technique=technique(measurements, wording, moving=bool(acting)),
        )
        return Draft(sentence(content, measurements), tuple(tags_of(subject)), _confidence(measurements), content)


def sentence(content: Content, measurements: Mapping[str, Any]) -> str:
    """The claims in their order, a sentence a kind; a sound that is not there is mentioned last."""
    silent = not _audible(measurements)
    opening, *rest = content.technique
    colours = [c.words for c in rest if c.evidence[0].source == "palette"]
    others = [c.words for c in (*rest, *(content.sound if silent else ())) if c.words not in colours]
    sentences = [
        "; ".join(c.words for c in content.subject),
        "; ".join(c.words for c in (*content.action, *content.place, *content.people)),
        "; ".join(c.words for c in content.text),
        "" if silent else "; ".join(c.words for c in content.sound),
        "; ".join([", ".join([opening.words, *colours]), *others]),
    ]
    return " ".join(f"{capital(s)}." for s in sentences if s)


def heard(measurements: Mapping[str, Any], wording: Wording) -> tuple[Claim, ...]:
    """Speech and music where a model hears them, else the kind and level of sound, never a guess at its source."""
    spoken = detection_phrases.voices(measurements, wording) if _audible(measurements) else ()
    return spoken or claim(
        phrases.sound(measurements, wording), measured(measurements, "events"), measured(measurements, "loudness")
    )


def _audible(measurements: Mapping[str, Any]) -> bool:
    events = measurements.get("events", {})
    return events.get("status") == "ok" and events.get("kind") != "silent"


def technique(measurements: Mapping[str, Any], wording: Wording, *, moving: bool) -> tuple[Claim, ...]:
    """Shot, light, colours and camera; the first claim is the shot.

    Args:
        moving: whether the caption says already that something moves.
    """
    palette, camera, motion = (
        measurements.get("palette", {}),
        measurements.get("camera", {}),
        measurements.get("motion", {}),
    )
    has_palette = palette.get("status") == "ok"
    several = int(motion.get("cuts") or 0) > 0  # what moves is then not one thing to speak of
    shot = " ".join(w for w in (phrases.light(palette) if has_palette else "", "shot") if w)
    opening = f"several {shot}s" if several else f"a{'n' if shot[0] in 'aeiou' else ''} {shot}"
    claims = claim(opening, measured(measurements, "palette"), measured(measurements, "motion"))
    if has_palette:
        claims += claim(phrases.colours(palette, wording), measured(measurements, "palette"))
    if several:
        return claims
    claims += claim(phrases.camera(camera, wording), measured(measurements, "camera"))
    if not moving:
        claims += claim(phrases.motion(motion, camera, wording), measured(measurements, "motion"))
    return claims + claim(phrases.brightening(motion), measured(measurements, "motion"))


def _confidence(measurements: Mapping[str, Any]) -> float:
    """Share of the questions about technique and sound that could be answered by measuring."""
    several = int(measurements.get("motion", {}).get("cuts") or 0) > 0
    checks = ("palette", "palette", "events") if several else ("palette", "palette", "camera", "motion", "events")
    return round(sum(measurements.get(check, {}).get("status") == "ok" for check in checks) / 5, 4)
