"""Buckets of clips of one shape, and a sampler over them that can stop at any step and go on exactly there."""

from __future__ import annotations

import hashlib
import math
import random
from array import array
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from heapq import heapify, heapreplace
from typing import Any

import numpy as np
import numpy.typing as npt

from aiprod.errors import AiprodError

_DIGESTED = 4096  # ids whose text is in memory at a time
_PARTS = 20  # of a showing, in which repeats are counted


@dataclass(frozen=True, order=True)
class Bucket:
    """Clips that can stand in one batch: pixels (height, width), frames, and whether there is sound."""

    height: int
    width: int
    frames: int
    has_sound: bool

    def __str__(self) -> str:
        return f"{self.height}x{self.width}x{self.frames} {'with sound' if self.has_sound else 'silent'}"


class BucketSampler:
    """Draws full batches, each from one bucket, so that every clip is seen equally often in the long run.

    The bucket whose clips have been seen least is drawn next. Inside a bucket clips come in shuffled rounds; a batch
    may run over the end of a round into the next, so that a bucket smaller than a batch still gives full batches
    (the same clip then stands in it with other noise). The order depends on the seed and the position only, not on
    workers or ranks: each rank takes its part of the same global batch.

    Args:
        clips: clip id → its bucket.
        batch: clips in a global batch.
        seed: of the shuffling.
        repeats: clip id → how often it stands in a round (default 1; in steps of 0.05), which weighs sources against
            each other. With fractions a round holds each clip so many times more that all are whole.

    Raises:
        AiprodError: there is no clip.
    """

    def __init__(
        self, clips: Mapping[str, Bucket], *, batch: int, seed: int, repeats: Mapping[str, float] | None = None
    ) -> None:
        if not clips:
            raise AiprodError("no usable clip for training", "see the table of reasons above")
        if batch < 1:
            raise AiprodError(f"a batch of {batch} clips", "use 1 or more")
        self.batch, self.seed = batch, seed
        times = repeats or {}
        shared = math.gcd(_PARTS, *{_units(times.get(clip_id, 1)) for clip_id in clips}) if times else _PARTS
        self._rounds_at_once = _PARTS // shared
        apart: defaultdict[Bucket, list[str]] = defaultdict(list)
        for clip_id, bucket in clips.items():  # once over them as they lie in memory; ids are sorted by bucket
            apart[bucket].append(clip_id)
        self._members: dict[Bucket, npt.NDArray[np.object_]] = {}
        for bucket in sorted(apart):
            members = apart.pop(bucket)
            members.sort()
            if times:
                members = [one for one in members for _ in range(_units(times.get(one, 1)) // shared)]
            if members:
                self._members[bucket] = np.array(members, dtype=object)
        if not self._members:
            raise AiprodError("every clip has a repeat count of 0", "raise `repeats` for at least one source")
        self._rounds: dict[Bucket, dict[int, npt.NDArray[np.uint32]]] = {}
        self.rewind()

    @property
    def clips_per_epoch(self) -> int:
        """Clips (with repeats) in one round over everything."""
        return max(1, round(sum(len(members) for members in self._members.values()) / self._rounds_at_once))

    def next(self) -> tuple[Bucket, list[str]]:
        """The next global batch: its bucket and clip ids."""
        _, bucket = self._least[0]
        members, start = self._members[bucket], self._drawn[bucket]
        self._drawn[bucket] = start + self.batch
        heapreplace(self._least, (self._drawn[bucket] / len(members), bucket))
        drawn: list[str] = []
        while len(drawn) < self.batch:
            turn, first = divmod(start + len(drawn), len(members))
            places = self._round(bucket, turn)[first : first + self.batch - len(drawn)]
            drawn += members.take(places).tolist()  # at once: one by one, each id is waited for
        return bucket, drawn

    def state_dict(self) -> dict[str, Any]:
        """The position, as JSON."""
        return {"batch": self.batch, "seed": self.seed, "clips": self._digest(), "drawn": list(self._drawn.values())}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go to a saved position.

        Raises:
            AiprodError: it belongs to other clips, another batch size or another seed.
        """
        for name, mine in (("batch", self.batch), ("seed", self.seed), ("clips", self._digest())):
            if state.get(name) != mine:
                raise AiprodError(
                    f"the sampler position was saved with another {name} ({state.get(name)!r}, now {mine!r})",
                    "train from the start or restore the settings",
                )
        self._go_to(dict(zip(self._members, (int(n) for n in state["drawn"]), strict=True)))

    def rewind(self) -> None:
        """Go to the beginning."""
        self._go_to(dict.fromkeys(self._members, 0))

    def table(self) -> str:
        """Usable clips by bucket, as text lines."""
        lines = [f"  {'bucket':<28}{'clips':>6}{'in a round':>12}"]
        for bucket, members in self._members.items():
            lines.append(f"  {bucket!s:<28}{len(set(members)):>6}{len(members) / self._rounds_at_once:>12g}")
        return "\n".join(lines)

    def _go_to(self, drawn: dict[Bucket, int]) -> None:
        self._drawn = drawn
        self._least = [(count / len(self._members[bucket]), bucket) for bucket, count in drawn.items()]
        heapify(self._least)  # the first is drawn next, of equals the smaller bucket

    def _round(self, bucket: Bucket, turn: int) -> npt.NDArray[np.uint32]:
        """The places of a bucket's clips in the order of a round; a batch may need the end of one and the next one."""
        known = self._rounds.setdefault(bucket, {})
        if turn not in known:
            order = array("I", range(len(self._members[bucket])))
            random.Random(f"{self.seed}/{bucket}/{turn}").shuffle(order)
            for other in [one for one in known if one != turn - 1]:
                del known[other]
            known[turn] = np.frombuffer(order, np.uint32)
        return known[turn]

    def _digest(self) -> str:
        digest = hashlib.sha256()
        for number, (bucket, members) in enumerate(self._members.items()):
            digest.update((f"\n{bucket}:" if number else f"{bucket}:").encode())
            for start in range(0, len(members), _DIGESTED):
                text = ",".join(members[start : start + _DIGESTED])
                digest.update((f",{text}" if start else text).encode())
        return digest.hexdigest()[:16]


def _units(times: float) -> int:
    """Twentieths; what stands in a round at all stands at least a twentieth in it."""
    if times < 0:
        raise AiprodError(f"a clip cannot occur {times:g} times per round", "use 0 to leave a source out")
    return max(1, round(times * _PARTS)) if times else 0


def reasons_table(reasons: Mapping[str, int] | Counter[str]) -> str:
    """Why clips are not used: ``count  reason`` lines, most frequent first."""
    ordered = sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
    return "\n".join(f"  {count:>6}  {reason}" for reason, count in ordered) or "  (none)"
