"""Where DVC keeps things: its configuration and its cache."""

from __future__ import annotations

import configparser
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from aiprod.base.state import main_repository
from aiprod.base.yaml_file import read_yaml
from aiprod.errors import AiprodError

OBJECTS = Path("files/md5")
"""Below a cache or a remote: the objects by their MD5."""


def dvc_config(repository: Path) -> dict[str, dict[str, str]]:
    """Section → option → value, as DVC puts them together: the machine's, the user's, the repository's, and the local
    configuration, which git does not keep; of two the later one counts.

    Raises:
        AiprodError: one of them cannot be read.
    """
    config: dict[str, dict[str, str]] = {}
    for path in _configurations(repository):
        parser = configparser.ConfigParser(interpolation=None, strict=False)
        try:
            parser.read(path, encoding="utf-8")
        except (configparser.Error, UnicodeDecodeError, OSError) as error:
            problem = str(error).splitlines()[0]
            raise AiprodError(f"DVC's configuration {path} cannot be read ({problem})", "correct it by hand") from None
        for section in parser.sections():
            options = dict(parser.items(section))
            if section == "cache" and "dir" in options:  # is meant from where it is written
                options["dir"] = str((path.parent / Path(options["dir"]).expanduser()).resolve())
            config.setdefault(section.strip("'\"").replace('"', ""), {}).update(options)
    return config


def _configurations(repository: Path) -> list[Path]:
    """Files of DVC's configuration, whether they are there or not; the one that counts most comes last."""
    from platformdirs import site_config_dir, user_config_dir

    system = os.environ.get("DVC_SYSTEM_CONFIG_DIR") or site_config_dir("dvc", "iterative")
    user = os.environ.get("DVC_GLOBAL_CONFIG_DIR") or user_config_dir("dvc", "iterative")
    own = repository / ".dvc"
    return [Path(system) / "config", Path(user) / "config", own / "config", own / "config.local"]


def main_repository_of(root: Path) -> Path:
    """The repository whose cache a workspace uses (a temporary experiment lies inside its repository)."""
    parts = root.resolve().parts
    if ".dvc" in parts:
        return Path(*parts[: parts.index(".dvc")])
    try:
        return main_repository()
    except AiprodError:
        return root


def cache_root(repository: Path) -> Path:
    """DVC's local cache (objects and run cache): ``cache.dir`` of its configuration, or the default place."""
    place = dvc_config(repository).get("cache", {}).get("dir")
    return Path(place) if place is not None else repository / ".dvc" / "cache"


def cache_folder(repository: Path) -> Path:
    """The objects in DVC's local cache."""
    return cache_root(repository) / OBJECTS


def object_path(objects: Path, md5: str) -> Path:
    """Where the object of a digest is among ``objects``; of a folder (``….dir``), the list of its files."""
    return objects / md5[:2] / md5[2:]


@contextmanager
def remotes(repository: Path) -> Iterator[dict[str, Callable[[], tuple[Any, str]]]]:
    """For each remote, a function that connects to it: its file system, and where its objects are on it.

    Connecting raises whatever a server or its library raises.

    Raises:
        AiprodError: DVC does not open the repository.
    """
    if not (repository / ".dvc").is_dir():
        yield {}
        return
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        opened = Repo(str(repository))
    except DvcException as error:
        problem = str(error).splitlines()[0]
        raise AiprodError(f"DVC does not open this repository ({problem})", "see `dvc doctor`") from None
    with opened as repo:
        yield {name: partial(_connect, repo, name) for name in repo.config.get("remote", {})}


def _connect(repo: Any, name: str) -> tuple[Any, str]:
    objects = repo.cloud.get_remote_odb(name)
    return objects.fs.fs, str(objects.path)


def uncached_outputs(root: Path) -> set[str]:
    """Outputs that the dvc.yaml at ``root`` keeps out of the cache, so that no remote ever holds them."""
    path = root / "dvc.yaml"
    graph = read_yaml(path) if path.is_file() else {}
    stages = graph.get("stages", {}) if isinstance(graph, dict) else {}
    entries = [out for s in stages.values() for kind in ("outs", "metrics", "plots") for out in s.get(kind, [])]
    return {name for out in entries if isinstance(out, dict) for name, how in out.items() if how.get("cache") is False}
