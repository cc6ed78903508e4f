"""Manifests counted a second time, by pandas from the Parquet files alone, and manifests of any rows to count."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pandas as pd

from aiprod.base.files import read_json, write_json
from aiprod.captions.rows import CaptionRow
from aiprod.data.rows import ClipRow, FilmRow
from aiprod.qc.rows import VerdictRow
from aiprod.rights.effective_right import ACQUISITION
from aiprod.storage.manifest.manifest import read_rows, write_manifest

ROOT = "datasets/v1/"
REASONS = ["aspect: 0.562:1 is none of 16:9, 4:3", "also: black, sharpness", "score 0.7 is below 0.85", "black: 3 s"]


def frames(root: Path) -> dict[str, pd.DataFrame]:
    """The tables of queries, joined by pandas from the Parquet files alone."""
    read = {n: pd.read_parquet(root / ROOT / n / "manifest.parquet") for n in ("ingest/films", "ingest/clips")}
    films = read["ingest/films"].rename(columns={"source_id": "source", "media_license": "license"})
    films["license"] = films["license"].fillna("unknown")  # what is not known denies: the docs call it so
    rights = films["rights"].map(json.loads)
    for field, key in (("basis", "personal_data_basis"), ("terms", "acquisition_terms"), ("host", "media_host")):
        films[field] = rights.map(lambda r, key=key: r[key])
    films["contract"] = rights.map(lambda r: (r["contract"] or {}).get("id"))
    films["right"] = films["effective_right"]
    films["taken"] = films["status"] == "ok"
    films["status"] = films["status"].where(films["duplicate_of"].isna(), "duplicate")
    films["labels"] = films["labels"].map(json.loads)
    verdicts = pd.read_parquet(root / ROOT / "qc/decide/manifest.parquet")
    copies = verdicts.assign(more=verdicts["obligations"].map(json.loads)).groupby("film_id")["more"].sum()
    more = films["film_id"].map(copies).map(lambda lines: lines if isinstance(lines, list) else [])
    films["obligations"] = [
        sorted({*json.loads(own), *added}) for own, added in zip(films["obligations"], more, strict=True)
    ]
    films.loc[(more.str.len() > 0) & (films["right"] == "train"), "right"] = "train_with_obligations"
    seen = {
        c["clip_id"]: c["times"] for c in json.loads((root / "models/diffusion/exposure.json").read_text())["clips"]
    }
    clips = read["ingest/clips"].rename(columns={"source_id": "source"}).drop(columns=["labels", "reasons"])
    own = ["film_id", "license", "basis", "terms", "host", "right", "contract", "obligations", "labels"]
    clips = clips.merge(films[own], on="film_id")
    judged = verdicts[["clip_id", "status", "score", "reasons", "privacy_flags"]]
    clips = clips.merge(judged.rename(columns={"status": "verdict"}), on="clip_id", how="left")
    for name in ("reasons", "privacy_flags"):
        clips[name] = clips[name].fillna("[]").map(json.loads)
    clips["steps"] = clips["steps"].map(json.loads)
    captions = pd.read_parquet(root / ROOT / "captions/manifest.parquet")[["clip_id", "caption"]]
    clips = clips.merge(captions, on="clip_id", how="left")
    clips["caption_words"] = clips["caption"].map(lambda text: len(text.split()), na_action="ignore").astype(float)
    clips["duration_s"] = clips["end_s"].astype(float) - clips["start_s"].astype(float)
    clips["sound_s"] = clips["duration_s"].where(clips["has_audio"], 0.0)
    clips["shown"] = clips["clip_id"].map(seen).fillna(0).astype(int)
    clips["admitted"] = (clips["split"] == "train") & (clips["verdict"] == "APPROVED") & (clips["right"] != "deny")
    films["shown"] = films["film_id"].isin(clips[clips["shown"] > 0]["film_id"])
    utterances = pd.DataFrame(
        {"synthetic": pd.Series(dtype=object), "heard": pd.Series(dtype=int)}
    )  # of voices, test_voices.py recounts
    return {"films": films, "clips": clips, "verdicts": verdicts, "utterances": utterances}


def independently(tables: dict[str, pd.DataFrame], query: str) -> object:
    """The answer to a query by pandas; the grammar is read here a second time."""
    head, _, tail = query.partition(" of ")
    table, _, conditions = tail.partition(" where ")
    rows = tables[table]
    for condition in conditions.split(" and ") if conditions else []:
        field, sign, value = condition.split(" ", 2)
        column = rows[field]
        if column.map(lambda v: isinstance(v, list)).any():
            rows = rows[column.map(lambda v, value=value: value in v)]
        elif sign == ">":
            rows = rows[column > float(value)]
        elif value == "none" and field in ("consent_ref", "attribution", "contract"):
            rows = rows[column.notna() if sign == "!=" else column.isna()]
        elif sign == "!=":
            rows = rows[column != value]
        else:
            rows = rows[column.map(lambda v, value=value: str(v).lower() == value.lower()).astype(bool)]
    verb, _, field = head.partition(" ")
    if verb == "count":
        return len(rows)
    if verb == "sum":
        return rows[field].sum()
    flat = rows[field].explode().dropna() if verb != "by" else rows[field].explode()
    if verb == "distinct":
        return flat.nunique()
    if verb == "list":
        return sorted(set(flat))
    filled = flat.dropna() if rows[field].map(lambda v: isinstance(v, list)).any() else flat.fillna("none")
    return dict(sorted(filled.astype(str).value_counts().to_dict().items()))


def scatter(root: Path, source: random.Random) -> None:
    """Write manifests whose rows have anything in any column that documents count by."""
    pick, some = source.choice, lambda of: source.sample(of, source.randrange(len(of) + 1))
    folder = root / ROOT / "ingest/films"
    films = []
    for row in read_rows(folder, FilmRow):
        said = {
            "personal_data_basis": pick(["none", "consent", "contract", "legitimate_interests"]),
            "acquisition_terms": pick(sorted(ACQUISITION)),
            "media_host": pick(["own", "archive.org", "youtube.com"]),
            "contract": pick([None, {"id": "archive-2026"}]),
        }
        films.append(
            row.model_copy(
                update={
                    "status": pick(["ok", "ok", "refused", "error", "erased"]),
                    "duplicate_of": pick([None, None, row.film_id[:-1] + "a"]),
                    "media_license": pick(["CC0-1.0", "CC-BY-4.0", "CC-BY-SA-3.0", "LicenseRef-own", None]),
                    "effective_right": pick(["train", "train_with_obligations", "deny"]),
                    "obligations": some(["credit: Jane Doe", "share-alike", "honour-withdrawal: they may object"]),
                    "attribution": pick([None, "Jane Doe", "Ø. Çelik"]),
                    "labels": some(["sea", "person", "night"]),
                    "consent_ref": pick([None, "2026-014"]),
                    "rights": {**(row.rights or {}), **said},
                }
            )
        )
    write(folder, films, FilmRow, "film_id")
    folder = root / ROOT / "ingest/clips"
    clips = [
        row.model_copy(
            update={
                "end_s": row.start_s + source.randrange(1, 900) / 8,
                "has_audio": pick([True, False]),
                "split": pick(["train", "heldout"]),
                "steps": some(["scaled to 480 lines", "deinterlaced"]),
            }
        )
        for row in some(read_rows(folder, ClipRow))
    ]
    write(folder, clips, ClipRow, "clip_id")
    known = {row.clip_id for row in clips}
    folder = root / ROOT / "qc/decide"
    verdicts = [
        row.model_copy(
            update={
                "status": pick(["APPROVED", "REVIEW_NEEDED", "REJECTED"]),
                "score": pick([None, 0.25, 0.875]),
                "reasons": some(REASONS),
                "privacy_flags": some(["face", "voice", "text"]),
                "obligations": pick([[], [], ["credit: of a near copy"]]),
            }
        )
        for row in read_rows(folder, VerdictRow)
        if row.clip_id == row.film_id or (row.clip_id in known and source.random() < 0.9)
    ]
    write(folder, verdicts, VerdictRow, "clip_id")
    folder = root / ROOT / "captions"
    captions = [
        row.model_copy(update={"caption": pick(["a red circle", "a sea at night, seen from afar", "snow"])})
        for row in read_rows(folder, CaptionRow)
        if row.clip_id in known
    ]
    write(folder, captions, CaptionRow, "clip_id")
    ledger = root / "models/diffusion/exposure.json"
    seen = [
        {"clip_id": row.clip_id, "film_id": row.film_id, "times": n, "by_phase": {"low": n}}
        for row in some(clips)
        for n in [source.randrange(1, 300)]
    ]
    write_json(ledger, {**read_json(ledger), "clips": seen})


def write(folder: Path, rows: list[Any], model: Any, key: str) -> None:
    write_manifest(
        folder, rows, row_model=model, stage="x", key=lambda row: str(getattr(row, key)), params_digest="", inputs={}
    )
