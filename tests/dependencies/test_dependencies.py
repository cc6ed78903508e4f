"""The bill of materials of what is installed is valid and whole, and known vulnerabilities are found by version."""

from __future__ import annotations

import json
from importlib.metadata import distributions
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

from tests.dependencies.advisories import Match, matches


def test_the_bill_names_every_installed_package_with_its_licence_and_what_needs_it() -> None:
    from tests.dependencies.sbom import bill

    found = list(distributions())
    text = bill(found)
    assert text == bill(reversed(found)), "the same packages give the same bytes"
    document = json.loads(text)
    named = {part["name"]: part for part in document["components"]}
    assert named.keys() | {"aiprod"} == {canonicalize_name(d.metadata["Name"]) for d in found if d.metadata["Name"]}
    assert document["metadata"]["component"]["name"] == "aiprod" and "timestamp" not in document["metadata"]
    assert named["torch"]["purl"].startswith("pkg:pypi/torch@") and named["torch"]["licenses"]
    needs = {entry["ref"].split("@")[0]: entry.get("dependsOn", ()) for entry in document["dependencies"]}
    assert any(ref.startswith("numpy@") for ref in needs["pandas"])


RECORD = """id: PYSEC-2026-1
affected:
- package: {{name: {name}, ecosystem: {ecosystem}}}
  ranges:
  - type: ECOSYSTEM
    events: [{events}]
"""


@pytest.mark.parametrize(
    ("version", "events", "hit"),
    [
        ("1.0", "{introduced: '0'}", True),
        ("1.9", "{introduced: '0'}, {fixed: '2.0'}", True),
        ("2.0", "{introduced: '0'}, {fixed: '2.0'}", False),
        ("2.0rc1", "{introduced: '0'}, {fixed: '2.0'}", True),
        ("10.0", "{introduced: '0'}, {fixed: '9.0'}", False),  # versions, and not text
        ("2.5", "{introduced: '0'}, {fixed: '2.0'}, {introduced: '2.4'}, {fixed: '2.6'}", True),
        ("2.2", "{introduced: '2.4'}, {fixed: '2.6'}, {introduced: '0'}, {fixed: '2.0'}", False),
        ("3.0", "{introduced: '1.0'}, {last_affected: '3.0'}", True),
        ("3.1", "{introduced: '1.0'}, {last_affected: '3.0'}", False),
    ],
)
def test_a_version_is_in_a_range_or_not(tmp_path: Path, version: str, events: str, hit: bool) -> None:
    (tmp_path / "a.yaml").write_text(RECORD.format(name="Some_Package", ecosystem="PyPI", events=events))
    read, found = matches({"some-package": version, "other": version}, tmp_path)
    assert read == 1 and bool(found) is hit
    assert not found or (found[0].package, found[0].version, found[0].advisory) == (
        "some-package",
        version,
        "PYSEC-2026-1",
    )


def test_listed_versions_count_and_what_was_withdrawn_or_is_of_another_ecosystem_does_not(tmp_path: Path) -> None:
    events = "{introduced: '0'}, {fixed: '2'}"
    (tmp_path / "npm.yaml").write_text(RECORD.format(name="a", ecosystem="npm", events=events))
    (tmp_path / "gone.yaml").write_text(
        "withdrawn: 2026-01-01\n" + RECORD.format(name="a", ecosystem="PyPI", events=events)
    )
    assert matches({"a": "1"}, tmp_path) == (2, [])
    (tmp_path / "listed.json").write_text('{"id": "X", "affected": [{"package": {"name": "a"}, "versions": ["1"]}]}')
    assert matches({"a": "1"}, tmp_path) == (3, [Match("a", "1", "X", ())])
    assert matches({"a": "1.1"}, tmp_path) == (3, [])
