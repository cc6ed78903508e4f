"""Who answers for model and data: what no manifest can know, as ``datasets/organisation.yaml`` in git states it."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from aiprod.base.params import Params, validate
from aiprod.base.yaml_file import read_yaml

PLACE = Path("datasets/organisation.yaml")


class Organisation(Params):
    """All of it may stay unstated; a document then says so and names the field."""

    name: str | None = Field(default=None, description="provider of the model and controller of the data")
    address: str | None = None
    contact: str | None = None
    eu_representative: str | None = Field(default=None, description="where the provider is outside the Union")
    data_protection_officer: str | None = None
    joint_controllers: str | None = None
    model_name: str | None = Field(default=None, description="versioned name under which the model is offered")
    based_on: str | None = Field(default=None, description="model that was modified or fine-tuned; None = from scratch")
    placed_on_market: str | None = Field(default=None, description="date, ISO 8601")
    latest_acquisition: str | None = Field(default=None, description="month and year in which data was last acquired")
    code_of_practice: bool | None = Field(default=None, description="signatory of the GPAI Code of Practice")
    illegal_content_measures: str | None = Field(default=None, description="against illegal content, beyond sourcing")
    dataset_url: str | None = None
    dataset_issued: str | None = Field(default=None, description="date, ISO 8601")
    generation_dates: str | None = Field(default=None, description="range of dates in which the data was made")
    origin_geography: str | None = None
    processing_geography: str | None = None
    storage_geography: str | None = None
    confidentiality: str | None = None
    consent_documents: str | None = Field(default=None, description="where consent records are kept")
    purposes: str = "training, evaluating and documenting a text-to-video-with-audio model"
    recipients: str | None = Field(default=None, description="to whom personal data are disclosed, processors too")
    third_countries: str | None = Field(default=None, description="transfers with their safeguards; 'none' where none")
    retention: str | None = Field(default=None, description="time limits for erasure")
    security_measures: str | None = Field(default=None, description="technical and organisational, beyond the software")
    audit_witness: str | None = Field(
        default=None, description="folder on another machine or medium that keeps every signed head of the audit log"
    )
    c2pa_certificate: str | None = Field(default=None, description="PEM chain that videos are signed with")
    c2pa_key: str | None = Field(default=None, description="PEM private key of that certificate; keep it out of git")
    c2pa_anchors: str | None = Field(default=None, description="PEM roots trusted when reading signed videos")
    c2pa_timestamps: str | None = Field(
        default=None,
        pattern=r"^https?://[^/\s@]+(/\S*)?$",
        description="address of an RFC 3161 time-stamp authority that a release asks; its root among c2pa_anchors",
    )


def load_organisation(root: Path) -> Organisation:
    """Read the statement; everything is unstated where there is no file.

    Raises:
        AiprodError: a key or value is invalid; names the nearest valid one.
    """
    path = root / PLACE
    return validate(Organisation, read_yaml(path) or {}, PLACE.as_posix()) if path.is_file() else Organisation()
