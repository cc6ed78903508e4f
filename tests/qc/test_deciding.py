"""Judging a large dataset in parts: the same rows, results and root as one clip after the other."""

from __future__ import annotations

import json
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiprod.base.files import canonical_json
from aiprod.data.rows import ClipRow, FilmRow
from aiprod.errors import AiprodError
from aiprod.qc.checks import RULES
from aiprod.qc.decide import decide as deciding
from aiprod.qc.decide.check_results import CheckTable
from aiprod.qc.decide.decide import decide, judge_all, judge_rows
from aiprod.qc.decide.scoring import complaint_of
from aiprod.qc.measurement import Figures
from aiprod.qc.params import QcDecideParams
from aiprod.qc.projections import Clip, Film, read_clips, read_films
from aiprod.qc.rows import MeasureRow
from aiprod.storage.crypto.film_encryption import Vault
from aiprod.storage.manifest import manifest
from aiprod.storage.manifest.manifest import write_manifest
from tests.qc.test_scoring import GOOD

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


def test_packed_results_are_the_canonical_text_of_the_results() -> None:
    rows = measured()
    judged = judge_rows(rows, PARAMS)
    table = CheckTable(judged.checks)
    for row, verdict in zip(rows, table.filled(judged.verdicts()), strict=True):
        assert verdict == decide(row, PARAMS)
        assert table.cells([verdict]) == [canonical_json([c.model_dump(mode="json") for c in verdict.checks])]
    good = [v for v in table.filled(judged.verdicts()) if v.checks]
    for name in ("encoding", "faces", "watermark"):
        expected = [next(c for c in v.checks if c.check == name).score for v in good]
        places = table.places([v.clip_id for v in good])
        assert table.scores(name, places).tolist() == expected == table.scored()[name].tolist()
    assert np.isnan(table.scores("audio", table.places(["c009", "nobody"]))).all()


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


class Seen(dict[str, Any]):
    """Figures that remember which of them were asked for."""

    def __init__(self, figures: Figures, asked: set[str]) -> None:
        super().__init__(figures)
        self.asked = asked

    def __getitem__(self, name: str) -> Any:
        self.asked.add(name)
        return super().__getitem__(name)

    def get(self, name: str, default: Any = None) -> Any:
        self.asked.add(name)
        return super().get(name, default)


def answered(name: str, found: dict[str, Any]) -> Any:
    """A judge's own answer by all figures; fails where it asks for figures that it does not declare."""
    asked: dict[str, set[str]] = {section: set() for section in found}
    judge = RULES[name]
    answer = judge.judge({section: Seen(figures, asked[section]) for section, figures in found.items()}, PARAMS)
    for section, names in asked.items():
        assert names <= ({"status", "reason", *judge.reads[section]} if section in judge.reads else set()), section
    return answer


@settings(max_examples=150, deadline=None)
@given(st.lists(oddly_measured().filter(lambda f: f["black"].get("black_s", 0) is not None), max_size=12))
def test_many_clips_get_the_answers_that_each_judge_gives_on_one(clips: list[dict[str, Any]]) -> None:
    rows = [MeasureRow(clip_id=f"c{n}", film_id="f", status="ok", measurements=m) for n, m in enumerate(clips)]
    judged = judge_rows(rows, PARAMS)
    cells = CheckTable(judged.checks).cells(judged.verdicts())
    for row, cell, reasons in zip(rows, cells, judged.columns["reasons"], strict=True):
        expected, complaints = [], []
        for name, judge in RULES.items():
            answer, made = answered(name, row.measurements), row.measurements[judge.source]
            complaints.append(complaint_of(name, answer, PARAMS))
            expected.append(
                {
                    "check": name,
                    "value": answer.value,
                    "score": answer.score,
                    "status": answer.status,
                    "method": str(made.get("method", "")),
                    "version": str(made.get("version", "")),
                    "params_digest": PARAMS.digest()[:16],
                    "reason": answer.reason,
                }
            )
        assert cell == canonical_json(expected)
        assert {c for c in complaints if c} >= set(reasons) - {r for r in reasons if r.startswith("score ")}


def test_parts_judged_in_several_processes_give_what_one_gives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deciding, "default_workers", lambda: 1)
    write(tmp_path / "one", measured())
    alone = judge_all(tmp_path / "one", PARAMS)
    monkeypatch.setattr(deciding, "default_workers", lambda: 2)
    monkeypatch.setattr(manifest, "_PART", 40)
    write(tmp_path / "parts", measured())
    assert pq.ParquetFile(tmp_path / "parts/manifest.parquet").num_row_groups == 4
    parts = judge_all(tmp_path / "parts", PARAMS)
    assert (parts.columns, parts.prints, parts.strips) == (alone.columns, alone.prints, alone.strips)
    one, several = CheckTable(alone.checks), CheckTable(parts.checks)
    assert one.filled(alone.verdicts()) == several.filled(parts.verdicts())
    assert one.statuses() == several.statuses()
    scores = [{name: found.tolist() for name, found in table.scored().items()} for table in (one, several)]
    assert scores[0] == scores[1]


def test_a_changed_measurement_is_refused(tmp_path: Path) -> None:
    write(tmp_path, measured(20))
    table = pq.read_table(tmp_path / "manifest.parquet").to_pylist()
    changed = json.loads(table[3]["measurements"])
    changed["faces"]["found"] = False
    table[3]["measurements"] = canonical_json(changed).decode()
    pq.write_table(pa.Table.from_pylist(table), tmp_path / "manifest.parquet")
    with pytest.raises(AiprodError, match="Merkle root"):
        judge_all(tmp_path, PARAMS)


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
        ClipRow(
            clip_id=f"c{n}-000",
            film_id=f"f{n}",
            source_id="s",
            shot_index=0,
            start_s=0,
            end_s=n + 0.5,
            frames=24,
            fps=24,
            width=640,
            height=480,
            has_audio=n % 2 == 0,
            status="ok",
            split="train",
            title="two people" if n == 3 else None,
            labels=["faces"] if n == 4 else [],
        )
        for n in range(5)
    ]
    for name, rows, model, key in (("films", films, FilmRow, "film_id"), ("clips", clips, ClipRow, "clip_id")):
        write_manifest(
            tmp_path / name, rows, row_model=model, stage="t", key=attrgetter(key), params_digest="", inputs={}
        )
    known = [Film.of(row) for row in films]
    assert read_films(tmp_path / "films", Vault()) == (known, known)
    read = read_clips(tmp_path / "clips", Vault())
    assert read == [Clip.of(row) for row in clips]
    assert [clip.declares_people for clip in read] == [False, False, False, True, True]
    (tmp_path / "clips/manifest.parquet").write_bytes((tmp_path / "films/manifest.parquet").read_bytes())
    with pytest.raises(AiprodError, match="does not validate"):
        read_clips(tmp_path / "clips", Vault())
