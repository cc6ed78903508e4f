"""The model as an SPDX 3.0.1 document with the AI and Dataset profiles, through the SPDX project's own bindings.

SPDX asks an AI package and a dataset for facts that no manifest knows: who supplies them, since when, where from. A
profile is claimed only where ``datasets/organisation.yaml`` states its facts; the document's comment names the rest.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from aiprod.errors import AiprodError
from aiprod.governance.dataset.records import Records
from aiprod.governance.exports.bill_of_materials import CLIPS, BillOfMaterials, Dataset, ModelPart, expression
from aiprod.governance.exports.document import plain_text
from aiprod.governance.organisation import PLACE

try:
    from spdx_python_model import v3_0_1 as spdx3
except ImportError:
    raise AiprodError("spdx-python-model is not installed", "run `pip install 'aiprod[governance]'`") from None

SPEC = "3.0.1"
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_NEEDED = {"ai": ("name", "placed_on_market", "dataset_url"), "dataset": ("name", "dataset_issued", "dataset_url")}


def spdx(facts: Records, _top: str = "") -> str:
    """The document as JSON-LD.

    Raises:
        AiprodError: a manifest is damaged.
    """
    stream = io.BytesIO()
    spdx3.JSONLDSerializer().write(_Writer(BillOfMaterials(facts)).document(), stream)
    return json.dumps(json.loads(stream.getvalue()), indent=1, ensure_ascii=False, sort_keys=True) + "\n"


class _Writer:
    """Collects the elements of one document."""

    def __init__(self, bill: BillOfMaterials) -> None:
        self.bill, self.base = bill, f"urn:uuid:{bill.serial}#"
        self.objects = spdx3.SHACLObjectSet()
        stated = bill.organisation.name
        self.about = spdx3.CreationInfo(specVersion=SPEC, created=bill.created)
        self.supplier = self._element(spdx3.Organization, "organisation", name=stated or "not stated")
        self.about.createdBy = [self.supplier]
        version = next((part.version for part in bill.software if part.name == "aiprod"), "")
        self.about.createdUsing = [self._element(spdx3.Tool, "tool", name=f"aiprod {version}".strip())]
        self.licences: dict[str, Any] = {}

    def _element(self, kind: Any, key: str, **values: Any) -> Any:
        properties = {name: value for name, value in values.items() if value is not None}
        element = kind(spdxId=self.base + re.sub(r"[^A-Za-z0-9._/-]", "-", key), creationInfo=self.about, **properties)
        self.objects.add(element)
        return element

    def _relate(self, from_: Any, kind: str, to: Iterable[Any]) -> None:
        targets = list(to)
        if targets:
            key = f"{from_.spdxId.removeprefix(self.base)}/{kind}"
            self._element(
                spdx3.Relationship,
                key,
                from_=from_,
                to=targets,
                relationshipType=getattr(spdx3.RelationshipType, kind),
            )

    def document(self) -> Any:
        """All elements, with the document that holds them."""
        bill = self.bill
        datasets = {dataset.key: self._dataset(dataset) for dataset in bill.datasets}
        models = {part.name: self._model(part) for part in bill.models}
        for part in bill.models:
            self._relate(models[part.name], "trainedOn", [datasets[part.dataset]])
            self._relate(models[part.name], "dependsOn", [models[name] for name in part.made_with])
        networks = [self._network(number, network) for number, network in enumerate(bill.networks)]
        self._relate(datasets[CLIPS], "usesTool", networks)
        software = [self._software(part.name, part.version, part.licence) for part in bill.software]
        whole = self._package(spdx3.ai_AIPackage, "model", bill.name, bill.model_version)
        whole.ai_informationAboutApplication = bill.organisation.purposes
        whole.ai_typeOfModel = ["diffusion transformer"]
        whole.ai_domain = ["text-to-video", "text-to-audio"]
        whole.ai_limitation = "It knows only what the clips show that it was trained on."
        self._relate(whole, "contains", models.values())
        self._relate(whole, "trainedOn", datasets.values())
        self._relate(whole, "dependsOn", software)
        claimed, missing = self._profiles()
        self._element(
            spdx3.SpdxDocument,
            "document",
            name=f"{bill.name} bill of materials",
            rootElement=[whole],
            element=[*models.values(), *datasets.values(), *networks, *software],
            profileConformance=[getattr(spdx3.ProfileIdentifierType, name) for name in claimed],
            comment=f"Not claimed, for what {PLACE.as_posix()} lacks: {'; '.join(missing)}" if missing else None,
        )
        return self.objects

    def _profiles(self) -> tuple[list[str], list[str]]:
        claimed, missing = ["core", "software", "simpleLicensing"], []
        for profile, names in _NEEDED.items():
            unstated = [name for name in names if not self._stated(name)]
            if profile == "dataset" and self.bill.recorded is None:
                unstated.append("a commit of dvc.lock")
            if unstated:
                missing.append(f"profile {profile} ({', '.join(unstated)})")
            else:
                claimed.append(profile)
        return claimed, missing

    def _stated(self, name: str) -> bool:
        value = getattr(self.bill.organisation, name)
        return _day(value) is not None if name in ("placed_on_market", "dataset_issued") else bool(value)

    def _package(self, kind: Any, key: str, name: str, version: str | None) -> Any:
        package = self._element(kind, key, name=name, software_packageVersion=version)
        data = kind is spdx3.dataset_DatasetPackage
        purpose = spdx3.software_SoftwarePurpose.data if data else spdx3.software_SoftwarePurpose.model
        package.software_primaryPurpose = purpose
        package.suppliedBy = self.supplier
        organisation = self.bill.organisation
        released = _day(organisation.dataset_issued if data else organisation.placed_on_market)
        if released is not None:
            package.releaseTime = released
        if organisation.dataset_url:
            package.software_downloadLocation = organisation.dataset_url
        if data:
            package.originatedBy = [self.supplier]
            if self.bill.recorded is not None:
                package.builtTime = self.bill.recorded
        return package

    def _dataset(self, dataset: Dataset) -> Any:
        package = self._package(spdx3.dataset_DatasetPackage, dataset.key, dataset.name, dataset.version)
        kinds = spdx3.dataset_DatasetType
        package.dataset_datasetType = [kinds.video, kinds.audio] if dataset.key == CLIPS else [kinds.audio, kinds.text]
        package.dataset_datasetSize = dataset.size
        package.dataset_intendedUse = self.bill.organisation.purposes
        presence = spdx3.PresenceType
        package.dataset_hasSensitivePersonalInformation = presence.yes if dataset.people else presence.no
        package.summary = dataset.about
        package.description = f"Merkle root sha256:{dataset.merkle_root}"
        package.comment = "\n".join(
            f"aiprod dataset count '{query}' = {plain_text(value)}" for query, value in dataset.figures.items()
        )
        if dataset.key == CLIPS:
            self._films(package)
        return package

    def _films(self, package: Any) -> None:
        """What only a dataset of films has: how they were collected and prepared, and the share of each source."""
        bill = self.bill
        package.dataset_dataCollectionProcess = (
            "Films offered by declared sources, each admitted or refused by the minimum of its layers of rights."
        )
        package.dataset_dataPreprocessing = sorted(
            {step for clip in bill.records.clips.values() for step in clip.steps}
        )
        shares = []
        for number, share in enumerate(bill.sources):
            part = self._package(spdx3.dataset_DatasetPackage, f"dataset/{number}", share.source, bill.version.version)
            part.dataset_datasetType = [spdx3.dataset_DatasetType.video, spdx3.dataset_DatasetType.audio]
            part.dataset_datasetSize = share.clips
            part.comment = (
                f"effective right {share.right}; films {share.films}; clips admitted to training {share.admitted_clips}"
            )
            self._licensed(part, share.license)
            shares.append(part)
        self._relate(package, "contains", shares)

    def _model(self, part: ModelPart) -> Any:
        package = self._package(spdx3.ai_AIPackage, f"model/{part.name}", part.name, part.version)
        package.description = part.title
        package.ai_typeOfModel = [part.family, part.architecture]
        package.ai_informationAboutTraining = "; ".join(
            [f"its exposure ledger names {part.seen}", *(f"{name} {value}" for name, value in part.facts.items())]
        )
        package.ai_metric = [spdx3.DictionaryEntry(key=name, value=value) for name, value in part.figures]
        self._relate(package, "contains", [self._file(path, digest) for path, digest in part.files.items()])
        return package

    def _network(self, number: int, network: dict[str, Any]) -> Any:
        element = self._element(
            spdx3.ai_AIPackage,
            f"network/{number}",
            name=str(network["title"]),
            software_packageVersion=str(network["package_version"] or "none"),
            software_primaryPurpose=spdx3.software_SoftwarePurpose.model,
            comment=f"A network of others that looked at {network['clips']} clips; no part of the model.",
        )
        files = sorted(network["files_sha256"].items())
        self._relate(element, "contains", [self._file(f"network/{number}/{name}", digest) for name, digest in files])
        self._licensed(element, str(network["licence"]))
        return element

    def _software(self, name: str, version: str, licence: str | None) -> Any:
        element = self._element(
            spdx3.software_Package,
            f"pkg/{name}",
            name=name,
            software_packageVersion=version,
            software_packageUrl=f"pkg:pypi/{name.lower()}@{version}",
            software_primaryPurpose=spdx3.software_SoftwarePurpose.library,
        )
        self._licensed(element, licence)
        return element

    def _file(self, path: str, digest: str) -> Any:
        hashed = spdx3.Hash(algorithm=spdx3.HashAlgorithm.sha256, hashValue=digest)
        return self._element(spdx3.software_File, f"file/{path}", name=path, verifiedUsing=[hashed])

    def _licensed(self, element: Any, licence: str | None) -> None:
        parsed = expression(licence)
        if parsed is None:
            return
        if parsed not in self.licences:
            key = f"licence/{len(self.licences)}"
            self.licences[parsed] = self._element(
                spdx3.simplelicensing_LicenseExpression, key, simplelicensing_licenseExpression=parsed
            )
        self._relate(element, "hasDeclaredLicense", [self.licences[parsed]])


def _day(text: str | None) -> datetime | None:
    """A stated day as a time; None where none is stated, or in other words than a date."""
    if not text or not _DATE.fullmatch(text.strip()):
        return None
    try:
        return datetime.fromisoformat(text.strip()).replace(tzinfo=UTC)
    except ValueError:
        return None
