"""Keeps the code dependencies in dvc.yaml equal to what each stage imports, directly or not.

``python -m pipeline.closure --check`` says what is missing or too much; ``--write`` mends dvc.yaml.
An import inside a function counts; an import under ``if TYPE_CHECKING`` does not, because it never runs. A template
counts with the module of its name beside it, and with its package where there is none.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import grimp
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedSeq

ROOT = Path(__file__).resolve().parents[1]
CONSTRAINTS = "constraints.txt"
_DATA_SUFFIXES = {".j2", ".css", ".js", ".html"}


def is_code(dependency: str) -> bool:
    """Whether a dependency in dvc.yaml is one that this module manages."""
    return dependency == CONSTRAINTS or dependency.startswith(("src/", "pipeline/"))


class Closure:
    """The import graph of the repository."""

    def __init__(self) -> None:
        self._graph = grimp.build_graph("aiprod", "pipeline", exclude_type_checking_imports=True, cache_dir=None)

    def modules(self, module: str) -> set[str]:
        """``module``, all it imports, and the packages whose ``__init__`` runs on the way."""
        found: set[str] = set()
        todo = [module]
        while todo:
            name = todo.pop()
            if name in found or name not in self._graph.modules:
                continue
            found.add(name)
            todo += self._graph.find_modules_directly_imported_by(name)
            if "." in name:
                todo.append(name.rpartition(".")[0])
        return found

    def files(self, stage: str) -> list[str]:
        """Sorted repository paths that a stage's result depends on as code."""
        files = {CONSTRAINTS}
        used = self.modules(f"pipeline.{stage}")
        for name in used:
            base = ROOT / ("src" if name.split(".")[0] == "aiprod" else ".") / Path(*name.split("."))
            if base.is_dir():
                files.add((base / "__init__.py").relative_to(ROOT).as_posix())
                for path in _data_files(base):
                    owner = f"{name}.{path.name.split('.')[0]}"  # report.html.j2 is report.py's, where there is one
                    if owner in used or owner not in self._graph.modules:
                        files.add(path.relative_to(ROOT).as_posix())
            else:
                files.add(base.with_suffix(".py").relative_to(ROOT).as_posix())
        return sorted(files)


def _data_files(package: Path) -> list[Path]:
    """Templates and styles that lie in a package or in folders of it that are not packages."""
    folders = [package, *(f for f in package.iterdir() if f.is_dir() and not (f / "__init__.py").exists())]
    return [p for folder in folders for p in folder.iterdir() if p.suffix in _DATA_SUFFIXES]


def differences(stages: dict, closure: Closure) -> dict[str, tuple[list[str], list[str]]]:
    """For each stage that differs: code it uses but does not list, code it lists but does not use."""
    found = {}
    for name, stage in stages.items():
        wanted, listed = set(closure.files(name)), {d for d in stage.get("deps", []) if is_code(d)}
        if wanted != listed:
            found[name] = (sorted(wanted - listed), sorted(listed - wanted))
    return found


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    mode = parser.add_mutually_exclusive_group(required=True)
    mode.add_argument("--check", action="store_true", help="exit with 1 where dvc.yaml differs")
    mode.add_argument("--write", action="store_true", help="mend dvc.yaml")
    arguments = parser.parse_args()
    yaml = YAML()
    yaml.width, yaml.preserve_quotes = 120, True
    yaml.indent(mapping=2, sequence=4, offset=2)
    path = ROOT / "dvc.yaml"
    content = yaml.load(path)
    closure = Closure()
    found = differences(content["stages"], closure)
    for name, (missing, surplus) in found.items():
        print(f"{name}: missing {missing or 'nothing'}, too much {surplus or 'nothing'}")
        stage = content["stages"][name]
        data = [d for d in stage.get("deps", []) if not is_code(d)]
        stage["deps"] = CommentedSeq([*data, *closure.files(name)])
    if arguments.write and found:
        yaml.dump(content, path)
    if arguments.check:
        print("dvc.yaml lists what each stage imports" if not found else "run `make deps`")
        sys.exit(bool(found))


if __name__ == "__main__":
    main()
