"""Roles: who may decide what, said in one line and logged when refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from aiprod.base.denials import Refusal, last_line, log_refusals
from aiprod.base.yaml_file import read_yaml
from aiprod.errors import AiprodError
from aiprod.governance.audit.log import AuditLog
from aiprod.governance.policy.roles import ACTIONS, ROLES, load_roles, require, who

REPOSITORY = Path(__file__).resolve().parents[2]
PEOPLE = {"Ada": ["reviewer"], "Grace Hopper": ["ml_engineer", "privacy_officer"], "Nobody": []}


@pytest.fixture
def staffed(finished: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    declared = read_yaml(REPOSITORY / ROLES)
    (finished / ROLES).write_text(json.dumps({**declared, "people": PEOPLE}))
    monkeypatch.delenv("AIPROD_ACTOR", raising=False)
    return finished


def refusals() -> list[dict[str, object]]:
    return [e.value for e in AuditLog().entries() if e.value["kind"] == "refused-action"]


def test_the_shipped_file_gives_every_action_to_a_role_and_training_to_none() -> None:
    declared = load_roles(REPOSITORY)
    assert all(declared.roles_that_may(action) for action in ACTIONS)
    assert declared.roles["ml_engineer"] == [], "who trains does not decide what may be trained on"
    assert "review" not in declared.roles["legal"] and "release" not in declared.roles["reviewer"]


def test_a_role_that_may_is_let_through_and_nothing_is_logged(staffed: Path) -> None:
    assert (require("Ada", "review").name, require(" grace  hopper", "erase").role) == ("Ada", "privacy_officer")
    assert refusals() == []


def test_a_name_that_is_no_utf_8_is_refused_and_logged_like_any_other(staffed: Path) -> None:
    with pytest.raises(Refusal, match="xff") as caught:
        require("x\udcff", "erase")
    assert len(refusals()) == 1 and caught.value.logged


@pytest.mark.parametrize(("name", "action"), [("Ada", "erase"), ("Nobody", "review"), ("Mallory", "release")])
def test_a_refusal_is_one_line_that_says_who_may_and_one_leaf_without_a_name(
    staffed: Path, name: str, action: str
) -> None:
    with pytest.raises(Refusal) as caught:
        require(name, action, subject="c0123456789abcdef-000")  # type: ignore[arg-type]
    line = str(caught.value)
    assert "\n" not in line and name in line and action in line and "→" in line
    [leaf] = refusals()
    assert leaf["subject"] == "c0123456789abcdef-000" and leaf["facts"] == {"action": action, "lack": "role"}
    assert name not in json.dumps(leaf)
    entry = list(AuditLog().entries())[-1]
    assert AuditLog().opens(entry, "actor", name) and not AuditLog().opens(entry, "actor", "somebody else")
    assert last_line(caught.value) == line and len(refusals()) == 1, "the border does not log it again"


def test_who_is_asking(staffed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", "/dev/null")
    subprocess.run(["git", "init", "-q"], cwd=staffed, check=True)
    with pytest.raises(AiprodError, match="the user is not named"):
        who()
    subprocess.run(["git", "config", "user.name", "Ada"], cwd=staffed, check=True)
    assert who() == "Ada"
    monkeypatch.setenv("AIPROD_ACTOR", "Grace Hopper")
    assert who() == "Grace Hopper" and who("Nobody") == "Nobody"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"people": {"Ada": ["reviewr"]}}, "people.Ada"),
        ({"people": {"Ada": [], "ada ": []}}, "differ by more than case"),
        ({"roles": {"reviewer": ["erase everything"]}}, "roles.reviewer"),
        ({"peeple": {}}, "did you mean 'people'"),
    ],
)
def test_a_wrong_file_is_one_line(staffed: Path, change: dict[str, object], says: str) -> None:
    declared = read_yaml(REPOSITORY / ROLES)
    (staffed / ROLES).write_text(json.dumps({**declared, **change}))
    with pytest.raises(AiprodError, match=says):
        require("Ada", "review")
    (staffed / ROLES).unlink()
    with pytest.raises(AiprodError, match="no one may decide"):
        require("Ada", "review")


def test_a_refusal_from_any_room_is_logged_at_the_border(staffed: Path) -> None:
    refusal = Refusal("the clip is locked", "restore its key", lack="key", action="read", subject="c1")
    assert last_line(refusal) == "the clip is locked → restore its key"
    log_refusals([refusal])
    assert [leaf["facts"] for leaf in refusals()] == [{"action": "read", "lack": "key"}]
    again = Refusal("the clip is locked", "restore its key", lack="key", action="read", subject="c1")
    log_refusals([again], once=True)
    assert len(refusals()) == 2, "what was logged as said once more is logged once"
    log_refusals([Refusal("the clip is locked", "restore its key", lack="key", action="read", subject="c1")], once=True)
    assert len(refusals()) == 2


def test_a_stage_logs_what_it_refuses(staffed: Path) -> None:
    stage = "from aiprod.base.denials import Refusal\nfrom pipeline.running import run\n"
    stage += "def main():\n raise Refusal('no', 'ask', lack='right', action='train', subject='f1')\nrun(main)"
    paths = os.pathsep.join([str(REPOSITORY), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": paths}
    done = subprocess.run([sys.executable, "-c", stage], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "error: no → ask\n")
    assert refusals()[-1]["facts"] == {"action": "train", "lack": "right"}
