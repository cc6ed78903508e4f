"""Sources of film as `datasets/sources.yaml` declares them: where they lie and every layer of rights, as stated facts.

This module only says what is declared. Whether that permits training is decided by ``aiprod.rights.effective_right``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator

from aiprod.base.files import digest_of
from aiprod.base.params import nearest, validate
from aiprod.base.yaml_file import read_yaml
from aiprod.errors import AiprodError
from aiprod.rights.licence_words import UNKNOWN, Licence, all_of, read_licence
from aiprod.rights.licences import Contract
from aiprod.rights.statements import BASES

PER_FILE = "per-file"  # the layer is stated in each file's sidecar; a file without one takes `files_without_sidecar`

NOT_INGESTED = "none"  # the adapter of a source that is declared only

AdapterName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
"""Which there are is known to ``aiprod.data.sources.registry``, which checks them."""
SourceId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
PersonalDataBasis = Literal[
    "none",
    "consent",
    "contract",
    "legal_obligation",
    "vital_interests",
    "public_task",
    "legitimate_interests",
    "per-file",
    "unknown",
]  # "none" = no personal data; the six in between are those of GDPR Art. 6(1)


class SourceDeclaration(BaseModel):
    """One source: adapter, place and layers of rights. Licences are SPDX expressions, ``unknown`` or ``per-file``."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    title: str
    adapter: AdapterName = Field(default=NOT_INGESTED, description="kind of source; none = declared only")
    path: str | None = Field(default=None, description="default folder, relative to the repository")
    annotation_license: str = UNKNOWN
    media_license: str = UNKNOWN
    files_without_sidecar: str = Field(
        default=UNKNOWN, description="media licence of a file that no sidecar mentions, where media_license is per-file"
    )
    acquisition_terms: str = Field(default=UNKNOWN, description="how the bytes were obtained and on what terms")
    media_host: str = Field(default=UNKNOWN, description="who serves the media: self, local, YouTube, …")
    personal_data_basis: PersonalDataBasis = "unknown"
    consent: Literal["not_needed", "per_file", "missing", "unknown"] = "unknown"
    policy_approval: Literal["approved", "prohibited", "not_listed"] = "not_listed"
    confidence: Literal["high", "medium", "low"] = Field(default="low", description="how sure the stated facts are")
    contract: Contract | None = None
    attribution: str | None = None
    url: str | None = None
    labels: list[str] = Field(default_factory=list)
    note: str = ""

    @field_validator("media_license", "annotation_license", "files_without_sidecar")
    @classmethod
    def _spelt(cls, value: str) -> str:
        """As SPDX spells it; words that are not understood stay, to be quoted where they deny."""
        licence = read_licence(value)
        return value if value == PER_FILE or licence.problem else licence.spdx

    def digest(self) -> str:
        """SHA-256 of the declaration; a changed one makes rights be decided again."""
        return digest_of(self.model_dump(mode="json"))


class SourcesFile(BaseModel):
    """The whole of `datasets/sources.yaml`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sources: dict[SourceId, SourceDeclaration]

    def get(self, source_id: str) -> SourceDeclaration:
        """The declaration of a source.

        Raises:
            AiprodError: it is not declared.
        """
        if source_id not in self.sources:
            raise AiprodError(
                f"the source {source_id!r} is not declared in datasets/sources.yaml",
                f"declare it there; {nearest(source_id, list(self.sources))}",
            )
        return self.sources[source_id]


class SidecarRecord(BaseModel):
    """What a sidecar says about one file. None = the sidecar does not say; the source's declaration then holds."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    title: str | None = None
    description: str | None = None
    url: str | None = None
    origin: str | None = None
    media_license: str | None = Field(default=None, description="SPDX expression, or 'unknown'")
    media_license_declared: str | None = Field(default=None, description="the words the sidecar used")
    annotation_license: str | None = None
    license_evidence: str | None = None
    attribution: str | None = None
    labels: list[str] = Field(default_factory=list)
    consent_ref: str | None = None
    personal_data_basis: PersonalDataBasis | None = None
    tdm_reservation: bool | None = Field(
        default=None, description="rights reserved against text and data mining (Directive (EU) 2019/790, Art. 4)"
    )
    tdm_policy: str | None = Field(default=None, description="where the reservation and its terms are stated")
    training_mining: str | None = Field(default=None, description="what the file's own C2PA manifest says against it")
    objections: list[str] = Field(
        default_factory=list, description="what speaks against training in other words, or contradicts itself"
    )


def load_sources(path: Path | str = "datasets/sources.yaml") -> SourcesFile:
    """Read and validate the declarations.

    Raises:
        AiprodError: the file is missing, not YAML, or a declaration is wrong; names the key and the nearest valid one.
    """
    content: Any = read_yaml(path)
    return validate(SourcesFile, content, str(path))


def layers(source: SourceDeclaration, sidecar: SidecarRecord | None) -> dict[str, Any]:
    """The layers of rights that hold for one file: the sidecar's word where the source leaves a layer to it."""
    side = sidecar or SidecarRecord()
    words = licence_words(source, side)
    return {
        "annotation_license": words["annotation_license"].spdx,
        "media_license": words["media_license"].spdx,
        "acquisition_terms": source.acquisition_terms,
        "media_host": source.media_host,
        "personal_data_basis": _basis(source, side),
        "consent": source.consent,
        "consent_ref": side.consent_ref,
        "policy_approval": source.policy_approval,
        "confidence": source.confidence,
        "contract": source.contract.model_dump(mode="json") if source.contract else None,
    }


def licence_words(source: SourceDeclaration, sidecar: SidecarRecord | None) -> dict[str, Licence]:
    """The licences that hold for one file, each with what was not understood of it.

    What the source states and what is stated of the file hold both, so that the narrower one rules. The source's word
    for files that nothing is said of holds only there.
    """
    side = sidecar or SidecarRecord()
    stated = _stated(side)
    media = [read_licence(source.media_license)] if source.media_license != PER_FILE else []
    if stated or not media:
        media += stated or [read_licence(source.files_without_sidecar)]
    annotation = [text for text in (source.annotation_license, side.annotation_license) if text not in (None, PER_FILE)]
    return {"media_license": _all(media), "annotation_license": _all([read_licence(str(text)) for text in annotation])}


def _stated(side: SidecarRecord) -> list[Licence]:
    """What a record says of the media licence: its words rule, for ``media_license`` is what was made of them."""
    if side.media_license_declared is None:
        return [] if side.media_license is None else [read_licence(side.media_license)]
    declared = read_licence(side.media_license_declared)
    if side.media_license in (None, UNKNOWN):
        return [declared]
    return [declared, read_licence(str(side.media_license))]


def _all(licences: list[Licence]) -> Licence:
    problem = next((licence.problem for licence in licences if licence.problem), None)
    return Licence(UNKNOWN, problem) if problem else Licence(all_of(licence.spdx for licence in licences))


def _basis(source: SourceDeclaration, side: SidecarRecord) -> str:
    """The basis for personal data: of what the source and the file state, the one that asks for more."""
    both = (source.personal_data_basis, side.personal_data_basis)
    return max((str(basis) for basis in both if basis not in (None, PER_FILE)), key=BASES.index, default=UNKNOWN)
