"""What this machine and this workspace have, and what is wrong with them, each with its fix in words."""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import stat
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlparse

from aiprod.base.files import digest_of
from aiprod.base.state import main_repository, state
from aiprod.base.state_cache import code_stamp, recall, remember
from aiprod.base.yaml_file import read_yaml
from aiprod.errors import AiprodError
from aiprod.printable import counted
from aiprod.repo import dvc_locks
from aiprod.repo.dvc import dvc_config
from aiprod.repo.dvc_lock import Lock
from aiprod.repo.git import git_text, head_commit

State = Literal["ok", "note", "warn", "bad"]
_PACKAGES = ("torch", "torchaudio", "torchvision", "av", "dvc", "mlflow", "transformers", "bitsandbytes", "pydantic")
_CODECS: tuple[tuple[str, Literal["r", "w"], str], ...] = (
    ("libx264", "w", "clips and samples are written with it"),
    ("aac", "w", "sound is written with it"),
    ("h264", "r", "most film is read with it"),
    ("hevc", "r", "H.265 film is read with it"),
)
_FREE_BAD, _FREE_WARN = 2 * 10**9, 15 * 10**9  # bytes: the demo writes about 1 GB, real film a multiple of itself


@dataclass(frozen=True)
class Diagnosis:
    """One thing that was looked at. ``bad`` stops a run, ``warn`` does not."""

    name: str
    state: State
    text: str
    hint: str = ""


def examine(root: Path, *, quick: bool = False) -> list[Diagnosis]:
    """Look at everything; ``quick`` keeps to what can stop a run and costs no time.

    A check that fails itself is a finding, never a traceback.
    """
    checks: list[Callable[[Path], Iterator[Diagnosis]]] = [
        _python,
        _git,
        _dvc_locks,
        _disk,
        _state_folder,
        _erasures,
        _files_again if quick else _files,
    ]
    if not quick:
        checks += [_packages, _devices, _codecs, _remotes, _tracking, _keys, _lost]
    diagnoses: list[Diagnosis] = []
    for check in checks:
        try:
            diagnoses += check(root)
        except Exception as error:
            diagnoses.append(
                Diagnosis(check.__name__.strip("_"), "bad", f"could not be looked at: {error}", "report this")
            )
    return diagnoses


def _files(root: Path) -> Iterator[Diagnosis]:
    """What the files in git say: the pipeline, its lock, the parameters, the sources."""
    for check in (_dvc, _recorded, _settings, _sources):
        yield from check(root)


def _files_again(root: Path) -> Iterator[Diagnosis]:
    """The same, of files that were not found good before. Whether the sources' folders are there is always seen."""
    names = ("dvc.yaml", "dvc.lock", "params.yaml", "datasets/sources.yaml")
    read = [hashlib.sha256(p.read_bytes()).hexdigest() if p.is_file() else "" for p in map(root.joinpath, names)]
    decided_by = digest_of([read, (root / ".dvc").is_dir(), code_stamp()])
    places = recall("health", decided_by)
    if places is None:
        diagnoses = list(_files(root))
        yield from diagnoses
        if all(diagnosis.state in ("ok", "note") for diagnosis in diagnoses):
            remember("health", decided_by, _places(root))
        return
    for name, place in places:
        yield _place(name, place)


def _python(_root: Path) -> Iterator[Diagnosis]:
    version = ".".join(map(str, sys.version_info[:3]))
    good = sys.version_info >= (3, 11)
    yield Diagnosis("python", "ok" if good else "bad", version, "" if good else "install Python 3.11 or later")


def _git(root: Path) -> Iterator[Diagnosis]:
    if shutil.which("git") is None:
        yield Diagnosis("git", "bad", "git is not installed", "install git")
        return
    if git_text(root, "rev-parse", "--is-inside-work-tree") != "true":
        yield Diagnosis(
            "git", "bad", f"{root.name} is not a git repository", "run `git init`, `git add .`, `git commit`"
        )
    elif (commit := head_commit(root)) is None:
        yield Diagnosis(
            "git",
            "bad",
            "the git repository has no commits, and DVC needs one",
            "run `git add .` and `git commit -m 'First commit'`",
        )
    else:
        yield Diagnosis("git", "ok", f"commit {commit[:8]}")
    if not git_text(root, "config", "user.email"):
        yield Diagnosis(
            "git identity",
            "warn",
            "git does not know who you are, so `dvc exp` cannot commit",
            "run `git config user.name NAME` and `git config user.email ADDRESS`",
        )


def _dvc(root: Path) -> Iterator[Diagnosis]:
    if not (root / ".dvc").is_dir():
        yield Diagnosis("dvc", "bad", "there is no .dvc folder here", "run `dvc init`")
    elif (root / "dvc.yaml").is_file():
        stages = (read_yaml(root / "dvc.yaml") or {}).get("stages") or {}
        yield Diagnosis("dvc", "ok", f"{len(stages)} stages")


def _recorded(root: Path) -> Iterator[Diagnosis]:
    if not (root / "dvc.lock").is_file():
        return
    try:
        lost = Lock(root).lost
    except AiprodError as error:
        yield Diagnosis("dvc.lock", "bad", error.what, error.hint)
        return
    if lost:
        more = f" and {len(lost) - 1} more" if len(lost) > 1 else ""
        yield Diagnosis(
            "dvc.lock",
            "warn",
            f"does not say what {lost[0]}{more} holds (its list of files is empty): a push to a remote with"
            " version_aware did not arrive, though `dvc status -c` calls it in sync",
            "fix the remote (`dvc remote list`), run `dvc commit -f` on what is right here, then `dvc push`",
        )


def _dvc_locks(root: Path) -> Iterator[Diagnosis]:
    damage = dvc_locks.damage(root)
    if damage is None:
        if pids := dvc_locks.strangers(root):
            text = f"{dvc_locks.RWLOCK} names process {pids[0]}, which is not a `dvc` command, so `dvc` may wait for it"
            hint = f"if `ps {pids[0]}` shows nothing that uses DVC, `rm {dvc_locks.RWLOCK}`"
            yield Diagnosis("dvc locks", "warn", text, hint)
        return
    pids = dvc_locks.running(root)
    if pids:
        hint = f"let process {pids[0]} end (`kill {pids[0]}` ends it); then run `make repro`, which removes the file"
    else:
        hint = f"run `make repro`, which removes it, or `rm {dvc_locks.RWLOCK}`; nothing is lost"
    text = (
        f"{dvc_locks.RWLOCK} {damage}, so every `dvc` command fails or waits; a DVC was killed while it wrote the file"
    )
    yield Diagnosis("dvc locks", "bad", text, hint)


def _settings(root: Path) -> Iterator[Diagnosis]:
    try:
        content = read_yaml(root / "params.yaml")
    except AiprodError as error:
        yield Diagnosis("params.yaml", "bad", error.what, error.hint)
        return
    if isinstance(content, dict):
        yield Diagnosis("params.yaml", "ok", f"{counted(len(content), 'entry', 'entries')}")
    else:
        yield Diagnosis("params.yaml", "bad", "is not a mapping", "restore it with `git checkout params.yaml`")


def _sources(root: Path) -> Iterator[Diagnosis]:
    from aiprod.data.sources.registry import load_sources

    try:
        declared = load_sources(root / "datasets" / "sources.yaml").sources
    except AiprodError as error:
        yield Diagnosis("sources", "bad", error.what, error.hint)
        return
    yield Diagnosis("sources", "ok", f"{len(declared)} declared")
    for name in _ingest(root).get("sources") or []:
        if name not in declared:
            yield Diagnosis(
                f"source {name}",
                "bad",
                f"ingest.sources names {name!r}, which is not declared",
                "declare it in datasets/sources.yaml or remove it from params.yaml",
            )
    for name, place in _places(root):
        yield _place(name, place)


def _places(root: Path) -> list[tuple[str, str | None]]:
    """The sources that are to be taken in and lie in a folder, each with that folder."""
    from aiprod.data.sources.registry import ADAPTERS, load_sources

    declared, ingest = load_sources(root / "datasets" / "sources.yaml").sources, _ingest(root)
    folders, places = ingest.get("folders") or {}, []
    for name in ingest.get("sources") or []:
        kind = ADAPTERS.get(declared[name].adapter) if name in declared else None
        if name in declared and (name in folders or (kind is not None and kind.placed)):
            places.append((name, folders.get(name) or declared[name].path))
    return places


def _ingest(root: Path) -> dict[str, Any]:
    try:
        return (read_yaml(root / "params.yaml") or {}).get("ingest") or {}
    except (AiprodError, AttributeError):  # the check of the settings says so
        return {}


def _place(name: str, stated: str | None) -> Diagnosis:
    if not stated:
        return Diagnosis(
            f"source {name}", "bad", "no folder is set for it", f"set ingest.folders.{name} in params.yaml"
        )
    if "://" in stated:
        return Diagnosis(f"source {name}", "note", f"{stated}, which only scan asks")
    place = main_repository() / stated
    if not place.is_dir():
        return Diagnosis(f"source {name}", "bad", f"its folder {stated} does not exist", "make it, or correct the path")
    files = [p for p in place.rglob("*") if p.is_file() and not p.name.startswith(".")]
    return Diagnosis(f"source {name}", "ok" if files else "note", f"{counted(len(files), 'file')} in {stated}")


def _disk(root: Path) -> Iterator[Diagnosis]:
    free = shutil.disk_usage(root).free
    level: State = "bad" if free < _FREE_BAD else "warn" if free < _FREE_WARN else "ok"
    hint = "" if level == "ok" else "free some space; `dvc gc -w` helps"
    yield Diagnosis("disk", level, f"{free / 1e9:.0f} GB free", hint)


def _state_folder(_root: Path) -> Iterator[Diagnosis]:
    place = state().root
    parent = next(p for p in (place, *place.parents) if p.exists())
    if os.access(parent, os.W_OK):
        yield Diagnosis("state folder", "ok", "set by AIPROD_HOME" if os.environ.get("AIPROD_HOME") else ".aiprod")
    else:
        yield Diagnosis("state folder", "bad", f"{place} cannot be written", "fix its permissions or set AIPROD_HOME")


def _erasures(_root: Path) -> Iterator[Diagnosis]:
    from aiprod.governance.audit.unfinished_erasures import RESUME, problems

    for line in problems():
        yield Diagnosis("erasure", "warn", line.removesuffix(f": {RESUME}"), RESUME)


def _lost(root: Path) -> Iterator[Diagnosis]:
    from aiprod.governance.lost_state import losses

    for name, text, hint in losses(root):
        yield Diagnosis(name, "warn", text, hint)


def _packages(_root: Path) -> Iterator[Diagnosis]:
    versions: dict[str, str] = {}
    for name in _PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            yield Diagnosis(name, "bad", "is not installed", "run `make setup`")
    yield Diagnosis("packages", "ok", ", ".join(f"{n} {v}" for n, v in versions.items()))
    torch, audio = versions.get("torch", ""), versions.get("torchaudio", "")
    if (
        torch.split("+")[0].split(".")[:2] != audio.split("+")[0].split(".")[:2]
        or torch.partition("+")[2] != audio.partition("+")[2]
    ):
        yield Diagnosis("torchaudio", "bad", f"torchaudio {audio} does not fit torch {torch}", "run `make setup` again")


def _devices(_root: Path) -> Iterator[Diagnosis]:
    import psutil

    memory = psutil.virtual_memory()
    yield Diagnosis("processor", "ok", f"{os.cpu_count()} cores, {memory.total / 1e9:.0f} GB memory")
    if memory.available < 4e9:
        yield Diagnosis("memory", "warn", f"only {memory.available / 1e9:.1f} GB are free", "close something")
    from aiprod.executors.confinement import offered

    held = "; ".join(offered())
    yield Diagnosis(
        "film decoding",
        "ok" if held else "note",
        f"workers are held by the kernel to: {held}" if held else "this system cannot confine workers",
        "" if held else "take in strangers' films in a container without a network",
    )
    try:
        import pynvml

        pynvml.nvmlInit()
        for index in range(pynvml.nvmlDeviceGetCount()):
            handle = pynvml.nvmlDeviceGetHandleByIndex(index)
            name, size = pynvml.nvmlDeviceGetName(handle), pynvml.nvmlDeviceGetMemoryInfo(handle).total
            yield Diagnosis(f"gpu {index}", "ok", f"{name}, {size / 1e9:.0f} GB")
        pynvml.nvmlShutdown()
    except Exception:
        yield Diagnosis("gpu", "note", "none that NVIDIA's driver shows; everything runs on the processor")


def _codecs(_root: Path) -> Iterator[Diagnosis]:
    from aiprod.media.container import has_codec, library

    for name, mode, why in _CODECS:
        if not has_codec(name, mode):
            yield Diagnosis(f"codec {name}", "bad", f"is missing; {why}", "install PyAV from its wheel: `make setup`")
            return
    yield Diagnosis("codecs", "ok", f"{library()}: libx264, aac; h264, hevc")


def _remotes(root: Path) -> Iterator[Diagnosis]:
    config = dvc_config(root)
    default = config.get("core", {}).get("remote")
    remotes = {section[7:].strip("'"): values for section, values in config.items() if section.startswith("remote ")}
    if not remotes:
        yield Diagnosis(
            "remote", "note", "none; data stays on this machine", "`dvc remote add -d storage s3://bucket/prefix`"
        )
    for remote, settings in remotes.items():
        yield _remote(f"remote {remote}", settings, is_default=remote == default)


def _remote(name: str, settings: dict[str, str], *, is_default: bool) -> Diagnosis:
    url = settings.get("url", "")
    shown = f"{url}{' (default)' if is_default else ''}"
    if url.startswith("s3://"):
        has_credentials = any(k in settings for k in ("access_key_id", "profile", "credentialpath"))
        has_credentials = has_credentials or bool(os.environ.get("AWS_ACCESS_KEY_ID") or os.environ.get("AWS_PROFILE"))
        has_credentials = has_credentials or (Path.home() / ".aws" / "credentials").is_file()
        endpoint = settings.get("endpointurl", "")
        if endpoint and not _answers(endpoint):
            return Diagnosis(name, "bad", f"{endpoint} does not answer", "start the server or correct endpointurl")
        if not has_credentials:
            return Diagnosis(
                name,
                "warn",
                f"{shown}: no credentials found",
                "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment",
            )
    elif "://" not in url and not Path(url).expanduser().is_dir():
        return Diagnosis(name, "note", f"{shown}: the folder does not exist yet")
    return Diagnosis(name, "ok", shown)


def _tracking(_root: Path) -> Iterator[Diagnosis]:
    uri = os.environ.get("MLFLOW_TRACKING_URI", "")
    if not uri:
        there = state().mlflow_database.is_file()
        yield Diagnosis("tracking", "ok", "SQLite in the state folder" if there else "SQLite, made at the first run")
    elif uri.startswith("http") and not _answers(uri):
        yield Diagnosis("tracking", "bad", f"{uri} does not answer", "start it, or unset MLFLOW_TRACKING_URI")
    else:
        yield Diagnosis("tracking", "ok", uri)


def _keys(_root: Path) -> Iterator[Diagnosis]:
    # A lock holds no secret: it is empty, or names a process.
    kept = [path for path in sorted(state().keys.glob("*")) if path.suffix != ".lock" and path.name != ".lock"]
    for path in kept:
        # A folder in here may have any mode: the one that holds it is closed.
        if path.is_file() and stat.S_IMODE(path.stat().st_mode) & 0o077:
            yield Diagnosis("keys", "bad", f"{path.name} can be read by others", f"run `chmod 600 {path}`")
            return
    count = len(kept)
    films = sum(1 for _ in state().keys.glob("data/*/f*.key"))
    text = (
        f"films with a key: {films}; the key store has {counted(count, 'entry', 'entries')}"
        if count
        else "none yet; made when needed"
    )
    yield Diagnosis("keys", "ok" if count else "note", text)


def _answers(address: str) -> bool:
    """Whether something listens there (2 s)."""
    try:
        parsed = urlparse(address)
        port = parsed.port or (443 if parsed.scheme == "https" else 80)
        with socket.create_connection((parsed.hostname or "", port), timeout=2):
            return True
    except (OSError, ValueError):  # it does not answer, or is no address
        return False
