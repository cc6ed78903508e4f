"""The stages scan and ingest as they run: a module, a workspace, manifests, counters, one clear line for each error."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from aiprod.data.rows import ClipRow, FilmRow
from aiprod.media.encoding import encode
from aiprod.storage.crypto.film_encryption import Vault, is_private
from aiprod.storage.manifest.manifest import read_head, read_rows
from tests.pipeline.conftest import PARAMS, Stage


def film(path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    encode(
        path,
        [np.full((64, 96, 3), 60 + n, np.uint8) + rng.integers(0, 9, (64, 96, 3), np.uint8) for n in range(24)],
        24,
    )


def counters(workspace: Path) -> tuple[int, int, int]:
    found = json.loads((workspace / ".aiprod/counters/ingest.json").read_text())
    return found["processed"], found["reused"], found["failed"]


def test_from_offers_to_manifests_and_one_more_file(
    workspace: Path, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    inbox = workspace / "datasets/inbox"
    film(inbox / "own.mp4", 1)
    film(inbox / "unknown.mp4", 2)
    (inbox / "rights.csv").write_text("file,licence,title,personal_data_basis\nown.mp4,own,Grey rises,none\n")
    assert "demo offers 1, inbox offers 2" in stage("scan").stderr
    told = stage("ingest").stderr
    assert "3 films (2 ok, 1 refused), 2 clips" in told
    assert "refused inbox, f0" in told and "unknown.mp4" not in told, "a log names no film that may show people"
    monkeypatch.chdir(workspace)
    films = {f.key: f for f in read_rows(workspace / "datasets/v1/ingest/films", FilmRow, Vault())}
    clips = read_rows(workspace / "datasets/v1/ingest/clips", ClipRow)
    assert films["own.mp4"].effective_right == "train"
    assert films["own.mp4"].title == "Grey rises"
    assert films["unknown.mp4"].effective_right == "deny"
    assert is_private(films["unknown.mp4"].film_id) and not is_private(films["own.mp4"].film_id)
    assert (films["clean-000"].effective_right, films["clean-000"].personal_data_basis) == ("train", "none")
    assert {c.processed_name for c in clips} == {p.name for p in (workspace / "datasets/v1/processed").iterdir()}
    assert counters(workspace) == (2, 0, 0)
    root = read_head(workspace / "datasets/v1/ingest/films").merkle_root

    stage("scan")
    stage("ingest")
    assert counters(workspace) == (0, 2, 0)
    assert read_head(workspace / "datasets/v1/ingest/films").merkle_root == root

    film(inbox / "more.mp4", 3)
    (inbox / "more.mp4.json").write_text('{"license": "own"}')
    shutil.copy(inbox / "more.mp4", inbox / "more_again.mp4")
    (inbox / "more_again.mp4.json").write_text('{"license": "own"}')
    stage("scan")
    assert "5 films (3 ok, 1 refused, 1 duplicate), 3 clips" in stage("ingest").stderr
    assert counters(workspace)[1:] == (2, 0)


@pytest.mark.parametrize(
    ("sources", "more", "message"),
    [
        ("inbox", "", "offer no film"),
        ("demmo", "", "did you mean 'demo'?"),
        ("demo", "  min_shot: 2\n", "unknown key 'min_shot'"),
        ("demo", "  deadline_s: soon\n", "deadline_s"),
        ("netflix", "", "cannot be ingested"),
    ],
)
def test_what_is_wrong_is_one_line(workspace: Path, stage: Stage, sources: str, more: str, message: str) -> None:
    (workspace / "params.yaml").write_text(PARAMS.format(sources=sources, more=more))
    said = stage("scan", code=2).stderr.strip()
    assert message in said
    assert said.startswith("error: ")
    assert "\n" not in said


def test_ingest_without_a_scan_says_so(stage: Stage) -> None:
    assert "dvc repro" in stage("ingest", code=2).stderr
