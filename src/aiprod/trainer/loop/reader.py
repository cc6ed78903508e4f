"""Reads the batches of a phase, some of them ahead in a thread."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from aiprod.trainer.loop.samplers import BatchSampler, Draw
from aiprod.trainer.loop.strategy import BaseStrategy


@dataclass(frozen=True)
class Batch:
    """One rank's share of a global batch.

    Attributes:
        position: of the sampler after it.
        clip_ids: of the whole global batch.
        parts: samples as the strategy loaded them, and their places in the global batch.
    """

    position: dict[str, Any]
    clip_ids: list[str]
    parts: list[tuple[Any, Sequence[int]]]


class BatchReader:
    """Reads for a strategy, and measures how long the loop waited.

    Args:
        prefetch: batches that are read ahead; ignored for samples in memory, where a thread would only compete with
            the step for processors.
    """

    def __init__(self, strategy: BaseStrategy, prefetch: int) -> None:
        self.strategy, self.prefetch, self.waited_s = strategy, prefetch, 0.0

    def batches(self, phase: str, sampler: BatchSampler, split: Sequence[Sequence[int]]) -> Generator[Batch]:
        """Batches without end. Closing leaves the sampler where the last batch that was taken left it.

        Args:
            split: the places in the global batch that this rank takes, part by part.
        """

        def read(draw: Draw, position: dict[str, Any]) -> Batch:
            loaded = [(self.strategy.load(phase, draw, places), places) for places in split]
            return Batch(position, draw.clip_ids, loaded)

        def draw() -> tuple[Draw, dict[str, Any]]:
            return Draw(*sampler.next()), sampler.state_dict()

        if self.strategy.in_memory:
            while True:
                before = time.monotonic()
                batch = read(*draw())
                self.waited_s += time.monotonic() - before
                yield batch
        last = sampler.state_dict()
        ahead: deque[Future[Batch]] = deque()
        with ThreadPoolExecutor(1) as reader:
            try:
                for _ in range(self.prefetch):
                    ahead.append(reader.submit(read, *draw()))
                while True:
                    before = time.monotonic()
                    batch = ahead.popleft().result()
                    self.waited_s += time.monotonic() - before
                    ahead.append(reader.submit(read, *draw()))
                    last = batch.position
                    yield batch
            finally:
                for future in ahead:
                    future.cancel()
                sampler.load_state_dict(last)  # what was only read ahead has not been drawn
