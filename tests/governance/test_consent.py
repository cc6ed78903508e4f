"""Consent, contracts that end, and reservations against training: what they do to the right, and when."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from typer import Typer
from typer.testing import CliRunner, Result

from aiprod.base.denials import Refusal
from aiprod.base.params import validate
from aiprod.base.yaml_file import read_yaml
from aiprod.commands import consent as command
from aiprod.errors import AiprodError
from aiprod.governance.audit.log import AuditLog
from aiprod.governance.dataset.records import Records
from aiprod.governance.policy.consent import reach, record, withdraw
from aiprod.governance.policy.roles import ROLES
from aiprod.rights.agreements import CONSENT, TRAINING, ConsentRecord, Terms, lapsed, load_consents
from aiprod.rights.declarations import SidecarRecord, SourceDeclaration, SourcesFile
from aiprod.rights.effective_right import effective_right
from aiprod.rights.licences import Contract
from tests.consent_record import GIVEN

REPOSITORY = Path(__file__).resolve().parents[2]
PEOPLE = {"Pia": ["privacy_officer"], "Lex": ["legal"], "Eve": ["ml_engineer"]}
SOURCE = SourceDeclaration(
    title="ours",
    annotation_license="CC0-1.0",
    media_license="CC0-1.0",
    acquisition_terms="generated",
    media_host="self",
    personal_data_basis="consent",
    consent="per_file",
    policy_approval="approved",
)
FILM = SidecarRecord(consent_ref="consent/2026-014")


def changed(**changes: Any) -> ConsentRecord:
    return validate(ConsentRecord, {**GIVEN, **changes}, "record")


def right(
    record_: ConsentRecord | None, lapsed_: set[str] | None = None, film: SidecarRecord = FILM
) -> tuple[str, str]:
    consents = {record_.record_id: record_} if record_ else {}
    decision = effective_right(SOURCE, film, terms=Terms(consents, frozenset(lapsed_ or ())))
    return decision.right, " ".join(decision.reasons)


def test_a_given_consent_for_training_is_a_basis_with_the_obligation_to_honour_withdrawal() -> None:
    decision = effective_right(SOURCE, FILM, terms=Terms({"2026-014": changed()}))
    assert decision.right == "train_with_obligations" and "honour-withdrawal" in decision.obligations[0]


@pytest.mark.parametrize("state", ["requested", "refused", "withdrawn", "invalidated", "terminated"])
def test_any_other_state_denies(state: str) -> None:
    events = [*GIVEN["events"], {"event_time": "2026-02-01T00:00:00Z", "event_state": state, "entity_id": "s-7f3a91"}]
    assert right(changed(events=events)) == (
        "deny",
        f"personal_data_basis is 'consent' → deny: consent 2026-014 is {state}",
    )


def test_no_record_another_purpose_and_a_lapsed_one_deny() -> None:
    assert "there is no record 2026-014" in right(None)[1]
    processing = GIVEN["pii_processing"]
    purposes = [{**processing["purposes"][0], "purpose": "advertising"}]
    assert "is not for train" in right(changed(pii_processing={**processing, "purposes": purposes}))[1]
    assert "was valid until 2028-01-12" in right(changed(), {"consent/2026-014"})[1]


def test_a_withdrawn_consent_denies_whatever_basis_the_film_claims() -> None:
    withdrawn = changed(events=[{**GIVEN["events"][0], "event_state": "withdrawn"}])
    for basis in ("none", "legitimate_interests", "consent"):
        source = SOURCE.model_copy(update={"personal_data_basis": basis})
        assert effective_right(source, FILM, terms=Terms({"2026-014": withdrawn})).right == "deny", basis


def test_what_ends_is_noticed_on_the_day_after_and_the_right_follows_the_scan_not_the_clock() -> None:
    source = SOURCE.model_copy(
        update={
            "personal_data_basis": "none",
            "media_license": "LicenseRef-acme",
            "contract": Contract(
                id="A-1",
                license_symbol="LicenseRef-acme",
                expires=dt.date(2026, 6, 30),
                permits_training=True,
                obligations=["attribution"],
            ),
        }
    )
    declared = SourcesFile(sources={"acme": source})
    consents = {"2026-014": changed()}
    assert lapsed(declared, consents, dt.date(2026, 6, 30)) == []
    assert lapsed(declared, consents, dt.date(2026, 7, 1)) == ["contract/A-1"]
    assert lapsed(declared, consents, dt.date(2028, 1, 13)) == ["consent/2026-014", "contract/A-1"]
    before, after = (effective_right(source, terms=Terms({}, frozenset(over))) for over in ([], ["contract/A-1"]))
    assert before.right == "train_with_obligations" and before.obligations[0].startswith("attribution: ")
    assert after.right == "deny" and "expired on 2026-06-30" in after.reasons[0]


@pytest.mark.parametrize(
    ("stated", "layer"),
    [
        ({"tdm_reservation": True, "tdm_policy": "https://example.org/tdm"}, "tdm_reservation"),
        ({"training_mining": "c2pa.ai_training: notAllowed"}, "training_mining"),
    ],
)
def test_a_reservation_denies_whatever_else_is_stated(stated: dict[str, Any], layer: str) -> None:
    source = SOURCE.model_copy(update={"personal_data_basis": "none"})
    assert effective_right(source, SidecarRecord()).right == "train"
    assert effective_right(source, SidecarRecord(tdm_reservation=False)).right == "train"
    decision = effective_right(source, SidecarRecord(**stated))
    assert decision.right == "deny" and [r.split(" ")[0] for r in decision.reasons] == [layer]


# ── records in the workspace ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def office(finished: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace with one film that rests on a consent."""
    (finished / ROLES).write_text(json.dumps({**read_yaml(REPOSITORY / ROLES), "people": PEOPLE}))
    facts = Records(finished)
    film = facts.films[facts.clips[min(facts.exposure)].film_id]
    named = {**facts.films, film.film_id: film.model_copy(update={"consent_ref": "consent/2026-014"})}
    monkeypatch.setattr(Records, "films", named)
    YAML().dump(GIVEN, finished / "given.yaml")
    return finished


def call(*words: str) -> Result:
    app = Typer(pretty_exceptions_enable=False)
    command.register(app)
    return CliRunner().invoke(app, ["consent", *words])


def test_record_show_withdraw(office: Path) -> None:
    assert "README" in call("show").output
    assert call("record", "given.yaml", "--as", "Pia").exit_code == 0
    assert isinstance(call("record", "given.yaml", "--as", "Pia").exception, AiprodError)
    shown = call("show", "consent/2026-014").output
    assert "2026-014  given until 2028-01-12" in shown and "1 film, 1 clip, 1 of them shown" in shown
    said = call("withdraw", "2026-014", "--as", "Lex").output
    [clip] = reach(office, "2026-014").clips
    assert f"aiprod erase {clip}  # the model was shown it" in said
    ended = load_consents(office / CONSENT)["2026-014"]
    assert (ended.state, ended.events[-1].entity_id) == ("withdrawn", "legal")
    assert right(ended)[0] == "deny"
    leaves = [e for e in AuditLog().entries() if e.value["kind"] == "consent"]
    assert [e.value["facts"]["state"] for e in leaves] == ["given", "withdrawn"]
    assert AuditLog().opens(leaves[1], "record", ended.model_dump(mode="json", exclude_none=True))
    with pytest.raises(AiprodError, match="withdrawn already"):
        withdraw(office, "2026-014", "Pia")


def test_without_the_role_nothing_is_written(office: Path) -> None:
    for step in (lambda: record(office, office / "given.yaml", "Eve"), lambda: withdraw(office, "2026-014", "Eve")):
        with pytest.raises(Refusal, match="may not"):
            step()
    assert not (office / CONSENT).exists()
    facts = [e.value["facts"] for e in AuditLog().entries() if e.value["kind"] == "refused-action"]
    assert facts == [{"action": a, "lack": "role"} for a in ("record_consent", "withdraw_consent")]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"pii_principal_id": "Ada Example"}, "pii_principal_id"),
        ({"events": []}, "events"),
        (
            {"events": [GIVEN["events"][0], {**GIVEN["events"][0], "event_time": "2020-01-01T00:00:00Z"}]},
            "order of time",
        ),
        ({"record_id": "other"}, "name it other.yaml"),
        ({"extra": 1}, "unknown key 'extra'"),
    ],
)
def test_a_wrong_record_is_one_line(tmp_path: Path, change: dict[str, Any], says: str) -> None:
    YAML().dump({**GIVEN, **change}, tmp_path / "2026-014.yaml")
    with pytest.raises(AiprodError, match=says) as caught:
        load_consents(tmp_path)
    assert "\n" not in str(caught.value)


def test_the_readme_shows_a_record_that_reads(tmp_path: Path) -> None:
    text = (REPOSITORY / CONSENT / "README.md").read_text()
    (tmp_path / "2026-014.yaml").write_text(text.split("```yaml\n")[1].split("```")[0])
    assert load_consents(tmp_path)["2026-014"].covers(TRAINING)
