"""What others' tools do with the documents: load records of the Croissant file from where it lies."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from aiprod.governance.dataset.records import Records
from aiprod.governance.dossier.dossier import DossierParams, build_dossier

mlcroissant = pytest.importorskip("mlcroissant", reason="needs mlcroissant (`pip install -e '.[dev]'`)")


@pytest.mark.filterwarnings("ignore")  # of rdflib and mlcroissant about themselves
def test_records_load_from_the_dossier_whatever_the_working_directory(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build_dossier(finished, finished / "reports/dossier", DossierParams())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CROISSANT_CACHE", str(tmp_path / "cache"))
    dataset = mlcroissant.Dataset(finished / "reports/dossier/croissant.json")
    tables = {name.removeprefix("datasets/v1/").replace("/", "-"): name for name in Records(finished).heads}
    assert {one.uuid for one in dataset.metadata.record_sets} == set(tables)
    for uuid, name in tables.items():
        rows = pq.read_table(finished / name / "manifest.parquet")
        loaded = list(dataset.records(uuid))
        assert len(loaded) == rows.num_rows, uuid
        key = next(field for field in rows.column_names if field.endswith("_id"))
        assert [str(row[f"{uuid}/{key}"], "utf-8") for row in loaded] == rows[key].to_pylist()
