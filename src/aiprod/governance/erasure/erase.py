"""What an erasure would do, and what is in the clear where. Nothing here changes anything; ``procedure`` does it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from aiprod.base.state import main_repository, state
from aiprod.errors import AiprodError
from aiprod.governance.dataset.records import Records
from aiprod.governance.dataset.releases import releases
from aiprod.governance.erasure import models as exposure
from aiprod.governance.erasure import scan
from aiprod.governance.erasure.cost import Cost, costs
from aiprod.governance.erasure.finished_films import standing_on
from aiprod.governance.erasure.resolve import ErasureRequest, Target, resolve
from aiprod.governance.erasure.search_patterns import Needles, gather, kept_consents, working_objects
from aiprod.governance.erasure.source_files import Beside, folders, look
from aiprod.printable import escape_controls
from aiprod.repo.dvc import OBJECTS, cache_root, object_path
from aiprod.repo.history import History
from aiprod.storage.crypto.film_encryption import Vault, film_of
from aiprod.storage.result_cache import subjects


@dataclass(frozen=True)
class ErasurePlan:
    """What an erasure would do, and what is in the clear where.

    Attributes:
        objects: files of the films in the working tree, relative to the repository.
        memo: kept results that belong to them.
        beside: where the films are in their sources, and what is about them there.
        samples: generated videos of affected diffusion models in the working tree.
        finished: films made by `aiprod film` → their shots and sounds of the films to erase, or made by a model that
            saw them.
        costs: what training again takes.
        consents: ids of consent records that are kept.
        released: released videos, by the SHA-256 of what left → file, time, and what connects them with the films.
    """

    root: Path
    repository: Path
    request: ErasureRequest
    targets: list[Target]
    needles: Needles
    objects: list[str]
    memo: int
    beside: Beside
    models: list[exposure.ModelFacts]
    checkpoints: exposure.ResumeFacts
    samples: list[str]
    finished: dict[str, list[str]] = field(default_factory=dict)
    costs: list[Cost] = field(default_factory=list)
    consents: list[str] = field(default_factory=list)
    released: dict[str, str] = field(default_factory=dict)

    @property
    def films(self) -> set[str]:
        """Ids of the films."""
        return {target.film_id for target in self.targets}

    @property
    def voices(self) -> set[str]:
        """Ids of those that are the recordings of a speaker."""
        return {t.film_id for t in self.targets if any(name.startswith("u") for name in t.clips)}

    @property
    def ids(self) -> list[str]:
        """What is erased as a person calls it: a film by its id, a speaker by theirs."""
        return [f"s{film[1:]}" if film in self.voices else film for film in sorted(self.films)]

    @property
    def sources(self) -> list[Path]:
        """Offered files with the same bytes; those inside the repository are deleted."""
        return self.beside.films

    @property
    def outside(self) -> list[Path]:
        """Those that are not inside."""
        return [path for path in self.sources if not path.is_relative_to(self.repository)]


def plan(root: Path, request: ErasureRequest, vault: Vault) -> ErasurePlan:
    """Resolve a request and compute everything that was made from it; nothing is written.

    Raises:
        AiprodError: nothing is meant by it, it was erased before, a key is missing, or files vanish meanwhile.
    """
    try:
        return _planned(root, request, vault)
    except FileNotFoundError:  # its name may be a person's
        raise AiprodError(
            "a file vanished while it was looked at: another erasure or a run is at work",
            "wait until that has ended, then repeat the command",
        ) from None


def _planned(root: Path, request: ErasureRequest, vault: Vault) -> ErasurePlan:
    repository = main_repository()
    history = History(root, repository)
    targets = resolve(request, history, vault)
    films = {target.film_id for target in targets}
    model_facts = exposure.models(history, films)
    tainted = any(f.model == "diffusion" and f.affected for f in model_facts)
    here = Records(root, strict=False)
    own = {str(here.training["model_digest"])} if tainted and here.training else set()
    digests = own | exposure.affected_digests(history, model_facts)
    memo = [subject for subject, _ in subjects(state().root / "memo") if film_of(subject) in films]
    released = {
        entry.sha256: f"{entry.file} ({entry.time}): {why}"
        for entry in releases(root)
        if (why := entry.why(films, digests)) is not None
    }
    return ErasurePlan(
        root=root,
        repository=repository,
        request=request,
        targets=targets,
        needles=gather(root, targets, vault),
        objects=[p.relative_to(root).as_posix() for p in working_objects(root, targets)],
        memo=len(memo),
        beside=look(root, targets, vault),
        models=model_facts,
        checkpoints=exposure.resume_checkpoints(state().root / "training", films),
        samples=[s.name for s in here.samples] if tainted else [],
        consents=sorted(kept_consents(root, targets)),
        costs=costs(state().root / "training", films),
        released=released,
        finished=standing_on(root, films, digests),
    )


def search(todo: ErasurePlan) -> dict[str, scan.Count]:
    """What every store holds of the films in the clear."""
    return search_for(todo.needles, todo.root, todo.outside)


def search_for(needles: Needles, root: Path, outside: Iterable[Path]) -> dict[str, scan.Count]:
    """What every store holds in the clear of what is looked for.

    Args:
        root: of the workspace.
        outside: films that are in sources outside of the repository.
    """
    repository = main_repository()
    cache = cache_root(repository)
    home = state().root
    apart = [home, cache, repository / ".git", repository / ".venv"]
    apart += [
        place for _, place in folders(root, repository) if not place.is_relative_to(repository)
    ]  # links lead there
    links: scan.Links = {}
    counts = {
        "working tree": scan.folder(needles, repository, [*apart, repository / ".dvc"], links),
        "DVC cache": scan.folder(needles, cache, links=links),
        "DVC's own files": scan.folder(needles, repository / ".dvc", [cache], links),
        "memo": scan.folder(needles, home / "memo", links=links),
        "MLflow": scan.folder(needles, home / "mlflow", links=links),
        "state folder": scan.folder(needles, home, [home / "memo", home / "mlflow", home / "audit"], links),
        # It says of consents when they were given, and of films when they were erased; in entries of their own.
        "audit log": scan.folder(replace(needles, ids=set()), home / "audit", links=links),
        "git history": scan.git_history(needles, repository, links),
    }
    if root != repository:
        counts["workspace"] = scan.folder(needles, root, apart, links)

    counts.update(scan.work_trees(needles, repository, apart, links))

    def cached(digest: str, size: int) -> bool:
        path = object_path(cache / OBJECTS, digest)
        return path.is_file() and path.stat().st_size == size

    counts.update(scan.remotes(needles, repository, cached))
    away = list(outside)
    if away:
        counts["source folders"] = scan.Count()
        for path in (p for p in away if p.is_file()):
            with open(path, "rb") as file:
                scan.search_stream(counts["source folders"], needles, escape_controls(path.name), file)
    return counts
