"""The model as a CycloneDX 1.6 bill of materials (ML-BOM), through the standard's own library.

The library writes components, licences, hashes and dependencies. It knows neither ``modelCard`` nor ``data``, the
parts of the standard for machine learning, so those are put into its JSON; its validator checks the whole.
"""

from __future__ import annotations

import json
from typing import Any

from aiprod.errors import AiprodError
from aiprod.governance.dataset.records import Records
from aiprod.governance.exports.bill_of_materials import CLIPS, BillOfMaterials, Dataset, ModelPart, expression
from aiprod.governance.exports.document import plain_text

try:
    from cyclonedx.contrib.license.factories import LicenseFactory
    from cyclonedx.model import HashAlgorithm, HashType, Property
    from cyclonedx.model.bom import Bom, BomMetaData
    from cyclonedx.model.component import Component, ComponentType
    from cyclonedx.model.contact import OrganizationalEntity
    from cyclonedx.output import make_outputter
    from cyclonedx.schema import OutputFormat, SchemaVersion
    from packageurl import PackageURL
except ImportError:
    raise AiprodError("cyclonedx-python-lib is not installed", "run `pip install 'aiprod[governance]'`") from None

VERSION = SchemaVersion.V1_6
MODEL = "model"


def cyclonedx(facts: Records, _top: str = "") -> str:
    """The document as JSON.

    Raises:
        AiprodError: a manifest is damaged.
    """
    bill = BillOfMaterials(facts)
    bom = _bom(bill)
    written = json.loads(make_outputter(bom, OutputFormat.JSON, VERSION).output_as_string())
    by_ref = {component["bom-ref"]: component for component in written.get("components", [])}
    for dataset in bill.datasets:
        by_ref[dataset.key]["data"] = [_data(bill, dataset)]
    for model in bill.models:
        by_ref[f"{MODEL}/{model.name}"]["modelCard"] = _card(model)
    written["metadata"]["component"]["modelCard"] = _whole(bill)
    return json.dumps(written, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def _bom(bill: BillOfMaterials) -> Bom:
    supplier = OrganizationalEntity(name=bill.organisation.name) if bill.organisation.name else None
    root = Component(
        name=bill.name,
        type=ComponentType.MACHINE_LEARNING_MODEL,
        version=bill.model_version,
        bom_ref=MODEL,
        supplier=supplier,
        description="Generates video with sound from text.",
    )
    datasets = {dataset.key: _dataset(bill, dataset) for dataset in bill.datasets}
    models = {model.name: _model(model) for model in bill.models}
    networks = [_network(number, network) for number, network in enumerate(bill.networks)]
    software = [_software(part.name, part.version, part.licence) for part in bill.software]
    bom = Bom(
        serial_number=bill.serial,
        components=[*datasets.values(), *models.values(), *networks, *software],
        metadata=BomMetaData(timestamp=bill.created, component=root, supplier=supplier),
    )
    bom.register_dependency(root, [*models.values(), *software])
    for part in bill.models:
        bom.register_dependency(models[part.name], [datasets[part.dataset], *(models[name] for name in part.made_with)])
    bom.register_dependency(datasets[CLIPS], networks)
    return bom


def _dataset(bill: BillOfMaterials, dataset: Dataset) -> Component:
    shares = [
        Component(
            name=share.source,
            type=ComponentType.DATA,
            bom_ref=f"{CLIPS}/{number}",
            licenses=_licences(share.license),
            properties=[
                _property("stated licence", share.license),
                _property("effective right", share.right),
                _property("films", share.films),
                _property("clips", share.clips),
                _property("clips admitted to training", share.admitted_clips),
            ],
        )
        for number, share in enumerate(bill.sources)
    ]
    return Component(
        name=dataset.name,
        type=ComponentType.DATA,
        version=dataset.version,
        bom_ref=dataset.key,
        properties=[_property("merkle_root", dataset.merkle_root)],
        components=shares if dataset.key == CLIPS else [],
    )


def _model(part: ModelPart) -> Component:
    return Component(
        name=part.name,
        type=ComponentType.MACHINE_LEARNING_MODEL,
        version=part.version,
        bom_ref=f"{MODEL}/{part.name}",
        description=part.title,
        components=[
            Component(
                name=path,
                type=ComponentType.FILE,
                bom_ref=f"file/{path}",
                hashes=[HashType(alg=HashAlgorithm.SHA_256, content=digest)],
            )
            for path, digest in part.files.items()
        ],
        properties=[
            _property("seen", part.seen),
            *(_property(name, value) for name, value in part.facts.items()),
        ],
    )


def _network(number: int, network: dict[str, Any]) -> Component:
    return Component(
        name=str(network["title"]),
        type=ComponentType.MACHINE_LEARNING_MODEL,
        version=str(network["package_version"] or "none"),
        bom_ref=f"network/{number}",
        description="A network of others that looked at the clips; no part of the model.",
        licenses=_licences(str(network["licence"])),
        components=[
            Component(
                name=name,
                type=ComponentType.FILE,
                bom_ref=f"network/{number}/{name}",
                hashes=[HashType(alg=HashAlgorithm.SHA_256, content=digest)],
            )
            for name, digest in sorted(network["files_sha256"].items())
        ],
        properties=[_property("clips", network["clips"])],
    )


def _software(name: str, version: str, licence: str | None) -> Component:
    return Component(
        name=name,
        type=ComponentType.LIBRARY,
        version=version,
        bom_ref=f"pkg/{name}",
        purl=PackageURL("pypi", name=name.lower(), version=version),
        licenses=_licences(licence),
    )


def _licences(licence: str | None) -> list[Any]:
    parsed = expression(licence)
    return [LicenseFactory().make_from_string(parsed)] if parsed else []


def _property(name: str, value: Any) -> Property:
    return Property(name=f"aiprod:{name.replace(' ', '_')}", value=plain_text(value))


def _data(bill: BillOfMaterials, dataset: Dataset) -> dict[str, Any]:
    """A dataset in the words of the standard; each figure is named by the command that counts it again."""
    figures = [
        {"name": f"aiprod dataset count '{query}'", "value": plain_text(value)}
        for query, value in dataset.figures.items()
    ]
    stated = bill.organisation
    return {
        "type": "dataset",
        "name": dataset.name,
        "description": dataset.about,
        "contents": {**({"url": stated.dataset_url} if stated.dataset_url else {}), "properties": figures},
        **({"classification": stated.confidentiality} if stated.confidentiality else {}),
        "sensitiveData": ["people may be seen or heard; the figures count them"] if dataset.people else [],
        "governance": {"owners": [{"organization": {"name": stated.name}}] if stated.name else []},
    }


def _card(part: ModelPart) -> dict[str, Any]:
    return {
        "modelParameters": {
            "architectureFamily": part.family,
            "modelArchitecture": part.architecture,
            "datasets": [{"ref": part.dataset}],
        },
        "quantitativeAnalysis": {
            "performanceMetrics": [{"type": name, "value": value} for name, value in part.figures],
        },
    }


def _whole(bill: BillOfMaterials) -> dict[str, Any]:
    return {
        "modelParameters": {
            "task": "text-to-video",
            "architectureFamily": "diffusion transformer",
            "datasets": [{"ref": dataset.key} for dataset in bill.datasets],
            "inputs": [{"format": "text"}],
            "outputs": [{"format": "video/mp4"}],
        },
        "considerations": {
            "useCases": [bill.organisation.purposes],
            "technicalLimitations": ["It knows only what the clips show that it was trained on."],
            "ethicalConsiderations": [
                {
                    "name": "Generated video can be taken for a recording, or depict people who were never filmed.",
                    "mitigationStrategy": "Releases carry Content Credentials (trainedAlgorithmicMedia).",
                }
            ],
        },
    }
