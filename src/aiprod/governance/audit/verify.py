"""Verifies the whole log: every entry, every tree node, and every checkpoint that git or the working tree holds."""

from __future__ import annotations

import base64
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from aiprod.errors import AiprodError
from aiprod.governance.audit import head, tree
from aiprod.governance.audit.checkpoint import FOLDER, PUBLIC, SignedCheckpoint, parse, read_public
from aiprod.governance.audit.log import AuditLog, blob
from aiprod.governance.audit.timestamps import stamps
from aiprod.repo.git import git


@dataclass(frozen=True)
class Verdict:
    """The outcome: entries read, checkpoints that agree, and what is wrong (nothing when the log is whole).

    ``warnings`` say what nobody could see if it were wrong: entries that nothing signed, no checkpoint in git.
    ``stamped`` are the checkpoints with an RFC 3161 time stamp that holds, and its time (UTC).
    """

    entries: int
    checkpoints: int
    problems: list[str]
    warnings: list[str] = field(default_factory=list)
    stamped: list[tuple[str, datetime]] = field(default_factory=list)


def verify(root: Path, log: AuditLog) -> Verdict:
    """Recompute everything from the entries' bytes; names the first entry that is wrong."""
    problems: list[str] = []
    points = _checkpoints(root, problems)
    signed = head.all_heads(root)
    problems += signed.problems
    try:
        wanted = {point.size for point in [*points, *(point for _, point in signed.heads)]}
        count, roots = _recompute(log, wanted, problems)
    except AiprodError as error:
        problems.append(f"{error.what}: {error.hint}")
        return Verdict(0, 0, problems)
    good, last = 0, 0
    for point in sorted(points, key=lambda p: p.size):
        if point.size > count:
            problems.append(f"the log ends at {count} entries, but a checkpoint of {point.size} was signed: truncated")
        elif roots.get(point.size) != point.root:
            problems.append(
                f"entries {last} to {point.size - 1} are not those that the checkpoint of {point.size} signed"
            )
        else:
            good, last = good + 1, point.size
    if not problems:  # else what is wrong is named already, by what is nearer to it
        problems += _against(signed.heads, count, roots)
    heads = [point for _, point in signed.heads]
    warnings = signed.warnings
    if count:
        warnings = [*warnings, *_unsigned(count, heads, points), *_unkept(root, points)]
    stamped, wrong, unchecked = stamps(root)
    return Verdict(count, good, [*problems, *wrong, *_unfinished(log)], [*warnings, *unchecked], stamped)


def _against(heads: list[tuple[str, SignedCheckpoint]], count: int, roots: dict[int, bytes]) -> Iterator[str]:
    """The heads that the log does not follow from."""
    for name, point in heads:
        if point.size > count:
            yield f"the log ends at {count} entries, but {name} signed {point.size}: truncated, or an old one put back"
        elif roots.get(point.size) != point.root:
            yield f"the first {point.size} entries are not those that {name} signed: rewritten"


def _unsigned(count: int, heads: list[SignedCheckpoint], points: list[SignedCheckpoint]) -> Iterator[str]:
    """Entries at the end whose loss nothing would show."""
    signed = max((point.size for point in [*heads, *points]), default=0)
    if not heads:
        yield "the log's head was never signed here, or was deleted: the next `dvc repro` signs it"
    if signed < count:
        yield f"entries {signed} to {count - 1} are signed by nothing, so one that is missing would not be missed"


def _unkept(root: Path, points: list[SignedCheckpoint]) -> Iterator[str]:
    """What whoever has the key could still do unseen."""
    hint = "`aiprod audit checkpoint`, then commit and push datasets/audit"
    if not points:
        yield f"no checkpoint was ever written: whoever has the key could rewrite the whole log unseen → {hint}"
        return
    names = [Path(name) for name in _committed(root)]
    committed = [int(name.stem) for name in names if name.suffix == ".checkpoint" and name.stem.isdigit()]
    newest = max(point.size for point in points)
    if newest > max(committed, default=0):
        yield f"the checkpoint of {newest} entries is not in git, so it could be deleted unseen → commit and push it"
        return
    if not _pushed(root, newest):
        yield f"the checkpoint of {newest} entries is in no remote of git, and `git` can forget it here → push it"


def _pushed(root: Path, size: int) -> bool:
    path = f"./{FOLDER.as_posix()}/{size:012d}.checkpoint"
    listing = git(root, "rev-list", "--remotes", "--max-count=1", "--", path)
    return bool((listing or b"").strip())


def _unfinished(log: AuditLog) -> list[str]:
    """Erasures that the log says were begun and not finished."""
    from aiprod.governance.audit.unfinished_erasures import problems  # which reads the log itself

    try:
        return problems(log)
    except AiprodError as error:
        return [f"{error.what}: {error.hint}"]


def _recompute(log: AuditLog, wanted: set[int], problems: list[str]) -> tuple[int, dict[int, bytes]]:
    """Number of entries, and the roots of the sizes that are wanted, from the entries alone.

    Stored nodes are compared on the way: the first that differs names the entry. The roots come from what was computed,
    never from what is stored.
    """
    roots: dict[int, bytes] = {0: tree.root(0, _nothing)}
    peaks: list[tuple[int, bytes]] = []  # complete subtrees from the left: (level, hash)
    count = nodes = 0
    with log.reading() as connection:
        levels: dict[int, _Level] = {}

        def agrees(level: int, index: int, digest: bytes) -> bool:
            if level not in levels:
                levels[level] = _Level(connection, level)
            return levels[level].at(index) == digest

        for index, data in connection.execute("select idx, data from entries order by idx"):
            if index != count:
                problems.append(f"entry {count} is missing")
                return count, roots
            digest, level, position = tree.leaf_hash(blob(data)), 0, count
            good, nodes = agrees(0, position, digest), nodes + 1
            if not good and not problems:
                problems.append(f"entry {index} is not what was logged")
            while peaks and peaks[-1][0] == level:
                digest = tree.node_hash(peaks.pop()[1], digest)
                level, position, nodes = level + 1, position >> 1, nodes + 1
                if not agrees(level, position, digest) and not problems:
                    covered = f"{position << level} to {((position + 1) << level) - 1}"
                    problems.append(f"tree node {level}/{position} (entries {covered}) does not match the entries")
            peaks.append((level, digest))
            count += 1
            if count in wanted:
                roots[count] = _fold(peaks)
        present = int(connection.execute("select count(*) from nodes").fetchone()[0])
    if present > nodes:
        problems.append(f"entries after {count - 1} are gone: the tree holds {present - nodes} nodes of them")
    return count, roots


class _Level:
    """The stored nodes of one level, read once from left to right: a look-up for each node would cost minutes."""

    def __init__(self, connection: sqlite3.Connection, level: int) -> None:
        # a damaged page may hold an index of any type; a node without a number stands nowhere
        query = "select idx, hash from nodes where level = ? and typeof(idx) = 'integer' order by idx"
        self._rows: Iterator[tuple[int, bytes]] = iter(connection.execute(query, (level,)))
        self._next = next(self._rows, None)

    def at(self, index: int) -> bytes | None:
        """The node at ``index``, which grows from call to call; None where none is stored."""
        while self._next is not None and self._next[0] < index:
            self._next = next(self._rows, None)
        return blob(self._next[1]) if self._next is not None and self._next[0] == index else None


def proof(
    log: AuditLog, index: int, size: int | None = None, opened: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """An inclusion proof as a document that a stranger can check (docs/verify_audit.py).

    Args:
        opened: name → what the entry commits to under it, to be shown with the salt that proves it.

    Raises:
        AiprodError: no such entry, or it does not commit to that, or is of a kind that is not opened.
    """
    whole = size or log.size()
    if not 0 <= index < whole:
        raise AiprodError(f"entry {index} is not among the {whole} entries", "`aiprod audit show` lists them")
    entry = next(log.entries(index, index + 1))
    shown = {
        name: {"value": value, "salt": log.salt_for(entry, name, value).hex()} for name, value in (opened or {}).items()
    }
    return {
        "index": index,
        "size": whole,
        "entry": base64.b64encode(entry.data).decode(),
        "path": [h.hex() for h in log.inclusion(index, whole)],
        "root": log.root(whole).hex(),
        **({"opened": shown} if shown else {}),
    }


def consistency_proof(log: AuditLog, old: int, new: int | None = None) -> dict[str, Any]:
    """A consistency proof as a document.

    Raises:
        AiprodError: the sizes do not exist.
    """
    whole = new or log.size()
    if not 0 < old <= whole <= log.size():
        raise AiprodError(f"there are no trees of {old} and {whole} entries", f"the log holds {log.size()}")
    return {
        "old": old,
        "new": whole,
        "old_root": log.root(old).hex(),
        "new_root": log.root(whole).hex(),
        "path": [h.hex() for h in log.consistency(old, whole)],
    }


def _fold(peaks: list[tuple[int, bytes]]) -> bytes:
    """Root from the complete subtrees."""
    digest = peaks[-1][1]
    for _, left in reversed(peaks[:-1]):
        digest = tree.node_hash(left, digest)
    return digest


def _nothing(level: int, index: int) -> bytes:
    raise LookupError(f"{level}/{index}")


def _checkpoints(root: Path, problems: list[str]) -> list[SignedCheckpoint]:
    """Checkpoints of the working tree and of every commit, whose signatures hold; what is wrong is noted."""
    texts = {p.name: p.read_bytes() for p in sorted((root / FOLDER).glob("*")) if p.is_file()}
    committed = _committed(root)
    for name, text in committed.items():
        if name in texts and texts[name] != text:
            problems.append(f"{FOLDER / name} differs from what git holds")
        texts[name] = text
    for name, text in _ever_committed(root):
        if texts.setdefault(name, text) != text:
            problems.append(f"{FOLDER / name} was another one in an earlier commit: the log was forked")
    if PUBLIC not in texts:
        return []
    checkpoints = []
    try:
        key = read_public(_text(texts.pop(PUBLIC)))
        for name, text in sorted(texts.items()):
            if name.endswith(".checkpoint"):
                try:
                    checkpoints.append(parse(_text(text), key))
                except AiprodError as error:
                    problems.append(f"{FOLDER / name}: {error.what}")
    except AiprodError as error:
        problems.append(error.what)
    return checkpoints


def _text(data: bytes) -> str:
    """As text; damaged bytes become signs that no checkpoint holds."""
    return data.decode("utf-8", errors="replace")


def _committed(root: Path) -> dict[str, bytes]:
    """File name → bytes of what the last commit holds below ``datasets/audit``."""
    listing = git(root, "ls-tree", "--name-only", "HEAD", f"./{FOLDER.as_posix()}/")
    names = [Path(line).name for line in (listing or b"").decode().splitlines()]
    texts = {name: git(root, "show", f"HEAD:./{FOLDER.as_posix()}/{name}") for name in names}
    return {name: text for name, text in texts.items() if text is not None}


def _ever_committed(root: Path) -> Iterator[tuple[str, bytes]]:
    """File name and bytes of everything that any commit ever held below ``datasets/audit``.

    Of any ref, and those that no ref holds since somebody amended or reset, as long as git's reflog knows them.
    """
    listing = git(root, "rev-list", "--all", "--reflog", "--objects", "--", f"./{FOLDER.as_posix()}")
    for line in (listing or b"").decode("utf-8", "replace").splitlines():
        blob, _, path = line.partition(" ")
        if path.endswith((".checkpoint", f"/{PUBLIC}")):
            text = git(root, "cat-file", "blob", blob)
            if text is not None:
                yield Path(path).name, text
