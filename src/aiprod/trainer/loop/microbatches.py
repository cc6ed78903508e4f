"""How a global batch is shared: by ranks, and by the parts that a rank takes one after another."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from aiprod.errors import AiprodError


def refuse_uneven(setting: str, batch: int, ranks: int, accumulation: int) -> None:
    """A rank with fewer clips would weigh them more, and one with fewer parts would leave the others waiting.

    Args:
        setting: the section of params.yaml that holds the batch.

    Raises:
        AiprodError: the ranks cannot share the batch equally.
    """
    if batch % ranks:
        split = f" (each splits its share into accumulation = {accumulation} parts)" if accumulation > 1 else ""
        raise AiprodError(
            f"{setting}: a batch of {batch} does not divide over {ranks} ranks{split}",
            f"set the batch to {-(-batch // ranks) * ranks}, or start a number of processes that divides {batch}",
        )


def own_parts(batch: int, rank: int, ranks: int, accumulation: int) -> list[list[int]]:
    """Places in the global batch that a rank takes, in parts that differ by one clip at most; as many on every rank."""
    share = batch // ranks
    places = np.arange(rank * share, (rank + 1) * share)
    return [part.tolist() for part in np.array_split(places, min(accumulation, share))]


def mean_of_parts(parts: Sequence[tuple[int, dict[str, float]]]) -> dict[str, float]:
    """Figures of a step from (clips, figures) of its parts.

    A clip weighs the same in whatever part it stands, and a figure that a part lacks is averaged over those that have
    it.
    """
    if len(parts) == 1:
        return dict(parts[0][1])
    means = {}
    for name in {name: None for _, figures in parts for name in figures}:
        weighted = [(clips, figures[name]) for clips, figures in parts if name in figures]
        means[name] = sum(clips * value for clips, value in weighted) / sum(clips for clips, _ in weighted)
    return means
