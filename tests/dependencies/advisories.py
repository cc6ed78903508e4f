"""Hold what is installed against known vulnerabilities, offline: ``python -m tests.dependencies.advisories FOLDER``.

FOLDER is a checkout of PyPA's advisory database (https://github.com/pypa/advisory-database, CC-BY-4.0), or any folder
of OSV records (https://ossf.github.io/osv-schema) in YAML or JSON. This cannot find what it does not know: see its age.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError


@dataclass(frozen=True)
class Match:
    """An advisory that names an installed version."""

    package: str
    version: str
    advisory: str
    fixed: tuple[str, ...]


def matches(installed: Mapping[str, str], folder: Path) -> tuple[int, list[Match]]:
    """How many records were read, and what they say of the installed packages (canonical name → version).

    Raises:
        ValueError: a record cannot be read.
    """
    read, found = 0, []
    for path in sorted(
        p for p in folder.rglob("*") if p.suffix in (".yaml", ".yml", ".json") and ".git" not in p.parts
    ):
        if not _may_concern(path, installed):
            read += 1
            continue
        try:
            record = YAML(typ="safe").load(path)
        except YAMLError as error:
            raise ValueError(f"{path} cannot be read: {error}") from error
        if isinstance(record, dict) and "id" in record:
            read += 1
            found += list(_in_record(record, installed))
    return read, found


def _may_concern(path: Path, installed: Mapping[str, str]) -> bool:
    """Whether a record may name an installed package: in PyPA's own layout the folder says so without parsing."""
    if path.parent.parent.name == "vulns":
        return canonicalize_name(path.parent.name) in installed
    return True


def _in_record(record: dict[str, Any], installed: Mapping[str, str]) -> Iterator[Match]:
    if record.get("withdrawn"):
        return
    for affected in record.get("affected") or ():
        package = affected.get("package") or {}
        name = canonicalize_name(str(package.get("name", "")))
        if package.get("ecosystem", "PyPI") != "PyPI" or name not in installed:
            continue
        ranges = [r for r in affected.get("ranges") or () if r.get("type") == "ECOSYSTEM"]
        if installed[name] in (affected.get("versions") or ()) or any(_within(r, installed[name]) for r in ranges):
            fixed = tuple(str(e["fixed"]) for r in ranges for e in r.get("events") or () if "fixed" in e)
            yield Match(name, installed[name], str(record["id"]), fixed)


def _within(stated: dict[str, Any], version: str) -> bool:
    """Whether a range holds a version: the last event, in the order of versions, that it has reached decides."""
    try:
        mine, within = Version(version), False
        for event in sorted(stated.get("events") or (), key=lambda e: _of(next(iter(e.values())))):
            [(kind, at)] = event.items()
            if kind == "introduced" and mine >= _of(at):
                within = True
            elif (kind == "fixed" and mine >= _of(at)) or (kind == "last_affected" and mine > _of(at)):
                within = False
    except InvalidVersion:
        return True  # it cannot be told, so somebody has to look
    return within


def _of(text: Any) -> Version:
    return Version("0.dev0" if str(text) == "0" else str(text))


def main() -> int:
    """Exit code 1 where an advisory names an installed version, 2 where the folder holds none."""
    parser = argparse.ArgumentParser(prog="python -m tests.dependencies.advisories", description=__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    installed = {str(canonicalize_name(d.metadata["Name"])): d.version for d in distributions() if d.metadata["Name"]}
    read, found = matches(installed, folder)
    if not read:
        print(f"error: there are no advisories in {folder} → clone the database there", file=sys.stderr)
        return 2
    for match in found:
        fixed = f", fixed in {', '.join(match.fixed)}" if match.fixed else ""
        print(f"{match.package} {match.version}: {match.advisory}{fixed}")
    print(
        f"{len(installed)} packages, {read} advisories, {len(found)} of them concern what is installed", file=sys.stderr
    )
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
