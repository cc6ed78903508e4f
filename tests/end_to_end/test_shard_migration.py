"""Shards under real DVC, with a real S3 server: the same dataset in both layouts, without a stage that runs again."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from aiprod.data.rows import ClipRow, FilmRow
from aiprod.qc.rows import MeasureRow
from aiprod.storage.clip_store import content
from aiprod.storage.manifest.manifest import read_rows
from aiprod.storage.shards.shards import Shards
from tests.end_to_end.stores import S3_KEYS, commit, objects_of, use_remote
from tests.end_to_end.workspace import Workspace, make_workspace, small

pytestmark = [pytest.mark.slow, pytest.mark.long, pytest.mark.timeout(1500)]

STAGES = ("ingest", "qc_measure", "qc_decide", "caption")


def _objects(root: Path) -> dict[str, str]:
    """SHA-256 of every object that a row names, as readers get it; equal to what the row says."""
    data, found = root / "datasets" / "v1", {}
    for film in read_rows(data / "ingest/films", FilmRow, None):
        if film.raw_name:
            found[film.raw_name] = hashlib.sha256(content(data / "raw" / film.raw_name)).hexdigest()
            assert found[film.raw_name] == film.content_sha256
    for clip in read_rows(data / "ingest/clips", ClipRow, None):
        if clip.processed_name:
            found[clip.processed_name] = hashlib.sha256(content(data / "processed" / clip.processed_name)).hexdigest()
            assert found[clip.processed_name] == clip.processed_sha256
    return found


def _thumbnails(root: Path) -> dict[str, str]:
    """SHA-256 of every clip's thumbnails, as readers get them."""
    data = root / "datasets" / "v1" / "qc" / "measure"
    names = [row.thumbnails for row in read_rows(data, MeasureRow, None) if row.thumbnails]
    return {name: hashlib.sha256(content(data / "thumbs" / name)).hexdigest() for name in names}


def _clean(workspace: Workspace) -> None:
    status = workspace.dvc("status", *STAGES).stdout
    assert "up to date" in status, status


@pytest.mark.parametrize("remote", ["folder", "s3"])
def test_both_layouts_hold_the_same_and_changing_it_runs_nothing(
    remote: str, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = request.getfixturevalue("s3") if remote == "s3" else None
    for name, value in S3_KEYS.items():
        monkeypatch.setenv(name, value)
    workspace = small(make_workspace(tmp_path / "project"))
    workspace.set_params(ingest__workers=1, qc_measure__workers=1, ingest__sources=["demo"])
    bucket = use_remote(workspace, address)
    workspace.dvc("repro", "caption")
    commit(workspace, "one file each", "files")
    workspace.dvc("push")
    data = workspace.root / "datasets" / "v1"
    objects = _objects(workspace.root)
    rows = workspace.hashes("qc_measure", "qc_decide", "caption")
    assert len(objects) >= 16
    thumbnails = _thumbnails(workspace.root)
    assert thumbnails
    assert not list(data.glob("*/shards"))

    workspace.set_params(shards__above=0, shards__max_mib=4.0)
    told = workspace.aiprod("dataset", "shards", "migrate", "--dry-run").stdout
    assert "processed: " in told
    assert not list(data.glob("*/shards"))
    workspace.aiprod("dataset", "shards", "migrate")
    assert _objects(workspace.root) == objects
    assert _thumbnails(workspace.root) == thumbnails
    assert [p.name for p in (data / "qc/measure/thumbs").iterdir()] == ["shards"]
    workspace.dvc("commit", "-f", *STAGES)
    _clean(workspace)
    before = {stage: workspace.counters(stage) for stage in STAGES}
    workspace.dvc("repro", "caption")
    assert {stage: workspace.counters(stage) for stage in STAGES} == before, "no stage ran"
    migrated = workspace.hashes("ingest", "qc_measure")
    assert migrated.keys() & rows.keys() == {"datasets/v1/qc/measure"}
    rows |= {path: md5 for path, md5 in migrated.items() if path in rows}
    commit(workspace, "shards", "shards")
    workspace.dvc("push")

    # what reads bytes finds them packed, and says what is damaged
    assert workspace.aiprod("audit", "verify", "--files").returncode == 0
    clip = next(Shards(data / "processed").members()).name.removesuffix(".mp4")
    assert workspace.aiprod("lineage", clip).returncode == 0
    found = json.loads(workspace.aiprod("dataset", "shards", "find", clip, "--json").stdout)
    [entry] = [e for e in found if e["name"] == f"processed/{clip}.mp4"]
    shard = data / "processed" / "shards" / entry["shard"]
    whole = shard.read_bytes()
    assert hashlib.sha256(whole[entry["offset"] :][: entry["size"]]).hexdigest() == objects[f"{clip}.mp4"]
    shard.unlink()
    shard.write_bytes(whole[: entry["offset"] + 9] + b"x" + whole[entry["offset"] + 10 :])
    for words in (("audit", "verify", "--files"), ("lineage", clip), ("dataset", "shards", "verify")):
        failed = workspace.aiprod(*words, check=False)
        assert failed.returncode == 1, words
        assert clip in failed.stdout, words
    shard.unlink()
    workspace.dvc("checkout", *STAGES)
    assert workspace.aiprod("dataset", "shards", "verify").returncode == 0

    # a stage packs to the same bytes, from its memo
    workspace.dvc("repro", "-f", "-s", "ingest")
    assert workspace.counters("ingest")["processed"] == 0
    workspace.dvc("repro", "-f", "-s", "qc_measure")
    assert workspace.counters("qc_measure")["processed"] == 0
    assert workspace.hashes("ingest", "qc_measure") == migrated
    workspace.dvc("repro", "-f", "-s", "qc_decide")  # the page shows what is packed
    assert workspace.hashes("qc_measure", "qc_decide", "caption") == rows

    # more films concern few shards
    names = {p.relative_to(data): p.read_bytes() for p in data.glob("*/shards/*.tar")}
    workspace.set_params(ingest__demo__films=9)
    workspace.dvc("repro", "caption")
    assert len(_objects(workspace.root)) == len(objects) + 2
    after = {p.relative_to(data): p.read_bytes() for p in data.glob("*/shards/*.tar")}
    assert sum(names.get(path) != content for path, content in after.items()) <= 4
    workspace.run("git", "checkout", "-q", ".")
    workspace.dvc("checkout", *STAGES)

    # only what the workspace names is kept; both versions pull from the remote, whole and in part
    workspace.dvc("gc", "-w", "-f")
    assert _objects(workspace.root) == objects
    assert workspace.aiprod("dataset", "shards", "verify").returncode == 0
    (workspace.root / ".aiprod" / "tombstones.json").write_text("[]")
    clone = workspace.cloned(tmp_path / "clone")
    for tag in ("files", "shards"):
        clone.at(tag, "datasets/v1/raw", "datasets/v1/processed", "datasets/v1/ingest")
        assert _objects(clone.root) == objects
        assert bool(list((clone.root / "datasets/v1").glob("*/shards"))) == (tag == "shards")
    second = workspace.cloned(tmp_path / "second")
    second.run("git", "checkout", "-q", "shards")
    second.dvc("repro", "--pull", "--allow-missing", "caption")
    assert second.hashes("qc_measure", "caption") == {
        k: v for k, v in rows.items() if "decide" not in k and "qc.json" not in k and "reports" not in k
    }
    if address is not None:
        assert sum(data[-8:] == b"AIPSHRD\x01" for _, data in objects_of(address, bucket)) >= 2

    # and back
    workspace.set_params(shards__above=20_000)
    workspace.aiprod("dataset", "shards", "migrate")
    assert _objects(workspace.root) == objects
    assert _thumbnails(workspace.root) == thumbnails
    assert not list(data.rglob("shards"))
    workspace.dvc("commit", "-f", *STAGES)
    assert workspace.hashes("ingest", "qc_measure") == _locked(workspace, "files")


def _locked(workspace: Workspace, tag: str) -> dict[str, str]:
    from ruamel.yaml import YAML

    text = workspace.run("git", "show", f"{tag}:dvc.lock").stdout
    stages = YAML(typ="safe").load(text)["stages"]
    return {out["path"]: out["md5"] for name in ("ingest", "qc_measure") for out in stages[name]["outs"]}
