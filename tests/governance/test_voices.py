"""Voices in the records: lineage both ways, dossier, model card and statistics say who was heard, and by what right."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from aiprod.base.denials import Refusal
from aiprod.base.files import read_json, sha256_file, write_json
from aiprod.errors import AiprodError
from aiprod.governance.dataset import records as where
from aiprod.governance.dataset.audit_events import _products
from aiprod.governance.dataset.queries import Tables
from aiprod.governance.dataset.records import Records
from aiprod.governance.dataset.voices import voices
from aiprod.governance.dossier.dossier import DossierParams, build_dossier
from aiprod.governance.erasure.models import models as exposure_of
from aiprod.governance.erasure.resolve import ErasureRequest, resolve
from aiprod.governance.exports.bill_of_materials import FACES, SPEECH, BillOfMaterials
from aiprod.governance.exports.counted import written
from aiprod.governance.exports.model_card import model_card
from aiprod.governance.exports.prov import prov_document
from aiprod.governance.lineage.lineage import lineage
from aiprod.governance.policy.consent import reach
from aiprod.lips.rows import FaceRow
from aiprod.repo.history import History
from aiprod.speech.corpus import MakeSpeechParams, make_corpus
from aiprod.speech.rows import SpeechRow
from aiprod.storage.crypto.film_encryption import Vault, film_of
from aiprod.storage.manifest.manifest import write_manifest

CONSENT = "2026-014"


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[SpeechRow], Path]:
    folder = tmp_path_factory.mktemp("speech")
    return make_corpus(MakeSpeechParams(commands=4, descriptions=4, made=4), folder, 1), folder


def add_speech(
    root: Path, corpus: tuple[list[SpeechRow], Path], alba: dict[str, Any], *, every: int, times: int
) -> None:
    """Speech in a workspace, some values of alba's rows changed, and a model that heard each or every second of it."""
    shutil.copytree(corpus[1], root / where.SPEECH)
    rows = [row.model_copy(update=alba) if row.speaker == "alba" else row for row in corpus[0]]
    write_manifest(
        root / where.SPEECH,
        rows,
        row_model=SpeechRow,
        stage="make_speech",
        key=lambda row: row.utterance_id,
        params_digest="d",
        inputs={},
    )
    heard = sorted(row.utterance_id for row in rows)[::every]
    clips = [{"clip_id": name, "film_id": None, "times": times, "by_phase": {"speech": times}} for name in heard]
    (root / "models/speech/training").mkdir(parents=True)
    write_json(root / "models/speech/training/exposure.json", {"clips": clips})


@pytest.fixture
def spoken(finished: Path, corpus: tuple[list[SpeechRow], Path]) -> Path:
    """The finished workspace with speech in it: one voice is a person's, and every other utterance was heard twice."""
    persons = {"synthetic": False, "consent_ref": CONSENT, "provenance": "recorded"}
    add_speech(finished, corpus, persons, every=2, times=2)
    return finished


@pytest.fixture
def mouths(spoken: Path) -> Path:
    """The same with two heads, and models of the mouth: one heard an utterance, the other saw a head that says it."""
    says = sorted(Records(spoken).utterances)[1]
    folder, row = spoken / where.FACES, Records(spoken).utterances[says]
    folder.mkdir(parents=True)
    heads = []
    for name in ("f1seen", "f1held"):
        (folder / f"{name}.mp4").write_bytes(name.encode())
        heads.append(
            FaceRow(
                clip_id=name, source_id="drawn_heads", provenance="drawn", synthetic=True, utterance_id=says,
                speaker=row.speaker, language=row.language, text=row.text, fault="none", fps=25.0, frames=0,
                split="train" if name == "f1seen" else "heldout", file_name=f"{name}.mp4",
                file_sha256=sha256_file(folder / f"{name}.mp4"), phones=row.phones, phone_ends_s=row.phone_ends_s,
                visemes=[], mouth=[], aperture=[], pose=[],
            )
        )  # fmt: skip
    write_manifest(
        folder,
        heads,
        row_model=FaceRow,
        stage="make_faces",
        key=lambda row: row.clip_id,
        params_digest="d",
        inputs={},
    )
    for model, clip, times in (("visemes", says, 3), ("lips", "f1seen", 5)):
        (spoken / f"models/{model}/training").mkdir(parents=True)
        ledger = [{"clip_id": clip, "film_id": None, "times": times, "by_phase": {model: times}}]
        write_json(spoken / f"models/{model}/training/exposure.json", {"clips": ledger})
        write_json(spoken / f"models/{model}/digest.json", {"digest": f"digest of {model}"})
        (spoken / f"models/{model}/model.safetensors").write_bytes(model.encode())
    return spoken


def test_models_of_the_mouth_name_what_they_heard_and_saw_and_are_named_by_it(mouths: Path) -> None:
    facts = Records(mouths)
    (says,) = facts.ledger("visemes")
    visemes, lips = lineage(mouths, "visemes"), lineage(mouths, "models/lips")
    assert visemes.mismatches == lips.mismatches == []
    assert [u.name for s in visemes.subject.children for u in s.children] == [says]
    assert visemes.subject.facts == {"utterances_heard": 1, "hearings": 3}
    (head,) = lips.subject.children
    assert (head.kind, head.name, head.children[0].name) == ("head", "f1seen", says)
    assert lips.subject.facts == {"heads_seen": 1, "showings": 5} and lips.checked_files == 2
    speaker = facts.utterances[says].speaker
    for asked in (says, speaker):
        users = {n.name: n.facts for n in lineage(mouths, asked, rehash=False).used_by}
        assert users["visemes"]["times_heard"] == 3 and users["lips"]["times_shown"] == 5
    assert [n.name for n in lineage(mouths, f"{where.FACES}/f1seen.mp4").used_by] == ["lips"]
    assert lineage(mouths, "f1held", rehash=False).used_by == []
    clip = next(iter(facts.exposure))
    assert not {"visemes", "lips"} & {n.name for n in lineage(mouths, clip, rehash=False).used_by}
    sample = lineage(mouths, "reports/samples/000.mp4", rehash=False)
    assert not {"visemes", "lips"} & {n.name for n in sample.subject.children[0].children}


def test_a_changed_head_behind_the_model_of_lips_is_named(mouths: Path) -> None:
    (mouths / where.FACES / "f1held.mp4").write_bytes(b"other")
    assert lineage(mouths, "lips").mismatches == []
    (mouths / where.FACES / "f1seen.mp4").write_bytes(b"other")
    assert "f1seen" in "\n".join(lineage(mouths, "lips").mismatches)


def test_models_of_the_mouth_stand_in_documents_and_in_the_log(mouths: Path) -> None:
    for name in ("visemes", "lips"):
        (mouths / f"reports/{name}").mkdir(parents=True)
        write_json(mouths / f"reports/{name}/metrics.json", {"viseme_accuracy": 0.5})
    build_dossier(mouths, mouths / "reports/dossier", DossierParams())
    page, card = (mouths / "reports/dossier/index.html").read_text(), model_card(Records(mouths))
    assert "<h3>Visemes</h3>" in page and "<h3>Lips</h3>" in page
    assert "`visemes`: 1 utterance" in card and "`lips`: 1 drawn head" in card
    parts = {part.name: part for part in BillOfMaterials(Records(mouths)).models}
    assert (parts["visemes"].dataset, parts["lips"].dataset) == (SPEECH, FACES)
    events = {e.subject: e for e in _products(Records(mouths))}
    assert events["model/lips"].facts == {"seen": 1} and events["model/visemes"].facts == {"seen": 1}


def test_an_erasure_names_the_models_of_the_mouth_that_heard_or_saw_it(mouths: Path) -> None:
    (says,) = Records(mouths).ledger("visemes")
    for asked, model in ((says, "visemes"), ("f1seen", "lips")):
        outs = {f"models/{name}": f"{name}.dir" for name in ("visemes", "lips")}
        state = SimpleNamespace(outs=outs, revisions=["working tree"])
        none = dict.fromkeys(("read_json", "cached"), lambda _: None)
        history = SimpleNamespace(states=[state], root=mouths, listing=lambda _: {}, **none)
        found = exposure_of(history, {film_of(asked)})
        assert [facts.model for facts in found if facts.affected] == [model]


def test_model_speaker_and_utterance_lead_to_each_other(spoken: Path) -> None:
    facts = Records(spoken)
    model = lineage(spoken, "speech")
    assert model.mismatches == [] and model.used_by == [] and model.rights == []
    assert model.subject.facts["utterances_heard"] == len(facts.heard) > 0
    below = {u.name: s for s in model.subject.children for u in s.children}
    assert set(below) == set(facts.heard)
    for name, row in facts.utterances.items():
        found = lineage(spoken, name, rehash=False)
        assert [n.name for n in found.used_by] == (["speech"] if name in facts.heard else [])
        (voice,) = found.subject.children
        assert (voice.name == row.speaker and name not in below) or below[name].name == row.speaker
        assert voice.facts["right"] == ([f"consent {CONSENT} for clone-voice"] if row.speaker == "alba" else
                                        ["no person spoke it"])  # fmt: skip
    alba = lineage(spoken, "alba")
    mine = {name for name, row in facts.utterances.items() if row.speaker == "alba"}
    assert {n.name for n in alba.subject.children} == mine and alba.checked_files >= len(mine)
    assert sum(n.facts["times_heard"] for n in alba.used_by) == 2 * len(mine & set(facts.heard))
    first = min(mine)
    assert lineage(spoken, f"{where.SPEECH}/{first}.wav").document() == lineage(spoken, first).document()
    json.loads(model.json())
    assert "aiprod:speaker/alba" in prov_document(model).serialize(format="json")


def test_a_changed_sound_behind_the_model_is_named_and_one_it_did_not_hear_is_not(spoken: Path) -> None:
    facts = Records(spoken)
    heard, other = (next(n for n in facts.utterances if (n in facts.heard) == wanted) for wanted in (True, False))
    for name in (heard, other):
        path = spoken / where.SPEECH / f"{name}.wav"
        path.write_bytes(path.read_bytes()[:-1] + b"?")
    said = "\n".join(lineage(spoken, "speech").mismatches)
    assert heard in said and other not in said
    assert other in "\n".join(lineage(spoken, other).mismatches)


def test_the_model_of_speech_has_seen_no_film_and_films_lineage_knows_no_voice(spoken: Path) -> None:
    facts = Records(spoken)
    clip = next(iter(facts.exposure))
    assert "speech" not in {n.name for n in lineage(spoken, clip, rehash=False).used_by}
    sample = lineage(spoken, "reports/samples/000.mp4", rehash=False)
    assert "speech" not in {n.name for n in sample.subject.children[0].children}
    assert sample.mismatches == []


def test_voices_are_counted_in_dossier_and_model_card_with_their_right(spoken: Path) -> None:
    facts = Records(spoken)
    found = voices(facts)
    assert sum(v.utterances for v in found) == len(facts.utterances)
    assert sum(v.heard for v in found) == len(facts.heard)
    assert sum(v.hearings for v in found) == 2 * len(facts.heard)
    assert {v.right for v in found if v.speaker == "alba"} == {f"consent {CONSENT} for clone-voice"}
    summary = build_dossier(spoken, spoken / "reports/dossier", DossierParams())
    assert summary["voices"] == read_json(spoken / "reports/dossier/summary.json")["voices"]
    page = (spoken / "reports/dossier/index.html").read_text()
    card = model_card(facts)
    assert 'id="voices"' in page and summary["manifest_roots"][where.SPEECH] in page
    for voice in found:
        assert page.count(f'<th scope="row">{voice.speaker}</th><td>{voice.language}</td>') == 1
        row = f"| {voice.speaker} | {voice.language} | {voice.provenance} | {voice.right} | {voice.heard} |"
        assert (row in card) == (voice.heard > 0)
    sounds = {row.sound_sha256 for row in facts.utterances.values()}
    assert sounds == {sha256_file(p) for p in (spoken / where.SPEECH).glob("*.wav")}


def test_every_document_names_the_teachers_of_a_voice(finished: Path, corpus: tuple[list[SpeechRow], Path]) -> None:
    mark = "synthetic, teacher: Flite 2.2, voice slt"
    add_speech(finished, corpus, {"provenance": mark}, every=1, times=1)
    facts = Records(finished)
    build_dossier(finished, finished / "reports/dossier", DossierParams())
    documents = {name: (finished / "reports/dossier" / name).read_text() for name in (
        "index.html", "MODEL_CARD.md", "EU_AI_ACT.md", "PROVENANCE.md", "croissant.json", "summary.json",
    )}  # fmt: skip
    bill = {each.key: each.about for each in BillOfMaterials(facts).datasets}
    documents["bill of materials"] = bill[SPEECH]
    documents["lineage"] = str(lineage(finished, "alba", rehash=False).subject)
    assert {name for name, text in documents.items() if mark not in text} == set()


def test_a_workspace_without_speech_says_nothing_of_voices(finished: Path) -> None:
    build_dossier(finished, finished / "reports/dossier", DossierParams())
    assert 'id="voices"' not in (finished / "reports/dossier/index.html").read_text()
    assert "Voices" not in model_card(Records(finished))


def test_figures_of_voices_are_queries(spoken: Path) -> None:
    facts, tables = Records(spoken), Tables(Records(spoken))
    alba = [row for row in facts.utterances.values() if row.speaker == "alba"]
    assert tables.ask("count of utterances where synthetic = false") == len(alba)
    assert tables.ask("by speaker of utterances where synthetic = false") == {"alba": len(alba)}
    figures = {f["query"]: f["value"] for f in written(facts)["ropa"].document()["figures"]}
    heard = sum(row.utterance_id in facts.heard for row in alba)
    assert figures["count of utterances where synthetic = false"] == len(alba)
    assert figures["count of utterances where synthetic = false and heard > 0"] == heard > 0
    assert tables.ask("sum heard of utterances") == sum(voice.hearings for voice in voices(facts))
    total = sum(row.seconds or 0 for row in facts.utterances.values())
    assert tables.ask("sum seconds of utterances") == pytest.approx(total)


def test_a_consent_names_what_its_person_spoke_and_how_often_it_was_heard(spoken: Path) -> None:
    facts = Records(spoken)
    rests = reach(spoken, f"consent/{CONSENT}")
    assert rests.utterances == sorted(k for k, row in facts.utterances.items() if row.speaker == "alba")
    assert rests.heard == {k: 2 for k in rests.utterances if k in facts.heard} != {}
    assert rests.films == [] and reach(spoken, "2026-015").utterances == []


@pytest.mark.parametrize("speaker", ["alba", "bruno"])
@pytest.mark.parametrize("by", ["name", "utterance"])
def test_erasing_a_voice_is_answered_by_name_and_never_by_silence(spoken: Path, speaker: str, by: str) -> None:
    rows = Records(spoken).utterances
    asked = speaker if by == "name" else next(k for k, row in rows.items() if row.speaker == speaker)
    with pytest.raises(AiprodError) as caught:
        resolve(ErasureRequest(asked), History(spoken, spoken), Vault())
    said = str(caught.value)
    assert asked in said
    if speaker == "alba":
        assert isinstance(caught.value, Refusal) and caught.value.lack == "key" and CONSENT in said
        assert caught.value.subject in rows
    else:
        assert not isinstance(caught.value, Refusal) and "nobody to erase" in said
