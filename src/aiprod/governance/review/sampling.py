"""Draws clips for manual review so that nobody can choose them, the one who draws included.

Two steps. ``announce`` fixes, in the log and under a signed checkpoint, which clips there are and which public value
will decide (say, a beacon's output of next Monday). ``draw`` mixes that value, once it is known, with the checkpoint's
root into a seed, and takes from each stratum the clips with the smallest HMAC-SHA256(seed, clip id). Anybody who has
the file, the checkpoint and the manifests can draw again and compare.
"""

from __future__ import annotations

import hashlib
import hmac
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from aiprod.base.canonical_json import canonical_json
from aiprod.base.files import read_json, write_json
from aiprod.base.opening import read_utf8
from aiprod.errors import AiprodError
from aiprod.governance.audit.checkpoint import FOLDER, PUBLIC, parse, read_public
from aiprod.governance.audit.log import AuditLog, Event
from aiprod.governance.audit.publishing import write_checkpoint
from aiprod.governance.dataset.records import Records
from aiprod.governance.policy.roles import Actor
from aiprod.repo.git import git
from aiprod.storage.manifest.manifest import merkle_root

SAMPLES = Path("datasets/reviews/samples")
SHARE = 0.05  # of each stratum, each quarter
ENOUGH = 59  # with no defect among so many, 5 % defects are excluded at 95 %: 0.95 ** 59 < 0.05
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class ReviewSample(BaseModel):
    """``datasets/reviews/samples/<name>.json``: announced, then drawn. Committed to git in between."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    public_value: str = Field(description="which public value, known only later, was announced to decide")
    population_root: str = Field(description="RFC 6962 root over [clip, stratum] of every clip that could be drawn")
    strata: dict[str, int] = Field(description="source and licence → clips in it")
    checkpoint_size: int
    checkpoint_root: str
    announced_by: str
    value: str | None = None
    seed: str | None = None
    drawn: dict[str, list[str]] = Field(default_factory=dict, description="stratum → clips, in the order drawn")

    @property
    def clips(self) -> list[str]:
        """All clips that were drawn."""
        return [clip for stratum in sorted(self.drawn) for clip in self.drawn[stratum]]


def population(facts: Records) -> dict[str, list[str]]:
    """Approved clips by stratum ``source × licence``: what the rules let through and nobody looked at.

    A clip that a review approved belongs here too: it is trained on like the others.
    """
    strata: dict[str, list[str]] = {}
    for clip_id, verdict in sorted(facts.verdicts.items()):
        clip = facts.clips.get(clip_id)
        film = facts.films.get(clip.film_id) if clip is not None else None
        if clip is not None and film is not None and verdict.status == "APPROVED" and clip.processed_name:
            strata.setdefault(f"{film.source_id} × {film.media_license}", []).append(clip_id)
    return dict(sorted(strata.items()))


def sample_size(clips: int) -> int:
    """How many of a stratum are drawn: 5 %, and no fewer than 59 or all."""
    return min(clips, max(math.ceil(SHARE * clips), ENOUGH))


def announce(root: Path, name: str, public_value: str, actor: Actor, log: AuditLog) -> ReviewSample:
    """Fix the population and name the public value, in the log and under a checkpoint.

    Raises:
        AiprodError: the name is wrong or taken, nothing is said of the public value, or no clip is approved.
    """
    path = _path(root, name)
    if path.is_file():
        raise AiprodError(f"the sample {name} was announced before", "take another name; a sample is drawn once")
    if not public_value.strip():
        raise AiprodError("nothing is said about the public value", "say which one, and when it will be known")
    strata = population(Records(root))
    if not strata:
        raise AiprodError("no clip is approved, so there is nothing to draw from", "run `dvc repro` first")
    fixed = _root_of(strata)
    log.append(
        [
            Event(
                "review",
                f"sample/{name}",
                {"step": "announced", "clips": sum(map(len, strata.values())), "strata": len(strata)},
                {"population_root": fixed, "public_value": public_value, "actor": actor.name},
            )
        ]
    )
    point = write_checkpoint(root, log)
    sample = ReviewSample(
        name=name,
        public_value=public_value,
        population_root=fixed,
        strata={stratum: len(clips) for stratum, clips in strata.items()},
        checkpoint_size=point.size,
        checkpoint_root=point.root.hex(),
        announced_by=actor.name,
    )
    write_json(path, sample.model_dump(mode="json", exclude_defaults=True))
    return sample


def draw(root: Path, name: str, value: str, actor: Actor, log: AuditLog) -> ReviewSample:
    """Draw an announced sample by the public value.

    Raises:
        AiprodError: it was drawn before, the announcement is not committed, its checkpoint is not the log's, or the
            clips are no longer those that were announced.
    """
    sample = load_sample(root, name)
    if sample.value is not None:
        raise AiprodError(
            f"the sample {name} was drawn before", "announce another one; drawing again would be choosing"
        )
    if not value.strip():
        raise AiprodError("the public value is empty", "give it as it was published")
    _check_checkpoint(root, sample)
    _check_committed(root, _path(root, name))
    strata = population(Records(root))
    if _root_of(strata) != sample.population_root:
        what = f"the approved clips are no longer those that the sample {name} was announced for"
        raise AiprodError(what, "check out the state of the announcement, or announce another sample")
    seed = seed_of(sample, value)
    chosen = choose(strata, seed)
    drawn = sample.model_copy(update={"value": value.strip(), "seed": seed.hex(), "drawn": chosen})
    facts = {"step": "drawn", "clips": len(drawn.clips)}
    log.append([Event("review", f"sample/{name}", facts, {"drawn": chosen, "value": value, "actor": actor.name})])
    write_json(_path(root, name), drawn.model_dump(mode="json", exclude_defaults=True))
    return drawn


def seed_of(sample: ReviewSample, value: str) -> bytes:
    """SHA-256 over the sample's name, the root of its checkpoint and the public value."""
    return hashlib.sha256(canonical_json([sample.name, sample.checkpoint_root, value.strip()])).digest()


def choose(strata: Mapping[str, Sequence[str]], seed: bytes) -> dict[str, list[str]]:
    """The clips of each stratum with the smallest HMAC under the seed."""
    return {
        stratum: sorted(clips, key=lambda clip: _rank(seed, clip))[: sample_size(len(clips))]
        for stratum, clips in strata.items()
    }


def drawn_rightly(sample: ReviewSample, facts: Records) -> bool | None:
    """Whether drawing again gives the same clips; None where the clips announced are not those of this state."""
    strata = population(facts)
    if sample.value is None or _root_of(strata) != sample.population_root:
        return None
    return choose(strata, seed_of(sample, sample.value)) == sample.drawn


def load_sample(root: Path, name: str) -> ReviewSample:
    """A sample by its name.

    Raises:
        AiprodError: there is none, or the file is wrong.
    """
    path = _path(root, name)
    if not path.is_file():
        known = ", ".join(sample_names(root)) or "none"
        raise AiprodError(
            f"there is no sample {name}", f"known: {known}; `aiprod review sample {name} --announce TEXT`"
        )
    try:
        return ReviewSample.model_validate(read_json(path))
    except ValidationError as error:
        raise AiprodError(f"{SAMPLES / path.name}: {error.errors()[0]['msg']}", "restore it from git") from None


def sample_names(root: Path) -> list[str]:
    """Names of all samples."""
    return sorted(path.stem for path in (root / SAMPLES).glob("*.json"))


def _path(root: Path, name: str) -> Path:
    if not _NAME.fullmatch(name):
        raise AiprodError(f"{name!r} cannot name a sample", "use letters, digits, dots and dashes, such as 2026-Q4")
    return root / SAMPLES / f"{name}.json"


def _root_of(strata: Mapping[str, Sequence[str]]) -> str:
    return merkle_root([canonical_json([clip, stratum]) for stratum, clips in strata.items() for clip in clips])


def _rank(seed: bytes, clip: str) -> bytes:
    return hmac.new(seed, clip.encode(), hashlib.sha256).digest()


def _check_checkpoint(root: Path, sample: ReviewSample) -> None:
    file = root / FOLDER / f"{sample.checkpoint_size:012d}.checkpoint"
    if not file.is_file() or not (root / FOLDER / PUBLIC).is_file():
        raise AiprodError(f"the checkpoint of the sample {sample.name} is gone", f"restore {FOLDER} from git")
    point = parse(read_utf8(file), read_public(read_utf8(root / FOLDER / PUBLIC)))
    if point.root.hex() != sample.checkpoint_root:
        raise AiprodError(f"the sample {sample.name} names another checkpoint than {file.name}", "restore it from git")


def _check_committed(root: Path, path: Path) -> None:
    """The announcement must lie in a commit: what is only in the working tree can be made again until it pleases."""
    name = path.relative_to(root).as_posix()
    if git(root, "show", f"HEAD:./{name}") != path.read_bytes():
        hint = f"`git add {SAMPLES} {FOLDER}` and commit, before the public value is known"
        raise AiprodError(f"the announcement {name} is not committed in its current form", hint)
