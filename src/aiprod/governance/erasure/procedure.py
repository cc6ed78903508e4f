"""An erasure as it is carried out: everything that can fail is tried first, then what is in the clear is deleted, then
the key is destroyed, then the rest goes.

Before the first irreversible step a journal is written and the audit log says that the erasure was begun. Every step
may be done twice, so that whatever ends one half-way, ``resume`` ends it whole.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import filelock

from aiprod.base.files import read_json, sha256_file, write_bytes, write_json
from aiprod.base.state import state
from aiprod.base.tempdirs import sweep_private
from aiprod.data.sources.scan_memory import FileDigests
from aiprod.errors import AiprodError, is_disk_full
from aiprod.governance.audit import unfinished_erasures as unfinished
from aiprod.governance.audit.checkpoint import own_key
from aiprod.governance.audit.log import AuditLog, Event
from aiprod.governance.audit.publishing import write_checkpoint
from aiprod.governance.erasure import certificate, journal, scan, tables
from aiprod.governance.erasure import models as exposure
from aiprod.governance.erasure.erase import ErasurePlan, search_for
from aiprod.governance.erasure.journal import Journal
from aiprod.governance.erasure.prepare import OFFERS, counted, now, prepared, try_everything
from aiprod.governance.erasure.source_files import Names
from aiprod.printable import escape_controls
from aiprod.storage.crypto import tombstones
from aiprod.storage.crypto.film_encryption import Vault
from aiprod.storage.result_cache import Memo


@dataclass(frozen=True)
class Done:
    """A finished erasure.

    Attributes:
        where: store → places where something of it is still in the clear.
        left: what is in sources and was not touched → why.
    """

    path: Path
    body: dict[str, Any]
    where: dict[str, list[str]]
    left: dict[str, str]


@dataclass
class _Work:
    """One erasure under way."""

    journal: Journal
    root: Path
    vault: Vault
    log: AuditLog
    finisher: tuple[str, str] | None = None  # actor and role of who finishes what another began
    after: dict[str, scan.Count] | None = None
    body: dict[str, Any] | None = None

    @property
    def films(self) -> set[str]:
        return {*self.journal.films, *self.journal.also}

    @property
    def path(self) -> Path:
        return self.root / tombstones.FOLDER / f"{self.journal.name}.json"


def carry_out(todo: ErasurePlan, vault: Vault, *, actor: str, role: str) -> Done:
    """Erase what was planned.

    Raises:
        AiprodError: something cannot be done; where that was seen beforehand, nothing was changed.
    """
    with _alone(), _in_words("nothing was erased: {}", "fix that and run again"):
        if waiting := unfinished.problems():
            raise AiprodError(waiting[0])
        try_everything(todo, vault)
        begun = prepared(todo, vault, actor, role)
        log = AuditLog()
        begun.write(vault)
    with _alone():
        return _finish(_Work(begun, todo.root, vault, log))


def resume(root: Path, name: str, vault: Vault, *, actor: str, role: str) -> Done:
    """Finish an erasure that was begun.

    Raises:
        AiprodError: its journal is damaged, or something still cannot be done.
    """
    with _alone():
        own_key(root)
        if journal.closed(name):
            journal.close(name, vault)
            path = root / tombstones.FOLDER / f"{name}.json"
            return Done(path, read_json(path)["body"], {}, {})
        log = AuditLog()
        lost = journal.is_lost(name, vault)
        todo = journal.from_log(name, root, vault, log) if lost else journal.read(name, vault)
        return _finish(_Work(todo, root, vault, log, (actor, role)))


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    try:
        with filelock.FileLock(state().lock("erasure"), timeout=0):
            yield
    except filelock.Timeout:
        raise AiprodError("another erasure is at work", "wait for its end") from None


@contextlib.contextmanager
def _in_words(what: str, hint: str) -> Iterator[None]:
    """Whatever a file system or a database says, in one line."""
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        problem = "no space left on the disk" if is_disk_full(error) else str(error)
        raise AiprodError(what.format(problem), hint) from None


def _finish(work: _Work) -> Done:
    name = work.journal.name
    try:
        for step in STEPS:
            step(work)
    except (OSError, sqlite3.Error, AiprodError) as error:
        problem = error.what if isinstance(error, AiprodError) else str(error)
        what = f"the erasure {name} was begun and is not finished: {problem}"
        raise AiprodError(what, f"fix that, then {unfinished.RESUME}") from None
    assert work.body is not None
    after = work.after or {}
    return Done(work.path, work.body, {s: c.where for s, c in after.items() if c.where}, work.journal.left)


# The steps, in this order. Each may be done again after it was done, wholly or in part.


def _log_begun(work: _Work) -> None:
    entries = unfinished.unfinished(work.log)
    if not entries.get(work.journal.name):  # the journal alone says no time
        facts = {
            "state": unfinished.BEGUN,
            "films": sorted(work.journal.films),
            "role": work.journal.body["decided_by"]["role"],
        }
        work.log.append([Event(unfinished.KIND, work.journal.subject, facts, {"actor": work.journal.actor})])


def _entomb(work: _Work) -> None:
    """First, so that nothing ingests the film meanwhile."""
    tombstones.add((tombstones.Tombstone.model_validate(stone) for stone in work.journal.tombstones), work.root)


def _destroy_keys(work: _Work) -> None:
    for film_id in sorted(work.films):
        work.vault.keys.destroy(film_id)


def _delete_objects(work: _Work) -> None:
    for name in work.journal.objects:
        (work.root / name).unlink(missing_ok=True)


def _delete_memo(work: _Work) -> None:
    memo = state().root / "memo"
    for stage in sorted(memo.iterdir()) if memo.is_dir() else ():
        Memo(stage, "").forget(work.films)
    # Rows that are taken over are of no film with personal data, but one may have become such since.
    shutil.rmtree(state().root / "carried", ignore_errors=True)


def _delete_checkpoints(work: _Work) -> None:
    for place in work.journal.checkpoints:
        folder = state().root / "training" / place
        if folder.exists():
            shutil.rmtree(folder)


def _delete_lines(work: _Work) -> None:
    for name, place in work.journal.tables.items():
        table, names = Path(name), Names(Path(place), frozenset(work.journal.keys[place]))
        if table.is_file():
            data = table.read_bytes()
            rest, dropped = tables.without(data, table.suffix, names.within(table.parent))
            if dropped:
                write_bytes(table, rest)


def _delete_sources(work: _Work) -> None:
    for name in work.journal.files:
        path = Path(name)
        if _is_another(path, work.journal.digests.get(name)):
            work.journal.left[escape_controls(path)] = "it was replaced after the erasure had begun"
            continue
        path.unlink(missing_ok=True)
        for folder in path.parents:  # a folder may be called like whom it shows; only an empty one goes
            if os.fspath(folder) in work.journal.keys or not folder.is_relative_to(work.root):
                break
            try:
                folder.rmdir()
            except OSError:
                break


def _is_another(path: Path, digest: str | None) -> bool:
    """Whether a file has other bytes than when the erasure began; where that is not known it has not."""
    return digest is not None and path.is_file() and sha256_file(path) != digest


def _sweep(work: _Work) -> None:
    sweep_private()


def _forget_offers(work: _Work) -> None:
    """The list of offers is neither cached nor committed; scan writes it anew, without the film."""
    path = work.root / OFFERS
    if path.is_file():
        content = read_json(path)
        kept = [
            offer
            for offer in content["offers"]
            if offer.get("film_id") not in work.films and offer.get("sha256") not in work.journal.contents
        ]
        if len(kept) != len(content["offers"]):
            write_json(path, {**content, "offers": kept})


def _forget_digests(work: _Work) -> None:
    journal_ = work.journal
    FileDigests(work.vault).forget(work.films, set(journal_.contents), {*journal_.files, *journal_.outside})


def _forget_salts(work: _Work) -> None:
    for film_id, clips in sorted(work.journal.films.items()):
        for subject in (film_id, *clips):
            work.log.forget(subject)


def _certify(work: _Work) -> None:
    """Search every store, and write down what was found; not again what is already certified and logged."""
    if work.path.is_file() and (body := _logged(work)) is not None:
        work.body = body
        return
    work.after = search_for(work.journal.searched(), work.root, map(Path, work.journal.outside))
    keys = work.vault.keys
    master = keys.status().master
    work.body = {
        **work.journal.body,
        "time": now(),
        "found_after": {store: counted(count) for store, count in work.after.items()},
        "backups_with_the_wrapped_keys": sum(b["master"] == master for b in keys.backups()),
    }
    if work.finisher is not None:
        actor, role = work.finisher
        work.body["finished_by"] = {"role": role, "commitment": keys.commitment("actor", actor)}
    certificate.write(work.path, work.body)


def _mark_models(work: _Work) -> None:
    exposure.mark(work.root, [exposure.ModelFacts(**facts) for facts in work.journal.affected], work.journal.name)


def _log_finished(work: _Work) -> None:
    assert work.body is not None
    if _logged(work) is None:
        facts = {
            "certificate": certificate.digest(work.body),
            "films": sorted(work.journal.films),
            "role": work.body["decided_by"]["role"],
        }
        work.log.append([Event(unfinished.KIND, work.journal.subject, facts, {"actor": work.journal.actor})])


def _sign(work: _Work) -> None:
    write_checkpoint(work.root, work.log)


def _tidy(work: _Work) -> None:
    """Remove what writes of an earlier try have left beside their files when they were killed."""
    written = [work.path, work.path.with_name(tombstones.NAME), *map(Path, work.journal.tables)]
    for path in written:
        for left in path.parent.glob(f".{path.stem}.????????{path.suffix}"):
            left.unlink(missing_ok=True)


def _close(work: _Work) -> None:
    journal.close(work.journal.name, work.vault)


STEPS: tuple[Callable[[_Work], None], ...] = (
    _log_begun,
    _entomb,
    _delete_lines,
    _delete_sources,
    _sweep,
    _destroy_keys,  # not before what is in the clear is gone: nobody is told that a film is erased while it lies there
    _delete_objects,
    _delete_memo,
    _delete_checkpoints,
    _forget_offers,
    _forget_digests,
    _forget_salts,
    _certify,
    _mark_models,
    _log_finished,
    _sign,
    _tidy,
    _close,
)


def _logged(work: _Work) -> dict[str, Any] | None:
    """What the certificate in place says, if the log has its digest."""
    body: dict[str, Any] = read_json(work.path)["body"]
    digest = certificate.digest(body)
    for entry in unfinished.entries(work.log):
        if entry["subject"] == work.journal.subject and entry["facts"].get("certificate") == digest:
            return body
    return None
