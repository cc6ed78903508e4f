"""Phrases about people, text, speech and music, from what the models of quality control see and hear.

Each phrase says no more than its figures carry: a position only where every still agrees, a number only where all
stills show the same one, the words of a text only where they were read with confidence and hold no personal data.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher
from typing import Any

from aiprod.captions.content import Claim, claim, measured
from aiprod.captions.phrases import loudness_word
from aiprod.captions.phrasing import Wording, listed

Figures = Mapping[str, Any]
Measurements = Mapping[str, Figures]
_SURE = 0.8  # least confidence of a line whose words are repeated
_ALIKE = 0.7  # of two readings of one text, by difflib
_LINES = 3
_LETTERS = 60
_NUMBER_AND_WORD = re.compile(
    r"(?<=\d)(?=[^\W\d_]{4})"
)  # "4ENGINES"; codes and units are shorter: "4K", "1080p", "5mm"
_NUMBERS = {2: "two", 3: "three", 4: "four"}
_CLOSE, _NEAR = 0.35, 0.18  # height of a face as a share of the picture's
_THING = 0.5  # least confidence of a thing beside which others of its kind are counted
_HEARD = 0.15  # share of the sound from which music or speech is spoken of
_THROUGHOUT = 0.75


def people(measurements: Measurements, wording: Wording) -> tuple[Claim, ...]:
    """Whether persons and faces are seen, how many, how close and where; hands, where nothing else of a person is."""
    persons, faces = measurements.get("persons", {}), measurements.get("faces", {})
    several = faces.get("status") == "ok" and faces["found"] and int(faces["faces_max"]) > 1
    if persons.get("status") == "ok" and int(persons["persons_max"]) > 0:
        if several and int(persons["persons_max"]) == 1:
            words = wording.pick("people", ("people are seen", "people are visible"))
            return claim(
                words,
                measured(measurements, "persons", times_s=_times(persons)),
                measured(measurements, "faces", times_s=_times(faces)),
            )
        return _persons(measurements, persons, wording)
    if faces.get("status") == "ok" and faces["found"]:
        words = wording.pick("people", ("faces are seen", "faces are visible") if several else ("a face is seen",))
        return claim(words, measured(measurements, "faces", times_s=_times(faces)))
    return _hands(measurements, persons)


def _hands(measurements: Measurements, persons: Figures) -> tuple[Claim, ...]:
    boxes: Sequence[Figures] = persons.get("hands", ()) if persons.get("status") == "ok" else ()
    if not boxes:
        return ()
    stills = [int(box["still"]) for box in boxes]
    words = "hands are seen" if any(stills.count(still) > 1 for still in stills) else "a hand is seen"
    least = min(float(box["confidence"]) for box in boxes)
    return claim(words, measured(measurements, "persons", times_s=_times(persons, "hands"), confidence=least))


def things(measurements: Measurements, wording: Wording) -> tuple[Claim, ...]:
    """The things that a network names, each label once, in the order of their names."""
    persons = measurements.get("persons", {})
    boxes: Sequence[Figures] = persons.get("things", ()) if persons.get("status") == "ok" else ()
    if not boxes:
        return ()
    named = []
    several = False
    for label in sorted({str(box["label"]) for box in boxes}):
        mine = [box for box in boxes if box["label"] == label]
        sure = {int(box["still"]) for box in mine if float(box["confidence"]) >= _THING}
        stills = [int(box["still"]) for box in mine if int(box["still"]) in sure]
        more = any(stills.count(still) > 1 for still in sure)
        several = several or more
        named.append(f"{label}s" if more else f"a {label}")
    words = f"{listed(named)} {'are' if several or len(named) > 1 else 'is'}"
    least = min(float(box["confidence"]) for box in boxes)
    seen = wording.pick("things", ("seen", "in the picture"))
    return claim(
        f"{words} {seen}", measured(measurements, "persons", times_s=_times(persons, "things"), confidence=least)
    )


def _persons(measurements: Measurements, persons: Figures, wording: Wording) -> tuple[Claim, ...]:
    boxes: Sequence[Figures] = persons["boxes"]
    per_still: dict[int, list[Figures]] = {}
    for box in boxes:
        per_still.setdefault(int(box["still"]), []).append(box)
    counts = {len(found_there) for found_there in per_still.values()}
    most = int(persons["persons_max"])
    if most == 1:
        who, verb = "a person", "is seen"
    else:
        sure = len(counts) == 1 and len(per_still) >= 3 and most in _NUMBERS
        who, verb = (f"{_NUMBERS[most]} people" if sure else "people"), "are seen"
    faces = measurements.get("faces", {})
    seen = faces.get("boxes", ()) if faces.get("status") == "ok" else ()  # in stills after the search for persons ended
    where = _place([*boxes, *seen]) if most == 1 else ""
    near = _nearness(faces) if most == 1 else ""
    verb_phrase = wording.pick("people", (verb, verb.replace("seen", "visible")))
    words = " ".join(w for w in (who, verb_phrase, near, where) if w)
    least = min((float(b["confidence"]) for b in boxes), default=None)
    evidence = [measured(measurements, "persons", times_s=_times(persons), confidence=least)]
    if near or (where and seen):
        evidence.append(measured(measurements, "faces", times_s=_times(faces)))
    return claim(words, *evidence)


def _place(boxes: Sequence[Figures]) -> str:
    """Where one person is, if all stills agree."""
    middles = [float(b["box"][0]) + float(b["box"][2]) / 2 for b in boxes]
    if middles and max(middles) < 0.4:
        return "on the left"
    if middles and min(middles) > 0.6:
        return "on the right"
    return "in the middle" if middles and min(middles) >= 0.36 and max(middles) <= 0.64 else ""


def _nearness(faces: Figures) -> str:
    """How close a face is, if all stills that show it agree; nothing where the detector gives no boxes."""
    heights = [float(b["box"][3]) for b in faces.get("boxes", ())] if faces.get("status") == "ok" else []
    if heights and min(heights) >= _CLOSE:
        return "in close-up"
    return "from the chest up" if heights and min(heights) >= _NEAR and max(heights) < _CLOSE else ""


def text(measurements: Measurements) -> tuple[Claim, ...]:
    """What can be read; that there is lettering, where it cannot be read surely or is personal data."""
    figures = measurements.get("text", {})
    if figures.get("status") != "ok" or not figures["stills_with_text"]:
        return ()
    lines: Sequence[Figures] = figures["lines"]
    read = [] if figures.get("personal") else _readable(lines)
    kept = [line for line in lines if not read or _plain(line["text"]) in read]
    times = figures.get("times_s", ())
    evidence = measured(
        measurements,
        "text",
        times_s=tuple(sorted({float(times[int(line["still"])]) for line in kept if int(line["still"]) < len(times)})),
        confidence=min((float(line["confidence"]) for line in kept), default=None),
    )
    if not read:
        digits = not any(re.search(r"[^\W\d_]", _plain(line["text"])) for line in lines)
        return claim("digits are in the picture" if digits else "lettering is in the picture", evidence)
    return claim(f"the words {listed([f'“{words}”' for words in read])} can be read", evidence)


def _readable(lines: Sequence[Figures]) -> list[str]:
    """The texts that were read surely, those of most stills first, each once; at most three.

    Readings that differ by a letter or two are of one text: the one that more stills agree on is taken, and none where
    no two stills do.
    """
    counted: dict[str, int] = {}
    for line in lines:
        words = _plain(line["text"])
        letters, signs = re.findall(r"[^\W\d_]", words), re.findall(r"\w", words)
        if float(line["confidence"]) >= _SURE and len(letters) >= 2 and len(signs) >= 3 and len(words) <= _LETTERS:
            counted[words] = counted.get(words, 0) + 1
    groups: list[list[str]] = []
    for words in sorted(counted, key=lambda words: -counted[words]):
        alike = (group for group in groups if SequenceMatcher(None, group[0], words).ratio() >= _ALIKE)
        if (group := next(alike, None)) is not None:
            group.append(words)
        else:
            groups.append([words])
    agreed = [group[0] for group in groups if len(group) == 1 or counted[group[0]] > counted[group[1]]]
    # A part of a line, read where the rest of it is fading, says nothing of its own.
    whole = [words for words in agreed if not any(words != other and f" {words} " in f" {other} " for other in agreed)]
    return whole[:_LINES]


def _plain(words: Any) -> str:
    """On one line, with the space before a word that readers of text tend to leave out after a number."""
    return " ".join(_NUMBER_AND_WORD.sub(" ", str(words).replace("“", "").replace("”", "")).split())


def voices(measurements: Measurements, wording: Wording) -> tuple[Claim, ...]:
    """Whether somebody speaks and whether music plays; nothing of other sound."""
    figures = measurements.get("voices", {})
    if figures.get("status") != "ok":
        return ()
    claims: tuple[Claim, ...] = ()
    speech, music = float(figures["speech_fraction"]), float(figures["music_fraction"])
    if figures["speech"]:
        options = ("somebody speaks", "speech is heard") + (("a voice speaks",) if speech >= _THROUGHOUT else ())
        claims += claim(
            wording.pick("speech", options), measured(measurements, "voices", times_s=_spans(figures, "speech"))
        )
    if music >= _HEARD:
        loud = loudness_word(measurements.get("loudness", {}))
        words = wording.pick("music", (f"{loud}music plays", f"{loud}music is heard"))
        evidence = [measured(measurements, "voices", times_s=_spans(figures, "music"))]
        claims += claim(words, *evidence, *([measured(measurements, "loudness")] if loud else []))
    return claims


def _times(figures: Figures, of: str = "boxes") -> tuple[float, ...]:
    """Times of the stills that have a box."""
    times = figures.get("times_s", ())
    return tuple(
        float(times[still])
        for still in sorted({int(box["still"]) for box in figures.get(of, ())})
        if still < len(times)
    )


def _spans(figures: Figures, kind: str) -> tuple[float, ...]:
    """When the spans of a kind begin; at most sixteen."""
    return tuple(float(span["start_s"]) for span in figures.get("spans", ()) if span["kind"] == kind)[:16]
