"""The dataset's version record: counts, sources, licences, a Merkle root over its rows, and what changed since when.

A state is numbered by comparing it with the newest published version (``datasets/versions``, in git): removed rows
make a new major version, added rows a minor one, changed rows a patch. The record holds no time; git and the log do.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from aiprod.base.canonical_json import canonical_json
from aiprod.base.files import read_json, write_json
from aiprod.errors import AiprodError
from aiprod.governance.dataset.records import Records
from aiprod.storage.manifest.manifest import Row, merkle_root

RECORD = Path("datasets/v1/manifest.json")
PUBLISHED = Path("datasets/versions")
FIRST = "1.0.0"


class VersionRow(Row):
    """What a dataset version says of one film or clip; the version's Merkle root is taken over these."""

    row_id: str
    kind: Literal["film", "clip"]
    film_id: str
    source_id: str
    status: str
    license: str | None = Field(default=None, description="SPDX expression of the film's picture and sound")
    right: str = Field(description="effective right: train, train_with_obligations or deny")
    sha256: str | None = Field(default=None, description="of the film as ingested, of the clip as processed")
    split: str | None = None
    verdict: str | None = None
    caption: str | None = None
    obligations: list[str] = Field(default_factory=list)


class Change(BaseModel):
    """One step of the changelog: what this version changed in the one before it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: str = Field(pattern=r"^\d+\.\d+\.\d+$")
    merkle_root: str
    rows: int
    added: int
    removed: int
    changed: int
    removed_ids: list[str] = Field(default_factory=list, description="opaque ids of the rows that went")
    note: str = ""


class Published(Change):
    """A published version as git keeps it: its change, and each row's id with 16 characters of its SHA-256."""

    digests: dict[str, str]


class SourceShare(BaseModel):
    """What one source contributes under one licence and one effective right."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: str
    license: str
    right: str
    films: int
    clips: int
    admitted_clips: int = Field(description="clips that training admits: approved, of the training split, not denied")


class DatasetVersion(BaseModel):
    """``datasets/v1/manifest.json``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    dataset: str
    version: str = Field(pattern=r"^\d+\.\d+\.\d+$")
    published: bool = Field(description="whether exactly this state is in datasets/versions")
    merkle_root: str = Field(description="RFC 6962 root (SHA-256, hex) over the canonical JSON of the rows by row_id")
    rows: int
    counts: dict[str, dict[str, int]] = Field(description="films, clips, verdicts and splits, each by value")
    admitted_clips: int
    duration_s: float = Field(description="of all clips")
    sources: list[SourceShare]
    licenses: dict[str, int] = Field(description="films ingested, by SPDX expression")
    manifests: dict[str, str] = Field(description="folder of a stage's manifest → its Merkle root")
    changelog: list[Change] = Field(description="oldest first; the last is this state")


def version_rows(facts: Records) -> list[VersionRow]:
    """One row for each film and each clip, sorted by id."""
    rows = []
    for film in facts.films.values():
        rows.append(
            VersionRow(
                row_id=film.film_id,
                kind="film",
                film_id=film.film_id,
                source_id=film.source_id,
                status="duplicate" if film.duplicate_of else film.status,
                license=film.media_license,
                right=film.effective_right,
                sha256=film.content_sha256,
                obligations=film.obligations,
            )
        )
    for clip in facts.clips.values():
        film, verdict = facts.films.get(clip.film_id), facts.verdicts.get(clip.clip_id)
        caption = facts.captions.get(clip.clip_id)
        rows.append(
            VersionRow(
                row_id=clip.clip_id,
                kind="clip",
                film_id=clip.film_id,
                source_id=clip.source_id,
                status=clip.status,
                license=film.media_license if film else None,
                right=film.effective_right if film else "deny",
                sha256=clip.processed_sha256,
                split=clip.split,
                verdict=verdict.status if verdict else None,
                caption=caption.caption if caption else None,
                obligations=film.obligations if film else [],
            )
        )
    return sorted(rows, key=lambda row: row.row_id)


def row_digests(rows: list[VersionRow]) -> tuple[str, dict[str, str]]:
    """Merkle root over the rows, and each row's id with 16 characters of its SHA-256."""
    leaves = [canonical_json(row.model_dump(mode="json")) for row in rows]
    short = {row.row_id: hashlib.sha256(leaf).hexdigest()[:16] for row, leaf in zip(rows, leaves, strict=True)}
    return merkle_root(leaves), short


def published(root: Path) -> list[Published]:
    """Published versions, oldest first.

    Raises:
        AiprodError: a file is damaged, or does not say the version that it is called.
    """
    versions = []
    for path in (root / PUBLISHED).glob("*.json"):
        try:
            entry = Published.model_validate(read_json(path))
        except ValidationError as error:
            what = f"{PUBLISHED / path.name} is not a published version ({error.errors()[0]['msg']})"
            raise AiprodError(what, "restore it from git") from None
        if entry.version != path.stem:
            raise AiprodError(f"{PUBLISHED / path.name} says it is version {entry.version}", "restore it from git")
        versions.append(entry)
    return sorted(versions, key=lambda entry: number(entry.version))


def number(version: str) -> tuple[int, ...]:
    """A version's parts, for comparing."""
    return tuple(int(part) for part in re.findall(r"\d+", version))


def change_since(last: Published | None, digests: dict[str, str], root: str, note: str = "") -> Change:
    """The change that leads from the newest published version to these rows, numbered by what it did."""
    if last is None:
        return Change(
            version=FIRST, merkle_root=root, rows=len(digests), added=len(digests), removed=0, changed=0, note=note
        )
    gone = sorted(set(last.digests) - set(digests))
    added = len(set(digests) - set(last.digests))
    changed = sum(digests[name] != known for name, known in last.digests.items() if name in digests)
    major, minor, patch = number(last.version)
    if gone:
        version = f"{major + 1}.0.0"
    elif added:
        version = f"{major}.{minor + 1}.0"
    else:
        version = f"{major}.{minor}.{patch + 1}"
    return Change(
        version=version,
        merkle_root=root,
        rows=len(digests),
        added=added,
        removed=len(gone),
        changed=changed,
        removed_ids=gone,
        note=note,
    )


def describe(facts: Records) -> DatasetVersion:
    """The record of the state that ``facts`` reads.

    Raises:
        AiprodError: a manifest or a published version is damaged.
    """
    rows = version_rows(facts)
    root, digests = row_digests(rows)
    before = published(facts.root)
    last = before[-1] if before else None
    same = last is not None and last.merkle_root == root
    steps = [Change(**entry.model_dump(exclude={"digests"})) for entry in before]
    steps += [] if same else [change_since(last, digests, root)]
    films, clips = [r for r in rows if r.kind == "film"], [r for r in rows if r.kind == "clip"]
    return DatasetVersion(
        dataset="aiprod-clips",
        version=steps[-1].version,
        published=same,
        merkle_root=root,
        rows=len(rows),
        counts={
            "films": _counted(r.status for r in films),
            "clips": _counted(r.status for r in clips),
            "verdicts": _counted(r.verdict or "none" for r in clips),
            "splits": _counted(r.split or "none" for r in clips),
        },
        admitted_clips=sum(facts.admitted(r.row_id) for r in clips),
        duration_s=round(sum(c.end_s - c.start_s for c in facts.clips.values()), 3),
        sources=_shares(facts, films, clips),
        licenses=_counted(r.license or "unknown" for r in films if r.status == "ok"),
        manifests={name: head.merkle_root for name, head in facts.heads.items()},
        changelog=steps,
    )


def write_version(facts: Records, path: Path) -> DatasetVersion:
    """Write the record of this state."""
    record = describe(facts)
    write_json(path, record.model_dump(mode="json"))
    return record


def publish(root: Path, note: str) -> Published:
    """Write the present state below ``datasets/versions`` as the next version.

    Raises:
        AiprodError: there is nothing to publish, or this state is published already.
    """
    rows = version_rows(Records(root))
    if not rows:
        raise AiprodError("there is no dataset to publish", "run `dvc repro` first")
    merkle, digests = row_digests(rows)
    before = published(root)
    if before and before[-1].merkle_root == merkle:
        raise AiprodError(f"this state is published already, as version {before[-1].version}", "nothing is to be done")
    step = change_since(before[-1] if before else None, digests, merkle, note)
    entry = Published(**step.model_dump(), digests=digests)
    write_json(root / PUBLISHED / f"{entry.version}.json", entry.model_dump(mode="json"))
    return entry


def _counted(values: Any) -> dict[str, int]:
    return dict(sorted(Counter(values).items()))


def _shares(facts: Records, films: list[VersionRow], clips: list[VersionRow]) -> list[SourceShare]:
    groups: dict[tuple[str, str, str], Counter[str]] = defaultdict(Counter)
    for row in (*films, *clips):
        group = groups[row.source_id, row.license or "unknown", row.right]
        group[row.kind] += 1
        group["admitted"] += row.kind == "clip" and facts.admitted(row.row_id)
    return [
        SourceShare(
            source=source,
            license=licence,
            right=right,
            films=group["film"],
            clips=group["clip"],
            admitted_clips=group["admitted"],
        )
        for (source, licence, right), group in sorted(groups.items())
    ]
