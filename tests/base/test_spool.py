"""What is kept on disk in place of memory is what was put there, and nothing of it outlives its process."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiprod.base import keyed_rows, spool
from aiprod.base.keyed_rows import KeyedRows
from aiprod.base.spool import ArraySpool, Records
from aiprod.base.tempdirs import private_root
from aiprod.errors import AiprodError
from aiprod.storage.manifest.canonical_rows import RootHash


class Thing(NamedTuple):
    key: str
    size: float | None
    words: list[str]


@given(st.lists(st.binary(max_size=40)), st.integers(0, 60))
def test_records_are_read_as_they_were_kept(contents: list[bytes], kept: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spool, "_KEPT", kept)
        records = Records()
        for content in contents:
            records.append(content)
        assert [records[number] for number in range(len(records))] == contents
        assert [records[number] for number in reversed(range(len(records)))] == contents[::-1]


@given(st.lists(st.integers(0, 9), max_size=8), st.lists(st.integers(0, 30), max_size=40), st.integers(0, 100))
def test_rows_of_an_array_are_taken_in_any_order(sizes: list[int], wanted: list[int], kept: int) -> None:
    rows = np.arange(6 * sum(sizes), dtype="<u4").reshape(-1, 2, 3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spool, "_GAP", 30)
        some = ArraySpool("<u4", (2, 3), kept)
        for end, size in zip(np.cumsum(sizes), sizes, strict=True):
            some.append(rows[end - size : end])
        places = np.array([place % len(rows) for place in wanted] if len(rows) else [], np.int64)
        assert (some.take(places) == rows[places]).all() and len(some) == len(rows)
        assert (some.slice(1, 3) == rows[1:3]).all()


def test_the_file_has_no_name() -> None:
    before = set(private_root().iterdir())
    some = ArraySpool("<u8", kept=0)
    some.append(np.arange(9))
    assert set(private_root().iterdir()) == before and some.slice(8, 9)[0] == 8


rows_of = st.dictionaries(st.text("abc", min_size=1, max_size=3), st.none() | st.floats(0, 1), max_size=25)


@given(rows_of, st.lists(st.text("abc", max_size=3)), st.integers(1, 5))
def test_rows_are_looked_up_by_their_keys(known: dict[str, float | None], wanted: list[str], part: int) -> None:
    things = [Thing(key, size, [key] * 2) for key, size in sorted(known.items())]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keyed_rows, "_PART", part)
        table = KeyedRows.of_rows(Thing, "things", things)
        by_key = {thing.key: (number, thing) for number, thing in enumerate(things)}
        assert table.numbered(wanted) == {key: by_key[key] for key in wanted if key in by_key}
        assert list(table) == things and list(table.column(1)) == [thing.size for thing in things]
        assert len(table) == len(things) and all(type(row) is Thing for row in table.of(wanted).values())


@pytest.mark.parametrize("keys", [["b", "a"], ["a", "a"], ["a", "c", "b"]])
def test_rows_that_are_not_sorted_are_refused(keys: Sequence[str]) -> None:
    table = KeyedRows(Thing, "things")
    with pytest.raises(AiprodError, match="not sorted"):
        for key in keys:
            table.append([[key], [None], [[]]])


def tree_hash(leaves: Sequence[bytes]) -> bytes:
    """RFC 6962 section 2.1 as it is written there, of leaves that are hashed already."""
    if len(leaves) < 2:
        return leaves[0] if leaves else hashlib.sha256(b"").digest()
    half = 1 << ((len(leaves) - 1).bit_length() - 1)
    return hashlib.sha256(b"\1" + tree_hash(leaves[:half]) + tree_hash(leaves[half:])).digest()


@given(st.lists(st.integers(0, 20), max_size=6))
def test_a_root_of_leaves_that_come_in_parts(sizes: list[int]) -> None:
    leaves = [hashlib.sha256(bytes([number])).digest() for number in range(sum(sizes))]
    root, at = RootHash(), 0
    for size in sizes:
        root.add(leaves[at : at + size])
        at += size
        assert root.hex() == tree_hash(leaves[:at]).hex()
