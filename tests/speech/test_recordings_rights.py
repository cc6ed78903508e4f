"""What recordings, and files beside them, say of their rights binds them as it does films."""

from __future__ import annotations

from pathlib import Path

import pytest

from aiprod.data.sources.recordings import recordings_digest
from aiprod.rights.declarations import load_sources
from aiprod.speech.recordings import refusals
from aiprod.speech.rows import SpeechRow
from aiprod.storage.crypto.film_encryption import Vault
from aiprod.storage.manifest.manifest import read_rows
from tests.governance.test_refused_films import key_and_chain, signed
from tests.media.test_sound_metadata import FRAMES, IN_WAV, chunk, id3
from tests.speech.test_recordings import SPEECH, project, take_in

__all__ = ["key_and_chain", "project"]

VCTK = {"vctk": "recordings/vctk"}
SOUNDS = "wav48_silence_trimmed"
ONE = f"{SOUNDS}/p225/p225_001_mic1.wav"
NO = "no AI training"


def statuses(rows: list[SpeechRow]) -> dict[str, str]:
    return {str(row.key).rpartition("/")[2].removesuffix("_mic1.wav"): row.status for row in rows}


def add(path: Path, extra: bytes) -> None:
    path.write_bytes(path.read_bytes() + extra)


def only_the_first_is_refused(rows: list[SpeechRow], why: str) -> SpeechRow:
    (refused,) = [row for row in rows if row.status != "ok"]
    assert refused.key == ONE and (refused.status, refused.effective_right) == ("refused", "deny")
    assert why in " ".join(refused.reasons).casefold(), refused.reasons
    assert not (SPEECH / f"{refused.utterance_id}.wav").exists() and refused.sound_name is None
    assert "film" not in " ".join(refused.reasons) and "shown" not in " ".join(refused.rights_proof)
    (line,) = refusals(rows)
    assert line.subject == refused.utterance_id and line.lack == "right"
    assert why in line.what.casefold() and "correct what" in line.hint
    return refused


@pytest.mark.parametrize("where", ["ICOP", "bext description", "iXML note", "axml", "id3"])
def test_a_recording_that_reserves_training_is_refused_and_costs_no_other(project: Path, where: str) -> None:
    add(project / "recordings/vctk" / ONE, IN_WAV[where](NO))
    rows, _ = take_in(VCTK)
    only_the_first_is_refused(rows, NO.casefold())
    (closed,) = [row for row in read_rows(SPEECH, SpeechRow, Vault()) if row.status == "refused"]
    assert NO.casefold() in " ".join(closed.reasons).casefold()
    assert NO.encode() not in (SPEECH / "manifest.parquet").read_bytes()
    again, counters = take_in(VCTK)
    assert again == rows and counters.processed == 0


def test_what_permits_leaves_a_recording_and_its_licence_binds(project: Path) -> None:
    add(project / "recordings/vctk" / ONE, IN_WAV["ICMT"]("CC-BY-SA-4.0") + IN_WAV["iXML note"]("take 1"))
    rows, _ = take_in(VCTK)
    assert set(statuses(rows).values()) == {"ok"}
    (one,) = [row for row in rows if row.key == ONE]
    assert any("CC-BY-SA-4.0" in line for line in one.rights_proof)


def test_a_licence_in_a_recording_that_permits_no_training_denies(project: Path) -> None:
    frame = id3(*FRAMES["WCOP"]("https://creativecommons.org/licenses/by-nc/4.0/"))
    add(project / "recordings/vctk" / ONE, chunk(b"id3 ", frame))
    only_the_first_is_refused(take_in(VCTK)[0], "cc-by-nc-4.0")


@pytest.mark.parametrize(
    ("uses", "more", "why"),
    [
        ({"ai_training": "notAllowed"}, [], "c2pa.ai_training: notallowed"),
        ({"ai_training": "allowed"}, [{"label": "org.a", "data": {"license": "CC-BY-NC-4.0"}}], "cc-by-nc-4.0"),
        ({"ai_training": "allowed"}, [], None),
    ],
)
def test_content_credentials_in_a_recording(
    project: Path,
    key_and_chain: tuple[bytes, bytes],
    uses: dict[str, str],
    more: list[dict[str, object]],
    why: str | None,
) -> None:
    path = project / "recordings/vctk" / ONE
    plain = path.rename(project / "plain.wav")
    signed(plain, path, key_and_chain, "c2pa.training-mining", uses, *more)
    rows, _ = take_in(VCTK)
    if why is None:
        assert set(statuses(rows).values()) == {"ok"}, [row.reasons for row in rows]
    else:
        only_the_first_is_refused(rows, why)


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        (f"{ONE}.license", "SPDX-License-Identifier: CC-BY-NC-4.0\n", "cc by nc 4 0"),
        (ONE.replace(".wav", ".json"), '{"do_not_train": "yes"}', "reserved"),
        (ONE.replace(".wav", ".txt"), "Please: no AI training.", "no ai training"),
        ("rights.csv", f"file,licence\n{ONE},CC-BY-NC-4.0\n", "cc-by-nc-4.0"),
        ("robots.txt", f"User-agent: *\nDisallow: /{ONE}\n", "robots.txt"),
    ],
)
def test_a_file_beside_a_recording_binds_it(project: Path, name: str, text: str, why: str) -> None:
    (project / "recordings/vctk" / name).write_text(text)
    only_the_first_is_refused(take_in(VCTK)[0], why)


@pytest.mark.parametrize(
    ("name", "text", "denied"),
    [
        (f"{SOUNDS}/p225/LICENSE", "All rights reserved. No AI training.", {"p225"}),
        ("LICENSE.txt", "do as you like", {"p225", "p226"}),
        ("LICENSE", "CC-BY-4.0", set()),
        ("ai.txt", "User-agent: *\nDisallow: /\n", {"p225", "p226"}),
        (".well-known/tdmrep.json", '[{"location": "/", "tdm-reservation": 1}]', {"p225", "p226"}),
        ("table.csv", "a,b\n1,2\n", {"p225", "p226"}),
    ],
)
def test_what_a_folder_says_binds_what_is_in_it(project: Path, name: str, text: str, denied: set[str]) -> None:
    path = project / "recordings/vctk" / name
    before = recordings_digest(VCTK, load_sources(), [])
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    assert recordings_digest(VCTK, load_sources(), []) != before
    rows, _ = take_in({**VCTK, "libritts": "recordings/libritts"})
    assert {str(row.speaker_name) for row in rows if row.status == "refused"} == denied
    assert all(row.effective_right == "deny" and row.reasons for row in rows if row.status != "ok")
    assert len(refusals(rows)) == len(denied)


def test_what_is_spoken_is_no_statement(project: Path) -> None:
    """A transcript that speaks of rights is read as what somebody says, not as what holds."""
    for layout, name in (
        ("vctk", "txt/p225/p225_001.txt"),
        ("libritts", "84/121123/84_121123_000000_000000.original.txt"),
        ("libritts", "84/121123/84_121123.trans.tsv"),
        ("ljspeech", "README.md"),
    ):
        text = "These are recordings." if name == "README.md" else "all rights reserved"
        (project / "recordings" / layout / name).write_text(text)
    rows, _ = take_in()
    assert not [row.reasons for row in rows if row.effective_right == "deny"]


def test_consent_is_named_in_the_table_of_speakers_alone(project: Path) -> None:
    (project / "recordings/vctk/speakers.csv").write_text("speaker,consent_ref\np226,2026-014\n")
    (project / "recordings/vctk" / ONE.replace(".wav", ".json")).write_text('{"consent_ref": "2026-014"}')
    rows, _ = take_in(VCTK)
    assert {row.speaker_name for row in rows if row.status == "refused"} == {"p225"}
