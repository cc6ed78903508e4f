"""No module of ours imports itself by way of others: each can be read, tested and taken out on its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Set
from pathlib import Path

import grimp

ROOT = Path(__file__).resolve().parents[1]


def circles(imports: Mapping[str, Set[str]]) -> list[list[str]]:
    """The strongly connected components of more than one module, by Tarjan's way without recursion."""
    order: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found = []
    for start in sorted(imports):
        if start in order:
            continue
        order[start] = low[start] = len(order)
        stack.append(start)
        path = [(start, iter(sorted(imports[start])))]
        while path:
            module, rest = path[-1]
            if (target := next(rest, None)) is None:
                path.pop()
                if path:
                    low[path[-1][0]] = min(low[path[-1][0]], low[module])
                if low[module] == order[module]:
                    place = stack.index(module)
                    if len(stack) - place > 1:
                        found.append(sorted(stack[place:]))
                    del stack[place:]
            elif target not in order:
                order[target] = low[target] = len(order)
                stack.append(target)
                path.append((target, iter(sorted(imports.get(target, set())))))
            elif target in stack:
                low[module] = min(low[module], order[target])
    return found


def test_circles_are_found() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a"}}) == [["b", "c"]]
    assert circles({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []
    assert circles({"a": {"b"}, "b": {"c", "d"}, "c": {"a"}, "d": {"e"}, "e": {"d"}}) == [["d", "e"], ["a", "b", "c"]]


def test_no_module_imports_itself_by_way_of_others() -> None:
    graph = grimp.build_graph("aiprod", "pipeline", exclude_type_checking_imports=True, cache_dir=None)
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    assert len(imports) > 300 and circles(imports) == []


def test_the_log_signs_its_head_whoever_opens_it(tmp_path: Path) -> None:
    """Without a circle nothing registers itself: the log alone, imported first, still signs."""
    code = (
        "from aiprod.governance.audit.log import AuditLog, Event\n"
        "from aiprod.base.state import state\n"
        "AuditLog().append([Event('source', 's')])\n"
        "assert [p.name for p in state().keys.glob('*.head')] == ['audit.head']"
    )
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PATH": "", "AIPROD_HOME": str(tmp_path / "state")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_git_is_run_in_one_module() -> None:
    """Every caller then gets the same answer where there is no git, no repository or no commit."""
    words = ("[" + '"git"', "[" + "'git'")
    found = [path for path in (ROOT / "src").rglob("*.py") if any(word in path.read_text() for word in words)]
    assert [path.name for path in found] == ["git.py"]
