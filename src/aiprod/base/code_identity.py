"""What a stage's result depends on as code: one digest per stage, in which comments and layout do not count.

``scan``, which always runs, writes the digests to :data:`RECORD`, and every other stage takes its own as a DVC
parameter. So ``dvc.yaml`` names no source file, and ``dvc repro`` re-runs the stages whose meaning changed.

A digest covers, for every module that the stage imports, directly or not, the syntax tree without docstrings; the
templates beside those modules; and the pinned versions in ``constraints.txt`` of the packages that they import.
In a package of :data:`UNITS`, a module counts by the version that it declares.

Modules that only watch a run (:data:`OBSERVERS`) are left out, with what only they import.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from aiprod.base.files import write_json
from aiprod.base.opening import read_file
from aiprod.base.state import state, workspace
from aiprod.base.syntax_trees import Module, parse_module

RECORD = Path("datasets/v1/code.json")
"""Stage → digest; kept in git, so that a review sees in one line which stages a change re-runs."""

OBSERVERS = {
    "aiprod.base.progress": "prints progress and messages",
    "aiprod.base.timing": "notes in the state folder how long a stage took",
    "aiprod.governance.audit.denials": "writes refused actions to the audit log",
    "aiprod.tracking": "copies parameters and metrics to the experiment tracker",
    "pipeline.track": "copies what is there to the experiment tracker, and writes no output",
}
"""Module or package → why no output of a stage can depend on it. A test runs a stage with these silenced."""

UNITS = {"ingest": "aiprod.qc.checks", "qc_measure": "aiprod.qc.checks"}
"""Stage → a package whose modules count by their constant ``VERSION`` and not by their syntax trees.

So what else stands in such a module (how a check judges) does not run the stage again, and a stage that keeps results
per unit makes only those of a changed unit again. Modules without a version are parts of those that import them. A
record in the repository tells when a version has to be raised (``aiprod.qc.units``).
"""

_DISTRIBUTIONS = {
    "PIL": "pillow",
    "PyOpenColorIO": "opencolorio",
    "cv2": "opencv-python-headless",
    "ruamel": "ruamel-yaml",
    "c2pa": "c2pa-python",
    "pynvml": "nvidia-ml-py",
}
_TEMPLATES = {".j2", ".css", ".js", ".html"}
_FORMAT = 1  # of this file's digests: a new number re-runs every stage
_CACHE_FORMAT = 2


class CodeIdentity:
    """The source files of the workspace at ``root``.

    Args:
        root: the folder that holds ``dvc.yaml``, ``src/aiprod`` and ``pipeline``.
        cache: a JSON file of syntax tree digests by the bytes of their files; None to compute all anew.
    """

    def __init__(self, root: Path, cache: Path | None = None) -> None:
        self.root = root
        self._cache = cache
        self._files = {**_modules_below(root / "src", "aiprod"), **_modules_below(root, "pipeline")}

    @cached_property
    def modules(self) -> dict[str, Module]:
        """Dotted name → what the module says.

        Raises:
            AiprodError: a source file is not valid Python.
        """
        known = _read_cache(self._cache)
        read: dict[str, Module] = {}
        kept: dict[str, list[Any]] = {}
        for name, path in self._files.items():
            data = path.read_bytes()
            key = f"{hashlib.sha256(data).hexdigest()} {name}"  # the name, because relative imports depend on it
            module = known.get(key) or parse_module(name, path, data)
            read[name] = module
            kept[key] = [module.digest, list(module.imports), module.version]
        if self._cache is not None and kept.keys() != known.keys():
            write_json(self._cache, {"format": _CACHE_FORMAT, "python": sys.version, "modules": kept})
        return read

    def closure(self, start: str) -> set[str]:
        """``start``, the modules it imports, directly or not, and the packages whose ``__init__`` runs on the way.

        Observers are left out, and what only they import.
        """
        modules: set[str] = set()
        waiting = [start]
        while waiting:
            name = waiting.pop()
            if name in modules or name not in self._files or _is_observer(name):
                continue
            modules.add(name)
            waiting += self.modules[name].imports
            if "." in name:
                waiting.append(name.rpartition(".")[0])
        return modules

    def packages(self, modules: Iterable[str]) -> set[str]:
        """Top-level names of what these modules import from elsewhere, without the standard library."""
        imported = {name.partition(".")[0] for module in modules for name in self.modules[module].imports}
        return imported - {"aiprod", "pipeline"} - sys.stdlib_module_names

    def parts(self, stage: str, *, units: bool = True, part: str | None = None) -> dict[str, str]:
        """Each thing that the stage's result depends on as code → its digest or version; without its units if asked.

        Args:
            part: the module that alone makes what is asked about, where that is not all of the stage.
        """
        modules = self.closure(part or f"pipeline.{stage}")
        package = UNITS.get(stage)
        inside = {name for name in modules if package is not None and f"{name}.".startswith(f"{package}.")}
        parts = {name: self.modules[name].digest for name in modules - inside}
        if units:
            versions = ((name, self.modules[name].version) for name in inside)
            parts.update({name: f"VERSION {version}" for name, version in versions if version is not None})
        for path in self._templates(modules):
            parts[path.relative_to(self.root).as_posix()] = hashlib.sha256(path.read_bytes()).hexdigest()
        pinned = self._pinned
        parts.update({d: pinned[d] for d in map(distribution, self.packages(modules)) if d in pinned})
        return parts

    def digest(self, stage: str, *, units: bool = True, part: str | None = None) -> str:
        """SHA-256 over all that the stage's result, or what ``part`` of it makes, depends on as code."""
        parts = self.parts(stage, units=units, part=part)
        text = json.dumps([_FORMAT, sorted(parts.items())], separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def digests(self) -> dict[str, str]:
        """The digest of every stage, taken from the cache where every file is the same as when it was kept."""
        place = self._cache.with_name("digests.json") if self._cache is not None else None
        files = [*self._files.values(), *_templates_below(self.root), self.root / "constraints.txt"]
        read = [[str(p), hashlib.sha256(p.read_bytes()).hexdigest()] for p in files if p.is_file()]
        text = json.dumps([_FORMAT, _CACHE_FORMAT, sys.version, sorted(read)])
        key = hashlib.sha256(text.encode()).hexdigest()
        kept = _read_digests(place)
        if kept.get("files") != key:
            kept = {"files": key, "stages": {stage: self.digest(stage) for stage in self.stages()}}
            if place is not None:
                write_json(place, kept)
        digests: dict[str, str] = kept["stages"]
        return digests

    def stages(self) -> list[str]:
        """Names of the stage modules, observers left out."""
        names = (name.partition(".")[2] for name in self._files if name.startswith("pipeline."))
        runs = (name for name in names if _runs(self._files[f"pipeline.{name}"]))
        return sorted(name for name in runs if not _is_observer(f"pipeline.{name}"))

    @cached_property
    def _pinned(self) -> dict[str, str]:
        """Distribution → version in constraints.txt."""
        path = self.root / "constraints.txt"
        lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
        pairs = (line.partition("#")[0].strip().partition("==") for line in lines)
        return {distribution(name): version.strip() for name, is_pin, version in pairs if is_pin}

    def _templates(self, modules: set[str]) -> list[Path]:
        """Templates of these modules: ``report.html.j2`` is report.py's, where there is one, else its package's."""
        paths = []
        for name in modules:
            package = self._files[name].parent
            if self._files[name].name != "__init__.py":
                continue
            folders = [package, *(f for f in package.iterdir() if f.is_dir() and not (f / "__init__.py").exists())]
            for path in (p for folder in folders for p in folder.iterdir() if p.suffix in _TEMPLATES):
                owner = f"{name}.{path.name.split('.')[0]}"
                if owner in modules or owner not in self._files:
                    paths.append(path)
        return paths


def distribution(name: str) -> str:
    """The normalised name of the distribution that provides a top-level module."""
    return re.sub(r"[-_.]+", "-", _DISTRIBUTIONS.get(name, name)).lower()


def current() -> CodeIdentity:
    """The code of the present workspace, with its cache in the state folder."""
    return CodeIdentity(workspace(), state().cache("code") / "syntax_trees.json")


def code_digest(stage: str, part: str | None = None, *, units: bool = True) -> str:
    """The digest of the stage's code in the present workspace.

    Where DVC runs the stage, the record is brought up to date with it first: the code may have been changed after the
    run began, and DVC takes what ``dvc.lock`` says of a stage when the stage ends.

    Args:
        part: a module of it, for what that module makes by itself: a change elsewhere in the stage is none of it.
        units: whether the versions of its units count; a stage that keeps results per unit compares those itself.
    """
    code = current()
    digest = code.digest(stage)
    if "DVC_STAGE" in os.environ:
        recorded = _recorded(workspace())
        if recorded.get(stage) != digest:
            write_json(workspace() / RECORD, {**recorded, stage: digest})
    return digest if units and part is None else code.digest(stage, units=units, part=part)


def record(others: Mapping[str, str] | None = None) -> list[str]:
    """Write the digest of every stage to :data:`RECORD`; the names of those that changed.

    Args:
        others: digests of what else stages depend on that only scan looks at, by name. They stand here because the
            file is in git: DVC can read it before anything has run.
    """
    root = workspace()
    before, now = _recorded(root), current().digests()
    write_json(root / RECORD, {**now, **(others or {})})
    return [stage for stage, digest in now.items() if before.get(stage) != digest]


def _recorded(root: Path) -> dict[str, str]:
    try:
        recorded = json.loads(read_file(root / RECORD))
    except (OSError, ValueError, RecursionError):
        return {}
    return recorded if isinstance(recorded, dict) else {}


def _read_digests(path: Path | None) -> dict[str, Any]:
    """What was kept; nothing where it is not there or is no such thing."""
    try:
        digests = json.loads(read_file(path)) if path is not None else {}
    except (OSError, ValueError, RecursionError):
        return {}
    return digests if isinstance(digests, dict) and isinstance(digests.get("stages"), dict) else {}


def _templates_below(root: Path) -> list[Path]:
    templates = [path for folder in ("src/aiprod", "pipeline") for path in (root / folder).rglob("*")]
    return sorted(path for path in templates if path.suffix in _TEMPLATES)


def _modules_below(folder: Path, package: str) -> dict[str, Path]:
    """Dotted name → file of every module of a package that is in ``folder``."""
    modules = {}
    for path in sorted((folder / package).rglob("*.py")):
        parts = path.relative_to(folder).with_suffix("").parts
        modules[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return modules


def _is_observer(name: str) -> bool:
    return any(name == observer or name.startswith(f"{observer}.") for observer in OBSERVERS)


def _runs(path: Path) -> bool:
    """Whether a module of ``pipeline`` is a stage: it hands its ``main`` to :func:`aiprod.base.stage.run`."""
    return "\n    run(main)" in path.read_text(encoding="utf-8")


def _read_cache(path: Path | None) -> dict[str, Module]:
    try:
        content = json.loads(path.read_text(encoding="utf-8")) if path is not None else {}
        if content.get("format") != _CACHE_FORMAT or content.get("python") != sys.version:
            return {}
        return {key: Module(d, tuple(imports), version) for key, (d, imports, version) in content["modules"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
