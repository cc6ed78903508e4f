"""Settings of shards."""

from __future__ import annotations

from pydantic import Field

from aiprod.base.params import Params

LARGE = 4
"""An object of at least this part of a shard's size stays a file of its own."""


class ShardParams(Params):
    """How the objects of films and clips lie in ``raw``, ``processed``, ``qc/measure/thumbs`` and ``latents``."""

    above: int = Field(default=20_000, ge=0, description="objects in a folder beyond which it is packed into shards")
    max_mib: float = Field(
        default=64.0,
        gt=0,
        le=16_384,
        description="size of a shard; an object of a quarter of it stays a file of its own",
    )

    @property
    def max_bytes(self) -> int:
        """Size of a shard in bytes."""
        return int(self.max_mib * 2**20)
