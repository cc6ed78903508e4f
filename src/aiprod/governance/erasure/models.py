"""Which models saw a film, by their exposure ledgers in every state of the pipeline, and which last did not.

What a model learned cannot be taken out of its weights; the honest answer is to say which weights saw the film, and to
train again without it. The mark is a list in git, because a model's folder is a DVC output and must keep its hash.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from aiprod.base.files import read_json, write_json
from aiprod.errors import AiprodError
from aiprod.governance.dataset.records import MODELS
from aiprod.repo.history import History
from aiprod.storage.crypto.film_encryption import film_of
from aiprod.storage.crypto.tombstones import FOLDER
from aiprod.storage.ledger import table_of
from aiprod.storage.manifest.arrow import readable

AFFECTED = "affected.json"
_LEDGERS = ("exposure.json", "training/exposure.json")
_TRAININGS = ("training.json", "training/training.json")


@dataclass
class ModelFacts:
    """One model (all its affected versions) and the newest version that never saw the film.

    Attributes:
        affected: md5 of the model's folder → commits it stands in.
        showings: how often, by md5.
        last_unexposed: md5 and commit of the newest version without the film; None where there is none.
        unknown: versions whose ledger is not in the cache, so that nothing can be said.
    """

    model: str
    affected: dict[str, list[str]] = field(default_factory=dict)
    showings: dict[str, int] = field(default_factory=dict)
    last_unexposed: dict[str, str] | None = None
    unknown: list[str] = field(default_factory=list)


@dataclass
class ResumeFacts:
    """Training checkpoints in the state folder: those that saw the film, and the last of each run that did not."""

    exposed: list[str] = field(default_factory=list)
    last_unexposed: dict[str, str] = field(default_factory=dict)


def models(history: History, films: set[str]) -> list[ModelFacts]:
    """Every model that any state names and that saw one of the films, or of which that cannot be said."""
    trained = []
    for name in MODELS:
        facts = ModelFacts(name)
        for state in history.states:
            md5 = state.outs.get(f"models/{name}")
            if not md5:
                continue
            times = _showings(history, name, md5, films, "working tree" in state.revisions)
            if times is None:
                facts.unknown += [md5] if md5 not in facts.unknown else []
            elif times:
                facts.affected.setdefault(md5, []).extend(state.revisions)
                facts.showings[md5] = times
            elif facts.last_unexposed is None:
                facts.last_unexposed = {"md5": md5, "revision": state.revisions[0]}
        if facts.affected or facts.unknown:
            trained.append(facts)
    return trained


def affected_digests(history: History, model_facts: Iterable[ModelFacts]) -> set[str]:
    """Digests of the weights that saw the films, as samples and films name what made them."""
    digests: set[str] = set()
    for facts in model_facts:
        for md5, revisions in facts.affected.items():
            here = "working tree" in revisions
            for files in (_TRAININGS, _LEDGERS):  # ledgers are long
                stated = {
                    str(digest)
                    for about in _documents(history, facts.model, md5, files, here)
                    for digest in (about.get("model_digest"), (about.get("upsampler") or {}).get("digest"))
                    if digest
                }
                digests |= stated
                if stated:
                    break
    return digests


def resume_checkpoints(training: Path, films: set[str]) -> ResumeFacts:
    """Look through ``<stage>/<fingerprint>/step_*``; a checkpoint without a ledger counts as exposed."""
    facts = ResumeFacts()
    for values in sorted(training.rglob("values.json")) if training.is_dir() else ():
        place = values.parent.relative_to(training).as_posix()
        try:
            ledger = read_json(values).get("ledger")
        except (AiprodError, AttributeError):
            ledger = None
        if ledger is None or any(film_of(clip) in films for clip in ledger):
            facts.exposed.append(place)
        else:
            facts.last_unexposed[str(Path(place).parent)] = Path(place).name
    return facts


def mark(root: Path, models: Iterable[ModelFacts], certificate: str) -> None:
    """Add the affected versions to the list in git."""
    known = affected(root)
    for facts in models:
        for md5 in facts.affected:
            entry = known.setdefault(md5, {"model": facts.model, "certificates": []})
            entry["certificates"] = sorted({*entry["certificates"], certificate})
    if known:
        write_json(root / FOLDER / AFFECTED, known)


def affected(root: Path) -> dict[str, dict[str, Any]]:
    """md5 of a model's folder → the model's name and the certificates of the erasures that affect it."""
    path = root / FOLDER / AFFECTED
    marks: dict[str, dict[str, Any]] = read_json(path) if path.is_file() else {}
    return marks


def document(models: Iterable[ModelFacts]) -> list[dict[str, Any]]:
    """As JSON."""
    return [asdict(facts) for facts in models]


def _showings(history: History, name: str, md5: str, films: set[str], present: bool) -> int | None:
    """Times that a version was shown any of the films; None where its ledger cannot be read."""
    listed = history.listing(md5)
    for file in _LEDGERS:
        table = history.cached(listed.get(table_of(Path(file)).as_posix()))
        if table is not None:
            return _times_shown(table, films)
        for ledger in _documents(history, name, md5, (file,), present):
            return sum(int(c["times"]) for c in ledger.get("clips", []) if film_of(c["clip_id"]) in films)
    return None


def _documents(history: History, name: str, md5: str, files: Sequence[str], present: bool) -> Iterator[dict[str, Any]]:
    """Those of a version's files that can be read, or of the working tree where it is ``present``."""
    listed = history.listing(md5)
    for file in files:
        content = history.read_json(listed[file]) if file in listed else None
        path = history.root / "models" / name / file
        if content is None and present and path.is_file():
            content = read_json(path)
        if isinstance(content, dict):
            yield content


def _times_shown(table: Path, films: set[str]) -> int:
    """How often clips of the films were shown, by a ledger's table: parsing that of a million clips takes seconds."""
    with readable(table):
        read, times = pq.read_table(table, columns=["clip_id", "times"]), 0
        for ids, counts in zip(read["clip_id"].chunks, read["times"].chunks, strict=True):
            known = [place for place, clip in enumerate(ids.to_pylist()) if film_of(clip) in films]
            times += sum(counts[place].as_py() for place in known)
    return times
