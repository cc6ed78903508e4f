"""Lineage of a finished film: of all of it, or of one frame and one sample of it, down to clips, rights and models."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aiprod.base.files import read_json
from aiprod.film.record import Moment, at_time, changed, checked_record, films_below
from aiprod.governance.dataset.records import Records
from aiprod.governance.lineage.lineage import Lineage, Walker, rights_table
from aiprod.governance.lineage.node import Node
from aiprod.governance.lineage.verify import check
from aiprod.montage.timecode import format_timecode, parse_rate
from aiprod.repo.dvc_lock import Lock


def film_lineage(
    root: Path,
    film: Path,
    record: dict[str, Any],
    *,
    at: str | None = None,
    rehash: bool = True,
    released: bool = False,
) -> Lineage:
    """What a film is made of, or what one moment of it is made of.

    Args:
        at: a time code or another time; None for the whole film.
        released: the record stood in the film's credentials, which hold for its bytes.

    Raises:
        AiprodError: the record is of a later version, or the film has nothing at that time.
    """
    checked_record(record, film.name)
    lock = Lock(root) if (root / "dvc.lock").is_file() else None
    facts = Records(root, strict=False, lock=lock)
    walker = Walker.of(facts, root, lock)
    moment = at_time(record, at) if at is not None else None
    children = _moment(walker, record, moment) if moment is not None else _whole(walker, record)
    used = _used(record, moment)
    models = {str(d) for n in used if (d := _facts(record, n).get("model_digest"))}
    direct = [record["ingredients"][n]["name"] for n in used if record["ingredients"][n]["kind"] == "clip"]
    here = facts.training.get("model_digest")
    if here in models:  # once, however many shots it made
        children.append(walker.node("model", "diffusion"))
    clips = sorted({*direct, *(facts.exposure if here in models else ())} & set(facts.clips))
    films = sorted({facts.clips[clip].film_id for clip in clips})
    wrong: list[str] = []
    count, notes = 0, ["bytes were not hashed"]
    if rehash:
        place = _original(root, film, record) if released else film
        count, wrong, notes = changed(record, place, root, used, released=released)
        if clips or here in models:
            more = check(facts, lock, "model" if here in models else "clips", "diffusion", clips)
            count, wrong, notes = count + more[0], [*wrong, *more[1]], [*notes, *more[2]]
    notes += [
        f"the model {digest[:12]} is not the one here; --rev selects a commit" for digest in sorted(models - {here})
    ]
    speech = {str(d) for n in used if (d := _facts(record, n).get("speech_model_digest"))}
    notes += [f"the speech model {digest[:12]} is not the one here" for digest in sorted(speech - {_speech_here(root)})]
    about: dict[str, Any] = {key: record[key] for key in ("title", "frames", "profile", "script") if key in record}
    if moment is not None:
        about |= {"at": moment.timecode, "frame": moment.frame, "sample": moment.sample, "scene": moment.scene}
    return Lineage(
        subject=Node("finished film", film.name, about, children),
        used_by=[],
        stages=[],
        rights=rights_table(facts, films),
        obligations=sorted(
            {o for n in used for o in record["ingredients"][n].get("obligations", [])}
            | {o for f in films if f in facts.films for o in facts.films[f].obligations}
        ),
        checked_files=count,
        mismatches=[*facts.problems, *dict.fromkeys(wrong)],
        notes=notes,
    )


def _original(root: Path, film: Path, record: dict[str, Any]) -> Path:
    """The film that a released one is a copy of, beside which its parts lie; the copy where that is not here."""
    return next((path.with_name(str(own["file"])) for path, own in films_below(root) if own == record), film)


def _speech_here(root: Path) -> str:
    """Digest of the speech model in the workspace; empty where there is none."""
    path = root / "models" / "speech" / "digest.json"
    return str(read_json(path).get("digest", "")) if path.is_file() else ""


def _facts(record: dict[str, Any], number: int) -> dict[str, Any]:
    facts: dict[str, Any] = record["ingredients"][number].get("facts", {})
    return facts


def _used(record: dict[str, Any], moment: Moment | None) -> list[int]:
    """Numbers of the ingredients of a film or of a moment, its grade's files among them."""
    entries: Sequence[dict[str, Any]] = [*record["shots"], *record["sounds"]]
    if moment is not None:
        entries = [*(seen.entry for seen in moment.pictures), *(heard.entry for heard in moment.sounds)]
    numbers = {entry["ingredient"]: None for entry in entries}
    for entry in entries:
        numbers |= dict.fromkeys(entry.get("grade", {}).get("files", ()))
    return list(numbers)


def _moment(walker: Walker, record: dict[str, Any], moment: Moment) -> list[Node]:
    nodes = []
    for seen in moment.pictures:
        place = f"{float(seen.source_s):.4f} s" + (
            f", picture {seen.source_frame}" if seen.source_frame is not None else ""
        )
        nodes.append(
            _entry(walker, record, seen.entry, "shot", {"shows": place if seen.source_frame is not None else "a still"})
        )
    for heard in moment.sounds:
        nodes.append(_entry(walker, record, heard.entry, "sound", {"sample": heard.source_sample}))
    return nodes


def _whole(walker: Walker, record: dict[str, Any]) -> list[Node]:
    return [
        _entry(walker, record, entry, kind, {})
        for kind, key in (("shot", "shots"), ("sound", "sounds"))
        for entry in record[key]
    ]


def _entry(walker: Walker, record: dict[str, Any], entry: dict[str, Any], kind: str, more: dict[str, Any]) -> Node:
    """A shot or a sound, with what it is of below it."""
    rate = parse_rate(record["rate"])
    span = " to ".join(format_timecode(entry[key], rate) for key in ("record_in", "record_out"))
    about = {key: entry[key] for key in ("track", "scene", "bus") if entry.get(key)}
    below = [_ingredient(walker, record["ingredients"][entry["ingredient"]])]
    grade = entry.get("grade")
    if grade is not None:
        values = {key: value for key, value in grade.items() if key != "files"}
        files = [record["ingredients"][n] for n in grade["files"]]
        below.append(Node("grade", ", ".join(f["name"] for f in files) or "in the script",
                          {**values, **{f["name"]: f["sha256"] for f in files}}))  # fmt: skip
    return Node(kind, span, {**about, **more}, below)


def _ingredient(walker: Walker, each: dict[str, Any]) -> Node:
    kind, name, facts = each["kind"], each["name"], each.get("facts", {})
    about = {key: each[key] for key in ("file", "sha256", "license", "credit") if each.get(key)} | facts
    if kind == "clip":
        return walker.node("clip", name) if name in walker.facts.clips else Node("clip", name, about)
    digest = facts.get("model_digest")
    if digest:
        return Node("sample", each.get("file") or name, about, [Node("model", f"diffusion {str(digest)[:12]}")])
    if speech := facts.get("speech_model_digest"):
        return Node(kind, name, about, [Node("model", f"speech {str(speech)[:12]}")])
    return Node(kind, name, about)
