"""The file that says how often a model was shown each clip, and for long ones the same as a table beside it.

JSON is what people and other programs read. A million clips are 160 MB of it, which take seconds to parse, so a model
that saw many clips has the ids and counts as Parquet, too. It says nothing that the JSON does not.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from aiprod.base.files import atomic_path, write_json
from aiprod.storage.manifest.arrow import column, readable

TABLE_MIN = 10_000
"""Clips from which on a ledger has a table."""


def table_of(path: Path) -> Path:
    """The table beside a ledger."""
    return path.with_suffix(".parquet")


def write_ledger(path: Path, document: Mapping[str, Any]) -> None:
    """Write a ledger, and its table where it is long."""
    write_json(path, document)
    clips = document["clips"]
    if len(clips) < TABLE_MIN:
        return
    columns = {"clip_id": pa.string(), "times": pa.int64()}
    table = pa.table({name: column([clip[name] for clip in clips], kind) for name, kind in columns.items()})
    with atomic_path(table_of(path)) as temporary:
        pq.write_table(table, temporary, compression="zstd")


def read_table(path: Path) -> pa.Table:
    """Ids and counts of a ledger that has a table.

    Raises:
        AiprodError: it cannot be read.
    """
    with readable(table_of(path)):
        with pq.ParquetFile(table_of(path)) as file:  # `pq.read_table` imports pandas
            table = file.read(columns=["clip_id", "times"]).combine_chunks()
        table.validate(full=True)
    return table
