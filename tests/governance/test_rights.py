"""Rights: the effective right is the minimum of the layers, unknown denies, and the proof says so in words."""

from __future__ import annotations

import csv
import itertools
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiprod.rights.declarations import SidecarRecord, SourceDeclaration, load_sources
from aiprod.rights.effective_right import effective_right, prohibited_platform
from aiprod.rights.licence_words import read_licence
from aiprod.rights.licences import Contract, judge_licence
from aiprod.rights.right import Right

REPOSITORY = Path(__file__).resolve().parents[2]
CLEAN: dict[str, Any] = {
    "title": "ours",
    "annotation_license": "CC0-1.0",
    "media_license": "CC0-1.0",
    "acquisition_terms": "generated",
    "media_host": "self",
    "personal_data_basis": "none",
    "consent": "not_needed",
    "policy_approval": "approved",
}
DENYING: dict[str, list[str]] = {
    "annotation_license": ["unknown", "CC-BY-NC-4.0", "LicenseRef-x"],
    "media_license": ["unknown", "CC-BY", "CC-BY-ND-4.0", "no such thing", "LicenseRef-contract-9"],
    "acquisition_terms": ["unknown", "platform terms forbid download", "data-licence"],
    "media_host": ["unknown", "YouTube", "www.tiktok.com", "web, YouTube"],
    "personal_data_basis": ["consent", "contract", "public_task"],
    "consent": ["missing"],
    "policy_approval": ["prohibited", "not_listed"],
}


def source(**changes: Any) -> SourceDeclaration:
    return SourceDeclaration.model_validate({**CLEAN, **changes})


def test_a_clean_source_may_be_trained_on() -> None:
    decision = effective_right(source())
    assert (decision.right, decision.reasons, decision.obligations) == ("train", [], [])
    assert len(decision.proof) == 7


@pytest.mark.parametrize(("layer", "value"), [(k, v) for k, values in DENYING.items() for v in values])
def test_one_bad_layer_denies_whatever_the_others_say(layer: str, value: str) -> None:
    decision = effective_right(source(**{layer: value}))
    assert decision.right == "deny"
    assert not decision.permits_training
    assert len(decision.reasons) == 1, "the one bad layer is the one reason"
    assert decision.obligations == []


@given(st.fixed_dictionaries({k: st.sampled_from([CLEAN[k], *v]) for k, v in DENYING.items()}))
def test_any_mixture_is_denied_exactly_when_a_layer_is_bad(layers: dict[str, str]) -> None:
    bad = any(value != CLEAN[name] for name, value in layers.items())
    assert (effective_right(source(**layers)).right == "deny") == bad


@given(
    st.lists(
        st.sampled_from(["CC0-1.0", "CC-BY-4.0", "CC-BY-NC-4.0", "CC-BY-SA-4.0", "LicenseRef-x"]),
        min_size=1,
        max_size=4,
    ),
    st.sampled_from(["AND", "OR"]),
)
def test_and_takes_the_worst_licence_and_or_the_best(parts: list[str], operator: str) -> None:
    single = [judge_licence(p).right for p in parts]
    expected = min(single) if operator == "AND" else max(single)
    assert judge_licence(f" {operator} ".join(parts)).right == expected


def test_and_collects_the_obligations_of_all_parts() -> None:
    assert set(judge_licence("MIT AND CC-BY-SA-4.0").obligations) == {"attribution", "share-alike"}
    assert judge_licence("CC-BY-4.0 OR CC0-1.0").obligations == ()


def test_cc_by_without_a_version_names_the_versions() -> None:
    finding = judge_licence("CC-BY")
    assert finding.right == Right.DENY
    assert "CC-BY-3.0" in finding.why and "CC-BY-4.0" in finding.why


@pytest.mark.parametrize(
    ("stated", "right"),
    [
        ("public domain (Unlicense)", Right.TRAIN),
        ("public domain (NASA)", Right.TRAIN_WITH_OBLIGATIONS),
        ("CC0-1.0 / public domain", Right.TRAIN),
        ("CC-BY-3.0-DE", Right.TRAIN_WITH_OBLIGATIONS),
        ("CC-BY-NC-SA-4.0", Right.DENY),
        ("Proprietary", Right.DENY),
        ("", Right.DENY),
        ("AND AND", Right.DENY),
        ("GPL-3.0-or-later WITH Classpath-exception-2.0", Right.TRAIN_WITH_OBLIGATIONS),
    ],
)
def test_known_spellings(stated: str, right: Right) -> None:
    assert judge_licence(stated).right == right


def test_public_domain_is_a_claim_until_evidence_is_recorded() -> None:
    per_file = source(media_license="per-file")
    claimed = SidecarRecord(media_license="unknown", media_license_declared="public domain (NASA)")
    proven = claimed.model_copy(update={"license_evidence": "README line 162", "attribution": "NASA"})
    assert effective_right(per_file, claimed).right == "deny"
    decision = effective_right(per_file, proven)
    assert decision.right == "train_with_obligations"
    assert any(o.startswith("attribution: NASA") for o in decision.obligations)
    assert any("README line 162" in line for line in decision.proof)


def test_a_contract_expires_at_the_end_of_its_last_day() -> None:
    contract = Contract(id="K-17", license_symbol="LicenseRef-stock", expires=date(2030, 6, 30), permits_training=True)
    stock = source(media_license="LicenseRef-stock", acquisition_terms="data-licence", contract=contract)
    assert effective_right(stock, on=date(2030, 6, 30)).right == "train"
    late = effective_right(stock, on=date(2030, 7, 1))
    assert late.right == "deny"
    assert any("2030-06-30" in reason for reason in late.reasons)
    silent = stock.model_copy(update={"contract": contract.model_copy(update={"permits_training": False})})
    assert effective_right(silent, on=date(2030, 1, 1)).right == "deny"


def test_consent_needs_a_record() -> None:
    """What a record has to say is in test_consent.py."""
    claimed = effective_right(source(personal_data_basis="consent"))
    unknown = effective_right(source(personal_data_basis="consent"), SidecarRecord(consent_ref="C-2"))
    assert (claimed.right, unknown.right) == ("deny", "deny")
    assert "no record is named" in claimed.reasons[0] and "no record C-2" in unknown.reasons[0]
    contract = effective_right(source(personal_data_basis="contract"), SidecarRecord(consent_ref="release-7"))
    assert contract.right == "train_with_obligations"
    assert any(o.startswith("honour-withdrawal") for o in contract.obligations)


def test_unknown_personal_data_sends_faces_to_a_reviewer() -> None:
    decision = effective_right(source(personal_data_basis="unknown"))
    assert decision.right == "train_with_obligations"
    assert any(o.startswith("privacy-review") for o in decision.obligations)


def test_an_address_on_a_prohibited_platform_denies_a_clean_source() -> None:
    decision = effective_right(source(), SidecarRecord(url="https://m.youtube.com/watch?v=x"))
    assert decision.right == "deny" and "YouTube" in decision.reasons[0]


@pytest.mark.parametrize("host", ["notyoutube.com.example.org", "pexels.com", "self"])
def test_other_hosts_are_not_mistaken_for_prohibited_ones(host: str) -> None:
    assert prohibited_platform(host) is None


def test_every_source_named_by_the_policy_is_denied_but_the_demo_and_files_that_prove_themselves() -> None:
    declared = load_sources(REPOSITORY / "datasets" / "sources.yaml").sources
    may = {name for name, s in declared.items() if effective_right(s).permits_training}
    assert may == {"demo"}
    with_proof = SidecarRecord(media_license="CC-BY-4.0", attribution="A. Author")
    may_with_proof = {name for name, s in declared.items() if effective_right(s, with_proof).permits_training}
    assert may_with_proof == {"demo", "inbox", "open-film"}


def test_the_open_films_come_out_trainable_with_credit_where_due(shared_clips: Path) -> None:
    declared = load_sources(REPOSITORY / "datasets" / "sources.yaml").get("open-film")
    with open(shared_clips / "open" / "SOURCES.csv", newline="", encoding="utf-8") as file:
        films = list(csv.DictReader(file))
    assert len(films) == 25
    for film in films:
        for spelled in (
            "unknown",
            read_licence(film["licence"]).spdx,
        ):  # as read from the words
            record = SidecarRecord(
                media_license=spelled,
                media_license_declared=film["licence"],
                license_evidence=film["licence_evidence"],
                attribution=film["attribution"],
            )
            if spelled == "unknown" and film["licence"].startswith("CC") and "/" not in film["licence"]:
                continue
            decision = effective_right(declared, record)
            assert decision.permits_training, (film["file"], decision.reasons)
            credited = any(o.startswith("attribution: ") and film["attribution"] in o for o in decision.obligations)
            assert credited == (film["licence"].startswith("CC-BY") or "NASA" in film["licence"]), film["file"]


def test_the_answer_does_not_depend_on_the_order_of_parts() -> None:
    for order in itertools.permutations(["CC0-1.0", "MIT", "CC-BY-SA-4.0"]):
        finding = judge_licence(" AND ".join(order))
        assert finding.right == Right.TRAIN_WITH_OBLIGATIONS
        assert set(finding.obligations) == {"attribution", "share-alike"}


def test_no_denied_film_reaches_training_even_past_ingest(finished: Path) -> None:
    """Rights are enforced a second time where clips are chosen for training and for the latent cache."""
    from aiprod.captions.rows import CaptionRow
    from aiprod.governance.dataset.records import Records
    from aiprod.trainer.training_set import TrainClipsParams, select_clips

    facts = Records(finished)
    captions = [CaptionRow(clip_id=c.clip_id, film_id=c.film_id, status="ok") for c in facts.clips.values()]

    def chosen(films: Any) -> set[str]:
        rows = facts.clips.values(), facts.verdicts.values(), captions
        return {clip.clip_id for clip in select_clips(films, *rows, TrainClipsParams()).all}

    before = chosen(facts.films.values())
    victim = facts.clips[min(before)]
    denied = [
        f.model_copy(update={"effective_right": "deny"}) if f.film_id == victim.film_id else f
        for f in facts.films.values()
    ]
    assert before - chosen(denied) == {c.clip_id for c in facts.clips_of[victim.film_id]}


def test_what_the_latent_cache_reads_from_disk_holds_no_denied_clip(finished: Path) -> None:
    """The verdict says APPROVED, the film is denied: what `cache_latents` encodes leaves its clips out."""
    from aiprod.data.rows import FilmRow
    from aiprod.governance.dataset.records import Records
    from aiprod.storage.manifest.manifest import write_manifest
    from aiprod.trainer.stage import read_selection

    with open(finished / "params.yaml", "a") as file:
        file.write("train_clips:\n  admit: [APPROVED, REVIEW_NEEDED]\n")
    facts, data = Records(finished), finished / "datasets/v1"
    before = {clip.clip_id for clip in read_selection(data)[0].all}
    victim = facts.films[facts.clips[min(before)].film_id]
    rows = [
        film.model_copy(update={"effective_right": "deny"}) if film.film_id == victim.film_id else film
        for film in facts.films.values()
    ]
    write_manifest(
        data / "ingest/films",
        rows,
        row_model=FilmRow,
        stage="ingest",
        key=lambda row: row.film_id,
        params_digest="p",
        inputs={},
    )
    selection = read_selection(data)[0]
    gone = {clip.clip_id for clip in facts.clips_of[victim.film_id]}
    assert before - {clip.clip_id for clip in selection.all} == gone
    assert {selection.left_out[clip].reason for clip in gone} == {"its rights do not permit training"}
