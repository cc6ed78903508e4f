"""The right to train on a film: three values in one order."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

RightWord = Literal["train", "train_with_obligations", "deny"]
"""A right as manifests spell it; :class:`Right` of a word gives it its place in the order."""


class Right(StrEnum):
    """A permission to train. A narrower one is less, so that the effective right is the minimum of its layers."""

    DENY = "deny"
    TRAIN_WITH_OBLIGATIONS = "train_with_obligations"
    TRAIN = "train"

    @property
    def word(self) -> RightWord:
        """The spelling in manifests, as a plain string."""
        return self.value

    @property
    def permits_training(self) -> bool:
        """Whether a film may be trained on, with obligations or without."""
        return self is not Right.DENY

    def __lt__(self, other: str) -> bool:
        return _ORDER.index(self) < _ORDER.index(Right(other))

    def __le__(self, other: str) -> bool:
        return _ORDER.index(self) <= _ORDER.index(Right(other))

    def __gt__(self, other: str) -> bool:
        return _ORDER.index(self) > _ORDER.index(Right(other))

    def __ge__(self, other: str) -> bool:
        return _ORDER.index(self) >= _ORDER.index(Right(other))


_ORDER = list(Right)
