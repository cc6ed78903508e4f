"""The captioner that needs no model: what is measured and what the source declares, in a sentence; nothing invented."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from aiprod.captions import phrases as measured
from aiprod.captions.captioner import Draft, Subject
from aiprod.captions.demo_scene import describe_scene
from aiprod.captions.phrasing import Wording, capital
from aiprod.captions.taxonomy import content_tags

_TECHNICAL = re.compile(
    r"audio|sound|rms|dbfs|fps|codec|spec|duplicate|kbit|\bsar\b|pix|stream|shorter|bitrate|compress|metadata|"
    r"\d{3,}|lines|rate|qc\b|shots?\b|\bcuts?\b|h26|vp9|mp4|container|watermark|test|clip|"
    r"^static camera$|^hand held$|stretches",
    re.IGNORECASE,
)
_DARK = 0.5


class SignalCaptioner:
    """Describes shot, light, palette, camera, motion and sound as measured, and title and labels as declared.

    A demo scene is described by its declared ground truth, because the source states exactly what it shows.
    """

    name = "signal"
    version = "4"

    def __init__(self, seed: int = 0) -> None:
        self._seed = seed

    def describe(self, subjects: Sequence[Subject]) -> list[Draft]:
        """A draft for each subject."""
        return [self._one(subject) for subject in subjects]

    def _one(self, subject: Subject) -> Draft:
        wording = Wording(subject.clip_id, self._seed)
        found = subject.measurements
        black = float(found.get("black", {}).get("black_fraction") or 0.0)
        heard = str(found.get("events", {}).get("kind") or "none")
        stated = [*subject.labels, declared_topic(subject)]
        tags = [*content_tags(stated), *(f"label:{label}" for label in subject.labels), *_sound_tags(subject)]
        if black > _DARK:
            parts = ["the picture is black", measured.sound(found, wording)]
            caption = capital("; ".join(p for p in parts if p)) + "."
            return Draft(caption, tuple(tags), 1.0, {"black_fraction": black, "sound": heard})
        if subject.scene is not None:
            caption = describe_scene(subject.scene, wording, sounding=heard not in ("none", "silent"))
            facts = {"source": "ground truth declared by the source", "sound": heard}
            return Draft(caption, tuple(tags), 1.0, facts)
        return self._measured(subject, wording, tags)

    def _measured(self, subject: Subject, wording: Wording, tags: list[str]) -> Draft:
        found = subject.measurements
        palette, camera = found.get("palette", {}), found.get("camera", {})
        has_palette = palette.get("status") == "ok"
        several = int(found.get("motion", {}).get("cuts") or 0) > 0  # what moves is then not one thing to speak of
        statements = {
            "look": measured.light(palette) if has_palette else "",
            "colours": measured.colours(palette, wording) if has_palette else "",
            "camera": "" if several else measured.camera(camera, wording),
            "motion": "" if several else measured.motion(found.get("motion", {}), camera, wording),
            "light": "" if several else measured.brightening(found.get("motion", {})),
            "sound": measured.sound(found, wording),
        }
        topic = declared_topic(subject)
        shot = " ".join(w for w in (statements["look"], "shot") if w)
        opening = f"several {shot}s" if several else f"a{'n' if shot[0] in 'aeiou' else ''} {shot}"
        if statements["colours"]:
            opening += f", {statements['colours']}"
        if topic:
            opening = f"{topic}: {opening}"
        rest = [statements[name] for name in ("camera", "motion", "light", "sound") if statements[name]]
        caption = capital("; ".join([opening, *rest])) + "."
        unsaid = ("camera", "motion") if several else ()
        spoken = [name for name in ("look", "colours", "camera", "motion", "sound") if name not in unsaid]
        known = sum(1 for name in spoken if _answered(found, name))
        facts: dict[str, Any] = {"topic": topic, **{k: v for k, v in statements.items() if v}}
        if has_palette:
            facts["palette"] = [name for name, share in palette["colours"] if share >= 0.12]
        return Draft(caption, tuple(tags), round(known / 5, 4), facts)


def declared_topic(subject: Subject) -> str:
    """What the source says that the film shows: its title, else the plain words of its description.

    Remarks on technique are left out. Of a film with several shots only the title is used, because a description of
    the whole need not be true of one shot.
    """
    if subject.title:
        return subject.title.strip().rstrip(".")
    if not subject.description or not subject.whole_film:
        return ""
    clauses = [c.strip() for c in re.split(r"[;,]", subject.description)]
    plain = [c for c in clauses if c and not _TECHNICAL.search(c)]
    return ", ".join(plain)[:160].strip()


def _answered(found: Any, statement: str) -> bool:
    check = {"look": "palette", "colours": "palette", "sound": "events"}.get(statement, statement)
    return bool(found.get(check, {}).get("status") == "ok")


def _sound_tags(subject: Subject) -> list[str]:
    level, heard = subject.measurements.get("loudness", {}), subject.measurements.get("events", {})
    if heard.get("status") != "ok":
        return ["sound:none"] if heard.get("status") == "unmeasurable" else []
    tags = [f"sound:{str(heard['kind']).replace(' ', '_')}"]
    if level.get("status") == "ok" and heard["kind"] != "silent":
        loud = float(level["integrated_lufs"])
        tags.append("sound:quiet" if loud < -33.0 else "sound:loud" if loud > -14.0 else "sound:moderate")
    return tags
