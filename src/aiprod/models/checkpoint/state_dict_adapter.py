"""Key renames as data: a table of patterns that turns a foreign checkpoint's names into ours."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from aiprod.errors import CheckpointError


@dataclass(frozen=True)
class KeyRenames:
    """Ordered (regular expression, replacement) pairs; each is applied to every key, in order.

    ``drop`` lists patterns of keys that are left out on purpose (an optimiser's moments, a frozen teacher).
    """

    pairs: tuple[tuple[str, str], ...]
    drop: tuple[str, ...] = ()

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
