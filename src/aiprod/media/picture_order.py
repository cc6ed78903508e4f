"""The order in which the pictures of a stream are shown, followed as they come in the order of decoding, and what is
missing in it."""

from __future__ import annotations

from typing import Any, NamedTuple


class Skip(NamedTuple):
    """What is missing before a picture.

    Attributes:
        pictures: how many at least.
        torn: whether what follows is made of one of them.
    """

    pictures: int = 0
    torn: bool = False

    def __add__(self, other: tuple[Any, ...]) -> Skip:
        return Skip(self.pictures + other[0], self.torn or bool(other[1]))


NOTHING = Skip()


class PictureOrder:
    """Follows the places of pictures in the order of showing, as they come in the order of decoding.

    Between two pictures that others are made of (references) lie those that are made of both, and those are decoded
    behind the second.

    Attributes:
        due: the place that comes next.
        references: how many came.
        owed: whether a reference that is still to be passed was counted as missing.
    """

    def __init__(self) -> None:
        self._usual = 0  # the largest distance of two references between which nothing was missing
        self.references = self._faults = 0
        self.restart()

    def restart(self) -> None:
        """Decoding begins anew: what lies before the first reference is not known."""
        self._before: int | None = None  # the reference that is shown before those that are due
        self._after: int | None = None
        self.due = 0
        self.owed = False

    def reference(self, place: int, at_once: bool = False) -> Skip:
        """A reference comes.

        Args:
            at_once: no picture is decoded behind one that is shown later, so what lies between is missing.
        """
        if self._after is not None and place <= self._after:  # a second field
            return NOTHING
        skip = self._ended()
        self._before, self._after = self._after, place
        self.references += 1
        if self._before is not None:
            self.due = self._before + 1
            if at_once:
                skip += self._reach(place)
        return skip

    def between(self, place: int) -> Skip:
        """A picture comes that no other is made of."""
        if self._before is None or self._after is None or place < self.due:
            return NOTHING
        if place > self._after:  # it was to be made of a reference that has not come
            others = place - self.due - (self.due <= self._after)
            skip = Skip(max(0, others) + (not self.owed), True)
            self._before, self._after, self.owed = self._after, place, True
            self._faults += bool(skip.pictures)
        else:
            skip = self._reach(place)
        self.due = place + 1
        return skip

    def begins(self) -> Skip:
        """Places count from zero again."""
        skip = self._ended()
        if self._after is not None:
            self._after = -1
        self.owed = False
        return skip

    def _ended(self) -> Skip:
        """Nothing more comes before the latest reference."""
        if self._before is None or self._after is None or self.due > self._after:
            return NOTHING
        skip = self._reach(self._after)
        if not skip.pictures:
            self._usual = max(self._usual, self._after - self._before)
        self.due = self._after + 1
        return skip

    def _reach(self, place: int) -> Skip:
        missing = place - self.due
        if missing <= 0 or self._before is None or self._after is None:
            return NOTHING
        self.due = place
        if self.owed:
            missing, self.owed = missing - 1, False
            if not missing:
                return NOTHING
        self._faults += 1
        return Skip(missing, self._after - self._before > self._usual)

    @property
    def believed(self) -> bool:
        """Whether most places fit each other."""
        return 2 * self._faults < self.references
