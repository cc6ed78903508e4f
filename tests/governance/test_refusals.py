"""Every action refused for lack of right, role, consent or key: one line, exit code 2, one leaf in the log."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from aiprod.base.params import read_yaml
from aiprod.governance.audit.log import AuditLog
from aiprod.governance.records import Records
from aiprod.governance.roles import ROLES
from aiprod.qc.reviews import REVIEWS

REPOSITORY = Path(__file__).resolve().parents[2]
PEOPLE = {"Ada": ["reviewer"], "Pia": ["privacy_officer"], "Eve": ["ml_engineer"]}
# Where the code refuses, and what then lacks; the cases and tests named prove each.
PLACES = {
    "src/aiprod/governance/roles.py": {"role"},  # CASES
    "src/aiprod/governance/review/recording.py": {"right", "consent"},  # CASES; test_review.py
    "pipeline/ingest.py": {"right", "consent"},  # test_refused_films.py
}


@pytest.fixture
def office(finished: Path) -> Path:
    (finished / ROLES).write_text(json.dumps({**read_yaml(REPOSITORY / ROLES), "people": PEOPLE}))
    (finished / REVIEWS).parent.mkdir(parents=True)
    (finished / REVIEWS).write_bytes(b"")
    return finished


def shown(root: Path, status: str) -> str:
    facts = Records(root)
    return next(v.clip_id for v in facts.verdicts.values() if v.status == status and v.clip_id in facts.clips)


CASES: list[tuple[str, str, Callable[[Path], list[str]]]] = [
    ("role", "review", lambda root: ["review", "record", shown(root, "APPROVED"), "REJECTED", "--as", "Eve"]),
    ("role", "review", lambda root: ["review", "serve", "--as", "Mallory"]),
    ("role", "draw_sample", lambda root: ["review", "sample", "q", "--announce", "beacon", "--as", "Ada"]),
    ("role", "withdraw_consent", lambda root: ["consent", "withdraw", "2026-014", "--as", "Ada"]),
    (
        "role",
        "accept_privacy",
        lambda root: ["review", "record", shown(root, "REVIEW_NEEDED"), "APPROVED", "--as", "Ada"],
    ),
    ("consent", "review", lambda root: ["review", "record", shown(root, "REVIEW_NEEDED"), "APPROVED", "--as", "Pia"]),
]


@pytest.mark.parametrize(("lack", "action", "words"), CASES)
def test_the_command_ends_with_one_line_and_one_leaf(
    office: Path, lack: str, action: str, words: Callable[[Path], list[str]]
) -> None:
    command = [sys.executable, "-m", "aiprod.cli", *words(office)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=dict(os.environ), timeout=120)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1 and "→" in done.stderr
    leaves = [e.value for e in AuditLog().entries() if e.value["kind"] == "refused-action"]
    assert [leaf["facts"] for leaf in leaves] == [{"action": action, "lack": lack}]
    assert (office / REVIEWS).read_bytes() == b""


def test_no_place_in_the_code_refuses_unseen() -> None:
    """A new place fails here until it is listed with the test that proves it."""
    found: dict[str, set[str]] = {}
    for path in [*(REPOSITORY / "src").rglob("*.py"), *(REPOSITORY / "pipeline").glob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) == "Refusal":
                name = path.relative_to(REPOSITORY).as_posix()
                given = {k.arg: k.value for k in node.keywords}
                assert {"lack", "action"} <= set(given), f"{name}:{node.lineno}"
                lack = given["lack"]
                found.setdefault(name, set()).update([lack.value] if isinstance(lack, ast.Constant) else ["?"])
    found["pipeline/ingest.py"] = {"right", "consent"} if found.get("pipeline/ingest.py") == {"?"} else set()
    assert found == PLACES


def test_the_borders_log_what_passes_them() -> None:
    """`aiprod` and every stage print an error's line by the one function that logs refusals first."""
    for name in ("src/aiprod/cli.py", "src/aiprod/base/stage.py"):
        assert "last_line(error)" in (REPOSITORY / name).read_text(), name
