"""Erasure from request to certificate. ``plan`` changes nothing; ``carry_out`` does what it says."""

from __future__ import annotations

import csv
import io
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aiprod.base import tombstones
from aiprod.base.files import read_json, sha256_file, write_json, write_text
from aiprod.base.memo import Memo, subjects
from aiprod.base.scratch import sweep
from aiprod.base.state import main_repository, state
from aiprod.base.vault import Vault, film_of
from aiprod.governance.audit.checkpoint import own_key, write_checkpoint
from aiprod.governance.audit.log import AuditLog, Event
from aiprod.governance.erasure import certificate, scan
from aiprod.governance.erasure import models as exposure
from aiprod.governance.erasure.history import History
from aiprod.governance.erasure.needles import Needles, gather, working_objects
from aiprod.governance.erasure.resolve import Request, Target, resolve
from aiprod.governance.lockfile import cache_folder
from aiprod.governance.records import Records

OFFERS = "datasets/v1/offers.json"
_SHA256 = 3  # place of the digest in what scan remembers of a file (`data.offers`), after size, time and inode


@dataclass(frozen=True)
class Plan:
    """What an erasure would do, and what is in the clear where.

    Attributes:
        objects: files of the films in the working tree, relative to the repository.
        memo: kept results that belong to them.
        sources: offered files with the same bytes; those inside the repository are deleted.
        samples: generated videos of affected diffusion models in the working tree.
    """

    root: Path
    repository: Path
    request: Request
    targets: list[Target]
    needles: Needles
    objects: list[str]
    memo: int
    sources: list[Path]
    models: list[exposure.ModelFacts]
    checkpoints: exposure.ResumeFacts
    samples: list[str]

    @property
    def films(self) -> set[str]:
        """Ids of the films."""
        return {target.film_id for target in self.targets}


def plan(root: Path, request: Request, vault: Vault) -> Plan:
    """Resolve a request and compute everything that was made from it; nothing is written.

    Raises:
        AiprodError: nothing is meant by it, it was erased before, or a key is missing.
    """
    repository = main_repository()
    history = History(root, repository)
    targets = resolve(request, history, vault)
    films = {target.film_id for target in targets}
    found = exposure.models(history, films)
    tainted = any(f.model == "diffusion" and f.affected for f in found)
    memo = [subject for subject, _ in subjects(state().root / "memo") if film_of(subject) in films]
    return Plan(
        root=root,
        repository=repository,
        request=request,
        targets=targets,
        needles=gather(root, targets, vault),
        objects=[p.relative_to(root).as_posix() for p in working_objects(root, targets)],
        memo=len(memo),
        sources=_offered(root, targets),
        models=found,
        checkpoints=exposure.resume_checkpoints(state().root / "training", films),
        samples=[s.name for s in Records(root, strict=False).samples] if tainted else [],
    )


def search(todo: Plan) -> dict[str, scan.Count]:
    """What every store holds of the films in the clear."""
    needles, repository = todo.needles, todo.repository
    cache = cache_folder(repository).parent.parent  # holds files/ and runs/
    home = state().root
    apart = [home, cache, repository / ".git", repository / ".venv"]
    counts = {
        "working tree": scan.folder(needles, repository, [*apart, repository / ".dvc"]),
        "DVC cache": scan.folder(needles, cache),
        "DVC's own files": scan.folder(needles, repository / ".dvc", [cache]),
        "memo": scan.folder(needles, home / "memo"),
        "MLflow": scan.folder(needles, home / "mlflow"),
        "state folder": scan.folder(needles, home, [home / "memo", home / "mlflow"]),
        "git history": scan.git_history(needles, repository),
    }
    if todo.root != repository:
        counts["workspace"] = scan.folder(needles, todo.root, apart)
    objects = cache / "files" / "md5"

    def cached(digest: str, size: int) -> bool:
        path = objects / digest[:2] / digest[2:]
        return path.is_file() and path.stat().st_size == size

    counts.update(scan.remotes(needles, repository, cached))
    outside = [p for p in todo.sources if not p.is_relative_to(repository)]
    if outside:
        counts["source folders"] = scan.Count()
        for path in (p for p in outside if p.is_file()):
            with open(path, "rb") as file:
                scan.search_stream(counts["source folders"], needles, path.name, file)
    return counts


def carry_out(todo: Plan, vault: Vault, *, actor: str, role: str) -> tuple[Path, dict[str, Any]]:
    """Erase: tombstones first, so that nothing takes the film in meanwhile, then keys, objects, search, certificate.

    Returns:
        the certificate's path and its body.
    """
    own_key(todo.root)  # before anything is destroyed: without the log's key nothing could be certified
    before = search(todo)
    stones = [target.tombstone(vault) for target in todo.targets]
    asked = next(v for v in (todo.request.object_id, todo.request.sha256, todo.request.source_url) if v)
    commitment = vault.keys.commitment("request", asked)
    tombstones.add(stones, todo.root)
    backups = vault.keys.backups()
    for target in todo.targets:
        vault.keys.destroy(target.film_id)
    deleted = _delete(todo)
    log = AuditLog()
    for subject in sorted({t.film_id for t in todo.targets} | {c for t in todo.targets for c in t.clips}):
        log.forget(subject)
    after = search(todo)
    master = vault.keys.status().master
    name = f"{datetime.now(UTC):%Y%m%d}-{sorted(todo.films)[0][2:10]}"
    body: dict[str, Any] = {
        "format": 1,
        "id": name,
        "time": datetime.fromtimestamp(round(time.time()), UTC).isoformat().replace("+00:00", "Z"),
        "request": {"by": todo.request.kind, "commitment": commitment},
        "decided_by": {"role": role, "commitment": vault.keys.commitment("actor", actor)},
        "films": [{"film_id": t.film_id, "clips": sorted(t.clips)} for t in todo.targets],
        "tombstones": [stone.model_dump(mode="json") for stone in stones],
        "keys_destroyed": len(todo.targets),
        "deleted": deleted,
        "searched_for": {
            "names": len(todo.needles.names),
            "hashes": len(todo.needles.hashes),
            "pieces": len(todo.needles.pieces),
            "objects_read": todo.needles.objects,
        },
        "found_before": {store: _counted(count) for store, count in before.items()},
        "found_after": {store: _counted(count) for store, count in after.items()},
        "models": exposure.document(todo.models),
        "training_checkpoints": asdict(todo.checkpoints),
        "samples_of_affected_models": todo.samples,
        "backups_with_the_wrapped_keys": sum(b["master"] == master for b in backups),
    }
    path = todo.root / tombstones.FOLDER / f"{name}.json"
    certificate.write(path, body)
    exposure.mark(todo.root, todo.models, name)
    facts = {"certificate": certificate.digest(body), "films": sorted(todo.films), "role": role}
    log.append([Event("erasure", f"erasure/{name}", facts, {"actor": actor})])
    write_checkpoint(todo.root, log)
    return path, {**body, "where_after": {store: count.where for store, count in after.items() if count.where}}


def _counted(count: scan.Count) -> dict[str, Any]:
    return {k: v for k, v in asdict(count).items() if k != "where" and (k != "skipped" or v)}


def _delete(todo: Plan) -> dict[str, int]:
    """Remove what lies in the open or is of no more use; counts by kind."""
    home = state().root
    done = {"objects": 0, "memo": 0, "checkpoints": 0, "source_files": 0, "sidecar_lines": 0}
    for name in todo.objects:
        (todo.root / name).unlink(missing_ok=True)
        done["objects"] += 1
    for stage in (home / "memo").iterdir() if (home / "memo").is_dir() else ():
        done["memo"] += Memo(stage, "").forget(todo.films)
    for place in todo.checkpoints.exposed:
        shutil.rmtree(home / "training" / place, ignore_errors=True)
        done["checkpoints"] += 1
    for path in todo.sources:
        if path.is_relative_to(todo.repository):
            done["sidecar_lines"] += _forget_in_sidecars(path)
            path.unlink(missing_ok=True)
            done["source_files"] += 1
    sweep(home / "private")
    _forget_offers(todo.root, todo.targets)
    _forget_digests(home / "cache" / "scan" / "digests.json", todo.sources, todo.targets)
    return done


def _offered(root: Path, targets: Sequence[Target]) -> list[Path]:
    """Files of folder sources with the bytes of one of the films."""
    contents = {row.content_sha256 for t in targets for row in [t.row, *t.rows]}
    names = {row.key for t in targets for row in [t.row, *t.rows]}
    remembered = state().root / "cache" / "scan" / "digests.json"
    known = read_json(remembered) if remembered.is_file() else {}
    found = {Path(path) for path, facts in known.items() if str(facts[_SHA256]) in contents}
    inbox = main_repository() / "datasets" / "inbox"
    found |= {inbox / name for name in names if name and (inbox / name).is_file()}
    return sorted(p for p in found if p.is_file() and sha256_file(p) in contents)


def _forget_offers(root: Path, targets: Sequence[Target]) -> None:
    """The list of offers is in the clear and is neither cached nor committed; scan writes it anew, without the film."""
    path = root / OFFERS
    if path.is_file():
        contents = {row.content_sha256 for t in targets for row in [t.row, *t.rows]}
        content = read_json(path)
        content["offers"] = [offer for offer in content["offers"] if offer["sha256"] not in contents]
        path.unlink()
        write_json(path, content)


def _forget_digests(path: Path, sources: Sequence[Path], targets: Sequence[Target]) -> None:
    contents = {row.content_sha256 for t in targets for row in [t.row, *t.rows]}
    if path.is_file():
        known = read_json(path)
        gone = {str(source) for source in sources}
        write_json(path, {k: v for k, v in known.items() if k not in gone and str(v[_SHA256]) not in contents})


def _forget_in_sidecars(film: Path) -> int:
    """Drop the film's lines from tables beside it, and JSON named like it; how many there were."""
    dropped = 0
    for name in (f"{film.name}.json", f"{film.stem}.json"):
        path = film.with_name(name)
        if path.is_file() and not [p for p in film.parent.glob(f"{film.stem}.*") if p not in (film, path)]:
            path.unlink()
            dropped += 1
    for table in film.parent.glob("*.csv"):
        with open(table, newline="", encoding="utf-8-sig") as file:
            rows = list(csv.reader(file))
        kept = [row for n, row in enumerate(rows) if n == 0 or film.name not in [cell.strip() for cell in row]]
        if len(kept) != len(rows):
            dropped += len(rows) - len(kept)
            write_text(table, "".join(_line(row) for row in kept))
    return dropped


def _line(cells: Sequence[str]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerow(cells)
    return out.getvalue()
