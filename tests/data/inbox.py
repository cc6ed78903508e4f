"""An inbox in which files state their own rights."""

from __future__ import annotations

from pathlib import Path

import pytest

from aiprod.rights.declarations import SourceDeclaration, SourcesFile

SOURCES = SourcesFile(
    sources={
        "inbox": SourceDeclaration(
            title="Inbox",
            adapter="folder",
            path="datasets/inbox",
            media_license="per-file",
            annotation_license="own",
            files_without_sidecar="own",
            acquisition_terms="provided-by-operator",
            media_host="self",
            personal_data_basis="none",
            consent="per_file",
            policy_approval="approved",
        )
    }
)


@pytest.fixture
def inbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state_home: Path) -> Path:
    (tmp_path / "dvc.yaml").touch()
    (tmp_path / "datasets/inbox").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    return tmp_path / "datasets/inbox"
