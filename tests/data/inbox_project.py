"""A project with an inbox, taken in run after run."""

from __future__ import annotations

from pathlib import Path

import pytest

from aiprod.base.stage import Counters
from aiprod.data.ingest.ingest import ingest
from aiprod.data.params import IngestParams
from aiprod.data.rows import ClipRow, FilmRow
from aiprod.data.sources.scan import scan
from aiprod.rights.declarations import SourceDeclaration, SourcesFile
from aiprod.storage.clip_store import ClipStore
from aiprod.storage.result_cache import Memo

RIGHTS = {"acquisition_terms": "provided-by-operator", "media_host": "local", "policy_approval": "approved"}


class Project:
    """A project folder with an inbox, run after run."""

    def __init__(self, root: Path) -> None:
        self.root, self.inbox = root, root / "datasets" / "inbox"
        self.inbox.mkdir(parents=True)
        (root / "dvc.yaml").touch()

    def run(
        self, licence: str = "own", store: str = "v1", memo: str = "memo", **more: object
    ) -> tuple[dict[str, FilmRow], list[ClipRow], Counters]:
        source = SourceDeclaration(
            title="Inbox",
            adapter="folder",
            path="datasets/inbox",
            media_license="per-file",
            personal_data_basis="none",
            files_without_sidecar=licence,
            annotation_license="CC0-1.0",
            **RIGHTS,  # type: ignore[arg-type]
        )
        sources = SourcesFile(
            sources={"inbox": source, "demo": source.model_copy(update={"adapter": "demo", "media_license": "CC0-1.0"})}
        )
        params = IngestParams.model_validate({"sources": ["inbox"], "workers": 2, **more})
        films, clips, counters = ingest(
            scan(params, sources),
            sources,
            params,
            seed=0,
            memo=Memo(self.root / memo, "code"),
            store=ClipStore(self.root / "datasets" / store),
        )
        return {film.key: film for film in films}, clips, counters


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state_home: Path) -> Project:
    made = Project(tmp_path / "project")
    monkeypatch.chdir(made.root)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    return made
