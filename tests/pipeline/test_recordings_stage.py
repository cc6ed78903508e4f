"""Recordings of people through scan and make_speech: what DVC sees, and what the stage says of whom it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aiprod.governance.audit.log import AuditLog
from aiprod.speech.rows import SpeechRow
from aiprod.storage.crypto.film_encryption import Vault
from aiprod.storage.manifest.manifest import read_rows
from tests.pipeline.conftest import PARAMS, Stage
from tests.speech.recorded_folders import TEXTS, vctk
from tests.speech.test_recordings import SOURCE

pytestmark = pytest.mark.slow
SPEECH = "make_speech:\n  commands: 4\n  descriptions: 4\n  made: 4\n  folders: {vctk: recordings}\n"


def test_recordings_are_taken_in_when_they_change_and_a_refusal_is_logged(
    workspace: Path, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    (workspace / "params.yaml").write_text(PARAMS.format(sources="demo", more=SPEECH))
    with open(workspace / "datasets/sources.yaml", "a", encoding="utf-8") as file:
        file.write(SOURCE.format(name="vctk"))
    vctk(workspace / "recordings")
    code = workspace / "datasets/v1/code.json"
    said = []
    for _ in range(2):
        stage("scan")
        said.append(json.loads(code.read_text())["recordings"])
    (workspace / "recordings/speakers.csv").write_text("speaker,consent_ref\np225,2026-014\n")
    stage("scan")
    assert said[0] == said[1] != json.loads(code.read_text())["recordings"]
    done = stage("make_speech")
    told = done.stdout + done.stderr
    assert f"{2 * len(TEXTS)} recordings ({2 * len(TEXTS)} refused)" in told and "is refused" in told
    assert "p225" not in told and "p226" not in told
    monkeypatch.chdir(workspace)
    rows = read_rows(workspace / "datasets/v1/speech", SpeechRow, Vault())
    assert {row.speaker_name for row in rows if not row.synthetic} == {"p225", "p226"}
    denied = [e.value for e in AuditLog().entries() if e.value["kind"] == "refused-action"]
    assert {e["subject"] for e in denied} == {row.speaker for row in rows if not row.synthetic}
