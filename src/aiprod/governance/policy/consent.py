"""Consent taken and withdrawn: the record in git, a leaf in the log, and what it means for the clips in hand."""

from __future__ import annotations

import datetime as dt
import io
from dataclasses import dataclass, field
from pathlib import Path

from ruamel.yaml import YAML

from aiprod.base.files import write_text
from aiprod.errors import AiprodError
from aiprod.governance.audit.log import AuditLog, Event
from aiprod.governance.dataset.records import Records
from aiprod.governance.policy.roles import Actor, require
from aiprod.rights.agreements import CONSENT, ConsentEvent, ConsentRecord, load_consents, read_consent, record_id
from aiprod.storage.crypto.film_encryption import Vault


@dataclass(frozen=True)
class Reach:
    """What rests on a consent.

    Attributes:
        films: ids of the films whose sidecar names it.
        clips: their clips.
        seen: of these, clip id → how often the model was shown it.
        utterances: ids of what the person spoke in the speech dataset.
        heard: of these, id → how often the model of speech heard it.
    """

    films: list[str]
    clips: list[str]
    seen: dict[str, int]
    utterances: list[str] = field(default_factory=list)
    heard: dict[str, int] = field(default_factory=dict)


def find(root: Path, reference: str) -> ConsentRecord:
    """A record.

    Raises:
        AiprodError: there is none.
    """
    known = load_consents(root / CONSENT)
    name = record_id(reference)
    if name not in known:
        raise AiprodError(f"there is no consent record {name}", f"known: {', '.join(known) or 'none'} ({CONSENT})")
    return known[name]


def reach(root: Path, reference: str) -> Reach:
    """The films, clips and utterances of this state that rest on a consent, and how often training showed them."""
    facts, name = Records(root, vault=Vault()), record_id(reference)
    films = sorted(f.film_id for f in facts.films.values() if f.consent_ref and record_id(f.consent_ref) == name)
    clips = sorted(clip.clip_id for film in films for clip in facts.clips_of.get(film, []))
    spoken = sorted(k for k, u in facts.utterances.items() if u.consent_ref and record_id(u.consent_ref) == name)
    return Reach(
        films=films,
        clips=clips,
        seen={c: facts.exposure[c].times for c in clips if c in facts.exposure},
        utterances=spoken,
        heard={u: facts.heard[u].times for u in spoken if u in facts.heard},
    )


def record(root: Path, file: Path, named: str | None, log: AuditLog | None = None) -> ConsentRecord:
    """Take a record into ``datasets/consent``.

    Raises:
        Refusal: who asks may not.
        AiprodError: the file is no record, or one of its id exists.
    """
    log = log or AuditLog()
    consent = read_consent(file)
    actor = require(named, "record_consent", subject=f"consent/{consent.record_id}", root=root, log=log)
    if consent.record_id in load_consents(root / CONSENT):
        raise AiprodError(f"a consent record {consent.record_id} exists", "a new agreement takes a new record")
    _write(root, consent, actor, log)
    return consent


def withdraw(
    root: Path, reference: str, named: str | None, log: AuditLog | None = None, *, now: dt.datetime | None = None
) -> ConsentRecord:
    """Withdraw a consent. The films that rest on it are denied at the next run; erasing them is a step of its own.

    Raises:
        Refusal: who asks may not.
        AiprodError: there is no such record, or it is not given.
    """
    log = log or AuditLog()
    name = record_id(reference)
    actor = require(named, "withdraw_consent", subject=f"consent/{name}", root=root, log=log)
    consent = find(root, name)
    if consent.state != "given":
        raise AiprodError(f"consent {name} is {consent.state} already", "there is nothing to withdraw")
    time = (now or dt.datetime.now(dt.UTC)).replace(microsecond=0)
    event = ConsentEvent(event_time=time, event_state="withdrawn", entity_id=actor.role)
    ended = consent.model_copy(update={"events": [*consent.events, event]})
    _write(root, ended, actor, log)
    return ended


def _write(root: Path, consent: ConsentRecord, actor: Actor, log: AuditLog) -> None:
    """Leaf first: a record that no leaf knows would be worse than a leaf whose record is still to be written."""
    document = consent.model_dump(mode="json", exclude_none=True)
    subject = f"consent/{consent.record_id}"
    log.append([Event("consent", subject, {"state": consent.state}, {"record": document, "actor": actor.name})])
    yaml, text = YAML(), io.StringIO()
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.dump(document, text)
    write_text(root / CONSENT / f"{consent.record_id}.yaml", text.getvalue())
