"""A film in a shard: its erasure cuts nothing out of the file, says so, and never takes it in again."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from aiprod.base.state import state
from aiprod.data.params import IngestParams
from aiprod.data.sources.base import Offer
from aiprod.data.sources.scan import scan
from aiprod.governance.erasure import procedure
from aiprod.governance.erasure.erase import plan
from aiprod.governance.erasure.procedure import carry_out
from aiprod.governance.erasure.resolve import ErasureRequest
from aiprod.rights.declarations import SourcesFile, load_sources
from aiprod.storage.crypto.film_encryption import Vault
from tests.governance.erasable import NAME, Project


def shards(project: Project) -> list[Offer]:
    """What is offered by the same bytes in a shard, as a source of its own."""
    root = project.root
    inbox = load_sources(root / "datasets/sources.yaml").get("inbox")
    sources = SourcesFile(sources={"inbox": inbox.model_copy(update={"adapter": "webdataset", "path": None})})
    return scan(IngestParams(sources=["inbox"], folders={"inbox": "datasets/shards"}), sources).offers


@pytest.fixture
def shard(project: Project, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(procedure.scan, "remotes", lambda *_: {})  # there is none, and opening DVC takes long
    path = project.root / "datasets/shards/0.tar"
    path.parent.mkdir()
    with tarfile.open(path, "w") as tar:
        for name in (NAME, "else.mp4"):
            info = tarfile.TarInfo(f"x/{name}")
            info.size = len(project.bytes[name])
            tar.addfile(info, io.BytesIO(project.bytes[name]))
    return path


def test_a_shard_that_holds_the_film_is_left_and_named_and_the_film_stays_out(
    project: Project,
    shard: Path,
) -> None:
    assert [offer.key for offer in shards(project)] == [f"0.tar/x/{NAME}", "0.tar/x/else.mp4"]
    before, vault = shard.read_bytes(), Vault()
    todo = plan(project.root, ErasureRequest(project.clip(NAME)), vault)
    assert shard in todo.beside.left and shard not in todo.beside.films
    done = carry_out(todo, vault, actor="o", role="legal")
    assert any(name.endswith("0.tar") and "several" in why for name, why in done.left.items())
    assert shard.read_bytes() == before
    assert [offer.key for offer in shards(project)] == ["0.tar/x/else.mp4"]
    memory = (state().root / "cache/scan/digests.json").read_text()
    assert NAME not in memory


def test_a_shard_is_named_by_the_films_key_without_the_memory_of_scan(
    project: Project,
    shard: Path,
) -> None:
    vault = Vault()
    [target] = plan(project.root, ErasureRequest(project.clip(NAME)), vault).targets
    inbox = project.root / "datasets/inbox"
    shard.rename(inbox / "0.tar")
    target.rows.append(target.row.model_copy(update={"key": f"0.tar/x/{NAME}"}))
    from aiprod.governance.erasure.source_files import look

    assert inbox / "0.tar" in look(project.root, [target], vault).left
