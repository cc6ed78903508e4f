"""Judging a large dataset in parts: the same rows, results and root as one clip after the other."""

from __future__ import annotations

from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiprod.base.canonical_json import canonical_json
from aiprod.data.rows import ClipRow, FilmRow
from aiprod.errors import AiprodError
from aiprod.qc.checks import RULES, WEIGHTED
from aiprod.qc.decide.decide import decide, judge_rows, settle
from aiprod.qc.decide.measurement_table import MeasurementTable
from aiprod.qc.decide.scoring import refused
from aiprod.qc.metric_table import FigureTable
from aiprod.qc.params import QcDecideParams
from aiprod.qc.projections import ClipProjection, FilmProjection, clips_of, films_of, read_clips, read_films
from aiprod.qc.rows import MeasureRow, VerdictRow
from aiprod.storage.crypto.film_encryption import Vault
from aiprod.storage.manifest import manifest
from aiprod.storage.manifest.manifest import write_manifest
from tests.qc.one_clip import Answer, answer
from tests.qc.test_scoring import GOOD
from tests.rows import clip_row

PARAMS = QcDecideParams()


def measured(count: int = 150) -> list[MeasureRow]:
    """Clips that differ, among them some that could not be measured and some with values that are no plain numbers."""
    rows = []
    for n in range(count):
        found = {name: {"method": "m", "version": "1", **figures} for name, figures in GOOD.items()}
        found["encoding"].update(bits_per_pixel=0.002 * n, vcodec="h264" if n % 3 else 'line\nfeed "quoted" ä')
        found["timing"]["clip_s"] = n / 7
        found["faces"].update(stills_with_faces=n % 2, found=bool(n % 2))
        found["black"]["black_s"] = 0 if n % 5 else 0.0  # equal, and another text
        if n % 10 == 9:
            rows.append(MeasureRow(clip_id=f"c{n:03d}", film_id="f", status="error", reasons=["empty: zero bytes"]))
        else:
            rows.append(MeasureRow(clip_id=f"c{n:03d}", film_id="f", status="ok", measurements=found, thumbnails="t"))
    return rows


def write(folder: Path, rows: list[MeasureRow]) -> None:
    write_manifest(
        folder, rows, row_model=MeasureRow, stage="t", key=lambda row: row.clip_id, params_digest="", inputs={}
    )


def test_cells_are_the_canonical_text_of_the_results() -> None:
    rows = measured()
    table = judge_rows(rows, PARAMS)
    verdicts = table.rows(range(len(table)))
    cells = table.checks.cells(table.place).to_pylist()
    for row, verdict, cell in zip(rows, verdicts, cells, strict=True):
        assert verdict == decide(row, PARAMS)
        assert cell.encode() == canonical_json([c.model_dump(mode="json") for c in verdict.checks])
    good = [v for v in verdicts if v.checks]
    for name in ("encoding", "faces", "watermark"):
        expected = [next(c for c in v.checks if c.check == name).score for v in good]
        assert table.checks.scores(name).tolist() == expected == table.checks.scored()[name].tolist()
    assert np.isnan(table.checks.scores("audio", table.place[[9]])).all()


numbers = st.sampled_from([0, 0.0, -0.0, False, True, 1, 1.0, None, 0.3, 2, 7.5, 1e-7, -0.2, 480, 1e17, 5 * 10**6])
unmeasured = st.fixed_dictionaries(
    {"status": st.sampled_from(["error", "unmeasurable", "not_evaluated"])},
    optional={"reason": st.sampled_from(["none", "two\nlines", ""]), "method": st.just("m")},
)


@st.composite
def oddly_measured(draw: st.DrawFn) -> dict[str, Any]:
    """Measurements in which figures are equal and written otherwise, lacking or of another kind."""
    found = {name: {"method": "m", "version": "1", **figures} for name, figures in GOOD.items()}
    for name in draw(st.sets(st.sampled_from(sorted(set(GOOD) - {"timing"})), max_size=3)):
        found[name] = draw(unmeasured)
    for section, figure in draw(st.sets(st.sampled_from(FREE), max_size=4)):
        if found[section]["status"] == "ok":
            found[section][figure] = draw(numbers)
    if draw(st.booleans()):
        found["encoding"].pop("blur", None)
    if found["nsfw"]["status"] == "ok":
        found["nsfw"].update(draw(st.fixed_dictionaries({}, optional=STILLS)))
    return found


STILLS = {
    "labels": st.sampled_from([["sfw", "nsfw"], ["nsfw", "sfw"], ["cat", "dog"]]),
    "probabilities": st.sampled_from([[[1, 0]], [[1.0, 0.0]], [[0.0, 1.0]], [[0.5, 0.5], [1.0, 0.0]]]),
}
FREE = [
    ("black", "black_s"),
    ("encoding", "blur"),
    ("encoding", "blockiness"),
    ("defects", "bandwidth_hz"),
    ("defects", "dual_mono"),
    ("sync", "content_offset_s"),
    ("faces", "found"),
    ("timing", "bounded_at_s"),
    ("geometry", "rotation_deg"),
    ("encoding", "vcodec"),
    ("encoding", "first_error"),
]


def columns_of(rows: list[dict[str, Any]], names: set[str]) -> FigureTable:
    """Some of the figures of some clips."""
    return FigureTable.of(
        [{s: {n: f for n, f in v.items() if f"{s}.{n}" in names} for s, v in m.items()} for m in rows]
    )


@settings(max_examples=10, deadline=None)
@given(st.lists(oddly_measured(), min_size=1, max_size=5))
def test_many_clips_get_the_verdicts_that_each_gets_by_itself(clips: list[dict[str, Any]]) -> None:
    rows = [MeasureRow(clip_id=f"c{n:02d}", film_id="f", status="ok", measurements=m) for n, m in enumerate(clips)]
    table = judge_rows(rows, PARAMS)
    for row, verdict in zip(rows, table.rows(range(len(rows))), strict=True):
        assert canonical_json(verdict.model_dump(mode="json")) == canonical_json(
            decide(row, PARAMS).model_dump(mode="json")
        )
        expected = by_hand({name: answer(rule.judge, row.measurements) for name, rule in RULES.items()})
        assert (verdict.status, verdict.reasons) == expected


def by_hand(answers: dict[str, Answer]) -> tuple[str, list[str]]:
    """The policy row by row: hard limits, what mandatory and poor checks object to, and the weighted score."""
    broken = {name: f"{name}: {answers[name].reason}" for name in PARAMS.hard_limits if answers[name].score == 0.0}
    weights = {name: float(getattr(PARAMS.weights, name)) for name in WEIGHTED}
    complaints, remarks = {}, []
    for name, one in answers.items():
        if one.status == "error":
            complaints[name] = f"{name}: error: {one.reason}"
        elif one.status != "ok" and name in PARAMS.mandatory:
            complaints[name] = f"{name}: {one.status}: {one.reason}"
        elif one.score is not None and (one.score < PARAMS.fail_below or one.caps):
            complaints[name] = f"{name}: {one.reason}"
        elif one.remark:
            remarks.append(f"{name}: {one.reason}")
    if broken:
        also = [name for name in complaints if name not in broken]
        return "REJECTED", [*broken.values(), *([f"also: {', '.join(also)}"] if also else [])]
    scored = {name: weight for name, weight in weights.items() if answers[name].score is not None}
    if not scored:
        return "REVIEW_NEEDED", ["nothing could be scored", *remarks]
    by_loss = sorted(complaints, key=lambda name: -weights.get(name, 0.0) * (1.0 - (answers[name].score or 0.0)))
    said = [complaints[name] for name in by_loss]
    total = sum(w * (answers[name].score or 0.0) for name, w in scored.items()) / sum(scored.values())
    if total >= 0.85 - 1e-9:
        return "REVIEW_NEEDED" if said else "APPROVED", said + remarks
    low = [f"score {total:.3f} is below {0.85 if total >= 0.70 - 1e-9 else 0.7:g}"]
    return "REVIEW_NEEDED" if total >= 0.70 - 1e-9 else "REJECTED", low + said + remarks


@settings(max_examples=8, deadline=None)
@given(st.lists(oddly_measured(), min_size=1, max_size=4))
def test_a_rule_reads_no_figure_that_it_does_not_declare(clips: list[dict[str, Any]]) -> None:
    for rule in RULES.values():
        names = {f"{s}.{n}" for s, read in rule.reads.items() for n in ("status", "reason", *read)}
        whole, declared = (rule.judge(t, PARAMS) for t in (FigureTable.of(clips), columns_of(clips, names)))
        assert whole.reasons() == declared.reasons() and whole.status.tolist() == declared.status.tolist()
        assert np.array_equal(whole.score, declared.score, equal_nan=True)


def test_a_manifest_read_in_parts_is_judged_as_its_rows_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest, "_PART", 40)
    write(tmp_path, measured())
    assert pq.ParquetFile(tmp_path / "manifest.parquet").num_row_groups == 4
    read, made = list(MeasurementTable.parts(tmp_path, Vault())), MeasurementTable.of(measured())
    assert [part.count for part in read] == [40, 40, 40, 30]
    for name in ("clip_ids", "statuses", "reasons"):
        assert [value for part in read for value in getattr(part, name)] == getattr(made, name)
    assert {name: strip for part in read for name, strip in part.thumbnails.items()} == made.thumbnails
    assert {name: words for part in read for name, words in part.prints().items()} == made.prints()
    assert outcome(read) == outcome([made])


def outcome(parts: list[MeasurementTable], rows: int = 1000) -> tuple[list[VerdictRow], Any]:
    """The verdicts on clips of no known film, and what the checks answered in all."""
    table = settle(parts, films_of([]), clips_of([]), PARAMS)
    return [row for part in table.parts(rows) for row in part.rows(range(len(part)))], table.tally.figures()


def test_figures_are_columns_of_their_types(tmp_path: Path) -> None:
    write(tmp_path, measured(20))
    schema = pq.read_schema(tmp_path / "manifest.parquet")
    kinds = {"timing.fps": pa.float64(), "faces.found": pa.bool_(), "faces.stills": pa.int64()}
    kinds |= {"encoding.vcodec": pa.string(), "nsfw.probabilities": pa.json_()}
    assert {name: schema.field(name).type for name in kinds} == kinds and "measurements" not in schema.names


def test_a_changed_measurement_is_refused(tmp_path: Path) -> None:
    write(tmp_path, measured(20))
    table = pq.read_table(tmp_path / "manifest.parquet").to_pylist()
    table[3]["faces.found"] = not table[3]["faces.found"]
    pq.write_table(pa.Table.from_pylist(table), tmp_path / "manifest.parquet")
    with pytest.raises(AiprodError, match="Merkle root"):
        list(MeasurementTable.parts(tmp_path, Vault()))


def test_films_and_clips_read_by_columns_are_those_read_by_rows(tmp_path: Path) -> None:
    films = [
        FilmRow(
            film_id=f"f{n}",
            source_id="s",
            key=f"{n}.mp4",
            status="ok",
            reasons=["why"] * (n % 2),
            obligations=["name it"] * (n % 3),
            consent_ref="C-1" if n == 2 else None,
        )
        for n in range(5)
    ]
    clips = [
        clip_row(
            f"c{n}-000",
            f"f{n}",
            source_id="s",
            end_s=n + 0.5,
            width=640,
            height=480,
            has_audio=n % 2 == 0,
            title="two people" if n == 3 else None,
            labels=["faces"] if n == 4 else [],
        )
        for n in range(5)
    ]
    for name, rows, model, key in (("films", films, FilmRow, "film_id"), ("clips", clips, ClipRow, "clip_id")):
        write_manifest(
            tmp_path / name, rows, row_model=model, stage="t", key=attrgetter(key), params_digest="", inputs={}
        )
    known = [FilmProjection.of(row) for row in films]
    assert [list(films) for films in read_films(tmp_path / "films", Vault())] == [known, known]
    read = list(read_clips(tmp_path / "clips", Vault()))
    assert read == [ClipProjection.of(row) for row in clips]
    assert [clip.declares_people for clip in read] == [False, False, False, True, True]
    (tmp_path / "clips/manifest.parquet").write_bytes((tmp_path / "films/manifest.parquet").read_bytes())
    with pytest.raises(AiprodError, match="does not validate"):
        read_clips(tmp_path / "clips", Vault())


def test_the_verdict_on_a_private_film_that_was_refused_repeats_none_of_its_words(tmp_path: Path) -> None:
    why = "personal_data_basis is 'consent' → deny: consent 2026-014 is withdrawn"
    film = FilmRow(
        film_id="f0abcdefghijklmnop",
        source_id="s",
        key="holiday.mp4",
        status="refused",
        reasons=[why],
        consent_ref="2026-014",
    )
    vault = Vault()
    vault.keys.ensure(film.film_id)
    folder = tmp_path / "films"
    write_manifest(
        folder,
        [film],
        row_model=FilmRow,
        stage="t",
        key=attrgetter("film_id"),
        params_digest="",
        inputs={},
        vault=vault,
    )
    _, [read] = read_films(folder, vault)
    assert read.consent_ref == "2026-014", "it is opened"
    assert refused(read).reasons == ["refused: personal_data_basis is 'consent' → deny: consent sealed is withdrawn"]
