"""Bills of materials and provenance: valid by their own standards, true to the manifests, and checks that can fail."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer import Typer
from typer.testing import CliRunner

from aiprod.commands import export
from aiprod.errors import AiprodError
from aiprod.governance.dataset.records import Records
from aiprod.governance.exports.counted import written
from aiprod.governance.exports.document import plain_text
from aiprod.governance.exports.registry import DOCUMENTS, problems_of, text_of
from aiprod.governance.organisation import PLACE
from tests.governance.recount import frames, independently
from tests.projects import commit_all

BILLS = ("cyclonedx", "spdx", "slsa")
STATED = "name: Example Films\nplaced_on_market: '2026-11-01'\ndataset_issued: '2026-10-01'\ndataset_url: https://example.com/d\n"


def document(root: Path, name: str) -> Any:
    return json.loads(text_of(name, Records(root)))


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_all_documents_are_written_and_hold_by_their_own_validators(finished: Path) -> None:
    app = Typer(pretty_exceptions_enable=False)
    export.register(app)
    app.command()(lambda: None)
    done = CliRunner().invoke(app, ["export", "all", "--check", "--out", "papers"])
    assert done.exit_code == 0, done.output
    assert {path.name for path in (finished / "papers").iterdir()} == {kind.file for kind in DOCUMENTS.values()}
    assert done.output.count(": valid") == len(DOCUMENTS)


def test_the_command_offers_every_document_of_the_list_and_the_dossier_those_of_figures(finished: Path) -> None:
    assert [str(each) for each in export.Document] == [*DOCUMENTS, "schemas", "all"]
    assert set(written(Records(finished))) == {name for name, kind in DOCUMENTS.items() if kind.write is None}


def broken_cyclonedx(value: Any) -> None:
    value["components"][0]["type"] = "dataset"


def unknown_in_cyclonedx(value: Any) -> None:
    value["metadata"]["component"]["modelCard"]["accuracy"] = 1


def twice_in_cyclonedx(value: Any) -> None:
    value["components"][1]["bom-ref"] = value["components"][0]["bom-ref"]


def elements(value: Any, kind: str) -> list[Any]:
    return [each for each in value["@graph"] if each["type"] == kind]


def mistyped_in_spdx(value: Any) -> None:
    elements(value, "dataset_DatasetPackage")[0]["dataset_datasetSize"] = -1


def lacking_in_spdx(value: Any) -> None:
    del elements(value, "Relationship")[0]["from"]


def dangling_in_spdx(value: Any) -> None:
    elements(value, "SpdxDocument")[0]["rootElement"] = ["urn:nowhere"]


def unknown_in_slsa(value: Any) -> None:
    value["predicate"]["buildDefinition"]["buildtype"] = "x"


def undigested_in_slsa(value: Any) -> None:
    value["subject"][0]["digest"] = {}


def short_digest_in_slsa(value: Any) -> None:
    value["subject"][0]["digest"]["sha256"] = "abc"


def no_builder_in_slsa(value: Any) -> None:
    value["predicate"]["runDetails"]["builder"] = {}


def figure(value: Any) -> None:
    value["figures"][0]["value"] = 10**9


def unlisted(value: Any) -> None:
    value["sections"][0]["entries"][0]["figures"] = [10**6]


def no_record_sets_field(value: Any) -> None:
    value["recordSet"][0]["field"][0]["source"]["fileObject"]["@id"] = "nowhere"


@pytest.mark.parametrize(
    ("name", "breaks"),
    [
        ("cyclonedx", broken_cyclonedx),
        ("cyclonedx", unknown_in_cyclonedx),
        ("cyclonedx", twice_in_cyclonedx),
        ("spdx", mistyped_in_spdx),
        ("spdx", lacking_in_spdx),
        ("spdx", dangling_in_spdx),
        ("slsa", unknown_in_slsa),
        ("slsa", undigested_in_slsa),
        ("slsa", short_digest_in_slsa),
        ("slsa", no_builder_in_slsa),
        ("eu-ai-act", figure),
        ("ropa", unlisted),
        ("croissant", no_record_sets_field),
    ],
)
def test_each_check_fails_on_a_document_that_is_wrong(finished: Path, name: str, breaks: Callable[[Any], None]) -> None:
    facts = Records(finished)
    value = json.loads(text_of(name, facts))
    assert not problems_of(name, json.dumps(value), facts, finished)
    breaks(value)
    assert problems_of(name, json.dumps(value), facts, finished)


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("model-card", "# A card without metadata\n"),
        ("model-card", "---\nlicense: mit\n---\n"),
        ("attributions", "Nothing.\n"),
        ("openlineage", '{"eventTime": "now"}\n'),
    ],
)
def test_each_check_of_a_text_fails_on_another(finished: Path, name: str, wrong: str) -> None:
    assert problems_of(name, wrong, Records(finished), finished)


def test_every_figure_of_the_bills_is_recounted_from_the_parquet_files(finished: Path) -> None:
    tables = frames(finished)
    cyclone, spdx = document(finished, "cyclonedx"), document(finished, "spdx")
    data = next(each for each in cyclone["components"] if each["bom-ref"] == "dataset")
    named = {each["name"]: each["value"] for each in data["data"][0]["contents"]["properties"]}
    package = next(each for each in elements(spdx, "dataset_DatasetPackage") if each["name"] == data["name"])
    said = dict(re.findall(r"^(aiprod dataset count '.*') = (.*)$", package["comment"], re.MULTILINE))
    assert said == named and len(named) > 6
    for command, value in named.items():
        query = command.removeprefix("aiprod dataset count '").removesuffix("'")
        assert value == plain_text(independently(tables, query)), query
    assert package["dataset_datasetSize"] == len(tables["clips"])
    shares = {
        (each["name"], values["aiprod:stated_licence"]): values
        for each in data["components"]
        if (values := {p["name"]: p["value"] for p in each["properties"]})
    }
    films = tables["films"].groupby(["source", "license"])
    assert {key: int(values["aiprod:films"]) for key, values in shares.items()} == films.size().to_dict()
    for key, rows in tables["clips"].groupby(["source", "license"]):
        assert int(shares[key]["aiprod:clips"]) == len(rows)
        assert int(shares[key]["aiprod:clips_admitted_to_training"]) == rows["admitted"].sum()
    sizes = [each["dataset_datasetSize"] for each in elements(spdx, "dataset_DatasetPackage") if each is not package]
    assert sorted(sizes) == sorted(int(values["aiprod:clips"]) for values in shares.values())
    models = {each["name"]: each for each in cyclone["components"] if each["bom-ref"].startswith("model/")}
    ledger = json.loads((finished / "models/diffusion/exposure.json").read_text())["clips"]
    properties = {each["name"]: each["value"] for each in models["diffusion"]["properties"]}
    assert properties["aiprod:seen"] == str(len(ledger))
    metrics = {
        m["type"]: m["value"] for m in models["video_vae"]["modelCard"]["quantitativeAnalysis"]["performanceMetrics"]
    }
    assert metrics["heldout psnr db"] == "27.5"


def test_all_three_name_every_file_of_every_model_with_its_digest(finished: Path) -> None:
    wanted = {
        path.relative_to(finished).as_posix(): sha256(path)
        for path in (finished / "models").rglob("*")
        if path.is_file()
    }
    cyclone = document(finished, "cyclonedx")
    models = [each for each in cyclone["components"] if each["bom-ref"].startswith("model/")]
    assert {f["name"]: f["hashes"][0]["content"] for each in models for f in each["components"]} == wanted
    files = elements(document(finished, "spdx"), "software_File")
    assert {each["name"]: each["verifiedUsing"][0]["hashValue"] for each in files} == wanted
    subject = {each["name"]: each["digest"]["sha256"] for each in document(finished, "slsa")["subject"]}
    samples = {path.relative_to(finished).as_posix(): sha256(path) for path in (finished / "reports/samples").iterdir()}
    assert subject == wanted | samples


def test_licences_are_those_of_the_manifests_and_what_was_refused_licenses_nothing_else(finished: Path) -> None:
    cyclone = document(finished, "cyclonedx")
    data = next(each for each in cyclone["components"] if each["bom-ref"] == "dataset")
    found = {(each["name"], each["licenses"][0]["license"]["id"]) for each in data["components"]}
    films = frames(finished)["films"]
    assert found == set(zip(films["source"], films["license"], strict=True))
    refused = [each for each in data["components"] if each["licenses"][0]["license"]["id"] == "CC-BY-NC-4.0"]
    rights = [p["value"] for each in refused for p in each["properties"] if p["name"] == "aiprod:effective_right"]
    assert rights == ["deny"]


def test_a_profile_is_claimed_only_with_the_facts_that_it_demands(finished: Path) -> None:
    head = elements(document(finished, "spdx"), "SpdxDocument")[0]
    assert set(head["profileConformance"]) == {"core", "software", "simpleLicensing"}
    assert "profile ai (name, placed_on_market, dataset_url)" in head["comment"]
    (finished / PLACE).write_text(STATED.replace("2026-11-01", "November 2026"))
    assert "profile ai (placed_on_market)" in elements(document(finished, "spdx"), "SpdxDocument")[0]["comment"]
    (finished / PLACE).write_text(STATED)
    commit_all("dvc.lock")
    spdx = document(finished, "spdx")
    head = elements(spdx, "SpdxDocument")[0]
    assert {"ai", "dataset"} < set(head["profileConformance"]) and "comment" not in head
    for kind in ("ai_AIPackage", "dataset_DatasetPackage"):
        for each in elements(spdx, kind):
            demanded = {"suppliedBy", "software_downloadLocation", "software_packageVersion", "releaseTime"}
            demanded |= {"originatedBy", "builtTime", "dataset_datasetType"} if kind != "ai_AIPackage" else set()
            assert demanded <= set(each), each


def test_the_same_state_gives_the_same_bytes_under_a_stated_time(
    finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    for name in BILLS:
        assert text_of(name, Records(finished)) == text_of(name, Records(finished))
    assert document(finished, "cyclonedx")["metadata"]["timestamp"].startswith("2023-11-14T22:13:20")
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "yesterday")
    with pytest.raises(AiprodError, match="SOURCE_DATE_EPOCH"):
        text_of("cyclonedx", Records(finished))


def test_provenance_tells_parameters_code_and_inputs_of_the_lock_and_no_secret(finished: Path) -> None:
    lock = json.loads((finished / "dvc.lock").read_text())
    lock["stages"]["sample"]["params"] = {
        "params.yaml": {"sample": {"steps": 7}},
        "datasets/v1/code.json": {"sample": "c"},
    }
    lock["stages"]["ingest"]["deps"] = [
        {"path": "datasets/sources.yaml", "md5": "0" * 32},
        {"path": "datasets/inbox", "md5": f"{'1' * 32}.dir"},
        {"path": "reports", "md5": f"{'2' * 32}.dir"},
    ]
    (finished / "dvc.lock").write_text(json.dumps(lock))
    built = document(finished, "slsa")["predicate"]["buildDefinition"]
    assert built["externalParameters"]["stages"]["sample"]["parameters"] == {"sample": {"steps": 7}}
    assert built["internalParameters"]["code"]["sample"] == {"sample": "c"}
    assert {each["name"]: each["digest"] for each in built["resolvedDependencies"]} == {
        "datasets/sources.yaml": {"md5": "0" * 32},
        "datasets/inbox": {"dvcDir": "1" * 32},
    }, "what stages made themselves is no input, nor is a folder around it"
    lock["stages"]["ingest"]["params"] = {
        "params.yaml": {"ingest": {"folders": {"x": ["https://me:secret@example.com/"]}}}
    }
    (finished / "dvc.lock").write_text(json.dumps(lock))
    with pytest.raises(AiprodError, match="password") as caught:
        text_of("slsa", Records(finished))
    assert "secret@" not in str(caught.value)


def test_software_is_named_with_the_versions_that_are_installed_and_tools_of_development_are_not(
    finished: Path,
) -> None:
    from importlib import metadata

    software = [each for each in document(finished, "cyclonedx")["components"] if each["type"] == "library"]
    found = {each["name"].lower(): each["version"] for each in software}
    assert found["aiprod"] == metadata.version("aiprod") and found["torch"] == metadata.version("torch")
    assert not {"pytest", "ruff", "mypy", "hypothesis", "mkdocs"} & set(found)
