"""Clips whose consent or legal basis can end: where in training they stand, so that taking one out costs little.

docs/unlearning.md says why they come last, and what that makes equal.
"""

from __future__ import annotations

import hashlib
from typing import Literal

from pydantic import Field

from aiprod.base.params import Params
from aiprod.errors import AiprodError
from aiprod.storage.crypto.film_encryption import film_of, is_private
from aiprod.trainer.loop.curriculum import PhaseConfig


class RevocableParams(Params):
    """Where clips of films that can be erased stand in training."""

    place: Literal["mixed", "last"] = Field(
        default="mixed",
        description="mixed: among all others, in every model; last: in the diffusion model alone, at the end of its"
        " last phase (docs/unlearning.md)",
    )
    share: float = Field(default=0.3, gt=0, le=1, description="of the steps of the last phase that may show them")
    shards: int = Field(
        default=4,
        ge=1,
        le=64,
        description="groups of films that join one after another; each leaves a checkpoint",
    )

    def apart(self, clip_id: str) -> bool:
        """Whether a clip waits for the end of training."""
        return self.place == "last" and is_private(clip_id)

    def shard(self, clip_id: str) -> int:
        """The shard of a clip's film, from 1: fixed by the film alone, so that no other film moves it."""
        digest = hashlib.sha256(film_of(clip_id).encode()).digest()
        return 1 + int.from_bytes(digest[:8], "big") % self.shards

    def starts(self, phase: PhaseConfig, name: str, steps: int) -> list[int]:
        """The steps of the last phase at which each shard joins.

        Raises:
            AiprodError: the phase may end before, on a plateau.
        """
        if phase.duration.plateau is not None:
            raise AiprodError(
                f"train_clips.revocable.place is last, and the end of phase {name!r} is unknown: it has a plateau",
                f"give curriculum.phases.{name}.duration in steps or epochs",
            )
        last = round(steps * self.share)
        return [steps - last + last * number // self.shards for number in range(self.shards)]
