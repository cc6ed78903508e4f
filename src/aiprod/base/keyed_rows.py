"""Rows of a table that is sorted by a key, on disk: looked up some at a time, with one key of many in memory."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import pairwise
from typing import Any, Generic, NamedTuple, TypeVar

import orjson

from aiprod.base.spool import Records
from aiprod.errors import AiprodError

_PART = 2048  # rows that are read together
_OPEN = 3  # parts in memory

T = TypeVar("T", bound=tuple[Any, ...])


class _Part(NamedTuple, Generic[T]):
    """Some rows, and the place of each key among them."""

    rows: list[T]
    place: dict[str, int]


class KeyedRows(Generic[T]):
    """Rows by their keys, in the order of these.

    Args:
        kind: of a row, a named tuple of text, numbers, or lists and mappings of such. The first column is the key.
        what: the rows, in words.
    """

    def __init__(self, kind: type[T], what: str) -> None:
        self._make = partial(tuple.__new__, kind)  # without its own function, which takes much longer
        self._what, self._width = what, 1
        self._records = Records()
        self._first: list[str] = []
        self._starts = [0]
        self._last: str | None = None
        self._open: OrderedDict[int, _Part[T]] = OrderedDict()

    def __len__(self) -> int:
        return self._starts[-1]

    def append(self, columns: Sequence[Sequence[Any]]) -> None:
        """Keep some more rows.

        Raises:
            AiprodError: a key is not after the one before it.
        """
        keys = columns[0]
        if not keys:
            return
        before = [] if self._last is None else [self._last]
        late = next((pair for pair in pairwise([*before, *keys]) if pair[0] >= pair[1]), None)
        if late is not None:
            what = f"the {self._what} are not sorted by their ids: {late[1]} after {late[0]}"
            raise AiprodError(what, "run `dvc repro`")
        self._last, self._width = keys[-1], len(columns)
        for start in range(0, len(keys), _PART):
            for column in columns:
                self._records.append(orjson.dumps(list(column[start : start + _PART])))
            self._first.append(keys[start])
            self._starts.append(self._starts[-1] + len(keys[start : start + _PART]))

    @classmethod
    def of_rows(cls, kind: type[T], what: str, rows: Iterable[T]) -> KeyedRows[T]:
        """Some rows, in the order of their keys.

        Raises:
            AiprodError: as :meth:`append`.
        """
        made = cls(kind, what)
        some: list[T] = []
        for row in rows:
            some.append(row)
            if len(some) == _PART:
                made.append(list(zip(*some, strict=True)))
                some = []
        made.append(list(zip(*some, strict=True)) or [[]])
        return made

    def __iter__(self) -> Iterator[T]:
        for number in range(len(self._first)):
            yield from map(self._make, zip(*self._columns(number), strict=True))

    def column(self, place: int) -> Iterator[Any]:
        """The values of one column."""
        for number in range(len(self._first)):
            yield from orjson.loads(self._records[number * self._width + place])

    def of(self, keys: Iterable[str]) -> dict[str, T]:
        """The rows of some keys, without those that there is no row of."""
        return {key: row for key, (_, row) in self.numbered(keys).items()}

    def numbered(self, keys: Iterable[str]) -> dict[str, tuple[int, T]]:
        """The same with the number of each row."""
        wanted = sorted(set(keys))
        found: dict[str, tuple[int, T]] = {}
        at = bisect_left(wanted, self._first[0]) if self._first else len(wanted)
        while at < len(wanted):
            number = bisect_right(self._first, wanted[at]) - 1
            last = number + 1 == len(self._first)
            end = len(wanted) if last else bisect_left(wanted, self._first[number + 1], at)
            (rows, place), start = self._part(number), self._starts[number]
            some = ((key, place[key]) for key in wanted[at:end] if key in place)
            found |= {key: (start + i, rows[i]) for key, i in some}
            at = end
        return found

    def _columns(self, number: int) -> list[list[Any]]:
        first = number * self._width
        return [orjson.loads(self._records[first + place]) for place in range(self._width)]

    def _part(self, number: int) -> _Part[T]:
        if number not in self._open:
            columns = self._columns(number)
            place = {key: at for at, key in enumerate(columns[0])}
            self._open[number] = _Part(list(map(self._make, zip(*columns, strict=True))), place)
            if len(self._open) > _OPEN:
                self._open.popitem(last=False)
        self._open.move_to_end(number)
        return self._open[number]
