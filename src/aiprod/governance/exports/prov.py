"""Lineage as W3C PROV (https://www.w3.org/TR/prov-dm/) through the ``prov`` package.

Films, clips, models and samples are entities; stages are activities that used and generated what dvc.lock records;
sources are agents that films are attributed to. Nothing here is a time: dvc.lock holds none.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prov.model import ProvDocument

from aiprod.base.files import write_text
from aiprod.errors import AiprodError
from aiprod.governance.lineage.lineage import Lineage
from aiprod.governance.lineage.node import Node
from aiprod.repo.dvc_lock import Lock

NAMESPACE = "urn:aiprod:"
_FORMATS = {".json": "json", ".provn": "provn"}


def prov_document(lineage: Lineage, lock: Lock | None = None) -> ProvDocument:
    """The answer to one question of lineage.

    Args:
        lock: adds the stages on the way as activities, with what each used and generated.
    """
    document = ProvDocument()
    document.add_namespace("aiprod", NAMESPACE)
    added: set[str] = set()
    subject = _add(document, lineage.subject, added)
    for node in lineage.used_by:
        _used(document, subject, node, added)
    if lock is not None:
        for stage in lineage.stages:
            _stage(document, stage, lock.stages[stage], added)
        maker = lock.stage_of(lineage.subject.name) or lock.stage_of(f"models/{lineage.subject.name}")
        if maker in lineage.stages:
            document.wasGeneratedBy(subject, _id("stage", str(maker)))
    return document


def write_prov(document: ProvDocument, path: Path) -> None:
    """Write PROV-JSON or PROV-N, by the suffix of ``path``.

    Raises:
        AiprodError: another suffix.
    """
    form = _FORMATS.get(path.suffix)
    if form is None:
        raise AiprodError(f"{path.name} has no PROV format", "end it with .json (PROV-JSON) or .provn (PROV-N)")
    text = document.serialize(format=form)
    write_text(path, f"{text}\n")


def _id(kind: str, name: str) -> str:
    """A qualified name: PROV allows few characters in a local part."""
    return f"aiprod:{kind}/{name}"


def _add(document: ProvDocument, node: Node, added: set[str]) -> str:
    """The node and everything it came from; returns its identifier."""
    name = _id(node.kind, node.name)
    if name in added:
        return name
    added.add(name)
    if node.kind == "source":
        document.agent(name, _attributes(node))
        return name
    document.entity(name, _attributes(node))
    for child in node.children:
        other = _add(document, child, added)
        if child.kind == "source":
            document.wasAttributedTo(name, other)
        else:
            document.wasDerivedFrom(name, other)
    return name


def _used(document: ProvDocument, origin: str, node: Node, added: set[str]) -> None:
    """What was made from it, downwards."""
    name = _id(node.kind, node.name)
    if name not in added:
        added.add(name)
        document.entity(name, _attributes(node))
    document.wasDerivedFrom(name, origin)
    for child in node.children:
        _used(document, name, child, added)


def _stage(document: ProvDocument, stage: str, entry: dict[str, Any], added: set[str]) -> None:
    activity = _id("stage", stage)
    document.activity(activity, other_attributes={"prov:label": stage, "aiprod:command": str(entry.get("cmd", ""))})
    for role, items in (("used", entry.get("deps", [])), ("generated", entry.get("outs", []))):
        for item in items:
            name = _id("output", item["path"])
            if name not in added:
                added.add(name)
                document.entity(name, {"prov:label": item["path"], "aiprod:md5": str(item.get("md5", ""))})
            if role == "used":
                document.used(activity, name)
            else:
                document.wasGeneratedBy(name, activity)


def _attributes(node: Node) -> dict[str, Any]:
    """Facts as PROV attributes; lists become several values, mappings are left to the JSON of ``aiprod lineage``."""
    pairs: dict[str, Any] = {"prov:type": f"{NAMESPACE}{node.kind}", "prov:label": node.name}
    for key, value in node.facts.items():
        if isinstance(value, str | int | float | bool):
            pairs[f"aiprod:{key}"] = value
        elif isinstance(value, list):
            pairs[f"aiprod:{key}"] = "\n".join(str(item) for item in value)
    return pairs
