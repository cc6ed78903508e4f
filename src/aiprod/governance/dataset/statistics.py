"""The figures of the dossier: pure counting over the joined manifests. Templates compute nothing."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from aiprod.base.curves import read_curve
from aiprod.base.files import read_json
from aiprod.base.opening import read_utf8
from aiprod.governance.audit.checkpoint import FOLDER, PUBLIC, parse, read_public
from aiprod.governance.dataset.records import MODELS, Records
from aiprod.governance.dataset.svg_charts import histogram, line_chart
from aiprod.printable import counted
from aiprod.qc.decide.reviews import REVIEWS, latest, load_reviews
from aiprod.rights.right import Right

VERDICTS = ("APPROVED", "REVIEW_NEEDED", "REJECTED")
_WORDS = {
    "text_encoder": "Text encoder",
    "video_vae": "Video VAE",
    "audio_vae": "Audio VAE",
    "latents": "Latent cache",
    "diffusion": "Diffusion transformer",
    "sample": "Samples",
    "speech": "Speech",
    "visemes": "Visemes",
    "lips": "Lips",
}


@dataclass(frozen=True)
class Totals:
    """The numbers at the top. Films are ingested or kept out, clips judged or not yet: each adds up.

    Attributes:
        ingested: films that are neither refused, duplicates, undecodable nor erased.
        verdicts: of clips. A film that yielded none has a verdict too, and is no clip.
        unjudged: clips without a verdict yet.
        heldout: approved clips that no model is shown, because it is measured on them.
    """

    films: int
    ingested: int
    erased: int
    refused: int
    duplicates: int
    failed: int
    clips: int
    verdicts: dict[str, int]
    unjudged: int
    heldout: int
    shown: int
    showings: int
    samples: int


def unknown_clips(facts: Records) -> str | None:
    """That the model was shown clips which no manifest has any more, so that no document can speak of their films."""
    gone = sum(clip not in facts.clips for clip in facts.exposure)
    if not gone:
        return None
    return (
        f"The model was shown {counted(gone, 'clip')} that no manifest has now: what their films are, and what they "
        "ask for, is not known here."
    )


def totals(facts: Records) -> Totals:
    """Count films, clips, verdicts and showings."""
    status = Counter("duplicate" if film.duplicate_of else film.status for film in facts.films.values())
    verdicts = Counter(facts.verdicts[clip].status for clip in facts.clips if clip in facts.verdicts)
    return Totals(
        films=len(facts.films),
        ingested=status["ok"],
        erased=status["erased"],
        refused=status["refused"],
        duplicates=status["duplicate"],
        failed=status["error"],
        clips=len(facts.clips),
        verdicts={name: verdicts[name] for name in VERDICTS},
        unjudged=len(facts.clips) - sum(verdicts[name] for name in VERDICTS),
        heldout=sum(
            clip in facts.verdicts and facts.verdicts[clip].status == "APPROVED"
            for clip, row in facts.clips.items()
            if row.split == "heldout"
        ),
        shown=len(facts.exposure),
        showings=sum(s.times for s in facts.exposure.values()),
        samples=len(facts.samples),
    )


def by_right(facts: Records) -> list[dict[str, Any]]:
    """Films and clips by (right, source, licence), most permissive first, with the proofs that occur and exposure."""
    groups: dict[tuple[str, str, str], list[Any]] = defaultdict(list)
    for film in facts.films.values():
        groups[film.effective_right, film.source_id, film.media_license or "unknown"].append(film)
    best_first = sorted(Right, reverse=True)
    rows = []
    for (right, source, licence), films in sorted(
        groups.items(), key=lambda kv: (best_first.index(Right(kv[0][0])), kv[0][1:])
    ):
        clips = [c for f in films for c in facts.clips_of.get(f.film_id, [])]
        shown = [facts.exposure[c.clip_id].times for c in clips if c.clip_id in facts.exposure]
        counted = Counter(tuple(f.rights_proof) for f in films)
        proofs = [{"films": n, "lines": list(p)} for p, n in sorted(counted.items(), key=lambda kv: (-kv[1], kv[0]))]
        rows.append(
            {
                "right": right,
                "source": source,
                "license": licence,
                "films": len(films),
                "clips": len(clips),
                "shown_clips": len(shown),
                "showings": sum(shown),
                "proofs": proofs,
            }
        )
    return rows


def refused(facts: Records) -> list[dict[str, Any]]:
    """Films that were not ingested, and clips that quality control rejected, each with its reasons."""
    rows = [
        {
            "kind": "film",
            "id": f.film_id,
            "name": f.key,
            "source": f.source_id,
            "why": f.reasons or ["no reason kept"],
            "by": _refuser(f),
        }
        for f in facts.films.values()
        if f.status != "ok"
    ]
    not_taken = {row["id"] for row in rows}
    for verdict in facts.verdicts.values():
        film = facts.films.get(verdict.film_id)
        if verdict.status == "REJECTED" and verdict.film_id not in not_taken and film is not None:
            rows.append(
                {
                    "kind": "clip",
                    "id": verdict.clip_id,
                    "name": film.key,
                    "source": film.source_id,
                    "why": verdict.reasons,
                    "by": "quality control",
                }
            )
    return sorted(rows, key=lambda r: (r["by"] != "rights", r["by"], r["source"], r["name"], r["id"]))


def _refuser(film: Any) -> str:
    """Who kept a film out."""
    if film.status == "erased":
        return "erasure"
    if film.duplicate_of:
        return "duplicate"
    return "rights" if film.status == "refused" else "decoding"


def quality(facts: Records) -> dict[str, Any]:
    """Score distribution, and how often each check is named as a reason."""
    # films that were not ingested have verdicts too
    verdicts = [verdict for verdict in facts.verdicts.values() if verdict.clip_id in facts.clips]
    scores = [v.score for v in verdicts if v.score is not None]
    named: Counter[str] = Counter()
    for verdict in verdicts:
        named.update({name for reason in verdict.reasons for name in _checks_in(reason)})
    flags = Counter(flag for v in verdicts for flag in v.privacy_flags)
    return {
        "histogram": histogram(scores, f"Distribution of {len(scores)} quality scores from 0 to 1"),
        "scored": len(scores),
        "reasons": sorted(named.items(), key=lambda kv: (-kv[1], kv[0])),
        "privacy_flags": sorted(flags.items()),
    }


def _checks_in(reason: str) -> list[str]:
    """The checks that a line of reasons names; ``score`` where only all of them together are too low."""
    head, _, rest = reason.partition(":")
    if head == "also":
        return rest.strip().split(", ")
    if head.startswith("score "):
        return ["score"]
    return [head if re.fullmatch(r"[a-z_]+", head) else "other"]


def obligations(facts: Records) -> list[dict[str, Any]]:
    """Obligations with the number of films (that a model was shown, and altogether) that carry them."""
    carried: dict[str, list[str]] = defaultdict(list)
    for film in facts.films.values():
        for line in film.obligations:
            carried[line].append(film.film_id)
    shown = {facts.clips[c].film_id for c in facts.exposure if c in facts.clips}
    return [
        {"obligation": line, "films": len(ids), "shown": len(shown & set(ids))} for line, ids in sorted(carried.items())
    ]


def title(model: str) -> str:
    """What a model is called on pages."""
    return _WORDS[model]


def models(facts: Records) -> list[dict[str, Any]]:
    """Each model (and the latent cache) with its figures and its curve; absent ones are left out."""
    rows = []
    for name in (*MODELS[:3], "latents", "diffusion", "sample", *MODELS[4:]):
        folder = facts.root / "reports" / name
        figures = _figures(folder / "metrics.json")
        curve = curve_svg(folder / "curve.csv", _WORDS[name])
        pictures = sorted(p for p in folder.glob("*.png")) if folder.is_dir() else []
        if figures or curve or pictures:
            rows.append({"name": name, "title": _WORDS[name], "figures": figures, "curve": curve, "pictures": pictures})
    return rows


def curve_svg(path: Path, title: str) -> str:
    """The losses of a curve.csv as a picture; phases are marked where they begin."""
    curve = read_curve(path)
    names = [name for name in curve.columns if name.startswith("loss") or name.endswith("/loss")]
    if curve.empty:
        return ""
    known = {name: curve[["step", name]].dropna() for name in names}
    series = {name: list(zip(own["step"].astype(float), own[name], strict=True)) for name, own in known.items()}
    named = curve.dropna(subset="phase")
    starts = named[named["phase"] != named["phase"].shift()]
    breaks = list(zip(starts["step"].astype(float), starts["phase"], strict=True))
    return line_chart(series, f"{title}: loss over training steps", breaks)


def exposure(facts: Records) -> dict[str, Any]:
    """How evenly the clips were shown."""
    times = sorted(s.times for s in facts.exposure.values())
    if not times:
        return {}
    phases: Counter[str] = Counter()
    for showing in facts.exposure.values():
        phases.update(showing.by_phase)
    return {
        "clips": len(times),
        "least": times[0],
        "median": _whole(median(times)),
        "most": times[-1],
        "total": sum(times),
        "by_phase": [list(pair) for pair in sorted(phases.items())],
    }


def _whole(number: float) -> float:
    """A number that is whole without its ``.0``."""
    return int(number) if number == int(number) else number


def clip_card(facts: Records, clip_id: str) -> dict[str, Any]:
    """Everything about one clip (or about a film that yielded none) for its drill-down."""
    clip, verdict = facts.clips.get(clip_id), facts.verdicts.get(clip_id)
    film = facts.films.get(clip.film_id if clip else (verdict.film_id if verdict else clip_id))
    caption, showing, measure = facts.captions.get(clip_id), facts.exposure.get(clip_id), facts.measures.get(clip_id)
    return {
        "id": clip_id,
        "clip": clip,
        "film": film,
        "verdict": verdict,
        "caption": caption,
        "showing": showing,
        "latents": facts.latents.get(clip_id, []),
        "thumbnail": measure.thumbnails if measure else None,
        "not_ok": [c for c in verdict.checks if c.status != "ok" or (c.score or 0) < 1] if verdict else [],
        "ok": sum(1 for c in verdict.checks if c.status == "ok" and (c.score or 0) >= 1) if verdict else 0,
    }


def reviews(facts: Records) -> list[dict[str, Any]]:
    """What people decided, the newest decision of each clip, beside what the rules had said."""
    path = facts.root / REVIEWS
    newest = latest(load_reviews(path)) if path.is_file() else {}
    return [
        {
            "id": clip_id,
            "name": film.key if (film := facts.films.get(facts.clips[clip_id].film_id)) else clip_id,
            "verdict": review.verdict,
            "automatic": review.automatic,
            "reviewer": review.reviewer,
            "roles": sorted(set(review.authority.values())),
            "sample": review.sample,
            "basis": review.basis,
            "note": review.note,
        }
        for clip_id, review in sorted(newest.items())
        if clip_id in facts.clips
    ]


def log_head(root: Path) -> dict[str, Any]:
    """Size and root of the audit log as the newest checkpoint in git's reach signed them; empty without one."""
    points = sorted((root / FOLDER).glob("*.checkpoint"))
    if not points or not (root / FOLDER / PUBLIC).is_file():
        return {}
    point = parse(read_utf8(points[-1]), read_public(read_utf8(root / FOLDER / PUBLIC)))
    return {"file": (FOLDER / points[-1].name).as_posix(), "size": point.size, "root": point.root.hex()}


def clip_ids(facts: Records) -> list[str]:
    """All clips, and the films that yielded none, in a fixed order: by source, name of the film, number of the shot."""
    ids = set(facts.clips) | set(facts.verdicts)
    ids |= {f.film_id for f in facts.films.values() if f.status != "ok" and f.film_id not in ids}

    def order(clip_id: str) -> tuple[str, str, str]:
        clip, verdict = facts.clips.get(clip_id), facts.verdicts.get(clip_id)
        film = facts.films.get(clip.film_id if clip else (verdict.film_id if verdict else clip_id))
        return (film.source_id if film else "", film.key if film else "", clip_id)

    return sorted(ids, key=order)


def _figures(path: Path) -> list[tuple[str, str]]:
    """Leaf figures of a metrics.json, readable."""
    if not path.is_file():
        return []
    figures: list[tuple[str, str]] = []

    def walk(value: Any, name: str) -> None:
        if isinstance(value, dict):
            for key in value:
                walk(value[key], f"{name} {key}".strip())
        elif isinstance(value, bool | str):
            figures.append((name.replace("_", " "), str(value)))
        elif isinstance(value, int | float):
            figures.append((name.replace("_", " "), f"{value:.4g}" if isinstance(value, float) else str(value)))

    walk(read_json(path), "")
    return figures
