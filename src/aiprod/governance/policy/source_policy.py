"""Decisions about a source: whether the policy approves it, and which contract is registered for it.

A decision changes ``datasets/sources.yaml`` in place and is a leaf of the log. It gives no right by itself: policy
approval is one layer of several, and the effective right is their minimum.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError
from ruamel.yaml import YAML

from aiprod.base.files import write_text
from aiprod.base.params import validate
from aiprod.base.structured import parse_yaml
from aiprod.base.yaml_file import read_yaml
from aiprod.errors import AiprodError
from aiprod.governance.audit.log import AuditLog, Event
from aiprod.governance.policy.roles import require
from aiprod.rights.declarations import PER_FILE, SourceDeclaration, SourcesFile, load_sources
from aiprod.rights.effective_right import RightsDecision, effective_right
from aiprod.rights.licences import Contract

SOURCES = Path("datasets/sources.yaml")
Policy = Literal["approved", "prohibited", "not_listed"]


@dataclass(frozen=True)
class PolicyDecision:
    """What was decided, and what follows from it.

    Attributes:
        right: of the source after the decision, by all its layers.
    """

    source_id: str
    before: SourceDeclaration
    after: SourceDeclaration
    right: RightsDecision

    @property
    def against(self) -> list[str]:
        """What denies, whatever a film of the source states."""
        own = {name for name in ("media_license", "annotation_license") if getattr(self.after, name) == PER_FILE}
        return [line for line in self.right.reasons if line.split(" ", 1)[0] not in own]


def decide(
    root: Path, source_id: str, policy: Policy, reason: str, named: str | None, *, log: AuditLog | None = None
) -> PolicyDecision:
    """Say what the policy holds of a source.

    Raises:
        Refusal: who asks may not.
        AiprodError: there is no such source, no reason is given, or the policy says so already.
    """
    return _change(root, source_id, lambda: {"policy_approval": policy}, reason=reason, named=named, log=log)


def register(
    root: Path, source_id: str, contract: Path, reason: str, named: str | None, *, log: AuditLog | None = None
) -> PolicyDecision:
    """Register a licence contract for a source, in place of the one that stood there.

    Args:
        contract: YAML with the fields of :class:`aiprod.rights.licences.Contract`.

    Raises:
        Refusal: who asks may not.
        AiprodError: there is no such source, no reason is given, or the file is no contract.
    """
    return _change(root, source_id, lambda: {"contract": _contract(contract)}, reason=reason, named=named, log=log)


def _contract(path: Path) -> dict[str, Any]:
    try:
        contract = Contract.model_validate(read_yaml(path))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise AiprodError(f"{path}: {where}: {first['msg']}", "docs/DATA_GOVERNANCE.md, section 2.4") from None
    return contract.model_dump(exclude_defaults=True)


def _change(
    root: Path,
    source_id: str,
    change: Callable[[], dict[str, Any]],
    *,
    reason: str,
    named: str | None,
    log: AuditLog | None,
) -> PolicyDecision:
    log = log or AuditLog()
    subject = f"source/{source_id}"
    before = load_sources(root / SOURCES).get(source_id)
    actor = require(named, "approve_source", subject=subject, root=root, log=log)
    if not reason.strip():
        raise AiprodError("a decision about a source needs a reason", "give it with --reason")
    text = _changed(root / SOURCES, source_id, change())
    after = validate(SourcesFile, parse_yaml(text, str(SOURCES)), str(SOURCES)).get(source_id)
    if after == before:
        raise AiprodError(f"{SOURCES} says this of {source_id} already", "nothing is to be done")
    right = effective_right(after)
    policy = {"policy": after.policy_approval, "was": before.policy_approval}
    facts = {**policy, "right": right.right.word, "role": actor.role}
    committed = {"actor": actor.name, "reason": reason, "declaration": after.model_dump(mode="json")}
    log.append([Event("source", subject, facts, committed)])  # leaf first: no change without one
    write_text(root / SOURCES, text)
    return PolicyDecision(source_id, before, after, right)


def _changed(path: Path, source_id: str, change: dict[str, Any]) -> str:
    """The file with some keys of one source changed; comments, order and quotes stay."""
    yaml, text = YAML(), io.StringIO()
    yaml.preserve_quotes = True
    yaml.width = 4096
    content = yaml.load(path.read_text(encoding="utf-8"))
    content["sources"][source_id].update(change)
    yaml.dump(content, text)
    return text.getvalue()
