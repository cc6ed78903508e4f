"""Rows of films that were ingested, refused or erased, and of their shots."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import Any

from aiprod.base.denials import Refusal, log_refusals
from aiprod.base.progress import log
from aiprod.data.ingest.film_state import OfferedFilm
from aiprod.data.rows import ClipRow, FilmRow, clip_id_of, split_of
from aiprod.media.normalising import VERSION
from aiprod.printable import escape_controls
from aiprod.rights.declarations import layers
from aiprod.storage.crypto.film_encryption import is_private
from aiprod.storage.crypto.tombstones import REASON
from aiprod.storage.manifest.encrypted_columns import BLANK, as_shown
from aiprod.storage.result_cache import CIPHERTEXT


def film_row(film: OfferedFilm) -> FilmRow:
    """The row of a film, whatever became of it."""
    if film.erased:
        return erased_row(film.film_id, film.offer.source_id)
    offer, side, result = film.offer, film.offer.sidecar, film.result or {}
    stated = layers(film.source, side)
    truth = result.get("truth")
    labels = [*film.source.labels, *(side.labels if side else [])]
    if truth is not None:
        labels = list(dict.fromkeys([*labels, *(label for scene in truth["scenes"] for label in scene["labels"])]))
    ok = film.status == "ok"
    return FilmRow(
        film_id=film.film_id,
        source_id=offer.source_id,
        key=offer.key,
        title=(side.title if side else None) or (truth["scenes"][0]["sentence"] if truth else None),
        description=side.description if side else None,
        status=film.status,  # type: ignore[arg-type]
        reasons=[*film.reasons, *([film.error] if film.error else []), *(result.get("notes") or [])],
        content_sha256=film.content,
        packets_sha256=result.get("packets_sha256"),
        size_bytes=result.get("size", offer.size),
        raw_name=raw_name(film) if ok else None,
        facts=result.get("facts"),
        rights=stated,
        effective_right=film.right.word,
        rights_proof=list(film.rights.proof),
        obligations=film.obligations,
        labels=labels,
        attribution=(side.attribution if side else None) or film.source.attribution,
        url=(side.url if side else None) or film.source.url,
        origin=side.origin if side else None,
        media_license=stated["media_license"],
        license_evidence=side.license_evidence if side else None,
        consent_ref=side.consent_ref if side else None,
        personal_data_basis=stated["personal_data_basis"],
        duplicate_of=film.duplicate_of,
        n_clips=len(result.get("clips") or []) if ok else 0,
    )


def erased_row(film_id: str, source_id: str) -> FilmRow:
    """The row of a film that was erased: nothing but its id."""
    return FilmRow(film_id=film_id, source_id=source_id, key=BLANK, status="erased", reasons=[REASON])


def raw_name(film: OfferedFilm) -> str:
    """The name of its raw object."""
    assert film.result is not None
    return f"{film.film_id}.{str(film.result['raw']).rsplit('.', 1)[1]}"


def clip_rows(film: OfferedFilm, seed: int, heldout: float) -> Iterator[ClipRow]:
    """The rows of its clips."""
    if film.status != "ok" or film.result is None:
        return
    side, truth = film.offer.sidecar, film.result["truth"]
    for clip in film.result["clips"]:
        scene = _scene_at(truth, clip["start_s"]) if truth else None
        labels = [*film.source.labels, *(side.labels if side else []), *(scene["labels"] if scene else [])]
        clip_id = clip_id_of(film.film_id, clip["index"])
        yield ClipRow(
            clip_id=clip_id,
            film_id=film.film_id,
            source_id=film.offer.source_id,
            shot_index=clip["index"],
            start_s=clip["start_s"],
            end_s=clip["end_s"],
            frames=clip["frames"],
            fps=clip["fps"],
            width=clip["width"],
            height=clip["height"],
            has_audio=clip["has_audio"],
            status=clip["status"],
            reasons=clip["reasons"],
            processed_name=f"{clip_id}.mp4" if clip["file"] else None,
            processed_sha256=film.result[CIPHERTEXT].get(clip["file"]) if film.private else clip["sha256"],
            split=split_of(film.film_id, seed, heldout),
            steps=clip["steps"],
            made_by=VERSION,
            labels=list(dict.fromkeys(labels)),
            title=(side.title if side else None) or (scene["sentence"] if scene else None),
            description=side.description if side else None,
            ground_truth=None if truth is None else {**truth, "scenes": [scene] if scene else []},
        )


def _scene_at(truth: dict[str, Any], start_s: float) -> dict[str, Any]:
    """The scene of a demo film in which a shot begins."""
    begun = [scene for scene in truth["scenes"] if scene["start_s"] <= start_s + 0.05]
    return dict(begun[-1])


def refusal_line(film: FilmRow, *, seen: bool) -> str:
    """Why a film may not be trained on.

    Args:
        seen: whether a person watches. A log, which is kept and sent, has the id of a film with personal data and no
            words of it; ``aiprod lineage`` of the id names the film.
    """
    if seen or not is_private(film.film_id):
        return f"{film.source_id}/{film.key}: {film.reasons[-1]}"
    return f"{film.source_id}, {film.film_id}: {as_shown(film).reasons[-1]}"


def denial_of(film: FilmRow) -> Refusal:
    """The line of a film that may not be trained on; its name is only committed to."""
    lack = "consent" if all(reason.startswith("personal_data_basis") for reason in film.reasons) else "right"
    what = f"{film.source_id}/{film.key} is refused: {'; '.join(film.reasons)}"
    return Refusal(what, lack=lack, action="ingest", subject=film.film_id)  # type: ignore[arg-type]


def log_refused(films: Sequence[FilmRow]) -> None:
    """Say which films may not be trained on, and note it in the log of refusals."""
    refused = [f for f in films if f.effective_right == "deny" or any(r.startswith("reserved:") for r in f.reasons)]
    for film in refused:
        log(f"  refused {escape_controls(refusal_line(film, seen=sys.stderr.isatty()))}")
    log_refusals([denial_of(film) for film in refused], once=True)
