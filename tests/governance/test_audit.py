"""The audit log: RFC 6962 against an independent definition, tampering found and named, concurrent writers, proofs."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aiprod.base.files import write_json
from aiprod.base.state import state
from aiprod.errors import AiprodError, is_disk_full
from aiprod.governance.audit import tree
from aiprod.governance.audit.checkpoint import FOLDER, parse, sign, signing_key
from aiprod.governance.audit.log import AuditLog, Event
from aiprod.governance.audit.publishing import write_checkpoint
from aiprod.governance.audit.verify import consistency_proof, proof, verify
from aiprod.governance.dataset import audit_events
from aiprod.governance.dataset.audit_events import log_state
from aiprod.governance.dataset.audit_sync import log_new_state
from aiprod.governance.dataset.records import Records
from aiprod.storage.manifest.manifest import merkle_root
from tests.projects import commit_all

SCRIPT = Path(__file__).resolve().parents[2] / "docs" / "verify_audit.py"
# RFC 6962 test vectors of the reference implementation of Certificate Transparency (trillian/merkle/rfc6962)
EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
LEAF = "395aa064aa4c29f7010acfe3f25db9485bbd4b91897b6ad7ad547639252b4d56"  # "L123456"
NODE = "aa217fe888e47007fa15edab33c2b492a722cb106c64667fc2b044444de66bbb"  # "N123" and "N456"


def mth(leaves: list[bytes]) -> bytes:
    """The recursive definition of RFC 6962 section 2.1, word for word."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return hashlib.sha256(b"\x01" + mth(leaves[:k]) + mth(leaves[k:])).digest()


def grown(leaves: list[bytes]) -> dict[tuple[int, int], bytes]:
    nodes: dict[tuple[int, int], bytes] = {}
    for size, leaf in enumerate(leaves):
        for level, index, digest in tree.completed(size, tree.leaf_hash(leaf), lambda lv, i: nodes[lv, i]):
            nodes[level, index] = digest
    return nodes


def event(number: int) -> Event:
    return Event("verdict", f"c{number:04d}", {"status": "APPROVED"}, {"score": number / 7})


def test_published_vectors() -> None:
    assert tree.root(0, lambda lv, i: b"").hex() == EMPTY
    assert tree.leaf_hash(b"L123456").hex() == LEAF
    assert tree.node_hash(b"N123", b"N456").hex() == NODE


def inclusion_root(leaf: bytes, index: int, size: int, path: list[bytes]) -> bytes | None:
    """The root that an inclusion proof leads to (RFC 9162 section 2.1.3.2); None when its length is wrong."""
    first, last, digest = index, size - 1, leaf
    for step in path:
        if last == 0:
            return None
        if first & 1 or first == last:
            digest = tree.node_hash(step, digest)
            while not first & 1 and first:
                first, last = first >> 1, last >> 1
        else:
            digest = tree.node_hash(digest, step)
        first, last = first >> 1, last >> 1
    return digest if last == 0 else None


@given(st.integers(1, 70), st.data())
@settings(max_examples=60, deadline=None)
def test_roots_and_proofs_follow_the_rfc(size: int, data: st.DataObject) -> None:
    leaves = [bytes([n]) for n in range(size)]
    nodes = grown(leaves)
    lookup = lambda level, index: nodes[level, index]  # noqa: E731
    whole = tree.root(size, lookup)
    assert whole == mth(leaves) and whole.hex() == merkle_root(leaves)
    index = data.draw(st.integers(0, size - 1))
    path = tree.inclusion(index, size, lookup)
    assert inclusion_root(tree.leaf_hash(leaves[index]), index, size, path) == whole
    assert inclusion_root(tree.leaf_hash(b"other"), index, size, path) != whole
    old = data.draw(st.integers(1, size))
    steps = tree.consistency(old, size, lookup)
    assert tree.consistent(old, size, mth(leaves[:old]), whole, steps)
    if old < size:
        assert not tree.consistent(old, size, mth([b"x", *leaves[1:old]]), whole, steps)


@pytest.fixture
def log(finished: Path) -> AuditLog:
    made = AuditLog()
    made.append([event(n) for n in range(40)])
    return made


def test_an_untouched_log_verifies_and_again_after_more(finished: Path, log: AuditLog) -> None:
    write_checkpoint(finished, log)
    log.append([event(n) for n in range(40, 60)])
    write_checkpoint(finished, log)
    found = verify(finished, log)
    assert (found.entries, found.checkpoints, found.problems) == (62, 2, [])


@given(data=st.data())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_one_flipped_bit_in_an_entry_is_found_and_named(finished: Path, log: AuditLog, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, 39))
    original = next(log.entries(index, index + 1)).data
    bit = data.draw(st.integers(0, len(original) * 8 - 1))
    changed = bytearray(original)
    changed[bit // 8] ^= 1 << bit % 8
    poke(log, "update entries set data = ? where idx = ?", bytes(changed), index)
    problems = verify(finished, log).problems
    poke(log, "update entries set data = ? where idx = ?", original, index)
    assert problems == [f"entry {index} is not what was logged"]
    assert verify(finished, log).problems == []


@given(data=st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_one_flipped_bit_in_a_checkpoint_or_the_key_is_found_and_named(
    finished: Path, log: AuditLog, data: st.DataObject
) -> None:
    if not list((finished / FOLDER).glob("*.checkpoint")):
        write_checkpoint(finished, log)
    path = data.draw(st.sampled_from(sorted((finished / FOLDER).glob("*"))))
    original = path.read_bytes()
    bit = data.draw(st.integers(0, len(original) * 8 - 1))
    changed = bytearray(original)
    changed[bit // 8] ^= 1 << bit % 8
    path.write_bytes(changed)
    problems = verify(finished, log).problems
    path.write_bytes(original)
    assert problems and (path.name in problems[0] or (path.suffix == ".pub" and "not signed" in problems[0])), problems
    assert verify(finished, log).problems == []


@given(data=st.data())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_one_flipped_bit_in_the_database_file_never_changes_an_entry_unseen(
    finished: Path, log: AuditLog, tmp_path: Path, data: st.DataObject
) -> None:
    source, copy = tmp_path / "whole.db", tmp_path / "flipped.db"
    if not source.is_file():
        poke(log, f"vacuum into '{source}'")
    original = source.read_bytes()
    changed = bytearray(original)
    bit = data.draw(st.integers(100 * 8, 10**6)) % (len(original) * 8)
    changed[bit // 8] ^= 1 << bit % 8
    for path in tmp_path.glob("flipped.db*"):
        path.unlink()
    copy.write_bytes(changed)
    try:
        flipped = AuditLog(copy, tmp_path / "salts.db")
        problems = verify(finished, flipped).problems
        after = [] if problems else [entry.data for entry in flipped.entries()]
    except AiprodError as error:
        problems, after = [str(error)], []
    assert problems or after == [entry.data for entry in log.entries()]


def test_a_changed_tree_node_is_found(finished: Path, log: AuditLog) -> None:
    poke(log, "update nodes set hash = zeroblob(32) where level = 3 and idx = 2")
    assert verify(finished, log).problems == ["tree node 3/2 (entries 16 to 23) does not match the entries"]


def test_a_rewritten_history_is_found_against_the_checkpoint(finished: Path, log: AuditLog) -> None:
    write_checkpoint(finished, log)
    point = sorted((finished / FOLDER).glob("*.checkpoint"))[-1].read_text()
    log.database.unlink()
    forged = AuditLog()
    forged.append([event(n + (n == 7)) for n in range(40)])
    forged.append([Event("checkpoint", "log", {"size": 40})])
    assert verify(finished, forged).problems == ["entries 0 to 40 are not those that the checkpoint of 41 signed"]
    assert parse(point, signing_key().public_key()).size == 41


def test_a_truncated_log_is_found(finished: Path, log: AuditLog) -> None:
    write_checkpoint(finished, log)
    poke(log, "delete from entries where idx >= 30")
    problems = "\n".join(verify(finished, log).problems)
    assert "entries after 29 are gone" in problems and "truncated" in problems
    poke(log, "delete from entries where idx = 5")
    assert "entry 5 is missing" in verify(finished, log).problems[0]


def test_a_checkpoint_that_was_changed_is_found_by_git(finished: Path, log: AuditLog) -> None:
    write_checkpoint(finished, log)
    commit_all(FOLDER.as_posix(), cwd=finished)
    file = next((finished / FOLDER).glob("*.checkpoint"))
    file.write_text(file.read_text().replace("41\n", "40\n"))
    problems = verify(finished, log).problems
    assert problems == [f"{FOLDER / file.name} differs from what git holds"]
    file.unlink()
    assert verify(finished, log).checkpoints == 1, "git still holds it"
    with pytest.raises(AiprodError, match="not signed"):
        parse("aiprod/audit\n1\nAAAA\n\n— aiprod/audit AAAA\n", signing_key().public_key())


def test_a_fork_that_is_signed_and_committed_anew_is_found_in_gits_history(finished: Path, log: AuditLog) -> None:
    """The operator has the key and the last commit; what earlier commits hold still tells."""

    def commit(message: str) -> None:
        subprocess.run(["git", "add", "-A", FOLDER.as_posix()], cwd=finished, check=True)
        who = ["-c", "user.name=a", "-c", "user.email=a@b"]
        subprocess.run(["git", *who, "commit", "-qm", message], cwd=finished, check=True)

    subprocess.run(["git", "init", "-q"], cwd=finished, check=True)
    write_checkpoint(finished, log)
    commit("true")
    log.database.unlink()
    forged = AuditLog()
    forged.append([event(n + (n == 7)) for n in range(40)])
    file = write_checkpoint(finished, forged).name
    commit("forged")
    assert verify(finished, forged).problems == [
        f"{FOLDER / file} was another one in an earlier commit: the log was forked"
    ]
    (finished / FOLDER / file).unlink()
    commit("hidden")
    assert verify(finished, forged).problems, "nor does taking it away help"


def test_a_stranger_can_check_both_proofs(finished: Path, log: AuditLog, tmp_path: Path) -> None:
    point = write_checkpoint(finished, log)
    files = [str(finished / FOLDER / point.name), str(finished / FOLDER / "log.pub")]
    papers = ((proof(log, 17), []), (consistency_proof(log, 23), [23]), (consistency_proof(log, 32), [32]))
    for document, kept in papers:
        paper = tmp_path / "proof.json"
        paper.write_text(json.dumps(document))
        done = stranger(paper, *files, *(checkpoint_of(log, size, tmp_path) for size in kept))
        assert done.returncode == 0, done.stderr
    paper.write_text(json.dumps({**proof(log, 17), "index": 18}))
    for options in ((), ("-O",)):  # what Python leaves out when told to optimise must not be the check
        done = stranger(paper, *files, options=options)
        assert done.returncode == 1 and done.stderr == "the entry is not in the signed log\n"
    assert len(SCRIPT.read_text().splitlines()) <= 60, "short enough to be read before it is trusted"


def test_a_stranger_is_shown_which_model_an_entry_is_of_and_nothing_of_a_film(
    finished: Path, log: AuditLog, tmp_path: Path
) -> None:
    digest, other, model = "ab" * 32, "cd" * 32, log.size()
    log.append([Event("model", "model/diffusion", {"steps": 9}, {"model_digest": digest, "dataset_root": other})])
    log.append([Event("refusal", "f1", {}, {"reasons": "Rome"}), Event("verdict", "c1", {}, {"score": "1"})])
    point, size = write_checkpoint(finished, log), log.size()
    files = [str(finished / FOLDER / point.name), str(finished / FOLDER / "log.pub")]
    paper = tmp_path / "proof.json"
    document = proof(log, model, size, {"model_digest": digest})
    assert other not in json.dumps(document)
    paper.write_text(json.dumps(document))
    done = stranger(paper, *files)
    assert done.returncode == 0 and f"it commits to model_digest: {digest}\n" in done.stdout
    document["opened"]["model_digest"]["value"] = other
    paper.write_text(json.dumps(document))
    done = stranger(paper, *files)
    assert done.returncode == 1 and done.stderr == "the entry commits to another model_digest\n"
    for index, asked, why in (
        (model, {"model_digest": other}, "does not commit to model_digest"),
        (model, {"nothing": other}, "it commits to: dataset_root, model_digest"),
        (model + 1, {"reasons": "Rome"}, "opened to nobody"),
        (model + 2, {"score": "1"}, "opened to nobody"),
    ):
        with pytest.raises(AiprodError, match=why):
            proof(log, index, size, asked)
    log.forget("model/diffusion")
    with pytest.raises(AiprodError, match="is gone"):
        proof(log, model, size, {"model_digest": digest})


def checkpoint_of(log: AuditLog, size: int, folder: Path) -> Path:
    """What somebody kept of the log when it had ``size`` entries."""
    file = folder / f"kept{size}.checkpoint"
    file.write_text(sign(SimpleNamespace(size=lambda: size, root=lambda _=None: log.root(size)), signing_key()).text)
    return file


def test_a_stranger_takes_the_old_log_from_what_they_kept_and_not_from_the_prover(
    finished: Path, log: AuditLog, tmp_path: Path
) -> None:
    """Whoever rewrote the log proves without effort that the new one begins with the new one's own beginning."""
    kept = checkpoint_of(log, 23, tmp_path)
    log.database.unlink()
    forged = AuditLog()
    forged.append([event(n + (n == 7)) for n in range(40)])
    point = write_checkpoint(finished, forged)
    (paper := tmp_path / "proof.json").write_text(json.dumps(consistency_proof(forged, 23)))
    files = [str(paper), str(finished / FOLDER / point.name), str(finished / FOLDER / "log.pub")]
    done = stranger(*files)
    assert done.returncode == 1 and "name the checkpoint of 23 entries that you kept" in done.stderr
    done = stranger(*files, kept)
    assert done.returncode == 1 and "is another log than" in done.stderr
    kept.write_text(kept.read_text().replace("\n23\n", "\n22\n"))
    done = stranger(*files, kept)
    assert done.returncode == 1 and "was changed since" in done.stderr and "Traceback" not in done.stderr
    assert "python verify_audit.py proof.json" in stranger().stderr


def stranger(*files: str | Path, options: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *options, str(SCRIPT), *map(str, files)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_commitments_hide_open_and_die_with_their_salt(log: AuditLog) -> None:
    log.append([Event("refusal", "f1", {"status": "refused"}, {"reasons": ["holiday in Rome.mp4"]})])
    entry = list(log.entries())[-1]
    assert b"Rome" not in entry.data
    assert log.opens(entry, "reasons", ["holiday in Rome.mp4"]) is True
    assert log.opens(entry, "reasons", ["something else"]) is False
    before = log.root()
    assert log.forget("f1") and not log.forget("f1")
    assert log.opens(entry, "reasons", ["holiday in Rome.mp4"]) is None
    assert log.root() == before


def test_the_pipelines_state_is_logged_once_and_holds_no_name(finished: Path) -> None:
    log = AuditLog()
    added = log_state(finished, log)
    assert added > 8 and log_state(finished, log) == 0
    everything = b"".join(entry.data for entry in log.entries())
    for secret in (b"holiday", b"bbb.mp4", b"Blender", b"red circle"):
        assert secret not in everything
    kinds = [entry.value["kind"] for entry in log.entries()]
    assert kinds.count("refusal") == 1 and kinds.count("model") == 1 and kinds.count("sample") == 2


def test_manifests_are_read_for_the_log_only_where_it_was_not_told_of_this_state(
    finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Path] = []
    monkeypatch.setattr(audit_events, "Records", lambda root: (told.append(root), Records(root))[1])
    assert log_new_state(finished) > 8 and len(told) == 1
    assert log_new_state(finished) == 0 and len(told) == 1
    AuditLog().append([Event("export", "e1")])
    assert log_new_state(finished) == 0 and len(told) == 1, "others may go on with the log"
    lock = finished / "dvc.lock"
    lock.write_text(lock.read_text().replace('"md5": "x"', '"md5": "y"', 1))
    assert log_new_state(finished) > 0 and len(told) == 2
    with sqlite3.connect(AuditLog().database) as database:
        for table in ("entries", "nodes", "known"):
            database.execute(f"delete from {table}")
    assert log_new_state(finished) > 8 and len(told) == 3, "a log that was emptied"


def test_the_root_of_every_models_exposure_ledger_is_in_the_log(finished: Path) -> None:
    shown = [{"clip_id": "c1", "film_id": "f1", "times": 2, "by_phase": {"video_vae": 2}}]
    write_json(finished / "models/video_vae/training/exposure.json", {"clips": shown})
    log = AuditLog()
    log_state(finished, log)
    for name in ("diffusion", "video_vae"):
        [entry] = [e for e in log.entries() if e.value["subject"] == f"model/{name}"]
        ledger = Records(finished).ledger(name)
        lines = [[s.clip_id, s.times, s.by_phase] for _, s in sorted(ledger.items())]
        leaves = [json.dumps(line, sort_keys=True, separators=(",", ":")).encode() for line in lines]
        assert log.opens(entry, "exposure_root", mth(leaves).hex())


def test_unknown_events_and_missing_entries_are_one_line(log: AuditLog) -> None:
    with pytest.raises(AiprodError, match="no audit event"):
        log.append([Event("gossip", "x")])
    with pytest.raises(AiprodError, match="entry 400"):
        proof(log, 400)
    with pytest.raises(AiprodError, match="no trees"):
        consistency_proof(log, 0)


def test_keys_and_salts_are_private(log: AuditLog, finished: Path) -> None:
    sign(log, signing_key())
    private = sorted(state().keys.glob("*"))
    assert len(private) > 1
    for path in private:
        assert path.stat().st_mode & 0o077 == 0 or path.suffix in {".db-wal", ".db-shm"}, path


WRITER = """
import sys
from aiprod.governance.audit.log import AuditLog, Event
log = AuditLog()
for start in range(0, int(sys.argv[2]), int(sys.argv[3])):
    log.append([Event("verdict", f"{sys.argv[1]}-{start + n}") for n in range(int(sys.argv[3]))])
"""


@pytest.mark.parametrize(
    ("each", "batch"),
    [
        (100, 1),
        pytest.param(10_000, 100, marks=pytest.mark.slow),
        pytest.param(10_000, 1, marks=[pytest.mark.long, pytest.mark.timeout(1800)]),
    ],
)
def test_two_processes_lose_nothing(finished: Path, each: int, batch: int) -> None:
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, name, str(each), str(batch)], env=dict(os.environ))
        for name in ("left", "right")
    ]
    assert [w.wait(timeout=1500) for w in writers] == [0, 0]
    log = AuditLog()
    subjects = [entry.value["subject"] for entry in log.entries()]
    assert len(subjects) == 2 * each and len(set(subjects)) == 2 * each
    assert verify(finished, log).problems == []
    assert verify(finished, log).warnings[0].startswith("no checkpoint"), "the head is that of the last entry"


def poke(log: AuditLog, statement: str, *values: object) -> None:
    with sqlite3.connect(log.database) as connection:
        connection.execute(statement, values)
    connection.close()


@pytest.mark.parametrize(
    ("code", "free", "said"),
    [
        (sqlite3.SQLITE_FULL, 1 << 30, "no space left"),
        (sqlite3.SQLITE_IOERR | 19 << 8, 4096, "no space left"),  # the index of the write-ahead log could not be made
        (sqlite3.SQLITE_IOERR, 1 << 30, "cannot be read or written"),
        (sqlite3.SQLITE_READONLY, 1 << 30, "cannot be read or written"),
        (sqlite3.SQLITE_CORRUPT, 1 << 30, "damaged"),
    ],
)
def test_a_database_is_called_damaged_only_where_it_is(
    code: int, free: int, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = AuditLog(tmp_path / "log.db", tmp_path / "salts.db")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = code
    with pytest.raises(AiprodError, match=said) as told, log._write(log.database):
        raise error
    assert is_disk_full(told.value) == (said == "no space left")
