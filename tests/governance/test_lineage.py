"""Lineage: a sample reaches every source file and licence, both directions agree, and a changed byte is named."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aiprod.commands import lineage as printing
from aiprod.data.rows import ClipRow, FilmRow
from aiprod.errors import AiprodError
from aiprod.governance.dataset import records as where
from aiprod.governance.dataset.records import Records
from aiprod.governance.dataset.sparse_rows import SparseTable
from aiprod.governance.lineage import at_revision
from aiprod.governance.lineage.lineage import lineage
from aiprod.governance.lineage.node import Node
from aiprod.governance.lineage.summary import ColumnRecords, brief_lineage
from aiprod.qc.rows import VerdictRow
from aiprod.repo.dvc_lock import folder_md5
from aiprod.storage import ledger
from aiprod.storage.ledger import write_ledger
from aiprod.storage.manifest.manifest import read_head, write_manifest
from tests.governance.conftest import write_lock
from tests.warm import client as warm


def names(node: Node, kind: str) -> set[str]:
    here = {node.name} if node.kind == kind else set()
    return here.union(*(names(child, kind) for child in node.children)) if node.children else here


def test_a_sample_reaches_every_source_file_it_was_learned_from(finished: Path) -> None:
    found = lineage(finished, "reports/samples/000.mp4")
    facts = Records(finished)
    assert found.mismatches == [] and found.notes == []
    assert names(found.subject, "clip") == set(facts.exposure)
    assert names(found.subject, "film") == {facts.clips[c].film_id for c in facts.exposure}
    assert names(found.subject, "source") == {"demo", "open-film"}
    assert found.stages[0] == "ingest" and found.stages[-1] == "sample"
    by_license = {row["license"]: row["films"] for row in found.rights}
    assert by_license["CC-BY-3.0"] == 1 and by_license["CC0-1.0"] >= len(facts.exposure) - 1
    assert any("Blender Foundation" in o for o in found.obligations)


def test_upwards_and_downwards_agree(finished: Path) -> None:
    facts = Records(finished)
    behind = names(lineage(finished, "diffusion", rehash=False).subject, "clip")
    assert behind and set(facts.clips) - behind, "some clips are in the model and some are not"
    for clip_id in facts.clips:
        ahead = {n.name for n in lineage(finished, clip_id, rehash=False).used_by if n.kind == "model"}
        assert ("diffusion" in ahead) == (clip_id in behind)


def test_a_clip_under_review_has_no_model(finished: Path) -> None:
    facts = Records(finished)
    reviewed = next(v.clip_id for v in facts.verdicts.values() if v.status == "REVIEW_NEEDED")
    found = lineage(finished, reviewed)
    assert [n for n in found.used_by if n.kind == "model"] == []
    assert {n.facts["status"] for n in found.used_by} == {"filtered"}


def test_paths_and_ids_mean_the_same_thing(finished: Path) -> None:
    clip = next(iter(Records(finished).clips.values()))
    by_id = lineage(finished, clip.clip_id).document()
    assert lineage(finished, f"datasets/v1/processed/{clip.clip_id}.mp4").document() == by_id
    assert lineage(finished, str(finished / f"datasets/v1/latents/low/{clip.clip_id}.safetensors")).document() == by_id
    assert lineage(finished, "models/diffusion/training.json").subject.name == "diffusion"
    (finished / "reports/samples/000_view.mp4").write_bytes(b"enlarged")
    assert lineage(finished, "reports/samples/000_view.mp4").subject.name == "reports/samples/000.mp4"
    json.dumps(by_id)


def test_a_film_is_found_by_what_people_call_it(finished: Path, tmp_path: Path) -> None:
    film = next(row for row in Records(finished).films.values() if row.content_sha256 and row.status == "ok")
    by_id = lineage(finished, film.film_id, rehash=False).document()
    for name in (film.key, Path(film.key).stem, f"{film.source_id}/{film.key}", film.content_sha256):
        assert lineage(finished, name, rehash=False).document() == by_id, name
    (elsewhere := tmp_path / Path(film.key).name).write_bytes(b"another film of that name")
    with pytest.raises(AiprodError, match="is not a film"):
        lineage(finished, str(elsewhere), rehash=False)
    source = next(row.source_id for row in Records(finished).films.values())
    with pytest.raises(AiprodError, match="is not a film"):
        lineage(finished, f"{source}/no such film", rehash=False)


@given(data=st.data())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_one_flipped_bit_anywhere_behind_a_sample_is_named(finished: Path, data: st.DataObject) -> None:
    facts = Records(finished)
    behind = [f"datasets/v1/raw/{facts.clips[c].film_id}.mp4" for c in facts.exposure]
    behind += [f"datasets/v1/processed/{c}.mp4" for c in facts.exposure]
    behind += [f"datasets/v1/latents/low/{c}.safetensors" for c in facts.exposure]
    behind += [p.relative_to(finished).as_posix() for p in finished.glob("datasets/v1/**/manifest.*")]
    behind += [p.relative_to(finished).as_posix() for p in (finished / "models").rglob("*") if p.is_file()]
    behind += ["reports/samples/000.mp4", "reports/samples/000.json"]
    path = data.draw(st.sampled_from(sorted(behind)))
    original = (finished / path).read_bytes()
    bit = data.draw(st.integers(0, len(original) * 8 - 1))
    changed = bytearray(original)
    changed[bit // 8] ^= 1 << bit % 8
    (finished / path).write_bytes(changed)
    try:
        found = lineage(finished, "reports/samples/000.mp4").mismatches
    finally:
        (finished / path).write_bytes(original)
    assert any(path in line for line in found), (path, found)


def test_a_missing_and_a_foreign_file_are_named(finished: Path) -> None:
    clip_id = next(iter(Records(finished).exposure))
    (finished / f"datasets/v1/processed/{clip_id}.mp4").unlink()
    (finished / "models/video_vae/extra.bin").write_bytes(b"?")
    found = "\n".join(lineage(finished, "diffusion").mismatches)
    assert f"{clip_id}.mp4: the file is missing" in found
    assert "models/video_vae/extra.bin: is not recorded in dvc.lock" in found


def test_a_sample_of_another_model_is_named(finished: Path) -> None:
    record = finished / "reports/samples/001.json"
    record.write_text(json.dumps({"prompt": "x", "model_digest": "feed" * 16}))
    assert any("made by the model feed" in line for line in lineage(finished, "reports/samples/001.mp4").mismatches)


def test_an_unknown_name_gets_the_nearest(finished: Path) -> None:
    clip_id = next(iter(Records(finished).clips))
    with pytest.raises(AiprodError, match=f"did you mean '{clip_id}'"):
        lineage(finished, clip_id[:-1] + "1")


@pytest.mark.slow
def test_folder_digest_is_that_of_dvc_itself(tmp_path: Path) -> None:
    for name in ("b/x", "a.txt", "a/y", "a-b/z"):
        (tmp_path / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "data" / name).write_text(name)
    for words in (("init", "--no-scm", "-q"), ("add", "-q", "data")):
        warm.run(("dvc", *words), tmp_path, os.environ).check_returncode()
    files = ["b/x", "a.txt", "a/y", "a-b/z"]
    assert f"md5: {folder_md5(tmp_path / 'data', files)}" in (tmp_path / "data.dvc").read_text()


@pytest.mark.parametrize("asked", ["reports/samples/000.mp4", "diffusion", "text_encoder", "video_vae"])
@pytest.mark.parametrize("table", [False, True], ids=["counts in JSON", "counts in a table"])
def test_what_is_printed_is_the_same_without_the_nodes_that_are_not_shown(
    finished: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, asked: str, table: bool
) -> None:
    if table:
        monkeypatch.setattr(ledger, "TABLE_MIN", 1)
        for path in sorted((finished / "models").rglob("exposure.json")):
            write_ledger(path, json.loads(path.read_text()))
        write_lock(finished)
    monkeypatch.setattr(at_revision, "SHOWN", 3)
    brief = brief_lineage(finished, asked, 3)
    assert brief is not None, "every manifest is as recorded"
    whole = lineage(finished, asked, rehash=False)
    printed = []
    for found in (brief, whole):
        printing._print(found, False)
        printed.append(capsys.readouterr().out)
    assert printed[0] == printed[1]
    assert (brief.rights, brief.obligations, brief.stages) == (whole.rights, whole.obligations, whole.stages)
    assert "more (--all lists them)" in printed[0]


def test_obligations_that_came_with_a_near_duplicate_count_in_the_short_form(finished: Path) -> None:
    clip_id = next(iter(Records(finished).exposure))
    film = Records(finished).clips[clip_id].film_id
    rows = [
        row.model_copy(update={"obligations": ["credit: (c) The Other"]}) if row.clip_id == clip_id else row
        for row in Records(finished).verdicts.values()
    ]
    head = read_head(finished / where.VERDICTS)
    write_manifest(
        finished / where.VERDICTS,
        rows,
        row_model=VerdictRow,
        stage=head.stage,
        key=lambda row: row.clip_id,
        params_digest=head.params_digest,
        inputs=head.inputs,
    )
    write_lock(finished)
    brief, whole = brief_lineage(finished, "diffusion", 9), lineage(finished, "diffusion", rehash=False)
    assert brief is not None
    assert "credit: (c) The Other" in brief.obligations
    assert (brief.rights, brief.obligations) == (whole.rights, whole.obligations)
    assert ColumnRecords(finished).films[film].obligations == Records(finished).films[film].obligations


@given(st.lists(st.sampled_from([None, "[]", '["credit"]']), min_size=1, max_size=12))
def test_only_row_groups_that_may_hold_another_value_are_read(cells: list[str | None]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "manifest.parquet"
        pq.write_table(pa.table({"obligations": pa.array(cells, pa.string())}), path, row_group_size=3)
        table = SparseTable(path, VerdictRow)
        groups = table.groups_beside("obligations", "[]")
        other = {n // 3 for n, cell in enumerate(cells) if cell not in (None, "[]")}
        assert other <= set(groups)
        assert all(set(cells[3 * n : 3 * n + 3]) != {"[]"} for n in groups), "statistics say that of the others"
        read = table.arrow("obligations", groups).to_pylist() if groups else []
        assert read == [cell for n in groups for cell in cells[3 * n : 3 * n + 3]]


@given(st.lists(st.tuples(st.sampled_from("abcde"), st.sampled_from(["", "one", "two", "one two"])), max_size=20))
def test_clips_count_for_their_films_in_whatever_order_they_stand(rows: list[tuple[str, str]]) -> None:
    """Also of a film that no row tells about, and by which of two models a clip was seen."""
    films, ids = ["a", "b", "c", "d"], [f"clip {n:02d}" for n in range(len(rows))]
    with tempfile.TemporaryDirectory() as folder:
        tables = {
            where.FILMS: ({"film_id": films}, FilmRow),
            where.CLIPS: ({"clip_id": ids, "film_id": [film for film, _ in rows]}, ClipRow),
        }
        known: dict[str, SparseTable] = {}
        for name, (columns, model) in tables.items():
            path = Path(folder) / f"{model.__name__}.parquet"
            pq.write_table(pa.table({key: pa.array(cells, pa.string()) for key, cells in columns.items()}), path)
            known[name] = SparseTable(path, model)
        records = ColumnRecords(Path(folder), strict=False)
        vars(records)["_tables"] = known
        for model in ("one", "two"):
            seen = [clip for clip, (_, models) in zip(ids, rows, strict=True) if model in models]
            records._by_model[model] = pa.table({"clip_id": pa.array(seen, pa.string())})
        clips, shown = records._clips_of_films(known[where.FILMS].arrow("film_id"), ["one", "two"])
        assert clips.tolist() == [sum(film == of for of, _ in rows) for film in films]
        assert shown.tolist() == [sum(film == of and bool(models) for of, models in rows) for film in films]


def test_a_manifest_that_is_not_as_recorded_is_read_in_full(finished: Path) -> None:
    path = finished / where.CLIPS / "manifest.parquet"
    path.write_bytes(path.read_bytes() + b"x")
    assert brief_lineage(finished, "diffusion", 9) is None


def test_a_table_that_is_not_as_recorded_is_not_believed(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "TABLE_MIN", 1)
    path = finished / "models/diffusion/exposure.json"
    document = json.loads(path.read_text())
    write_ledger(path, {**document, "clips": document["clips"][:1]})
    path.write_text(json.dumps(document))
    found = brief_lineage(finished, "diffusion", 9)
    assert found is not None and found.subject.facts["clips_seen"] == len(document["clips"])
