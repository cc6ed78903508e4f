"""The faults: each disturbs a project, before its first run, while it runs, or after it, and says how."""

from __future__ import annotations

import contextlib
import os
import random
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.data.faulty_s3 import Bucket
from tests.end_to_end.workspace import Workspace
from tests.faults import system

OUTS = ("datasets/v1", "models", "reports")


@dataclass(frozen=True)
class Run:
    """The run that a fault disturbs.

    Attributes:
        target: the stage up to which the pipeline runs.
        bucket: where some of its films come from.
        duration_s, work_s: time and processor time that it takes undisturbed.
    """

    target: str
    bucket: Bucket
    duration_s: float
    work_s: float


@dataclass(frozen=True)
class Fault:
    """A fault.

    Attributes:
        disturb: does it to a project, and says how.
        finished: whether the project has run before, else its first run is what is disturbed.
        target: the stage up to which the pipeline runs, where it is another one than the series'.
    """

    disturb: Callable[[Workspace, random.Random, Run], str]
    finished: bool = False
    target: str | None = None


def _environment(project: Workspace) -> dict[str, str]:
    return Workspace(project.root, warm=False).environment


def _start(project: Workspace, *target: str, **more: object) -> subprocess.Popen[bytes]:
    """`dvc repro` in a session of its own, whose stages are new processes below it, as they are for a user."""
    return subprocess.Popen(
        [sys.executable, "-m", "dvc", "repro", *target],
        cwd=project.root,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        **{"env": _environment(project), **more},  # type: ignore[call-overload]
    )


@dataclass
class Work:
    """Processor time of a program and of all that it started, as far as it was seen while it ran.

    A fault falls after a share of the work and not of the time, so that a busy machine moves none to the end.
    """

    root: int
    _seen_s: dict[int, float] = field(default_factory=dict)

    def look(self) -> float:
        """Seconds until now; what ended between two looks is left out."""
        waiting = [self.root]
        while waiting:
            pid = waiting.pop()
            with contextlib.suppress(OSError):
                times = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
                self._seen_s[pid] = sum(map(int, times)) / os.sysconf("SC_CLK_TCK")
                waiting += map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
        return sum(self._seen_s.values())


_LOOK_S = 0.1
_PATIENCE_S = 1800.0  # at the lowest priority of a busy machine a run takes as long


def whole_run(project: Workspace, target: str, bucket: Bucket) -> Run:
    """A run in new processes that nothing disturbs."""
    began, running = time.monotonic(), _start(project, target)
    work, work_s = Work(running.pid), 0.0
    while running.poll() is None:
        work_s = work.look()
        time.sleep(_LOOK_S)
    assert running.returncode == 0, f"dvc repro {target} ended with {running.returncode}"
    _end(running)
    return Run(target, bucket, time.monotonic() - began, work_s)


def _wait(running: subprocess.Popen[bytes], run: Run, share: float) -> str:
    """Let a run do a share of its work; how much that is, in words."""
    work = Work(running.pid)
    while running.poll() is None and work.look() < share * run.work_s:
        time.sleep(_LOOK_S)
    return f"after {share:.0%} of the work"


def _end(running: subprocess.Popen[bytes]) -> None:
    """Wait for DVC and for what it left running: a stage ends by itself when its DVC is gone."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        running.wait(timeout=_PATIENCE_S)
    limit = time.monotonic() + _PATIENCE_S
    while time.monotonic() < limit:
        left = [p for p in psutil.process_iter(["pid"]) if _in_session(p.pid, running.pid)]
        if not left:
            return
        time.sleep(0.2)


def _in_session(pid: int, session: int) -> bool:
    try:
        return os.getsid(pid) == session and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except (ProcessLookupError, PermissionError, psutil.Error):
        return False


def _descendants(pid: int) -> dict[str, list[psutil.Process]]:
    """Stages below DVC, ranks and workers below stages."""
    found: dict[str, list[psutil.Process]] = {"dvc": [psutil.Process(pid)], "stage": [], "rank": [], "worker": []}
    with contextlib.suppress(psutil.Error):
        for process in psutil.Process(pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                line = " ".join(process.cmdline())
                stage = "-m pipeline." in line and "spawn" not in line
                role = "worker" if not stage else "rank" if "RANK" in process.environ() else "stage"
                found[role].append(process)
    return found


def _kill(whom: str, target: str | None = None) -> Fault:
    def fault(project: Workspace, rng: random.Random, run: Run) -> str:
        running = _start(project, run.target)
        at = _wait(running, run, rng.uniform(0.05, 0.95))
        said = "DVC had ended"
        while running.poll() is None:
            found = _descendants(running.pid)[whom]
            if found:
                with contextlib.suppress(psutil.Error):
                    rng.choice(found).kill()
                    said = f"SIGKILL of {whom} {at}"
                    break
            time.sleep(0.05)
        _end(running)
        return said

    return Fault(fault, target=target)


def interrupt(project: Workspace, rng: random.Random, run: Run) -> str:
    """Ctrl-C: the whole group gets the signal."""
    running = _start(project, run.target)
    at = _wait(running, run, rng.uniform(0.05, 0.95))
    with contextlib.suppress(ProcessLookupError):
        os.killpg(running.pid, signal.SIGINT)
    _end(running)
    return f"SIGINT to the group {at}"


def full_disk(project: Workspace, rng: random.Random, run: Run) -> str:
    """No file may grow beyond a limit: EFBIG where a full disk gives ENOSPC, at a place that the limit decides."""
    limit = int(2 ** rng.uniform(10, 19))

    def bound() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))

    _end(_start(project, run.target, preexec_fn=bound))
    return f"no file beyond {limit} bytes"


def two_runs(project: Workspace, rng: random.Random, run: Run) -> str:
    """Two `dvc repro` at once."""
    first = _start(project, run.target)
    at = _wait(first, run, rng.uniform(0, 0.5))
    second = _start(project, run.target)
    _end(first)
    _end(second)
    return f"a second run {at}"


def locked_database(project: Workspace, rng: random.Random, run: Run) -> str:
    """Another process holds the audit log's database while the run goes on."""
    project.dvc("repro", "scan")
    place = project.root / ".aiprod/audit/log.db"
    place.parent.mkdir(parents=True, exist_ok=True)
    held = rng.uniform(0.3, 1.0) * run.duration_s
    with contextlib.closing(sqlite3.connect(place, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        running = _start(project, run.target)
        time.sleep(held)
        other.execute("ROLLBACK")
    _end(running)
    return f"audit log locked for {held:.1f} s"


def locked_cache_database(project: Workspace, rng: random.Random, run: Run) -> str:
    """Another process holds the databases in which DVC remembers hashes, while the run goes on."""
    project.dvc("repro", "scan")
    found = project.run(sys.executable, "-c", "from dvc.repo import Repo; print(Repo('.').site_cache_dir)").stdout
    databases = sorted(Path(found.strip()).rglob("*.db"))
    held = rng.uniform(0.3, 1.0) * run.duration_s
    with contextlib.ExitStack() as stack:
        for place in databases:
            other = stack.enter_context(contextlib.closing(sqlite3.connect(place, isolation_level=None, timeout=30)))
            other.execute("BEGIN EXCLUSIVE")
        running = _start(project, run.target)
        time.sleep(held)
    _end(running)
    return f"{len(databases)} databases of DVC locked for {held:.1f} s"


def other_branch(project: Workspace, rng: random.Random, run: Run) -> str:
    """A branch with other films is checked out while the run goes on, run there for a while, and left again."""
    project.run("git", "checkout", "-qb", "other")
    project.set_params(seed=rng.randrange(1, 1000), ingest__demo__films=2)
    project.run("git", "commit", "-qam", "other")
    project.run("git", "checkout", "-q", "-")
    running = _start(project, run.target)
    at = _wait(running, run, rng.uniform(0.1, 0.9))
    project.run("git", "checkout", "-qf", "other")
    _end(running)
    there = _start(project, run.target)
    _wait(there, run, rng.uniform(0, 0.5))
    with contextlib.suppress(ProcessLookupError):
        os.killpg(there.pid, signal.SIGTERM)
    _end(there)
    project.run("git", "checkout", "-qf", "main")
    return f"another branch checked out {at}, and back"


def clock_set_in_a_run(project: Workspace, rng: random.Random, run: Run) -> str:
    """The clock is set forwards or back by minutes to years while the run goes on."""
    at, by = rng.uniform(0.05, 0.9) * run.duration_s, rng.choice([-10 * 365, -1, -1 / 24, 1 / 24, 1, 5 * 365])
    with system.clock_set(at, by * 86400) as told:
        _end(_start(project, run.target, env={**_environment(project), **told}))
    return f"clock set by {by * 24:+.0f} h after {at:.1f} s"


_STORES = ("datasets", ".aiprod/memo", ".aiprod", ".dvc/cache", ".dvc/tmp")


def full_store(project: Workspace, rng: random.Random, run: Run) -> str:
    """The file system of one store is full (ENOSPC) after some bytes, for every process of the run."""
    store, room = rng.choice(_STORES), int(2 ** rng.uniform(8, 20))
    with system.full_below(project.root / store, room) as told:
        _end(_start(project, run.target, env={**_environment(project), **told}))
    return f"no space in {store} after {room} bytes"


def _damage(damage: Callable[[Workspace, random.Random], str], *, forced: bool = False) -> Fault:
    """Damage to what a run has left, which every stage then reads again where it is ``forced`` to."""

    def fault(project: Workspace, rng: random.Random, run: Run) -> str:
        said = damage(project, rng)
        if forced:
            project.dvc("repro", "-f", run.target, check=False)
        return said

    return Fault(fault, finished=True)


def _files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if p.is_file() and not p.is_symlink() and p.stat().st_size)


def _flip(path: Path, rng: random.Random) -> int:
    """One bit of a file, mode and times kept."""
    data, about = bytearray(path.read_bytes()), path.stat()
    at = rng.randrange(len(data))
    data[at] ^= 1 << rng.randrange(8)
    path.chmod(0o600)
    path.write_bytes(bytes(data))
    path.chmod(about.st_mode)
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))
    return at


def flip_memo(project: Workspace, rng: random.Random) -> str:
    """A bit of something that was kept for later runs."""
    path = rng.choice(_files(project.root / ".aiprod/memo"))
    return f"bit at {_flip(path, rng)} of {path.relative_to(project.root / '.aiprod')}"


def truncate_memo(project: Workspace, rng: random.Random) -> str:
    """Something that was kept is empty."""
    path = rng.choice(_files(project.root / ".aiprod/memo"))
    path.chmod(0o600)
    path.write_bytes(b"")
    return f"emptied {path.relative_to(project.root / '.aiprod')}"


def flip_cache(project: Workspace, rng: random.Random) -> str:
    """A bit of an object in DVC's cache, which is then checked out."""
    path = rng.choice([p for p in _files(project.root / ".dvc/cache/files") if p.suffix != ".dir"])
    at = _flip(path, rng)
    for name in OUTS:
        shutil.rmtree(project.root / name, ignore_errors=True)
    project.dvc("checkout", check=False)
    return f"bit at {at} of {path.relative_to(project.root / '.dvc')}"


def flip_state(project: Workspace, rng: random.Random) -> str:
    """A bit of what the state folder keeps beside the memo, keys and the log aside."""
    apart = {"keys", "audit", "memo", "locks", "mlflow"}
    found = [
        p for p in _files(project.root / ".aiprod") if p.relative_to(project.root / ".aiprod").parts[0] not in apart
    ]
    path = rng.choice(found)
    return f"bit at {_flip(path, rng)} of {path.relative_to(project.root / '.aiprod')}"


def unreadable_cache(project: Workspace, rng: random.Random, run: Run) -> str:
    """The disk gives nothing of an object of DVC's cache, while a run needs it."""
    path = rng.choice(_files(project.root / ".dvc/cache/files"))
    for name in OUTS:
        shutil.rmtree(project.root / name, ignore_errors=True)
    with system.unreadable(path) as told:
        _end(_start(project, run.target, env={**_environment(project), **told}))
    return f"I/O error in {path.relative_to(project.root / '.dvc')}"


def unreadable_state(project: Workspace, rng: random.Random, run: Run) -> str:
    """The disk gives nothing of a file that the state folder keeps, while all stages run again."""
    path = rng.choice(_files(project.root / ".aiprod"))
    with system.unreadable(path) as told:
        _end(_start(project, "-f", run.target, env={**_environment(project), **told}))
    return f"I/O error in {path.relative_to(project.root / '.aiprod')}"


def _bucket_that(behaviour: str) -> Fault:
    """The server of the bucket with films fails while the run goes on, in some requests or in all."""

    def fault(project: Workspace, rng: random.Random, run: Run) -> str:
        share = rng.choice([0.2, 0.5, 1.0])
        cut, kind = rng.randrange(1, 4000), rng.choice(["more", "less", "nothing", "other bytes"])
        lies: dict[str, Callable[[bytes], bytes]] = {
            "more": lambda body: body + body[:100],
            "less": lambda body: body[:-cut],
            "nothing": lambda _: b"",
            "other bytes": lambda body: body[::-1],
        }
        bucket, draws = run.bucket, random.Random(rng.random())
        bucket.misbehaves = lambda: draws.random() < share
        if behaviour == "stalls":
            bucket.stalls, how = True, "sends no body"
        elif behaviour == "dies":
            bucket.dies_after, how = cut, f"closes after {cut} bytes"
        else:
            bucket.bodies, how = lies[kind], f"sends {kind}"
        try:
            _end(_start(project, run.target))
        finally:
            bucket.recover()
        return f"the server {how} in {share:.0%} of the requests"

    return Fault(fault)


def clock_jump(project: Workspace, rng: random.Random) -> str:
    """The clock was wrong by years: every file is as old, or as far in the future."""
    years = rng.choice([-30, -1, 1, 15])
    then = time.time() + years * 365 * 86400
    for path in _files(project.root):
        if ".git" not in path.parts:
            os.utime(path, (then, then))
    return f"all times {years:+d} years"


def other_parameters(project: Workspace, rng: random.Random, run: Run) -> str:
    """Another value, a run that is killed, and back: as when a branch is left in the middle."""
    text = (project.root / "params.yaml").read_text()
    project.set_params(seed=rng.randrange(1000))
    running = _start(project, run.target)
    at = _wait(running, run, rng.uniform(0.05, 0.8))
    with contextlib.suppress(ProcessLookupError):
        os.killpg(running.pid, signal.SIGKILL)
    _end(running)
    (project.root / "params.yaml").write_text(text)
    return f"another seed, killed {at}, and back"


def empty_rwlock(project: Workspace, rng: random.Random) -> str:
    """What a kill of DVC leaves once in thirty."""
    place = project.root / ".dvc/tmp/rwlock"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(rng.choice(["", "{", "[]"]))
    return ".dvc/tmp/rwlock damaged"


FAULTS: dict[str, Fault] = {
    "SIGKILL of a stage": _kill("stage"),
    "SIGKILL of a worker": _kill("worker"),
    "SIGKILL of DVC": _kill("dvc"),
    "SIGKILL of a rank": _kill("rank", target="train_diffusion"),
    "Ctrl-C": Fault(interrupt),
    "file size limit": Fault(full_disk),
    "full store": Fault(full_store),
    "two runs at once": Fault(two_runs),
    "locked database": Fault(locked_database),
    "locked database of DVC": Fault(locked_cache_database),
    "another branch in the middle": Fault(other_branch),
    "bit flipped in the memo": _damage(flip_memo, forced=True),
    "memo object emptied": _damage(truncate_memo, forced=True),
    "bit flipped in DVC's cache": _damage(flip_cache),
    "bit flipped in the state": _damage(flip_state, forced=True),
    "unreadable object in DVC's cache": Fault(unreadable_cache, finished=True),
    "unreadable file in the state": Fault(unreadable_state, finished=True),
    "S3 that stalls": _bucket_that("stalls"),
    "S3 that dies": _bucket_that("dies"),
    "S3 that lies": _bucket_that("lies"),
    "clock set in a run": Fault(clock_set_in_a_run),
    "clock jump": _damage(clock_jump),
    "other parameters and back": Fault(other_parameters, finished=True),
    "damaged rwlock": _damage(empty_rwlock),
}
