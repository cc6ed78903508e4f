"""Decisions about a source: who may take them, what they change, and that they give no right by themselves."""

from __future__ import annotations

import difflib
from pathlib import Path

import pytest

from aiprod.base.denials import Refusal
from aiprod.errors import AiprodError
from aiprod.governance.audit.log import AuditLog
from aiprod.governance.policy.source_policy import SOURCES, decide, register
from aiprod.rights.declarations import load_sources

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def office(finished: Path) -> Path:
    (finished / "datasets/roles.yaml").write_text((REPOSITORY / "datasets/roles.yaml").read_text())
    return finished


def changed_lines(root: Path) -> list[str]:
    old, new = ((r / SOURCES).read_text().splitlines() for r in (REPOSITORY, root))
    return [line for line in difflib.unified_diff(old, new, n=0, lineterm="") if line[:3] not in ("---", "+++", "@@ ")]


def leaves() -> list[tuple[str, str]]:
    return [(e.value["kind"], e.value["subject"]) for e in AuditLog().entries()]


def test_prohibiting_changes_one_line_denies_and_is_logged(office: Path) -> None:
    made = decide(office, "demo", "prohibited", "a notice came in", "operator")
    assert not made.right.permits_training and made.against[0].startswith("policy_approval")
    assert changed_lines(office) == ["-    policy_approval: approved", "+    policy_approval: prohibited"]
    assert leaves() == [("source", "source/demo")]
    entry = next(AuditLog().entries())
    assert entry.value["facts"] == {"policy": "prohibited", "was": "approved", "right": "deny", "role": "data_steward"}
    assert AuditLog().opens(entry, "reason", "a notice came in") and b"operator" not in entry.data
    assert decide(office, "demo", "approved", "it was unfounded", "operator").right.permits_training
    assert changed_lines(office) == []


def test_approval_is_never_sufficient(office: Path) -> None:
    decide(office, "webvid", "prohibited", "x", "operator")
    made = decide(office, "webvid", "approved", "it is cheap", "operator")
    assert not made.right.permits_training and len(made.against) >= 3
    film_by_film = decide(office, "open-film", "not_listed", "x", "operator")
    assert [line.split(" ")[0] for line in film_by_film.against] == ["policy_approval"]


def test_a_contract_is_registered_and_its_terms_hold(office: Path) -> None:
    paper = office / "contract.yaml"
    paper.write_text("id: C-1\nlicense_symbol: LicenseRef-x\nexpires: 2031-05-04\npermits_training: true\n")
    register(office, "getty-images", paper, "signed", "operator")
    contract = load_sources(office / SOURCES).get("getty-images").contract
    assert contract is not None and (contract.id, str(contract.expires)) == ("C-1", "2031-05-04")
    assert all(line.startswith("+") for line in changed_lines(office)), "nothing else changed"
    paper.write_text("id: C-1\nlicense_symbol: x\n")
    with pytest.raises(AiprodError, match="license_symbol"):
        register(office, "getty-images", paper, "signed", "operator")


def test_without_role_reason_or_change_nothing_is_written(office: Path) -> None:
    with pytest.raises(Refusal, match="data_steward or legal"):
        decide(office, "demo", "prohibited", "x", "stranger")
    assert leaves() == [("refused-action", "source/demo")]
    for source, policy, reason, says in (
        ("demo", "prohibited", " ", "needs a reason"),
        ("demo", "approved", "x", "already"),
        ("dem", "approved", "x", "did you mean 'demo'"),
    ):
        with pytest.raises(AiprodError, match=says):
            decide(office, source, policy, reason, "operator")  # type: ignore[arg-type]
    assert changed_lines(office) == [] and len(leaves()) == 1
