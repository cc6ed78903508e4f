"""Agreements that end: consent records (``datasets/consent``) and contracts, and which of them have lapsed today.

A record has the fields of ISO/IEC TS 27560:2023 that a decision about training needs, by its names. Ingest never asks
what day it is: ``scan``, which always runs, writes what has lapsed into its list, and so the day on which an
agreement ends changes ingest's input.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from aiprod.base.params import validate
from aiprod.base.yaml_file import read_yaml
from aiprod.errors import AiprodError
from aiprod.rights.declarations import SourcesFile

CONSENT = Path("datasets/consent")
TRAINING = "train-generative-models"
VOICE = "clone-voice"
"""To train on a voice, or to follow it. Consent to be seen and heard in films that are trained on is none to this."""
FACE = "animate-face"
"""To give a face in a film another mouth, so that the person seems to say what they did not."""

RecordId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
OpaqueId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$")]  # no spaces: no names


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Purpose(_Part):
    """What the consent is for."""

    purpose: str = Field(description=f"{TRAINING!r} is what ingest looks for; {VOICE!r}, {FACE!r}: as they say")
    lawful_basis: Literal["consent"] = "consent"
    pii_information: list[str] = Field(min_length=1, description="kinds of personal data: face, voice, body, …")
    retention_period: str
    jurisdiction: str
    withdrawal_method: str


class Processing(_Part):
    """What the subject was told."""

    privacy_notice: str = Field(description="the version of the notice that was shown")
    language: str
    pii_controllers: list[str] = Field(min_length=1)
    purposes: list[Purpose] = Field(min_length=1)


class ConsentEvent(_Part):
    """Something that happened to the consent; the last event holds."""

    event_time: dt.datetime
    event_type: Literal["explicit", "regular", "implied"] = "explicit"
    event_state: Literal["requested", "given", "refused", "withdrawn", "invalidated", "terminated"]
    valid_until: dt.date | None = Field(default=None, description="the last day of the validity duration")
    entity_id: OpaqueId = Field(description="who caused it: the subject's opaque id, or a role")


class ConsentRecord(_Part):
    """One person's consent."""

    schema_version: Literal["ISO/IEC TS 27560:2023"]
    record_id: RecordId
    pii_principal_id: OpaqueId
    pii_processing: Processing
    events: list[ConsentEvent] = Field(min_length=1)

    @property
    def state(self) -> str:
        """State after the last event."""
        return self.events[-1].event_state

    def lapses_before(self, day: dt.date) -> bool:
        """Whether it was valid only until a day before ``day``."""
        end = self.events[-1].valid_until
        return end is not None and end < day

    def covers(self, wanted: str) -> bool:
        """Whether something is among its purposes."""
        return any(purpose.purpose == wanted for purpose in self.pii_processing.purposes)


@dataclass(frozen=True)
class Terms:
    """The agreements that rights are judged by.

    Attributes:
        consents: records by id.
        lapsed: ``consent/ID`` and ``contract/ID`` whose time is over.
        purpose: what is asked for where nothing else is said.
    """

    consents: Mapping[str, ConsentRecord] = field(default_factory=dict)
    lapsed: frozenset[str] = frozenset()
    purpose: str = TRAINING

    def against(self, reference: str, purpose: str | None = None) -> str | None:
        """Why the record that ``reference`` names does not permit a purpose; None where it does."""
        purpose = purpose or self.purpose
        name = record_id(reference)
        record = self.consents.get(name)
        if record is None:
            return f"there is no record {name} in {CONSENT}"
        if record.state != "given":
            return f"consent {name} is {record.state}"
        if f"consent/{name}" in self.lapsed:
            return f"consent {name} was valid until {record.events[-1].valid_until}"
        return None if record.covers(purpose) else f"consent {name} is not for {purpose}"


def against(reference: str, purpose: str, today: dt.date | None = None) -> str | None:
    """Why the record that ``reference`` names does not permit a purpose today; None where it does.

    Args:
        reference: of a record in ``datasets/consent``; empty: none was named.
    """
    consents, day = load_consents(), today or dt.date.today()
    lapsed_now = frozenset(f"consent/{name}" for name, one in consents.items() if one.lapses_before(day))
    return Terms(consents, lapsed_now).against(reference, purpose) if record_id(reference) else "no consent is named"


def record_id(reference: str) -> str:
    """The record that a reference names: ``consent/2026-014`` and ``2026-014`` are the same."""
    return reference.strip().removeprefix("consent/")


def load_consents(folder: Path | str = CONSENT) -> dict[str, ConsentRecord]:
    """All records by id; none where the folder is absent.

    Raises:
        AiprodError: a record is wrong, is not named like its id, or its events are out of order.
    """
    consents: dict[str, ConsentRecord] = {}
    for path in sorted(Path(folder).glob("*.yaml")):
        record = read_consent(path)
        if record.record_id != path.stem:
            raise AiprodError(f"{path} holds the record {record.record_id}", f"name it {record.record_id}.yaml")
        consents[record.record_id] = record
    return consents


def read_consent(path: Path) -> ConsentRecord:
    """One record.

    Raises:
        AiprodError: not a record, or its events are out of order.
    """
    record = validate(ConsentRecord, read_yaml(path), str(path))
    times = [_aware(event.event_time) for event in record.events]
    if times != sorted(times):
        raise AiprodError(f"{path}: the events are not in order of time", "the last one holds, so order them")
    return record


def lapsed(sources: SourcesFile, consents: Mapping[str, ConsentRecord], on: dt.date) -> list[str]:
    """Contracts and consents whose last day lies before ``on``, sorted."""
    contracts = [source.contract for source in sources.sources.values() if source.contract is not None]
    over = {f"contract/{c.id}" for c in contracts if c.expires is not None and c.expires < on}
    return sorted(over | {f"consent/{name}" for name, record in consents.items() if record.lapses_before(on)})


def _aware(time: dt.datetime) -> dt.datetime:
    return time if time.tzinfo else time.replace(tzinfo=dt.UTC)
