"""Judging a large dataset in parts: the same rows, results and root as one clip after the other."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from aiprod.base import manifest
from aiprod.base.errors import AiprodError
from aiprod.base.files import canonical_json
from aiprod.base.manifest import write_manifest
from aiprod.qc import deciding
from aiprod.qc.check_table import CheckTable
from aiprod.qc.deciding import decide, judge_all, judge_rows
from aiprod.qc.params import QcDecideParams
from aiprod.qc.rows import MeasureRow
from tests.qc.test_scoring import GOOD

PARAMS = QcDecideParams()


def measured(count: int = 150) -> list[MeasureRow]:
    """Clips that differ, among them some that could not be measured and some with values that are no plain numbers."""
    rows = []
    for n in range(count):
        found = {name: {"method": "m", "version": "1", **figures} for name, figures in GOOD.items()}
        found["encoding"].update(bits_per_pixel=0.002 * n, vcodec="h264" if n % 3 else "line\nfeed \"quoted\" ä")
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
        assert table.scores(name, [v.clip_id for v in good]) == expected == table.scored()[name]
    assert table.scores("audio", ["c009", "nobody"]) == [None, None]


def test_parts_judged_in_several_processes_give_what_one_gives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
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
    assert (one.scored(), one.statuses()) == (several.scored(), several.statuses())


def test_a_changed_measurement_is_refused(tmp_path: Path) -> None:
    write(tmp_path, measured(20))
    table = pq.read_table(tmp_path / "manifest.parquet").to_pylist()
    changed = json.loads(table[3]["measurements"])
    changed["faces"]["found"] = False
    table[3]["measurements"] = canonical_json(changed).decode()
    pq.write_table(pa.Table.from_pylist(table), tmp_path / "manifest.parquet")
    with pytest.raises(AiprodError, match="Merkle root"):
        judge_all(tmp_path, PARAMS)
