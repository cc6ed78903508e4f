"""The governance commands: exit codes, one-line errors, and JSON that other programs can read."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer import Typer
from typer.testing import CliRunner, Result

from aiprod.commands import audit, lineage, sources
from aiprod.errors import AiprodError
from aiprod.governance.dataset.records import Records


def call(*words: str) -> Result:
    app = Typer(pretty_exceptions_enable=False)
    for module in (audit, lineage, sources):
        module.register(app)
    return CliRunner().invoke(app, list(words))


def test_lineage_as_text_json_and_page(finished: Path) -> None:
    said = call("lineage", "reports/samples/000.mp4", "--html", "made-of.html")
    assert said.exit_code == 0, said.output
    assert "CC-BY-3.0" in said.output and "bbb.mp4" in said.output and "0 mismatches" in said.output
    page = (finished / "made-of.html").read_text()
    assert "hashed again; all match" in page and "film-000" in page
    assert hashlib.sha256((finished / "dvc.lock").read_bytes()).hexdigest() in page, "which state it is of"
    days = (datetime.now(UTC), datetime.now(UTC) - timedelta(1))
    assert any(f"Written {day:%Y-%m-%d}" in page for day in days)
    document = json.loads(call("lineage", "diffusion", "--json").output)
    assert document["subject"]["kind"] == "model" and document["mismatches"] == []


def test_lineage_says_no_with_exit_code_1(finished: Path) -> None:
    clip_id = next(iter(Records(finished).exposure))
    (finished / f"datasets/v1/processed/{clip_id}.mp4").write_bytes(b"changed")
    said = call("lineage", clip_id)
    assert said.exit_code == 1 and f"MISMATCH datasets/v1/processed/{clip_id}.mp4" in said.output
    assert isinstance(call("lineage", "no-such-thing").exception, AiprodError)


def test_sources_check_lists_contradictions_with_proof(finished: Path) -> None:
    said = call("sources", "check").output
    assert "10 contradictions" in said and "kinetics-700" in said and "policy prohibits media from YouTube" in said
    rows = [json.loads(line) for line in call("sources", "check", "--json").output.splitlines()]
    assert {r["source_id"] for r in rows if r["verdict"] == "per film"} == {"inbox", "open-film"}
    assert all(r["proof"] for r in rows)


@pytest.mark.parametrize("kind", ["refusal", "stage"])
def test_audit_checkpoint_show_prove_verify(finished: Path, kind: str) -> None:
    from aiprod.governance.dataset.audit_events import log_state

    log_state(finished)
    assert call("audit", "checkpoint").exit_code == 0
    shown = [json.loads(line) for line in call("audit", "show", "--kind", kind).output.splitlines()]
    assert shown and {e["kind"] for e in shown} == {kind}
    never = call("audit", "show", "--kind", "misspelt")
    assert never.exit_code == 0 and not never.stdout and kind in never.stderr
    document = json.loads(call("audit", "prove", str(shown[0]["index"])).output)
    assert document["index"] == shown[0]["index"]
    assert json.loads(call("audit", "prove", "--since", "3").output)["old"] == 3
    said = call("audit", "verify")
    assert said.exit_code == 0 and "1 checkpoint agrees, 0 problems" in said.output
    next((finished / "datasets/audit").glob("*.checkpoint")).write_text("nonsense")
    assert call("audit", "verify").exit_code == 1
