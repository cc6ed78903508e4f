"""Legal documents: every figure is what an independent count over the Parquet files gives, and nothing is invented."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer import Typer
from typer.testing import CliRunner

from aiprod.base.files import read_json, write_json
from aiprod.captions.rows import CaptionRow
from aiprod.commands import dataset, export
from aiprod.data.rows import ClipRow, FilmRow
from aiprod.errors import AiprodError
from aiprod.governance.audit.log import AuditLog
from aiprod.governance.dataset.queries import Tables
from aiprod.governance.dataset.records import Records
from aiprod.governance.exports.counted import written
from aiprod.governance.exports.croissant import FIGURES as CROISSANT_FIGURES
from aiprod.governance.exports.croissant import croissant
from aiprod.governance.exports.data_provenance import FIELDS
from aiprod.governance.exports.document import plain_text
from aiprod.governance.exports.eu_ai_act import OTHER, PARTS
from aiprod.governance.exports.model_card import FIGURES, model_card
from aiprod.governance.organisation import PLACE
from aiprod.qc.rows import VerdictRow
from aiprod.rights.effective_right import ACQUISITION
from aiprod.storage.manifest.manifest import read_rows, write_manifest

ROOT = "datasets/v1/"


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
    films["status"] = films["status"].where(films["duplicate_of"].isna(), "duplicate")
    films["labels"] = films["labels"].map(json.loads)
    films["obligations"] = films["obligations"].map(json.loads)
    seen = {
        c["clip_id"]: c["times"] for c in json.loads((root / "models/diffusion/exposure.json").read_text())["clips"]
    }
    clips = read["ingest/clips"].rename(columns={"source_id": "source"}).drop(columns=["labels"])
    own = ["film_id", "license", "basis", "terms", "host", "right", "contract", "obligations", "labels"]
    clips = clips.merge(films[own], on="film_id")
    verdicts = pd.read_parquet(root / ROOT / "qc/decide/manifest.parquet")[["clip_id", "status", "privacy_flags"]]
    clips = clips.merge(verdicts.rename(columns={"status": "verdict"}), on="clip_id", how="left")
    clips["privacy_flags"] = clips["privacy_flags"].map(json.loads)
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
    return {"films": films, "clips": clips, "utterances": utterances}


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


def check_every_figure(root: Path) -> int:
    """Compare each figure of each document with its query, asked of the Parquet files by pandas; their number."""
    facts, tables = Records(root), frames(root)
    checked = 0
    for writer in written(facts).values():
        for figure in writer.document()["figures"]:
            assert figure["value"] == pytest.approx(independently(tables, figure["query"])), figure
            checked += 1
    card = model_card(facts)
    for name, query in FIGURES.items():
        assert f"`{query}`" in card and name in card
        assert Tables(facts).ask(query) == pytest.approx(independently(tables, query)), query
        checked += 1
    named = {figure["name"]: figure for figure in croissant(facts)["variableMeasured"]}
    for name, query in CROISSANT_FIGURES.items():
        value = independently(tables, query)
        assert named[name]["value"] == (value if isinstance(value, int) else plain_text(value)), name
        assert query in named[name]["measurementTechnique"]
        checked += 1
    return checked


def test_every_figure_of_every_document_is_recounted(finished: Path) -> None:
    assert check_every_figure(finished) > 42


@pytest.mark.parametrize("seed", range(6))
def test_every_figure_is_that_of_any_manifests(finished: Path, seed: int) -> None:
    scatter(finished, random.Random(seed))
    assert check_every_figure(finished) > 42


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
                "privacy_flags": some(["face", "voice", "text"]),
            }
        )
        for row in read_rows(folder, VerdictRow)
        if row.clip_id in known or row.clip_id == row.film_id
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


def test_each_clip_that_was_shown_falls_under_exactly_one_heading(finished: Path) -> None:
    tables = Tables(Records(finished))
    conditions = [condition for condition, _ in PARTS.values()] + list(OTHER.values())
    counts = [tables.ask(f"count of clips where shown > 0 and {condition}") for condition in conditions]
    assert sum(counts) == tables.ask("count of clips where shown > 0") > 0
    for terms in ACQUISITION:
        for licence in ("LicenseRef-own", "CC-BY-4.0"):
            rows = [{"shown": 1, "terms": terms, "license": licence, "film_id": "f"}]
            one = Tables(Records(finished))
            one.__dict__["clips"] = rows
            assert sum(one.ask(f"count of clips where {condition}") for condition in conditions) == 1, (terms, licence)


def test_the_documents_follow_their_templates(finished: Path) -> None:
    documents = written(Records(finished))
    labels = [e.label for s in documents["provenance"].sections for e in s.entries]
    assert labels == list(FIELDS) and len(FIELDS) == 22
    titles = [s.title for s in documents["eu-ai-act"].sections]
    assert titles == ["1. General information", "2. List of data sources", "3. Data processing aspects"]
    letters = [s.title[:3] for s in documents["ropa"].sections]
    assert letters == ["(a)", "(b)", "(c)", "(d)", "(e)", "(f)", "(g)"]


def test_what_nobody_stated_is_said_to_be_unstated_and_what_is_stated_is_quoted(finished: Path) -> None:
    text = written(Records(finished))["ropa"].markdown()
    assert "not stated (datasets/organisation.yaml: name)" in text
    (finished / PLACE).write_text("name: Example | Films <b>\ncode_of_practice: true\n")
    documents = written(Records(finished))
    assert "Example \\| Films &lt;b>" in documents["ropa"].markdown()
    assert "Signatory of the GPAI Code of Practice**: yes" in documents["eu-ai-act"].markdown()
    (finished / PLACE).write_text("nmae: x\n")
    with pytest.raises(AiprodError, match="name"):
        written(Records(finished))


def test_people_and_credits_reach_the_documents(finished: Path) -> None:
    folder = finished / "datasets/v1/ingest/films"
    rows = [
        row.model_copy(update={"rights": {**row.rights, "personal_data_basis": "consent"}, "consent_ref": "consent-7"})
        if row.source_id == "open-film" and row.status == "ok"
        else row
        for row in read_rows(folder, FilmRow)
    ]
    write_manifest(
        folder, rows, row_model=FilmRow, stage="ingest", key=lambda r: r.film_id, params_digest="p", inputs={}
    )
    documents = written(Records(finished))
    assert "Films with a reference to consent**: 1" in documents["ropa"].markdown()
    assert "consent 1" in documents["ropa"].markdown()
    assert "(c) Blender Foundation" in documents["eu-ai-act"].markdown()


@pytest.mark.parametrize(
    ("query", "what"),
    [
        ("how many clips", "is not a query"),
        ("count of clip", "no table 'clip'"),
        ("sum durations of clips", "no field 'durations'"),
        ("count of clips where verdict APPROVED", "is not a condition"),
        ("count of clips where shown > often", "is not a number"),
    ],
)
def test_a_wrong_query_is_one_line(finished: Path, query: str, what: str) -> None:
    with pytest.raises(AiprodError, match=re.escape(what)):
        Tables(Records(finished)).ask(query)


def test_the_commands(finished: Path, tmp_path: Path) -> None:
    app = Typer(pretty_exceptions_enable=False)
    export.register(app)
    dataset.register(app)
    run = CliRunner()
    for name in ("eu-ai-act", "provenance", "ropa"):
        done = run.invoke(app, ["export", name, "--out", str(tmp_path / f"{name}.json"), "--json"])
        assert done.exit_code == 0, done.output
        document = json.loads((tmp_path / f"{name}.json").read_text())
        for figure in document["figures"]:
            answer = run.invoke(app, ["dataset", "count", figure["query"]]).output
            assert json.loads(answer) == pytest.approx(figure["value"])
    assert [e.value["subject"] for e in AuditLog().entries()] == [
        "export/eu-ai-act",
        "export/provenance",
        "export/ropa",
    ]
