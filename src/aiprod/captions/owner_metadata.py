"""What a film's owner states about it in a table or sidecar, as the subject of a caption and as tags."""

from __future__ import annotations

import re

from aiprod.captions.captioner import Subject
from aiprod.captions.content import Claim, Evidence, claim
from aiprod.captions.taxonomy import content_tags

_TECHNICAL = re.compile(
    r"audio|sound|rms|dbfs|fps|codec|spec|duplicate|kbit|\bsar\b|pix|stream|shorter|bitrate|compress|metadata|"
    r"\d{3,}|lines|rate|qc\b|shots?\b|\bcuts?\b|h26|vp9|mp4|container|watermark|test|clip|"
    r"^static camera$|^hand held$|stretches",
    re.IGNORECASE,
)
_FILE_NAME = re.compile(
    r"\S*[_/\\]\S*|\S*\d{3,}\S*|\S+\.(?:mp4|mkv|mov|webm|avi|m4v|mpe?g|wmv|flv|ts|mts|3gp|ogv|mxf)", re.IGNORECASE
)
"""A title of one word with an underscore, a slash, three digits or the ending of a film is the name of a file."""
_LONGEST = 160


def declared_topic(subject: Subject) -> str:
    """What the source says that the film shows: its title, else the plain words of its description.

    Remarks on technique are left out, and so is a title that is the name of a file. Of a film with several shots only
    the title is used, because a description of the whole need not be true of one shot.
    """
    return _topic(subject)[1]


def topic_claim(subject: Subject) -> tuple[Claim, ...]:
    """The topic as a claim of the owner's, which nobody has checked against the picture."""
    source, words = _topic(subject)
    return claim(words, Evidence(kind="stated", source=source))


def _topic(subject: Subject) -> tuple[str, str]:
    title = " ".join((subject.title or "").split()).rstrip(".")
    if title and not _FILE_NAME.fullmatch(title):
        return "title", title[:_LONGEST].strip()
    if not subject.description or not subject.whole_film:
        return "description", ""
    clauses = [" ".join(c.split()) for c in re.split(r"[;,]", subject.description)]
    plain = [c for c in clauses if c and not _TECHNICAL.search(c)]
    return "description", ", ".join(plain)[:_LONGEST].strip().rstrip(".")


def tags_of(subject: Subject) -> list[str]:
    """Content tags by what is stated, the labels as they are, and tags of what is heard."""
    stated = [*subject.labels, declared_topic(subject)]
    return [*content_tags(stated), *(f"label:{label}" for label in subject.labels), *_sound_tags(subject)]


def _sound_tags(subject: Subject) -> list[str]:
    level, heard = subject.measurements.get("loudness", {}), subject.measurements.get("events", {})
    if heard.get("status") != "ok":
        return ["sound:none"] if heard.get("status") == "unmeasurable" else []
    tags = [f"sound:{str(heard['kind']).replace(' ', '_')}"]
    if level.get("status") == "ok" and heard["kind"] != "silent":
        loud = float(level["integrated_lufs"])
        tags.append("sound:quiet" if loud < -33.0 else "sound:loud" if loud > -14.0 else "sound:moderate")
    return tags
