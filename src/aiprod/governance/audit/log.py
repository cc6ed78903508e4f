"""The audit log in SQLite: append and read. Entries are canonical JSON (RFC 8785) and never hold a name or bare hash.

Facts about a clip or film are written as commitments: HMAC-SHA-256 under a salt of that subject, kept outside the log.
While the salt exists its holder can open a commitment; once it is destroyed, what the entry says can never be
recovered or guessed, and the log still verifies.
"""

from __future__ import annotations

import hashlib
import hmac
import random
import secrets
import shutil
import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aiprod.base.canonical_json import canonical_json, former_canonical_json
from aiprod.base.state import state
from aiprod.errors import FREE_SPACE, AiprodError
from aiprod.governance.audit import tree

KINDS = (
    "stage",
    "refusal",
    "verdict",
    "model",
    "sample",
    "review",
    "consent",
    "source",
    "erasure",
    "export",
    "checkpoint",
    "refused-action",
)


_OF_THE_DISK = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN}
_UNREADABLE = (sqlite3.DatabaseError, UnicodeDecodeError)  # SQLite's own message may quote damaged bytes
_WAIT_S = 120  # for other processes that write
_ROOM = 1 << 17  # bytes that SQLite's files beside a database take


@dataclass(frozen=True)
class Event:
    """Something that happened.

    Attributes:
        kind: one of ``KINDS``.
        subject: an opaque id (a clip, a film, ``stage/ingest``), never a name.
        facts: what may stand in the open: statuses and counts.
        committed: what is only committed to, by name.
    """

    kind: str
    subject: str
    facts: dict[str, Any] = field(default_factory=dict)
    committed: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class LogEntry:
    """A leaf as it stands in the log."""

    index: int
    data: bytes

    @property
    def value(self) -> dict[str, Any]:
        """Its JSON.

        Raises:
            AiprodError: it is not what was logged.
        """
        import json

        try:
            value: dict[str, Any] = json.loads(self.data)
            if not isinstance(value, dict):
                raise ValueError
        except ValueError:
            raise AiprodError(f"entry {self.index} of the audit log is damaged", "run `aiprod audit verify`") from None
        return value


class AuditLog:
    """The log of a state folder. Any number of processes may append at once.

    Args:
        database: SQLite file; ``state().audit_database`` when not given.
        salts: SQLite file of the salts; in the key store when not given.
    """

    def __init__(self, database: Path | None = None, salts: Path | None = None) -> None:
        self.database = database or state().audit_database
        self._signed = database is None and salts is None  # a copy that is looked at has no head of its own
        self._salts = salts or state().keys / "salts.db"
        with self._write(self.database) as connection:
            connection.execute("create table if not exists entries(idx integer primary key, data blob not null)")
            connection.execute(
                "create table if not exists nodes(level integer, idx integer, hash blob not null,"
                " primary key(level, idx)) without rowid"
            )
            connection.execute("create table if not exists known(mark blob primary key) without rowid")
        with self._write(self._salts) as connection:
            connection.execute("create table if not exists salts(subject text primary key, salt blob not null)")
        self._salts.chmod(0o600)

    def append(self, events: Iterable[Event], *, once: bool = False) -> int:
        """Append events in order, all or none; returns how many were new.

        Args:
            once: leave out an event whose kind, subject, facts and committed facts were logged before.

        Raises:
            AiprodError: an event of an unknown kind.
        """
        wanted = list(events)
        if unknown := [e.kind for e in wanted if e.kind not in KINDS]:
            raise AiprodError(f"no audit event is called {unknown[0]!r}", f"known are {', '.join(KINDS)}")
        salts = self._salts_of(dict.fromkeys(event.subject for event in wanted))
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        added = 0
        with self._write(self.database) as connection:
            size = _size(connection)
            fresh: dict[tuple[int, int], bytes] = {}

            def lookup(level: int, index: int) -> bytes:
                return fresh.get((level, index)) or _node(connection, level, index)

            for event in wanted:
                salt = salts[event.subject]
                if once and not _mark(connection, salt, event):
                    continue
                body: Any = {
                    "kind": event.kind,
                    "subject": event.subject,
                    "time": now,
                    "facts": event.facts,
                    "committed": {k: commitment(salt, v) for k, v in event.committed.items()},
                }
                data = canonical_json(body)
                connection.execute("insert into entries values (?, ?)", (size, data))
                for level, index, digest in tree.completed(size, tree.leaf_hash(data), lookup):
                    fresh[level, index] = digest
                    connection.execute("insert into nodes values (?, ?, ?)", (level, index, digest))
                size, added = size + 1, added + 1
        if added and self._signed:
            from aiprod.governance.audit.head import sign_head  # which signs what this module keeps

            sign_head(self)
        return added

    def size(self) -> int:
        """Number of entries."""
        with self.reading() as connection:
            return _size(connection)

    def entries(self, start: int = 0, stop: int | None = None) -> Iterator[LogEntry]:
        """Entries [start, stop) in order."""
        with self.reading() as connection:
            query = "select idx, data from entries where idx >= ? and idx < ? order by idx"
            for index, data in connection.execute(query, (start, 2**62 if stop is None else stop)):
                yield LogEntry(index, blob(data))

    def root(self, size: int | None = None) -> bytes:
        """Tree hash of the first ``size`` entries (all when not given)."""
        with self.reading() as connection:
            return tree.root(_size(connection) if size is None else size, lambda lv, i: _node(connection, lv, i))

    def inclusion(self, index: int, size: int) -> list[bytes]:
        """Proof that entry ``index`` is in the tree of ``size``."""
        with self.reading() as connection:
            return tree.inclusion(index, size, lambda lv, i: _node(connection, lv, i))

    def consistency(self, old: int, new: int) -> list[bytes]:
        """Proof that the tree of ``new`` entries begins with the tree of ``old``."""
        with self.reading() as connection:
            return tree.consistency(old, new, lambda lv, i: _node(connection, lv, i))

    def forget(self, subject: str) -> bool:
        """Destroy the salt of a subject: its commitments can never be opened again. Whether there was one."""
        with self._write(self._salts) as connection:
            connection.execute("pragma secure_delete = on")
            return connection.execute("delete from salts where subject = ?", (subject,)).rowcount > 0

    def opens(self, entry: LogEntry, name: str, value: Any) -> bool | None:
        """Whether a commitment of an entry is to ``value``; None when its salt was destroyed."""
        with self._write(self._salts) as connection:
            row = connection.execute("select salt from salts where subject = ?", (entry.value["subject"],)).fetchone()
        if row is None:
            return None
        known, salt = entry.value["committed"].get(name, ""), bytes(row[0])
        forms = {canonical_json(value), former_canonical_json(value)}
        return any(hmac.compare_digest(known, _keyed(salt, form).hex()) for form in forms)

    def salt_for(self, entry: LogEntry, name: str, value: Any) -> bytes:
        """The salt that opens a commitment of an entry, for somebody who is told what it commits to.

        It opens every entry of that subject, so that it is given of what concerns no film: models, stages, documents.

        Raises:
            AiprodError: the entry is of a film or clip, commits to another value, or its salt was destroyed.
        """
        kind, subject = entry.value["kind"], entry.value["subject"]
        if kind not in _OPENED or "/" not in subject:
            raise AiprodError(
                f"entry {entry.index} is of the kind {kind}, whose commitments are opened to nobody: its salt would"
                " open every entry about the same film",
                f"entries of the kinds {', '.join(_OPENED)} can be opened",
            )
        opens = self.opens(entry, name, value)
        if opens is None:
            raise AiprodError(f"the salt of {subject} is gone", "what it opened can never be opened again")
        if not opens or commitment(salt := self._salts_of([subject])[subject], value) != entry.value["committed"][name]:
            names = ", ".join(sorted(entry.value["committed"])) or "nothing"
            raise AiprodError(
                f"entry {entry.index} does not commit to {name} = {value!r}", f"it commits to: {names} (exact values)"
            )
        return salt

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection for look-ups.

        Raises:
            AiprodError: the database is damaged.
        """
        connection = _connect(self.database)
        try:
            yield connection
        except _UNREADABLE as error:
            raise _failure(self.database, error) from None
        finally:
            connection.close()

    @contextmanager
    def _write(self, path: Path) -> Iterator[sqlite3.Connection]:
        """One transaction that holds the writers' lock from its start, so that indexes never collide."""
        connection = _connect(path)
        try:
            connection.execute("begin immediate")
            yield connection
            connection.execute("commit")
        except BaseException as error:
            if connection.in_transaction:
                connection.execute("rollback")
            if isinstance(error, _UNREADABLE):
                raise _failure(path, error) from None
            raise
        finally:
            connection.close()

    def _salts_of(self, subjects: Iterable[str]) -> dict[str, bytes]:
        """The salt of each subject, made on first use."""
        with self._write(self._salts) as connection:
            salts = {}
            for subject in subjects:
                row = connection.execute("select salt from salts where subject = ?", (subject,)).fetchone()
                salts[subject] = bytes(row[0]) if row else secrets.token_bytes(32)
                if row is None:
                    connection.execute("insert into salts values (?, ?)", (subject, salts[subject]))
            return salts


_OPENED = ("model", "stage", "export")  # kinds of entries that concern no single film


def commitment(salt: bytes, value: Any) -> str:
    """HMAC-SHA-256 (hex) of a JSON value under a subject's salt."""
    return _keyed(salt, canonical_json(value)).hex()


def _keyed(salt: bytes, data: bytes) -> bytes:
    return hmac.new(salt, data, hashlib.sha256).digest()


def _connect(path: Path) -> sqlite3.Connection:
    """A connection that has read once: from then on nobody can tidy the write-ahead log away under it.

    While the last of other connections does that, SQLite says at once that it is busy, whatever the timeout.
    """
    end = time.monotonic() + _WAIT_S
    while True:
        connection = sqlite3.connect(path, timeout=_WAIT_S, isolation_level=None)
        connection.text_factory = _text  # a damaged page says of bytes that they are text
        try:
            connection.execute("pragma journal_mode = wal")
            connection.execute("pragma synchronous = full")
            connection.execute("select count(*) from sqlite_master").fetchone()
            return connection
        except _UNREADABLE as error:
            connection.close()
            if not _busy(error) or time.monotonic() > end:
                raise _failure(path, error) from None
        time.sleep(random.uniform(0.002, 0.02))


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _busy(error: Exception) -> bool:
    return isinstance(error, sqlite3.OperationalError) and _code(error) == sqlite3.SQLITE_BUSY


def _code(error: Exception) -> int:
    extended: int = getattr(error, "sqlite_errorcode", 0)
    return extended & 0xFF  # the kind is in the last byte


def _failure(path: Path, error: Exception) -> AiprodError:
    if _busy(error):
        return AiprodError(f"another process keeps the audit database {path.name} busy", "run again when it has ended")
    if _code(error) in _OF_THE_DISK:  # it is whole, and nothing has to be restored
        if _code(error) == sqlite3.SQLITE_FULL or shutil.disk_usage(path.parent).free < _ROOM:
            return AiprodError(f"no space left for the audit database {path.name}", FREE_SPACE)
        return AiprodError(
            f"the audit database {path.name} cannot be read or written ({error})", "see its permissions and the disk"
        )
    problem = "it states what is no text" if isinstance(error, UnicodeDecodeError) else error
    return AiprodError(f"the audit database {path.name} is damaged ({problem})", "restore it from a backup")


def blob(value: object) -> bytes:
    """What a column of bytes holds; SQLite keeps whatever a damaged page says, of any type."""
    return value if isinstance(value, bytes) else str(value).encode()


def _size(connection: sqlite3.Connection) -> int:
    return int(connection.execute("select coalesce(max(idx) + 1, 0) from entries").fetchone()[0])


def _node(connection: sqlite3.Connection, level: int, index: int) -> bytes:
    row = connection.execute("select hash from nodes where level = ? and idx = ?", (level, index)).fetchone()
    if row is None:
        raise AiprodError(f"the audit log lacks its tree node {level}/{index}", "run `aiprod audit verify`")
    return blob(row[0])


def _mark(connection: sqlite3.Connection, salt: bytes, event: Event) -> bool:
    """Remember an event; False when it was known."""
    whole = [event.kind, event.subject, event.facts, event.committed]
    mark, former = (_keyed(salt, form(whole)) for form in (canonical_json, former_canonical_json))
    if mark != former and connection.execute("select 1 from known where mark = ?", (former,)).fetchone():
        return False  # an earlier release remembered it
    return connection.execute("insert or ignore into known values (?)", (mark,)).rowcount > 0
