"""Dataset versions: numbered by what changed, true to the rows, comparable across folders, git and publications."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import jsonschema
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer import Typer
from typer.testing import CliRunner

from aiprod.base.files import read_json, write_json
from aiprod.commands import dataset as commands
from aiprod.data.rows import ClipRow, FilmRow
from aiprod.errors import AiprodError
from aiprod.governance.audit.log import AuditLog
from aiprod.governance.dataset.diff import compare, side
from aiprod.governance.dataset.records import Records
from aiprod.governance.dataset.version import (
    PUBLISHED,
    DatasetVersion,
    Published,
    change_since,
    describe,
    number,
    publish,
    published,
    row_digests,
    version_rows,
    write_version,
)
from aiprod.governance.exports import json_schemas
from aiprod.storage.manifest.manifest import read_head, read_rows, write_manifest
from tests.projects import commit_all

REPOSITORY = Path(__file__).resolve().parents[2]
digests = st.dictionaries(st.sampled_from("abcdef"), st.sampled_from(["1", "2"]))


@given(digests, digests)
def test_removed_is_major_added_is_minor_changed_is_patch(before: dict[str, str], after: dict[str, str]) -> None:
    last = Published(version="3.4.5", merkle_root="r", rows=len(before), added=0, removed=0, changed=0, digests=before)
    step = change_since(last, after, "s")
    expected = (4, 0, 0) if set(before) - set(after) else (3, 5, 0) if set(after) - set(before) else (3, 4, 6)
    assert number(step.version) == expected
    assert step.rows == len(before) + step.added - step.removed
    assert set(step.removed_ids) == set(before) - set(after)


def drop_clip(root: Path) -> str:
    """Rewrite the manifest of clips without its first clip."""
    folder = root / "datasets/v1/ingest/clips"
    rows = read_rows(folder, ClipRow)
    write_manifest(
        folder, rows[1:], row_model=ClipRow, stage="ingest", key=lambda r: r.clip_id, params_digest="p", inputs={}
    )
    return rows[0].clip_id


def test_the_record_counts_what_the_manifests_hold_and_is_deterministic(finished: Path) -> None:
    record = write_version(Records(finished), finished / "datasets/v1/manifest.json")
    first = (finished / "datasets/v1/manifest.json").read_bytes()
    assert DatasetVersion.model_validate_json(first) == record
    write_version(Records(finished), finished / "datasets/v1/manifest.json")
    assert (finished / "datasets/v1/manifest.json").read_bytes() == first
    clips = pq.read_table(finished / "datasets/v1/ingest/clips/manifest.parquet").to_pylist()
    films = pq.read_table(finished / "datasets/v1/ingest/films/manifest.parquet").to_pylist()
    assert record.rows == len(clips) + len(films) and sum(record.counts["clips"].values()) == len(clips)
    assert sum(s.films for s in record.sources) == len(films) and sum(s.clips for s in record.sources) == len(clips)
    assert record.duration_s == sum(c["end_s"] - c["start_s"] for c in clips)
    assert "CC-BY-NC-4.0" not in record.licenses, "what was refused is not in the dataset"
    assert record.manifests["datasets/v1/latents"] == read_head(finished / "datasets/v1/latents").merkle_root


def test_any_changed_field_changes_the_root(finished: Path) -> None:
    rows = version_rows(Records(finished))
    root, _ = row_digests(rows)
    for field, value in (("caption", "other"), ("verdict", "REJECTED"), ("right", "deny"), ("sha256", "0" * 64)):
        changed = [rows[0].model_copy(update={field: value}), *rows[1:]]
        assert row_digests(changed)[0] != root, field


def test_publish_remove_publish(finished: Path) -> None:
    assert describe(Records(finished)).version == "1.0.0" and not describe(Records(finished)).published
    publish(finished, "first")
    assert describe(Records(finished)).published
    with pytest.raises(AiprodError, match="published already"):
        publish(finished, "again")
    gone = drop_clip(finished)
    record = describe(Records(finished))
    assert (record.version, record.published) == ("2.0.0", False)
    assert record.changelog[-1].removed_ids == [gone] and record.changelog[0].note == "first"
    found = compare(side(finished, "1.0.0"), side(finished, "workspace"))
    assert (found.removed, found.added, found.kind) == ([gone], [], "major")
    publish(finished, "one clip left")
    assert [entry.version for entry in published(finished)] == ["1.0.0", "2.0.0"]


def test_a_published_version_that_was_tampered_with_is_an_error(finished: Path) -> None:
    publish(finished, "first")
    path = finished / PUBLISHED / "1.0.0.json"
    write_json(path, {**read_json(path), "version": "7.0.0"})
    with pytest.raises(AiprodError, match="says it is version"):
        published(finished)
    path.write_text("{}")
    with pytest.raises(AiprodError, match="not a published version"):
        published(finished)


def test_two_folders_differ_by_field(finished: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(finished, other)
    folder = other / "datasets/v1/ingest/clips"
    rows = read_rows(folder, ClipRow)
    rows[0] = rows[0].model_copy(update={"split": "heldout" if rows[0].split == "train" else "train"})
    write_manifest(
        folder, rows, row_model=ClipRow, stage="ingest", key=lambda r: r.clip_id, params_digest="p", inputs={}
    )
    found = compare(side(finished, str(finished)), side(finished, str(other / "datasets/v1")))
    assert found.changed == [rows[0].clip_id] and found.kind == "patch"
    assert list(found.fields[rows[0].clip_id]) == ["split"]


def test_a_git_revision_is_read_from_the_cache(finished: Path) -> None:
    commit_all("dvc.yaml", "dvc.lock", "datasets/sources.yaml", cwd=finished)
    fill_cache(finished)
    gone = drop_clip(finished)
    found = compare(side(finished, "HEAD"), side(finished, "workspace"))
    assert found.removed == [gone] and found.added == found.changed == []
    assert not list((finished / ".dvc/tmp/revisions").iterdir()), "nothing is left behind"
    with pytest.raises(AiprodError, match="not a revision"):
        side(finished, "nowhere")


def fill_cache(root: Path) -> None:
    """Put every output's files where DVC's cache has them."""
    from aiprod.repo.dvc_lock import hashes

    for folder in ("datasets/v1", "models", "reports"):
        for path in (p for p in (root / folder).rglob("*") if p.is_file()):
            digest = hashes(path)[0]
            place = root / ".dvc/cache/files/md5" / digest[:2] / digest[2:]
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, place)


def test_the_commands(finished: Path) -> None:
    app = Typer(pretty_exceptions_enable=False)
    commands.register(app)
    app.command()(lambda: None)
    run = CliRunner()
    assert "1.0.0 (not published)" in run.invoke(app, ["dataset", "show"]).output
    assert run.invoke(app, ["dataset", "publish", "--note", "first"]).exit_code == 0
    assert [e.value["subject"] for e in AuditLog().entries()] == ["dataset/1.0.0"]
    assert json.loads(run.invoke(app, ["dataset", "diff", "v1.0.0", "--json"]).output)["kind"] == "none"
    drop_clip(finished)
    assert "that makes a major version" in run.invoke(app, ["dataset", "diff", "1.0.0"]).output


def test_the_exported_schemas_are_current() -> None:
    there = {p.name: p.read_text() for p in (REPOSITORY / json_schemas.FOLDER).glob("*.json")}
    assert there == dict(json_schemas.documents()), "run `aiprod export schemas`"


def test_real_files_validate_and_damaged_ones_do_not(finished: Path) -> None:
    write_version(Records(finished), finished / "datasets/v1/manifest.json")
    publish(finished, "first")
    checked = 0
    for kind, pattern in (
        ("head", "datasets/v1/**/ingest/*/manifest.json"),
        ("head", "datasets/v1/latents/manifest.json"),
        ("version", "datasets/v1/manifest.json"),
        ("published-version", "datasets/versions/*.json"),
    ):
        validator = jsonschema.Draft202012Validator(json_schemas.schema(kind))
        for path in finished.glob(pattern):
            validator.validate(json.loads(path.read_text()))
            assert not validator.is_valid({**json.loads(path.read_text()), "surprise": 1})
            checked += 1
    by_model = {json_schemas.MODELS[k].partition(":")[2]: k for k in json_schemas.MODELS}
    for head in Records(finished).heads.values():
        folder = next(f for f, h in Records(finished).heads.items() if h == head)
        kind = by_model[head.row_model]
        validator = jsonschema.Draft202012Validator(json_schemas.schema(kind))
        for row in read_rows(finished / folder, json_schemas.model_of(kind)):  # type: ignore[type-var]
            validator.validate(row.model_dump(mode="json"))
            checked += 1
    assert checked > 20


def test_clips_that_may_be_stored_damaged_are_listed(finished: Path) -> None:
    app = Typer(pretty_exceptions_enable=False)
    commands.register(app)
    app.command()(lambda: None)
    run = CliRunner()
    folder = finished / "datasets/v1/ingest/films"
    films = [row.model_copy(update={"facts": {"container": "MP4"}}) for row in read_rows(folder, FilmRow)]
    clips = [row for row in read_rows(finished / "datasets/v1/ingest/clips", ClipRow) if row.status == "ok"]
    films = [
        row.model_copy(update={"facts": {"container": "AVI", "video": {"codec": "h264"}}})
        if row.film_id == clips[0].film_id
        else row
        for row in films
    ]
    write_manifest(
        folder, films, row_model=FilmRow, stage="ingest", key=lambda r: r.film_id, params_digest="p", inputs={}
    )
    wanted = [clip.clip_id for clip in clips if clip.film_id == clips[0].film_id]
    answer = run.invoke(app, ["dataset", "affected"])
    assert answer.exit_code == 0
    *lines, last = answer.output.splitlines()
    assert [line.split(" may be damaged: ")[0] for line in lines if "B-frames" in line] == wanted
    assert last.startswith(f"{len(lines)} of ") and last.endswith("`dvc repro` ingests their films again")
    listed = json.loads(run.invoke(app, ["dataset", "affected", "--json"]).output)
    assert len(listed) == len(lines) and {one["clip_id"] for one in listed} >= set(wanted)
