"""Key renames as data: a table of patterns that turns a foreign checkpoint's names into ours."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from aiprod.errors import CheckpointError
from aiprod.models.checkpoint.json_files import read_json_file


@dataclass(frozen=True)
class KeyRenames:
    """Ordered (regular expression, replacement) pairs; each is applied to every key, in order.

    ``drop`` lists patterns of keys that are left out on purpose (an optimiser's moments, a frozen teacher).
    """

    pairs: tuple[tuple[str, str], ...]
    drop: tuple[str, ...] = ()

    @classmethod
    def from_json(cls, path: Path | str) -> KeyRenames:
        """Read ``{"rename": [["pattern", "replacement"], …], "drop": ["pattern", …]}``.

        Raises:
            CheckpointError: not that form, or not a valid pattern.
        """
        try:
            value = read_json_file(path)
            table = cls(tuple((str(a), str(b)) for a, b in value["rename"]), tuple(map(str, value.get("drop", []))))
            for pattern in [a for a, _ in table.pairs] + list(table.drop):
                re.compile(pattern)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, re.error) as error:
            raise CheckpointError(
                f"{path} is not a table of key renames ({error!r})",
                'write {"rename": [["pattern", "replacement"]], "drop": []}',
            ) from None
        return table

    def rename(self, key: str) -> str:
        """The new name of one key."""
        for pattern, replacement in self.pairs:
            key = re.sub(pattern, replacement, key)
        return key

    def apply(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Renamed tensors.

        Raises:
            CheckpointError: two keys would get one name.
        """
        renamed: dict[str, Tensor] = {}
        source: dict[str, str] = {}
        for key, tensor in tensors.items():
            if any(re.search(pattern, key) for pattern in self.drop):
                continue
            name = self.rename(key)
            if name in renamed:
                raise CheckpointError(f"the renames turn {source[name]} and {key} both into {name}", "fix the table")
            renamed[name], source[name] = tensor, key
        return renamed
