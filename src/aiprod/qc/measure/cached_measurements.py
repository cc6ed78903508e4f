"""Measurements that earlier runs kept, and which of a clip's are to be made again because a check changed since.

What all measurements share (decoding, parameters, the clip's bytes) is in the memo's key; so are the versions of the
measurements, as a set. An entry under another set than the present one still holds the figures of every measurement
whose version is the same. Which sets there were is told by a small file beside the entries.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiprod.base.files import digest_of, write_json
from aiprod.qc.checks import MEASUREMENTS
from aiprod.storage.result_cache import Memo

_SETS = "versions.json"
_SETS_MAX = 16

Versions = dict[str, str]


def versions() -> Versions:
    """Each measurement → its version and those of what it needs: when one of them is raised, it is made again."""
    by_name: Versions = {}
    for name, kind in MEASUREMENTS.items():  # each after those that it needs
        needs = "".join(f" {need}=({by_name[need]})" for need in kind.needs)
        by_name[name] = f"{kind.version}{needs}"
    return by_name


@dataclass(frozen=True)
class Earlier:
    """An entry of an earlier set of versions.

    Attributes:
        key: of the entry.
        stale: measurements that it lacks or that have another version now.
    """

    key: str
    stale: tuple[str, ...]


class CachedResults:
    """The entries of one stage's memo."""

    def __init__(self, memo: Memo) -> None:
        self.memo = memo
        self._now = versions()
        self._digest = digest_of(self._now)
        sets = [versions_made for versions_made in self._read() if versions_made != self._now]
        ranked = [
            (tuple(n for n in self._now if versions_made.get(n) != self._now[n]), digest_of(versions_made))
            for versions_made in sets
        ]
        self._others = sorted(ranked, key=lambda item: len(item[0]))

    def key(self, *parts: Any) -> str:
        """The address of a clip's entry for the present versions."""
        return self.memo.key(*parts, self._digest)

    def earlier(self, *parts: Any) -> Earlier | None:
        """The entry of an earlier set that leaves the least to be measured again; None where all is to be."""
        for stale, digest in self._others:
            key = self.memo.key(*parts, digest)
            if len(stale) < len(self._now) and self.memo.get(key) is not None:
                return Earlier(key, stale)
        return None

    def remember(self) -> None:
        """Note the present versions as the newest set."""
        sets = [self._now, *(versions_made for versions_made in self._read() if versions_made != self._now)]
        self.memo.folder.mkdir(parents=True, exist_ok=True)
        write_json(self.memo.folder / _SETS, sets[:_SETS_MAX])

    def _read(self) -> list[Versions]:
        try:
            content = json.loads((self.memo.folder / _SETS).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return []  # as if there had been no other set: everything that is not there is measured
        return [s for s in content if isinstance(s, dict)] if isinstance(content, list) else []


def merged(before: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """The figures of an earlier entry with those that were made again; measurements that there are no more go."""
    return {name: new[name] if name in new else before[name] for name in sorted(MEASUREMENTS)}
