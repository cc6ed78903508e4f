"""Checks of exported documents by the validators of their own standards, all offline.

Each takes the text, the records and the folder that the text lies in, and yields what is wrong. A document of counted
figures has no validator but the manifests: each of its figures is counted again.
"""

from __future__ import annotations

import io
import json
import logging
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from aiprod.base.structured import parse_yaml
from aiprod.errors import AiprodError
from aiprod.governance.dataset import statistics as count
from aiprod.governance.dataset.queries import Tables
from aiprod.governance.dataset.records import Records

_HEX_DIGITS = {"sha256": 64, "md5": 32, "dvcDir": 32, "gitCommit": 40}


def counted(text: str, facts: Records, _folder: Path) -> Iterator[str]:
    """Every figure that it quotes, counted again; and every number of a figure is one that it lists."""
    document, tables = json.loads(text), Tables(facts)
    for figure in document["figures"]:
        again = tables.ask(figure["query"])
        if again != figure["value"]:
            yield f"figure {figure['number']} is {figure['value']!r}, and `{figure['query']}` counts {again!r}"
    known = {figure["number"] for figure in document["figures"]}
    for section in document["sections"]:
        for entry in section["entries"]:
            for number in set(entry["figures"]) - known:
                yield f"{entry['label']}: figure {number} is not listed"


def model_card(text: str, _facts: Records, _folder: Path) -> Iterator[str]:
    """Its metadata block is what model hubs read."""
    parts = text.split("---\n", 2)
    if len(parts) != 3 or parts[0]:
        yield "it does not begin with a metadata block"
        return
    try:
        about = parse_yaml(parts[1], "its metadata")
    except AiprodError as error:
        yield error.what
        return
    if not isinstance(about, dict) or not about.get("pipeline_tag"):
        yield "its metadata name no pipeline_tag"


def attributions(text: str, facts: Records, _folder: Path) -> Iterator[str]:
    """Every obligation stands in it."""
    lines = set(text.splitlines())
    for row in count.obligations(facts):
        if f"- {row['obligation']}" not in lines:
            yield f"it lacks {row['obligation']!r}"


def croissant(text: str, _facts: Records, folder: Path) -> Iterator[str]:
    """``mlcroissant`` reads it as a dataset from the folder that it lies in, as whoever loads it would."""
    try:
        import mlcroissant
    except ImportError:
        raise _absent("mlcroissant", "check") from None
    logging.getLogger("absl").setLevel(logging.ERROR)  # it recommends dates, which are left to whoever publishes
    with (
        warnings.catch_warnings(),
        tempfile.NamedTemporaryFile("w", suffix=".json", dir=folder, encoding="utf-8") as file,
    ):
        warnings.simplefilter("ignore", DeprecationWarning)  # between rdflib and mlcroissant
        file.write(text)
        file.flush()
        try:
            issues = mlcroissant.Dataset(jsonld=file.name).metadata.issues
        except mlcroissant.ValidationError as error:
            yield _line(error)
            return
        yield from issues.errors


def cyclonedx(text: str, _facts: Records, _folder: Path) -> Iterator[str]:
    """CycloneDX's strict JSON schema, by its library."""
    try:
        from cyclonedx.schema import SchemaVersion
        from cyclonedx.validation.json import JsonStrictValidator
    except ImportError:
        raise _absent("cyclonedx-python-lib", "governance") from None
    from cyclonedx.exception import MissingOptionalDependencyException

    try:
        problems = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text, all_errors=True)
    except MissingOptionalDependencyException:
        raise _absent("jsonschema", "check") from None
    for problem in problems or ():
        yield _line(problem)
    refs = list(_references(json.loads(text)))
    for ref in sorted({ref for ref in refs if refs.count(ref) > 1}):
        yield f"two components are called {ref!r}"


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if "bom-ref" in value:
            yield str(value["bom-ref"])
        for inner in value.values():
            yield from _references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _references(inner)


def spdx(text: str, _facts: Records, _folder: Path) -> Iterator[str]:
    """SPDX's own bindings read every element and write it again, which checks types, counts and references."""
    try:
        from spdx_python_model import v3_0_1 as spdx3
    except ImportError:
        raise _absent("spdx-python-model", "governance") from None
    objects = spdx3.SHACLObjectSet()
    try:
        spdx3.JSONLDDeserializer().read(io.BytesIO(text.encode()), objects)
        spdx3.JSONLDSerializer().write(objects, io.BytesIO())
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        yield _line(error)
        return
    for missing in sorted(map(str, objects.missing_ids)):
        yield f"it refers to {missing}, which it does not hold"
    if len(list(objects.foreach_type(spdx3.SpdxDocument))) != 1:
        yield "it does not hold one SpdxDocument"


def slsa(text: str, _facts: Records, _folder: Path) -> Iterator[str]:
    """in-toto's own messages take the statement, and SLSA's the predicate: unknown or mistyped fields are refused."""
    try:
        from google.protobuf import json_format
        from in_toto_attestation.predicates.provenance.v1 import provenance_pb2
        from in_toto_attestation.v1 import statement, statement_pb2
    except ImportError:
        raise _absent("in-toto-attestation", "governance") from None
    document = json.loads(text)
    try:
        message = json_format.ParseDict(document, statement_pb2.Statement())  # type: ignore[attr-defined]
        statement.Statement.copy_from_pb(message).validate()
        predicate = json_format.ParseDict(document["predicate"], provenance_pb2.Provenance())  # type: ignore[attr-defined]
    except (json_format.ParseError, ValueError, KeyError, TypeError) as error:
        yield _line(error)
        return
    for item in (*document["subject"], *document["predicate"]["buildDefinition"].get("resolvedDependencies", [])):
        for algorithm, digest in item["digest"].items():  # which the messages do not look at
            if len(digest) != _HEX_DIGITS.get(algorithm, len(digest)) or set(digest) - set("0123456789abcdef"):
                yield f"{item['name']}: {digest!r} is no {algorithm} digest"
    for name, value in (
        ("buildDefinition.buildType", predicate.build_definition.build_type),
        ("buildDefinition.externalParameters", predicate.build_definition.external_parameters.fields),
        ("runDetails.builder.id", predicate.run_details.builder.id),
    ):
        if not value:
            yield f"{name} is empty, and SLSA asks for it"


def openlineage(text: str, _facts: Records, _folder: Path) -> Iterator[str]:
    """Each line is an event with what OpenLineage's JobEvent must have."""
    for number, line in enumerate(text.splitlines(), start=1):
        event = json.loads(line)
        lacking = [name for name in ("eventTime", "producer", "schemaURL", "job") if not event.get(name)]
        lacking += [f"job.{name}" for name in ("namespace", "name") if not event.get("job", {}).get(name)]
        if lacking:
            yield f"event {number} lacks {', '.join(lacking)}"


def _line(error: object) -> str:
    return " ".join(str(error).split())[:500]


def _absent(library: str, extra: str) -> AiprodError:
    return AiprodError(f"{library}, which checks it, is not installed", f"run `pip install 'aiprod[{extra}]'`")
