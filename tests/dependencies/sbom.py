"""Write what is installed as a CycloneDX 1.6 software bill of materials: ``python -m tests.dependencies.sbom FILE``.

The same packages give the same bytes: it holds no time, no host and no path.
"""

from __future__ import annotations

import argparse
import sys
import uuid
from collections.abc import Iterable
from importlib.metadata import Distribution, distributions, version
from pathlib import Path

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from tests.test_licences import stated

_ROOT = "aiprod"


def bill(found: Iterable[Distribution]) -> str:
    """The document.

    Raises:
        ValueError: it does not satisfy the standard's own strict schema.
    """
    known = {canonicalize_name(d.metadata["Name"]): d for d in found if d.metadata["Name"]}
    parts = {name: _component(name, distribution) for name, distribution in sorted(known.items())}
    root = parts[_ROOT]
    names = " ".join(f"{name}=={part.version}" for name, part in parts.items())
    bom = Bom(
        serial_number=uuid.uuid5(uuid.NAMESPACE_URL, f"pkg:pypi/{_ROOT}#{names}"),
        components=[part for name, part in parts.items() if name != _ROOT],
        metadata=BomMetaData(component=root),
    )
    bom.metadata.timestamp = None  # type: ignore[assignment]  # its type knows no document without one
    for name, distribution in known.items():
        bom.register_dependency(parts[name], [parts[n] for n in _required(distribution) if n in parts and n != name])
    text: str = JsonV1Dot6(bom).output_as_string(indent=2)
    if (problem := JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)) is not None:
        raise ValueError(str(problem))
    return text + "\n"


def _component(name: str, found: Distribution) -> Component:
    licences = LicenseFactory()
    said = " AND ".join(dict.fromkeys(stated(found)))[:200]
    return Component(
        name=name,
        version=found.version,
        type=ComponentType.APPLICATION if name == _ROOT else ComponentType.LIBRARY,
        bom_ref=f"{name}@{found.version}",
        purl=PackageURL(type="pypi", name=name, version=found.version),
        licenses=[licences.make_from_string(said)] if said else [],
    )


def _required(found: Distribution) -> list[str]:
    """Names of what a package asks for on this machine, its extras included where they are installed."""
    names = []
    for line in found.requires or ():
        try:
            names.append(canonicalize_name(Requirement(line).name))
        except InvalidRequirement:
            continue
    return sorted(set(names))


def main() -> int:
    """Exit code 0; a document that is not valid raises."""
    parser = argparse.ArgumentParser(prog="python -m tests.dependencies.sbom", description=__doc__)
    parser.add_argument("file", type=Path)
    target = parser.parse_args().file
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(bill(distributions()), encoding="utf-8")
    print(f"{target}: {_ROOT} {version(_ROOT)} and what is installed beside it, valid CycloneDX 1.6", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
