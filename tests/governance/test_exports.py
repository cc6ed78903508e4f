"""Documents: counted from the manifests, well formed, and true to them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from typer import Typer
from typer.testing import CliRunner

from aiprod.commands import export
from aiprod.data.ingest.build_rows import film_row
from aiprod.data.ingest.film_state import judged
from aiprod.data.rows import FilmRow
from aiprod.data.sources.scan import Offer
from aiprod.data.sources.sidecars import record_of
from aiprod.errors import AiprodError
from aiprod.governance.dataset.records import Records
from aiprod.governance.exports import checks
from aiprod.governance.exports.croissant import _licence_url, croissant
from aiprod.governance.exports.model_card import model_card
from aiprod.governance.lineage.lineage import lineage
from aiprod.rights.declarations import load_sources
from aiprod.storage.crypto.film_encryption import Vault
from aiprod.storage.manifest.manifest import write_manifest


def test_croissant_names_real_files_and_columns(finished: Path) -> None:
    document = json.loads(json.dumps(croissant(Records(finished))))
    assert document["conformsTo"][0] == "http://mlcommons.org/croissant/1.1"
    files = {f["@id"]: f for f in document["distribution"]}
    for path, file in files.items():
        assert hashlib.sha256((finished / path).read_bytes()).hexdigest() == file["sha256"]
    ids = [f["@id"] for r in document["recordSet"] for f in r["field"]] + [r["@id"] for r in document["recordSet"]]
    assert len(ids) == len(set(ids))
    types = {
        "sc:Integer": ("int64",),
        "sc:Float": ("double", "int64"),
        "sc:Boolean": ("bool",),
        "sc:Text": ("string", "large_string", "extension<arrow.json>"),
    }
    for record in document["recordSet"]:
        for field in record["field"]:
            schema = pq.read_schema(finished / field["source"]["fileObject"]["@id"])
            found = str(schema.field(field["source"]["extract"]["column"]).type)
            assert found in (*types[field["dataType"]], "string"), (field["@id"], found)
    assert document["license"] == ["https://spdx.org/licenses/CC-BY-3.0.html", "https://spdx.org/licenses/CC0-1.0.html"]
    assert not any("NC" in licence for licence in document["license"]), "refused films license nothing"


def test_every_compact_term_of_croissant_is_in_its_context(finished: Path) -> None:
    document = croissant(Records(finished))
    context = document["@context"]
    schema_org = {
        "name",
        "description",
        "url",
        "version",
        "identifier",
        "license",
        "creator",
        "distribution",
        "contentUrl",
        "encodingFormat",
        "sha256",
        "variableMeasured",
        "measurementTechnique",
        "value",
    }

    def walk(value: object) -> None:
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, dict):
                for key, inner in item.items():
                    prefix = key.split(":")[0]
                    assert key.startswith("@") or key in context or key in schema_org or prefix in context, key
                    walk(inner)

    walk({k: v for k, v in document.items() if k != "@context"})


def test_the_model_card_carries_credits_digest_and_figures(finished: Path) -> None:
    card = model_card(Records(finished))
    facts = Records(finished)
    assert facts.training["model_digest"] in card and "(c) Blender Foundation" in card
    assert "| heldout psnr db | 27.5 |" in card
    assert f"{len(facts.exposure)} clips were shown to the model" in card
    held = sum(c.split == "heldout" and facts.verdicts[i].status == "APPROVED" for i, c in facts.clips.items())
    assert f"{held} approved {'is' if held == 1 else 'are'} held out" in card, "so that approved and shown add up"
    assert "CC-BY-NC" not in card, "what was refused is not training data"


@pytest.mark.parametrize("block", ["a: [", "- a", "pipeline_tag:", "day: 2024-13-01", "a: &a [*a]"])
def test_a_damaged_metadata_block_of_a_model_card_is_one_line(finished: Path, tmp_path: Path, block: str) -> None:
    assert len(list(checks.model_card(f"---\n{block}\n---\ntext", Records(finished), tmp_path))) == 1


def test_the_command(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = Typer(pretty_exceptions_enable=False)
    export.register(app)
    app.command()(lambda: None)
    for what in ("croissant", "model-card", "attributions"):
        done = CliRunner().invoke(app, ["export", what, "--out", str(finished / what)])
        assert done.exit_code == 0, done.output
        assert CliRunner().invoke(app, ["export", what]).output == (finished / what).read_text()
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare/dvc.yaml").write_text("stages: {}\n")
    monkeypatch.chdir(tmp_path / "bare")
    assert isinstance(CliRunner().invoke(app, ["export", "croissant"]).exception, AiprodError)


WORDS = {
    "public domain (NASA)": "LicenseRef-public-domain-us-government",
    "cc by 3.0": "CC-BY-3.0",
    "MIT / CC-BY-SA 4.0": "CC-BY-SA-4.0 AND MIT",
    "https://creativecommons.org/publicdomain/zero/1.0/": "CC0-1.0",
}


@pytest.mark.parametrize("words", WORDS)
def test_manifest_proof_lineage_croissant_and_card_name_one_licence(finished: Path, words: str) -> None:
    """Whatever words a sidecar used: the licence that the proof judged is the one that is shown everywhere."""
    licence = WORDS[words]
    source = load_sources(finished / "datasets/sources.yaml").get("open-film")
    side = record_of({"licence": words, "licence_evidence": "its page", "author": "Ada Example"}, "t.csv")
    offer = Offer(source_id="open-film", key="x", size=1, sha256="0" * 64, sidecar=side, problem="nothing is stored")
    made = film_row(judged(offer, source, None, Vault()))
    assert made.media_license == licence == made.rights["media_license"]
    assert made.license_evidence == "its page", "kept in every version of the rows, whatever git holds of the table"
    assert [line for line in made.rights_proof if line.startswith(f"media_license is '{licence}' → train")]
    facts = Records(finished)
    shown = facts.films[facts.clips[min(facts.exposure)].film_id]
    said = ("media_license", "rights", "rights_proof", "effective_right", "obligations")
    row = shown.model_copy(update={name: getattr(made, name) for name in said})
    rows = [row if film.film_id == row.film_id else film for film in facts.films.values()]
    write_manifest(
        finished / "datasets/v1/ingest/films",
        rows,
        row_model=FilmRow,
        stage="ingest",
        key=lambda film: film.film_id,
        params_digest="p",
        inputs={},
    )
    facts = Records(finished)
    assert any(row["license"] == licence for row in lineage(finished, "reports/samples/000.mp4", rehash=False).rights)
    assert _licence_url(licence) in croissant(facts)["license"]
    assert f"| {licence} |" in model_card(facts)
