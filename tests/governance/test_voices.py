"""Voices in the records: lineage both ways, dossier, model card and statistics say who was heard, and by what right."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from aiprod.base.denials import Refusal
from aiprod.base.files import read_json, sha256_file, write_json
from aiprod.errors import AiprodError
from aiprod.governance.dataset import records as where
from aiprod.governance.dataset.queries import Tables
from aiprod.governance.dataset.records import Records
from aiprod.governance.dataset.voices import voices
from aiprod.governance.dossier.dossier import DossierParams, build_dossier
from aiprod.governance.erasure.resolve import ErasureRequest, resolve
from aiprod.governance.exports.counted import written
from aiprod.governance.exports.model_card import model_card
from aiprod.governance.exports.prov import prov_document
from aiprod.governance.lineage.lineage import lineage
from aiprod.governance.policy.consent import reach
from aiprod.repo.history import History
from aiprod.speech.corpus import MakeSpeechParams, make_corpus
from aiprod.speech.rows import SpeechRow
from aiprod.storage.crypto.film_encryption import Vault
from aiprod.storage.manifest.manifest import write_manifest

CONSENT = "2026-014"


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[SpeechRow], Path]:
    folder = tmp_path_factory.mktemp("speech")
    return make_corpus(MakeSpeechParams(commands=4, descriptions=4, made=4), folder, 1), folder


@pytest.fixture
def spoken(finished: Path, corpus: tuple[list[SpeechRow], Path]) -> Path:
    """The finished workspace with speech in it: one voice is a person's, and every other utterance was heard twice."""
    folder, persons = finished / where.SPEECH, {"synthetic": False, "consent_ref": CONSENT, "provenance": "recorded"}
    shutil.copytree(corpus[1], folder)
    rows = [row.model_copy(update=persons) if row.speaker == "alba" else row for row in corpus[0]]
    write_manifest(
        folder,
        rows,
        row_model=SpeechRow,
        stage="make_speech",
        key=lambda row: row.utterance_id,
        params_digest="d",
        inputs={},
    )
    heard = sorted(row.utterance_id for row in rows)[::2]
    clips = [{"clip_id": name, "film_id": None, "times": 2, "by_phase": {"speech": 2}} for name in heard]
    (finished / "models/speech/training").mkdir(parents=True)
    write_json(finished / "models/speech/training/exposure.json", {"clips": clips})
    return finished


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
