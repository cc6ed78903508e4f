"""Legal documents: every figure is what an independent count over the Parquet files gives, and nothing is invented."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path

import pytest
from typer import Typer
from typer.testing import CliRunner

from aiprod.commands import dataset, export
from aiprod.data.rows import FilmRow
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
from aiprod.rights.effective_right import ACQUISITION
from aiprod.storage.manifest.manifest import read_rows, write_manifest
from tests.governance.recount import frames, independently, scatter


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
