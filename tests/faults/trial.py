"""One trial: a copy of a prepared project, one fault, the next `dvc repro`, and what has to hold afterwards."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.data.faulty_s3 import Bucket, serving
from tests.end_to_end.workspace import Workspace, make_workspace, small
from tests.faults.injected import FAULTS, OUTS, Fault, Run, whole_run

_MADE_AT_EACH_RUN = {"datasets/v1/offers.json", "datasets/v1/code.json"}
_SLICE = 64
_REPAIRS_MAX = 3
_END_S = 30.0


@dataclass(frozen=True)
class Undisturbed:
    """A project before and after a run, with the same keys, and what that run made.

    Attributes:
        private: bytes of private films that must be nowhere in the clear.
    """

    start: Path
    finished: Path
    run: Run
    outputs: dict[str, str]
    private: tuple[bytes, ...]


@dataclass(frozen=True)
class Result:
    """What became of a trial; ``problems`` is empty where everything held."""

    number: int
    fault: str
    how: str
    repair: str
    problems: tuple[str, ...]


@dataclass(frozen=True)
class Series:
    """Trials in a folder, on projects whose films are generated, in the inbox and in a bucket.

    Attributes:
        target: the stage up to which the pipeline runs, where a fault asks for no other.
        films: how many are generated.
        undisturbed: what was prepared, by target.
    """

    folder: Path
    target: str
    films: int
    bucket: Bucket
    undisturbed: dict[str, Undisturbed] = field(default_factory=dict)

    def prepared(self, fault: Fault) -> Undisturbed:
        """The project that a fault disturbs."""
        target = fault.target or self.target
        if target not in self.undisturbed:
            self.undisturbed[target] = self._prepare(self.folder / target, target, trains=fault.target is not None)
        return self.undisturbed[target]

    def _prepare(self, folder: Path, target: str, *, trains: bool) -> Undisturbed:
        """Make a project and run it once; keep its beginning and its end.

        Where it trains, on two ranks, the beginning is what training begins with.
        """
        project = small(make_workspace(folder / "finished"))
        project.set_params(ingest__sources=["demo"], ingest__workers=1)
        project.set_params(ingest__demo__films=max(6, self.films) if trains else self.films)
        if trains:
            project.set_params(train_diffusion__launch__processes=2)
        project.dvc("repro", "ingest")
        film = next((project.root / "datasets/v1/raw").glob("*.mp4")).read_bytes()
        marks = tuple(random.Random(seed).randbytes(_SLICE) for seed in (7, 8))
        mine, theirs = (film + b"\0\0\0\x48free" + mark for mark in marks)
        inbox = project.root / "datasets/inbox"
        (inbox / "person.mp4").write_bytes(mine)
        words = "file,licence,attribution,personal_data_basis\n{}.mp4,CC0-1.0,me,legitimate_interests\n"
        (inbox / "SOURCES.csv").write_text(words.format("person"))
        table = words.format("passer-by").encode()
        self.bucket.objects = self.bucket.objects or {"in/passer-by.mp4": theirs, "in/SOURCES.csv": table}
        sources = ["demo", "inbox", "open-film"]
        project.set_params(ingest__sources=sources, ingest__folders={"open-film": "s3://films/in"})
        project.run("git", "commit", "-qam", "films", check=False)
        start = folder / "start"
        if trains:
            project.dvc("repro", "cache_latents")
            _copy(project.root, start)
        else:
            _forget(project.root)
        run = whole_run(project, target, self.bucket)
        if not trains:
            _copy(project.root, start)
            _forget(start)
        return Undisturbed(start, project.root, run, outputs_of(project.root), marks)


@contextlib.contextmanager
def a_series(folder: Path, target: str, films: int = 3) -> Iterator[Series]:
    """Prepare for trials; while they go on this process and what it starts know the bucket."""
    bucket = Bucket()
    quick = {"config_kwargs": {"read_timeout": 0.5, "connect_timeout": 2, "retries": {"max_attempts": 2}}}
    with serving(bucket) as endpoint:
        named = {
            "AWS_ACCESS_KEY_ID": "AKTEST",
            "AWS_SECRET_ACCESS_KEY": "SKTEST",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_EC2_METADATA_DISABLED": "true",
            "FSSPEC_S3": json.dumps(quick),
        }
        before = {name: os.environ.get(name) for name in named}
        os.environ.update(named)
        try:
            yield Series(folder, target, films, bucket)
        finally:
            for name, value in before.items():
                os.environ.pop(name)
                if value is not None:
                    os.environ[name] = value


def _copy(project: Path, target: Path) -> None:
    """With its times, and with files that are one under several names, as the memo's are."""
    subprocess.run(["cp", "-a", "--reflink=auto", project, target], check=True)


def _forget(root: Path) -> None:
    """Everything that a run makes, keys and tombstones aside."""
    for name in (*OUTS, ".dvc/cache", ".dvc/tmp"):
        shutil.rmtree(root / name, ignore_errors=True)
    for path in (root / ".aiprod").iterdir():
        if path.name not in ("keys", "tombstones.json"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    (root / "dvc.lock").unlink(missing_ok=True)


def outputs_of(root: Path) -> dict[str, str]:
    """Digest of each output file that is the same in each run."""
    files = [p for name in OUTS for p in sorted((root / name).rglob("*")) if p.is_file()]
    named = {p.relative_to(root).as_posix(): p for p in files}
    return {n: hashlib.sha256(p.read_bytes()).hexdigest() for n, p in named.items() if n not in _MADE_AT_EACH_RUN}


def run_trial(series: Series, number: int, seed: int, fault: str | None = None) -> Result:
    """Trial ``number`` of the series ``seed``: which fault (where none is named), and when, follow from the two.

    What is disturbed runs in new processes; what prepares and repairs, in warm ones.
    """
    rng = random.Random(f"{seed}/{number}")
    names = sorted(FAULTS)
    name = fault or (names[number] if number < len(names) else rng.choice(names))
    root, fault_ = series.folder / f"trial-{number}", FAULTS[name]
    undisturbed = series.prepared(fault_)
    _copy(undisturbed.finished if fault_.finished else undisturbed.start, root)
    project = Workspace(root)
    try:
        how = fault_.disturb(project, rng, undisturbed.run)
        repair, problems = _repair(project, undisturbed.run.target)
        problems += _differences(undisturbed.outputs, outputs_of(root))
        problems += _left_behind(root, undisturbed.private)
        return Result(number, name, how, repair, tuple(problems))
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _repair(project: Workspace, target: str) -> tuple[str, list[str]]:
    """`dvc repro` until it ends well; between two tries only what the error, or `aiprod doctor`, names."""
    done: list[str] = []
    for _ in range(_REPAIRS_MAX):
        ended = project.dvc("repro", target, check=False)
        if ended.returncode == 0:
            damaged = project.aiprod("audit", "verify", "--files", check=False).stdout
            cures = re.findall(r"delete (\S+), then .*`(dvc repro -f -s \w+)`", damaged)
            if not cures:
                return " + ".join(["`dvc repro`", *done]), []
            for place, command in cures:
                Path(place).unlink(missing_ok=True)
                project.dvc(*command.split()[1:], check=False)
            done.append("what `aiprod audit verify --files` names")
            continue
        project.aiprod("doctor", "--before-run", check=False)
        done.append("`aiprod doctor --before-run`")
        said = ended.stdout[-300:] + ended.stderr[-500:]
    return " + ".join(done), [f"`dvc repro` still fails: {said}" if done else "no end"]


def _differences(expected: dict[str, str], found: dict[str, str]) -> list[str]:
    missing, more = sorted(set(expected) - set(found)), sorted(set(found) - set(expected))
    other = sorted(name for name in set(expected) & set(found) if expected[name] != found[name])
    pairs = (("missing", missing), ("not in the undisturbed run", more), ("other bytes", other))
    return [f"{what}: {', '.join(names[:4])}" for what, names in pairs if names]


def _left_behind(root: Path, private: tuple[bytes, ...]) -> list[str]:
    """Private film in the clear anywhere but in the inbox, unfinished pieces, and processes that go on."""
    problems = [f"process {pid} still runs" for pid in _at_work_in(root)]
    for path in (p for p in root.rglob("*") if p.is_file() and not p.is_symlink()):
        name = path.relative_to(root).as_posix()
        if not name.startswith("datasets/inbox/") and any(p in path.read_bytes() for p in private):
            problems.append(f"private bytes in {name}")
        if name.startswith(".aiprod/memo/") and ".new." in name:
            problems.append(f"unfinished piece {name}")
    return problems


def _at_work_in(root: Path) -> list[int]:
    """Processes whose working directory is a project, and that do not end by themselves."""
    until = time.monotonic() + _END_S
    while True:
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if Path(process.cwd()).is_relative_to(root):
                    found.append(process.pid)
        if not found or time.monotonic() > until:
            return found
        time.sleep(0.2)
