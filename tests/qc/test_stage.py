"""The measuring stage: rows for all, memo, errors; the report; the command on broken files."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from aiprod.base.files import sha256_file
from aiprod.cli import app
from aiprod.data.rows import ClipRow, FilmRow
from aiprod.executors.types import Outcome
from aiprod.media.probing import probe
from aiprod.qc.decide.decide import settle, verdicts
from aiprod.qc.decide.measurement_table import MeasurementTable
from aiprod.qc.measure.stage import measure_all
from aiprod.qc.params import QcDecideParams, QcMeasureParams
from aiprod.qc.projections import ClipProjection, FilmProjection, clips_of, films_of
from aiprod.qc.report.report import Reported
from aiprod.qc.rows import MeasureRow, VerdictRow
from aiprod.storage.clip_store import ClipStore
from aiprod.storage.result_cache import Memo
from tests.qc.films import texture, write
from tests.qc.test_scoring import GOOD
from tests.rows import clip_row

BAD = {
    "mp_zero_bytes.webm": "empty",
    "oc_aonly.mov": "no-video",
    "ax_encrypted_clearkey.mp4": "encrypted",
    "mp4p_chunk_out_of_range.mp4": "not-media",
    "mp4p_invalid_userdata.mp4": "no-frames",
    "fl_encrypted_bee2.ts": "not-media",
    "decord_corrupted.mp4": "decodable",
    "oc_sar34_444.mp4": "resolution",
    "tc_bt709_full_range.mp4": "duration",
    "ax_fake_aux_tracks_10x12.mp4": "resolution",
}


def replaced(film: FilmRow, folder: Path) -> FilmRow:
    """The film's row where what was taken in is no film at all."""
    path = folder / "raw" / str(film.raw_name)
    path.write_bytes(b"broken")
    return film.model_copy(update={"content_sha256": sha256_file(path)})


def dataset(folder: Path, count: int) -> tuple[list[FilmRow], list[ClipRow]]:
    """Raw films of pans, each with one clip, and one film that ingest refused."""
    (folder / "raw").mkdir(exist_ok=True)
    films, clips = [], []
    for n in range(count):
        path = folder / "raw" / f"f{n}.mp4"
        if not path.exists():
            wide = texture(400, 120, n)
            write(path, (wide[:, 3 * i : 3 * i + 160] for i in range(24)))
        facts = probe(path)
        assert facts.video is not None
        films.append(
            FilmRow(
                film_id=f"f{n}",
                source_id="own",
                key=f"{n}.mp4",
                status="ok",
                content_sha256=sha256_file(path),
                raw_name=path.name,
                facts=facts.model_dump(mode="json"),
                n_clips=1,
            )
        )
        clips.append(clip_row(f"c{n}-000", f"f{n}", width=160, height=120))
    films.append(FilmRow(film_id="fx", source_id="own", key="x.mp4", status="refused", reasons=["no consent"]))
    return films, clips


def test_adding_one_film_measures_one_clip(tmp_path: Path) -> None:
    memo, store, thumbs = Memo(tmp_path / "memo", "context"), ClipStore(tmp_path), tmp_path / "thumbs"
    params = QcMeasureParams(workers=1)

    def measure(count: int) -> tuple[list[MeasureRow], tuple[int, int, int]]:
        films, clips = dataset(tmp_path, count)
        rows, counters = measure_all(films, clips, params, memo=memo, store=store, thumbs=thumbs)
        return rows, (counters.processed, counters.reused, counters.failed)

    first, counted = measure(2)
    assert counted == (2, 0, 0)
    assert [row.clip_id for row in first] == ["c0-000", "c1-000"]
    second, counted = measure(3)
    assert counted == (1, 2, 0)
    assert second[:2] == first
    assert sorted(p.name for p in thumbs.iterdir()) == [f"c{n}-000.jpg" for n in range(3)]
    before = (thumbs / "c0-000.jpg").read_bytes()
    again, _ = measure_all(
        *dataset(tmp_path, 2), params, memo=Memo(tmp_path / "other", ""), store=store, thumbs=tmp_path / "t2"
    )
    assert again == first and (tmp_path / "t2" / "c0-000.jpg").read_bytes() == before  # the same without the memo
    assert len(measure(1)[0]) == 1 and len(list(thumbs.iterdir())) == 1  # what is gone leaves no thumbnail


def test_every_film_is_accounted_for_and_the_page_shows_it(tmp_path: Path) -> None:
    films, clips = dataset(tmp_path, 2)
    films[1] = replaced(films[1], tmp_path)
    params = QcDecideParams()
    rows, counters = measure_all(
        films,
        clips,
        QcMeasureParams(workers=1),
        memo=Memo(tmp_path / "memo", ""),
        store=ClipStore(tmp_path),
        thumbs=tmp_path / "thumbs",
    )
    assert counters.failed == 1 and rows[1].status == "error"
    known = films_of(map(FilmProjection.of, films)), clips_of(map(ClipProjection.of, clips))
    decided = settle([MeasurementTable.of(rows)], *known, params)
    reported = Reported(decided, known[0], params.report_rows_max)
    by_id = {row.clip_id: row for part in reported.parts(2) for row in part.rows(range(len(part)))}
    assert set(by_id) == {"c0-000", "c1-000", "fx"}
    assert by_id["fx"].status == "REJECTED" and by_id["fx"].reasons == ["refused: no consent"]
    assert by_id["c1-000"].reasons[0].startswith("not-media:")
    reported.write(tmp_path / "qc", *known, params, tmp_path / "thumbs")
    page = (tmp_path / "qc/page/index.html").read_text()
    assert "no consent" in page and (tmp_path / "qc/page/thumbs/c0-000.jpg").is_file()
    assert "http://" not in page and "https://" not in page  # needs no network
    figures = json.loads((tmp_path / "qc/metrics.json").read_text())
    assert (figures["rows"], figures["rejected"], figures["demo"]) == (3, 3, None)
    assert (tmp_path / "qc/scores.csv").read_text().splitlines()[0].startswith("rank,clip_id,status,score,resolution")
    shares = list(csv.DictReader((tmp_path / "qc/distributions.csv").open()))
    assert shares[0]["resolution"]
    for name in shares[0]:
        found = [float(row[name]) for row in shares if row[name]]
        assert found == sorted(found, reverse=name != "share")


def worker_died(_: Any, items: Sequence[Any], **__: Any) -> Iterator[Outcome[Any]]:
    """What the engine answers where a worker dies at every attempt."""
    return (Outcome(n, fault="died", reason="the worker died (signal 9)") for n in range(len(items)))


def test_a_clip_whose_worker_died_is_not_the_films_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    films, clips = dataset(tmp_path, 2)
    films[1] = replaced(films[1], tmp_path)

    def measured() -> tuple[list[str], dict[str, VerdictRow]]:
        rows, counters = measure_all(
            films,
            clips,
            QcMeasureParams(workers=1),
            memo=Memo(tmp_path / "memo", ""),
            store=ClipStore(tmp_path),
            thumbs=tmp_path / "thumbs",
        )
        assert counters.failed == sum(row.status != "ok" for row in rows)
        return [row.status for row in rows], {r.clip_id: r for r in verdicts(films, clips, rows, QcDecideParams())}

    with monkeypatch.context() as patched:
        patched.setattr("aiprod.qc.measure.stage.ordered_map", worker_died)
        found, decided = measured()
    assert found == ["unfinished", "unfinished"]
    held = decided["c0-000"]
    assert (held.status, held.score) == ("REVIEW_NEEDED", None) and "the worker died" in held.reasons[0]
    found, decided = measured()
    assert found == ["ok", "error"] and decided["c1-000"].status == "REJECTED"  # what no decoder reads stays rejected


def test_the_command_holds_a_file_whose_worker_died_for_a_review(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "film.mp4").write_bytes(b"broken")
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["qc", "film.mp4"])
    assert result.exit_code == 1 and result.stdout.startswith("REJECTED")
    monkeypatch.setattr(
        "aiprod.executors.executor.gathered_map",
        lambda function, items, **_: iter([list(worker_died(function, items))]),
    )
    result = CliRunner().invoke(app, ["qc", "film.mp4"])
    assert result.exit_code == 0 and result.stdout.startswith("REVIEW_NEEDED") and "worker died" in result.stdout


def test_each_line_is_of_its_own_file_in_the_order_in_which_they_were_named(tmp_path: Path) -> None:
    names = ["z.mp4", "b.mp4", "a.mp4", "c.mp4"]
    for name, content in zip(names, (b"", b"broken", b"", b"broken"), strict=True):
        (tmp_path / name).write_bytes(content)
    result = CliRunner().invoke(app, ["qc", "--json", "--workers", "1", *(str(tmp_path / name) for name in names)])
    lines = [json.loads(line) for line in result.stdout.splitlines() if line.startswith("{")]
    assert [Path(line["file"]).name for line in lines] == [line["clip_id"] for line in lines] == names
    assert lines[0]["reasons"] == lines[2]["reasons"] != lines[1]["reasons"] == lines[3]["reasons"]


def test_a_duplicate_clip_is_rejected(tmp_path: Path) -> None:
    films, clips = dataset(tmp_path, 1)
    clips[0] = clips[0].model_copy(update={"duplicate_of": "cother-000"})
    row = MeasureRow(clip_id="c0-000", film_id="f0", status="error", reasons=["x"])
    verdict = verdicts(films, clips, [row], QcDecideParams())[0]
    assert verdict.status == "REJECTED" and "cother-000" in verdict.reasons[0]


def test_people_that_the_source_declares_ask_for_a_review_even_when_no_face_is_found() -> None:
    clip = clip_row(
        "c",
        "f",
        end_s=10,
        frames=240,
        width=1920,
        height=1080,
        has_audio=True,
        description="black and white, faces, speech",
    )
    film = FilmRow(film_id="f", source_id="own", key="f.mp4", status="ok")
    row = MeasureRow(clip_id="c", film_id="f", status="ok", measurements=GOOD)
    [verdict] = verdicts([film], [clip], [row], QcDecideParams())
    assert verdict.status == "REVIEW_NEEDED" and verdict.privacy_flags == ["people declared"]
    [verdict] = verdicts([film.model_copy(update={"consent_ref": "C-1"})], [clip], [row], QcDecideParams())
    assert verdict.status == "APPROVED"
    [verdict] = verdicts([film], [clip.model_copy(update={"description": "a manta ray"})], [row], QcDecideParams())
    assert verdict.status == "APPROVED"


def test_the_command_gives_each_bad_file_one_line_and_exits_1(shared_clips: Path) -> None:
    paths = [str(shared_clips / "bad" / name) for name in BAD]
    result = CliRunner().invoke(app, ["qc", "--json", *paths])
    assert result.exit_code == 1
    lines = [json.loads(line) for line in result.stdout.splitlines() if line.startswith("{")]
    assert [Path(line["file"]).name for line in lines] == list(BAD)
    for line in lines:
        assert line["status"] == "REJECTED"
        assert any(reason.startswith(f"{BAD[Path(line['file']).name]}:") for reason in line["reasons"]), line["reasons"]


def test_the_command_refuses_what_is_not_there(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["qc", str(tmp_path / "nothing.mp4")])
    assert result.exit_code != 0 and "does not exist" in str(result.exception)
