"""The dossier: one page for whoever has to answer for the model, with a page of details for every hundred clips."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import Any

from pydantic import Field

from aiprod.base.files import atomic_folder, contained, read_json, write_json, write_text
from aiprod.base.params import Params
from aiprod.errors import AiprodError
from aiprod.film.record import read_record, record_beside
from aiprod.film.scopes import scopes_of
from aiprod.governance.dataset import records as where
from aiprod.governance.dataset import statistics as count
from aiprod.governance.dataset.records import Records
from aiprod.governance.dataset.version import describe
from aiprod.governance.dataset.voices import voices
from aiprod.governance.exports.counted import written
from aiprod.governance.exports.croissant import croissant
from aiprod.governance.exports.model_card import model_card
from aiprod.governance.exports.writers import attributions
from aiprod.governance.pages import render
from aiprod.governance.policy.conflicts import check_sources
from aiprod.montage.timecode import format_timecode, parse_rate
from aiprod.rights.declarations import load_sources
from aiprod.storage.clip_store import copy_stored, present
from aiprod.storage.crypto.film_encryption import is_private


class DossierParams(Params):
    """The report for legal review."""

    title: str = "AIPROD dossier"
    url: str | None = Field(default=None, description="public page of the dataset, named in its Croissant document")
    clips_per_page: int = Field(default=100, ge=10, le=1000)
    thumbnails: int = Field(default=24, ge=0, le=200, description="captioned clips shown on the first page")


def build_dossier(root: Path, folder: Path, params: DossierParams) -> dict[str, Any]:
    """Write the dossier of the workspace at ``root`` into ``folder``; returns its summary.

    Everything it shows is copied beside it, so that the folder can be handed over by itself.

    Raises:
        AiprodError: a manifest is damaged, or no film was ingested.
    """
    facts = Records(root)
    if not facts.films:
        raise AiprodError(f"there is nothing to tell: {where.FILMS} holds no film", "run `dvc repro` first")
    with atomic_folder(folder) as target:
        pictures = _copy_media(facts, target)
        ids = count.clip_ids(facts)
        pages = {clip: f"clips-{1 + i // params.clips_per_page:03d}.html" for i, clip in enumerate(ids)}
        cards = {clip: count.clip_card(facts, clip) for clip in ids}
        shown = _gallery(facts, pictures, params.thumbnails)
        declared = root / "datasets" / "sources.yaml"
        findings = check_sources(load_sources(declared)) if declared.is_file() else []
        page = {
            "title": params.title,
            "totals": count.totals(facts),
            "rights": count.by_right(facts),
            "refused": count.refused(facts),
            "quality": count.quality(facts),
            "obligations": count.obligations(facts),
            "models": count.models(facts),
            "networks": facts.networks,
            "exposure": count.exposure(facts),
            "samples": facts.samples,
            "film": _film(root, target),
            "voices": voices(facts),
            "heads": facts.heads,
            "training": facts.training,
            "pages": pages,
            "gallery": [(cards[c], pictures[c]) for c in shown],
            "reviews": count.reviews(facts),
            "version": describe(facts),
            "log_head": count.log_head(root),
            "qc_report": _copy_report(root, target),
            "contradictions": [f for f in findings if f.verdict == "contradiction"],
        }
        write_text(target / "index.html", render("dossier.html.j2", **page))
        _write_clip_pages(target, params, pages, cards, pictures)
        summary = _summary(facts)
        write_json(target / "summary.json", summary)
        write_text(target / "ATTRIBUTIONS.txt", attributions(facts))
        write_text(target / "MODEL_CARD.md", model_card(facts))
        write_json(target / "croissant.json", croissant(facts, params.url, top=os.path.relpath(root, folder)))
        for name, writer in written(facts).items():
            write_text(target / f"{name.upper().replace('-', '_')}.md", writer.markdown())
            write_json(target / f"{name}.json", writer.document())
    return summary


def _summary(facts: Records) -> dict[str, Any]:
    """The first page as data."""
    total = count.totals(facts)
    return {
        "films": total.films,
        "films_refused": total.refused,
        "films_duplicate": total.duplicates,
        "films_undecodable": total.failed,
        "clips": total.clips,
        "verdicts": total.verdicts,
        "clips_shown": total.shown,
        "showings": total.showings,
        "samples": total.samples,
        "voices": [vars(voice) for voice in voices(facts)],
        "rights": [{k: v for k, v in row.items() if k != "proofs"} for row in count.by_right(facts)],
        "obligations": count.obligations(facts),
        "exposure": count.exposure(facts),
        "manifest_roots": {name: head.merkle_root for name, head in facts.heads.items()},
        "model_digest": facts.training.get("model_digest"),
        "dataset_root": facts.training.get("dataset_root"),
    }


def _gallery(facts: Records, pictures: dict[str, str], most: int) -> list[str]:
    """Captioned clips with a picture, spread evenly over all of them."""
    known = [c for c in count.clip_ids(facts) if c in facts.captions and c in pictures]
    stride = max(1, -(-len(known) // most)) if most else 1
    return known[::stride][:most]


def _copy_media(facts: Records, target: Path) -> dict[str, str]:
    """Copy thumbnails, samples and report pictures; returns clip id → address of its thumbnail."""
    thumbs = facts.root / where.THUMBNAILS
    copied = {}
    for clip_id, row in facts.measures.items():
        if row.thumbnails and not is_private(clip_id) and present(contained(thumbs, row.thumbnails)):
            copy_stored(thumbs / row.thumbnails, target / "assets" / "clips" / row.thumbnails)
            copied[clip_id] = f"assets/clips/{row.thumbnails}"
    for sample in facts.samples:
        copy_stored(contained(facts.root / where.SAMPLES, sample.view), target / "assets" / "samples" / sample.view)
    for model in count.models(facts):
        for picture in model["pictures"]:
            copy_stored(picture, target / "assets" / model["name"] / picture.name)
    return copied


def _film(root: Path, target: Path) -> dict[str, Any]:
    """The finished film for the page, with what it is made of; why there is none where it was refused."""
    folder = root / "reports" / "film"
    refused = folder / "refused.json"
    if refused.is_file():
        return {"refused": read_json(refused).get("reasons", [])}
    film = next((path for name in ("film.mp4", "film.mov") if (path := folder / name).is_file()), None)
    if film is None or (beside := record_beside(film)) is None:
        return {}
    record = read_record(beside)
    for name in (film.name, "film.poster.png", "film.vtt"):
        if (folder / name).is_file():
            copy_stored(folder / name, target / "assets" / "film" / name)
    scopes = []
    for path, words in scopes_of(record, folder / f"{film.stem}_scopes"):
        copy_stored(path, target / "assets" / "film" / path.name)
        scopes.append((path.name, words))
    rate = parse_rate(record["rate"])
    rows = []
    for shot in record["shots"]:
        each = record["ingredients"][shot["ingredient"]]
        span = [format_timecode(shot[key], rate) for key in ("record_in", "record_out")]
        named = {"kind": each["kind"], "name": each["name"], "licence": each.get("license", "")}
        rows.append({"from": span[0], "to": span[1], "scene": shot.get("scene"), "graded": "grade" in shot, **named})
    return {
        "record": record,
        "file": film.name,
        "rows": rows,
        "scopes": scopes,
        "subtitles": _within_page(folder / "film.vtt"),
    }


def _within_page(subtitles: Path) -> str:
    """Subtitles as an address that holds them: browsers load no track from a file beside a page opened as a file."""
    if not subtitles.is_file():
        return ""
    return f"data:text/vtt;base64,{base64.b64encode(subtitles.read_bytes()).decode()}"


def _copy_report(root: Path, target: Path) -> bool:
    """Copy the page of quality control beside the dossier; whether there is one."""
    page = root / "reports" / "qc" / "page"
    if not (page / "index.html").is_file():
        return False
    for path in sorted(p for p in page.rglob("*") if p.is_file()):
        copy_stored(path, target / "qc" / path.relative_to(page))
    return True


def _write_clip_pages(
    target: Path, params: DossierParams, pages: dict[str, str], cards: dict[str, Any], pictures: dict[str, str]
) -> None:
    names = sorted(set(pages.values()))
    for name in names:
        mine = [cards[clip] for clip, page in pages.items() if page == name]
        write_text(
            target / name,
            render("clips.html.j2", title=params.title, cards=mine, pictures=pictures, names=names, name=name),
        )
