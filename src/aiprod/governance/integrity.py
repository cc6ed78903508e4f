"""Every file that is vouched for somewhere, hashed again: outputs, what is kept for later runs, versions, certificates.

Outputs are compared with dvc.lock and with the rows that describe them (dvc.lock records what a stage wrote, also where
it wrote what was damaged before), DVC's cache and the memo with their own digests, checkpoints of training with the
digests they were written with, published versions with the log, certificates of erasures with their signature. What
``aiprod lineage`` checks for one thing, this checks for all.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from aiprod.base.file_digests import DIGESTS, compared
from aiprod.base.state import state
from aiprod.errors import AiprodError
from aiprod.governance.audit.log import AuditLog
from aiprod.governance.dataset.records import Records
from aiprod.governance.dataset.version import PUBLISHED, published
from aiprod.governance.erasure import certificate
from aiprod.governance.lineage.verify import clip_files
from aiprod.repo.dvc import cache_folder, main_repository_of, object_path, uncached_outputs
from aiprod.repo.dvc_lock import Expectation, Lock, hashes, verify
from aiprod.repo.git import git
from aiprod.storage.crypto.tombstones import FOLDER as ERASURES
from aiprod.storage.result_cache import damaged


def verify_files(root: Path, log: AuditLog) -> tuple[int, list[str]]:
    """Number of files read, and what is not as it was recorded, one sentence each."""
    problems: list[str] = []
    count = 0
    for part in (
        _outputs(root),
        _memo(state().root / "memo"),
        _checkpoints(state().root / "training"),
        _versions(root, log),
        _erasures(root, log),
    ):
        count += part[0]
        problems += part[1]
    return count, problems


def _outputs(root: Path) -> tuple[int, list[str]]:
    if not (root / "dvc.lock").is_file():
        return 0, []
    lock, expected, problems = Lock(root), list[Expectation](), list[str]()
    unobtainable = _unobtainable(root, lock)
    for out in lock.outs:
        if out in unobtainable:
            continue
        items, faults = lock.expectations(out)
        expected += items
        problems += map(str, faults)
    cached = _cached(lock, expected)
    facts = Records(root, strict=False, lock=lock)
    expected += clip_files(facts, set(facts.clips), set(facts.films))
    problems += [f"the rows cannot be compared: {line}" for line in facts.problems]
    problems += map(str, verify(root, expected))
    return len({item.path for item in expected}) + cached[0], [*problems, *cached[1]]


def _unobtainable(root: Path, lock: Lock) -> set[str]:
    """Outputs that are missing in a clone because neither git nor a remote holds them; the stage writes them anew.

    The list of offers is one: it is made at each run, and differs with what the sources offer.
    """
    missing = sorted(name for name in uncached_outputs(root) & set(lock.outs) if not (root / name).exists())
    in_git = (git(root, "ls-files", "-z", "--", *missing) or b"").decode().split("\0") if missing else []
    return set(missing) - set(in_git)


def _cached(lock: Lock, expected: list[Expectation]) -> tuple[int, list[str]]:
    """Objects of DVC's cache, which bear their MD5 as their name. DVC trusts one that is write-protected unread."""
    cache = cache_folder(main_repository_of(lock.root))
    named = {item.md5: item.path for item in expected if item.md5}
    present = {md5: path for md5 in named if (path := object_path(cache, md5)).is_file()}
    with ThreadPoolExecutor(max_workers=2) as pool:
        digests = dict(zip(present, pool.map(lambda path: hashes(path)[0], present.values()), strict=True))
    problems = [
        f"DVC's cache holds damaged bytes of {named[md5]} → delete {present[md5]}, then `dvc fetch`, or "
        f"`dvc repro -f -s {lock.stage_of(named[md5])}` makes them again"
        for md5, digest in digests.items()
        if digest != md5
    ]
    return len(present), problems


def _memo(folder: Path) -> tuple[int, list[str]]:
    count, problems = 0, list[str]()
    for stage in sorted(p for p in folder.glob("*") if p.is_dir()):
        entries, wrong = damaged(stage)
        count += entries
        problems += [f"memo {stage.name}/{p.name}: not what was stored; the next run makes it again" for p in wrong]
    return count, problems


def _checkpoints(training: Path) -> tuple[int, list[str]]:
    count, problems = 0, list[str]()
    for folder in sorted(p for p in training.glob("*/*/step_*") if p.is_dir()):
        name = folder.relative_to(training).as_posix()
        try:
            for file, right in compared(folder):
                count += 1
                if not right:
                    problems.append(f"training checkpoint {name}: {file} is not what was written")
        except (AiprodError, OSError, ValueError):
            problems.append(f"training checkpoint {name}: its {DIGESTS} is damaged, or a file is missing")
    return count, problems


def _versions(root: Path, log: AuditLog) -> tuple[int, list[str]]:
    try:
        known = {f"dataset/{entry.version}": entry for entry in published(root)}
    except AiprodError as error:
        return 1, [error.what]
    problems = []
    for leaf in log.entries():
        entry = known.get(leaf.value["subject"])
        if entry is None or "entry" not in leaf.value["committed"]:
            continue
        if log.opens(leaf, "entry", entry.model_dump(mode="json")) is False:
            problems.append(f"{PUBLISHED / entry.version}.json is not what was published")
    return len(known), problems


def _erasures(root: Path, log: AuditLog) -> tuple[int, list[str]]:
    problems, paths = list[str](), sorted((root / ERASURES).glob("2*.json"))
    for path in paths:
        try:
            lines = certificate.verify(root, path, log=log).problems
        except AiprodError as error:
            lines = [error.what]
        problems += [f"{ERASURES / path.name}: {line}" for line in lines]
    return len(paths), problems
