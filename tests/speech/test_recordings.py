"""Recordings of people: three layouts, a right for each voice, nothing in the clear, resumed, and erased whole."""

from __future__ import annotations

import copy
import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from ruamel.yaml import YAML

from aiprod.base.files import write_json
from aiprod.base.stage import Counters
from aiprod.base.state import state
from aiprod.data.sources.recordings import NONE, recordings_digest
from aiprod.errors import AiprodError
from aiprod.governance.dataset.records import Records
from aiprod.governance.dataset.voices import voices
from aiprod.governance.erasure.certificate import verify
from aiprod.governance.erasure.erase import plan
from aiprod.governance.erasure.procedure import carry_out
from aiprod.governance.erasure.resolve import ErasureRequest
from aiprod.governance.policy.consent import reach
from aiprod.inference.revoked_models import refuse_affected_voice
from aiprod.rights.agreements import VOICE, Terms, load_consents
from aiprod.rights.declarations import load_sources
from aiprod.speech.layouts import recordings_below
from aiprod.speech.recordings import Recordings, refusals
from aiprod.speech.rows import SpeechRow
from aiprod.speech.sound_files import read_sound
from aiprod.speech.speakers_table import read_speakers
from aiprod.speech.text_grid import read_text_grid
from aiprod.storage.crypto.cipher import label_of
from aiprod.storage.crypto.film_encryption import Vault, film_of, is_private
from aiprod.storage.manifest.manifest import read_rows, write_manifest
from aiprod.storage.result_cache import Memo
from aiprod.trainer.speech.data import load_utterances
from tests.consent_record import GIVEN
from tests.private_traces import needles_of, traces
from tests.projects import enter_project
from tests.speech import recorded_folders
from tests.speech.recorded_folders import TEXTS, said, text_grid, write

REPOSITORY = Path(__file__).resolve().parents[2]
SPEECH = Path("datasets/v1/speech")
LAYOUTS = {"ljspeech": {"ljspeech"}, "vctk": {"p225", "p226"}, "libritts": {"84"}}
SOURCE = """
  {name}:
    title: Recordings
    annotation_license: CC-BY-4.0
    media_license: CC-BY-4.0
    acquisition_terms: provided-by-operator
    media_host: self
    personal_data_basis: consent
    consent: per_file
    policy_approval: approved
    confidence: high
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace with the three layouts, a consent to be heard (2026-014) and one for something else (2026-015)."""
    root = enter_project(tmp_path / "project", monkeypatch)
    (root / "datasets/consent").mkdir(parents=True)
    shutil.copy(REPOSITORY / "datasets/roles.yaml", root / "datasets")
    text = (REPOSITORY / "datasets/sources.yaml").read_text()
    (root / "datasets/sources.yaml").write_text(text + "".join(SOURCE.format(name=name) for name in LAYOUTS))
    for number, purpose in (("014", VOICE), ("015", "train-generative-models")):
        record = copy.deepcopy(GIVEN)
        record["record_id"] = f"2026-{number}"
        record["pii_processing"]["purposes"][0]["purpose"] = purpose
        with open(root / f"datasets/consent/2026-{number}.yaml", "w", encoding="utf-8") as file:
            YAML().dump(record, file)
    for name, speakers in LAYOUTS.items():
        folder = getattr(recorded_folders, name)(root / "recordings" / name)
        lines = [f"{speaker},2026-014\n" for speaker in sorted(speakers)]
        (folder / "speakers.csv").write_text("speaker,consent_ref\n" + "".join(lines))
    (root / "params.yaml").write_text(json.dumps({"make_speech": {"folders": folders()}}))
    subprocess.run(["git", "init", "-q", str(root)], check=True)
    return root


def folders() -> dict[str, str]:
    return {name: f"recordings/{name}" for name in LAYOUTS}


def take_in(which: dict[str, str] | None = None) -> tuple[list[SpeechRow], Counters]:
    """What the stage does."""
    vault, counters = Vault(), Counters()
    SPEECH.mkdir(parents=True, exist_ok=True)
    taking = Recordings(
        sources=load_sources(),
        terms=Terms(load_consents()),
        vault=vault,
        memo=Memo(state().memo("make_speech"), "x"),
        heldout_fraction=0.3,
        seed=0,
        log=lambda line: None,
    )
    rows = list(taking.rows(which or folders(), SPEECH, counters))
    about = {"stage": "make_speech", "params_digest": "", "inputs": {}, "vault": vault}
    write_manifest(SPEECH, rows, row_model=SpeechRow, key=lambda row: row.utterance_id, **about)  # type: ignore[arg-type]
    return rows, counters


def test_every_layout_gives_every_recording_with_its_exact_times(project: Path) -> None:
    take_in()
    rows = read_rows(SPEECH, SpeechRow, Vault())
    assert {row.status for row in rows} == {"ok"} and all(is_private(row.utterance_id) for row in rows)
    assert {(row.source_id, row.speaker_name) for row in rows} == {
        (n, s) for n, names in LAYOUTS.items() for s in names
    }
    assert len(rows) == 4 * len(TEXTS) and len({row.speaker for row in rows}) == 4
    for row in rows:
        name = {"ljspeech": "alba", "p225": "alba", "p226": "bruno", "84": "carlo"}[str(row.speaker_name)]
        truth = said(row.text, name)
        assert row.phones == [phone.name for phone in truth.phones]
        lengths = np.diff(row.phone_ends_s)[:-1]  # silences at both ends are cut
        assert lengths == pytest.approx(np.diff([phone.end_s for phone in truth.phones])[:-1], abs=2e-3)
        assert row.words == [word.name for word in truth.words]
        assert row.phone_ends_s[-1] == pytest.approx(row.seconds, abs=1e-3)
        sound = read_sound(SPEECH / str(row.sound_name))
        assert len(sound) == pytest.approx((row.seconds or 0) * 16_000, abs=1)
    heldout = {row.text for row in rows if row.split == "heldout"}
    assert heldout.isdisjoint(row.text for row in rows if row.split == "train")
    assert len(load_utterances(rows, SPEECH)) == len(rows)
    assert {voice.right for voice in voices(Records(project))} == {f"a consent for {VOICE}, sealed"}
    assert len(reach(project, "2026-014").utterances) == len(rows)


def test_nothing_of_a_person_is_in_the_clear_and_a_second_run_makes_nothing_again(project: Path) -> None:
    first, counters = take_in()
    assert (counters.processed, counters.reused) == (len(first), 0)
    for path in SPEECH.glob("u0*"):
        assert label_of(path) == f"speech:{path.stem}"
    words = [*TEXTS, "p225_001", "LJ001-000", "84_121123", "2026-014"]
    for path in sorted((project / "recordings").rglob("*.wav"))[:4]:
        found = traces(project, needles_of(path.read_bytes(), words), but=[project / "recordings"])
        assert not [line for line in found if "datasets/consent" not in line]
    before = {path.name: path.read_bytes() for path in SPEECH.glob("u0*")}
    again, counters = take_in()
    assert (counters.processed, counters.reused) == (0, len(first)) and again == first
    assert before == {path.name: path.read_bytes() for path in SPEECH.glob("u0*")}


@pytest.mark.parametrize(
    ("line", "said_why"),
    [
        ("p226,\n", "no consent for clone-voice is named"),
        ("p226,2026-015\n", "consent 2026-015 is not for clone-voice"),
        ("p226,2026-099\n", "no record 2026-099"),
        ("", "no consent for clone-voice is named"),
    ],
)
def test_a_voice_without_consent_is_refused_by_name_and_nothing_of_it_is_stored(
    project: Path, line: str, said_why: str
) -> None:
    (project / "recordings/vctk/speakers.csv").write_text("speaker,consent_ref\np225,2026-014\n" + line)
    rows, _ = take_in({"vctk": "recordings/vctk"})
    denied = [row for row in rows if row.speaker_name == "p226"]
    assert len(denied) == len(TEXTS)
    for row in rows:
        assert (row.status, (SPEECH / f"{row.utterance_id}.wav").exists()) == (
            ("refused", False) if row in denied else ("ok", True)
        )
    (refusal,) = refusals(rows)
    assert said_why in refusal.what and refusal.subject == denied[0].speaker and refusal.lack == "consent"


def test_a_speaker_is_erased_with_every_recording_and_the_models_that_heard_them_are_named(project: Path) -> None:
    rows, _ = take_in()
    mine = [row for row in rows if row.speaker_name == "p226"]
    heard = [{"clip_id": row.utterance_id, "times": 2, "by_phase": {"speech": 2}} for row in rows[::2]]
    write_json(project / "models/speech/training/exposure.json", {"clips": heard})
    (project / "dvc.lock").write_text("stages:\n  t:\n    outs:\n    - {path: models/speech, md5: aa11.dir}\n")
    vault = Vault()
    todo = plan(project, ErasureRequest("p226"), vault)
    assert todo.films == {film_of(mine[0].speaker)} and len(todo.objects) == len(TEXTS)
    assert [model.model for model in todo.models] == ["speech"] and todo.memo == len(TEXTS)
    done = carry_out(todo, vault, actor="ada", role="operator")
    assert verify(project, done.path).problems == []
    left = sorted(p.name for p in (project / "recordings").rglob("*p226*"))
    assert left == [] and len(list((project / "recordings").rglob("*p225*"))) > 6
    table = (project / "recordings/vctk/speakers.csv").read_text()
    assert "p226" not in table and "p225" in table
    tombstones = project / "datasets/erasures/tombstones.json"
    assert len(json.loads(tombstones.read_text())[0]["also"]) == len(TEXTS) - 1
    opened = read_rows(SPEECH, SpeechRow, Vault())
    assert {row.status for row in opened if row.speaker == mine[0].speaker} == {"erased"}
    assert {row.status for row in opened if row.speaker != mine[0].speaker} == {"ok"}
    assert not any(row.text in TEXTS for row in opened if row.status == "erased")
    with pytest.raises(AiprodError, match="heard 1 voice that was erased"):
        refuse_affected_voice(project / "models/speech")
    with pytest.raises(AiprodError, match="already erased"):
        plan(project, ErasureRequest(mine[0].speaker), Vault())
    recorded_folders.vctk(project / "recordings/vctk")  # offered again, also by another name
    shutil.copytree(project / "recordings/vctk/wav48_silence_trimmed/p226", project / "kept")
    rows, _ = take_in()
    again = [row for row in rows if row.status == "erased"]
    assert len(again) == len(TEXTS) and not any((SPEECH / f"{row.utterance_id}.wav").exists() for row in again)


def test_the_folders_are_known_by_a_digest_that_changes_with_them_and_tells_nothing(project: Path) -> None:
    sources = load_sources()
    assert recordings_digest({}, sources, []) == NONE
    first = recordings_digest(folders(), sources, [])
    assert first == recordings_digest(folders(), sources, []) and len(first) == 64
    path = project / "recordings/vctk/txt/p225/p225_001.txt"
    path.write_text("another text")
    second = recordings_digest(folders(), sources, [])
    assert second != first
    os.remove(project / "datasets/consent/2026-014.yaml")
    assert recordings_digest(folders(), sources, []) not in (first, second)
    with pytest.raises(AiprodError, match="folder nowhere of the recordings 'vctk' does not exist"):
        recordings_digest({"vctk": "nowhere"}, sources, [])


def test_what_cannot_be_used_is_a_row_with_its_reason(project: Path) -> None:
    folder = project / "recordings/vctk"
    place = folder / "wav48_silence_trimmed/p225"
    write(place / "p225_001_mic1.wav", np.zeros(16_000, np.float32))
    write(place / "p225_002_mic1.wav", np.tile(said(TEXTS[0], "alba").sound, 12))
    (place / "p225_003_mic1.wav").write_bytes(b"no sound at all")
    (folder / "txt/p226/p226_009.txt").write_text("nobody said this")
    rows, _ = take_in({"vctk": "recordings/vctk"})
    reasons = {str(row.key): row.reasons[0] for row in rows if row.status == "refused"}
    assert [reasons[f"wav48_silence_trimmed/p225/p225_00{n}_mic1.wav"] for n in (1, 2)] == [
        "no voice is heard in it",
        "it is not from 0.5 to 20 s long",
    ]
    assert len(reasons) == 3 and sum(row.status == "ok" for row in rows) == 3
    found = recordings_below(folder, "vctk")
    assert found.left_out == {"txt/p226/p226_009.txt": "there is no sound of it in wav48_silence_trimmed"}
    with pytest.raises(AiprodError, match="no recordings in a layout"):
        recordings_below(project / "datasets", "vctk")


def test_pocketsphinx_finds_the_phones_that_were_spoken(project: Path) -> None:
    pytest.importorskip("pocketsphinx")
    for path in (project / "recordings/vctk").rglob("*.TextGrid"):
        path.unlink()
    wrong = project / "recordings/vctk/txt/p225/p225_002.txt"
    wrong.write_text("Kennwortzzz")
    rows, _ = take_in({"vctk": "recordings/vctk"})
    assert [row.reasons for row in rows if row.status == "refused"] == [
        ["its text is empty, or has a word whose sound is not known"]
    ]
    errors = []
    for row in (row for row in rows if row.status == "ok"):
        truth = said(row.text, "alba" if row.speaker_name == "p225" else "bruno")
        assert "PocketSphinx" in row.provenance and row.words == [word.name for word in truth.words]
        spoken = [(p.name, p.start_s) for p in row.timed_phones() if p.name != "SIL"]
        wanted = [(p.name, p.start_s) for p in truth.phones if p.name != "SIL"]
        assert [name for name, _ in spoken] == [name for name, _ in wanted]
        shifts = np.array([a - b for (_, a), (_, b) in zip(spoken, wanted, strict=True)])
        errors += list(np.abs(shifts - np.median(shifts)))
    assert np.median(errors) < 0.03


@pytest.mark.parametrize("short", [True, False])
def test_a_text_grid_is_read_in_both_forms_and_encodings(tmp_path: Path, short: bool) -> None:
    truth, path = said(TEXTS[0], "alba"), tmp_path / "a.TextGrid"
    for encoding in ("utf-8", "utf-16"):
        path.write_text(text_grid(truth, short), encoding=encoding)
        phones, words = read_text_grid(path, "en")
        assert phones == list(truth.phones) and words == list(truth.words)
    whole = text_grid(truth, short)
    for broken in ("", "nothing", whole[: len(whole) // 2], whole.replace("phones", "sounds")):
        path.write_text(broken)
        with pytest.raises(AiprodError, match=r"a\.TextGrid (is not a TextGrid|has no tier)"):
            read_text_grid(path, "en")


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("name,consent_ref\n", "no column `speaker`"),
        ("speaker,consent_reff\n", "a column 'consent_reff'"),
        ("speaker\np1\np1\n", "line 3: the speaker is named twice"),
        ("speaker,language\np1,tlh\n", "unknown language 'tlh'"),
        ("speaker,personal_data_basis\np1,because\n", "personal_data_basis is 'because'"),
    ],
)
def test_a_table_of_speakers_that_is_wrong_is_refused_in_one_line(tmp_path: Path, text: str, match: str) -> None:
    (tmp_path / "speakers.csv").write_text(text)
    with pytest.raises(AiprodError, match=match):
        read_speakers(tmp_path)
