"""What a mouth does when something is said, how it is drawn, and whether the meter finds in the film what was drawn."""

from __future__ import annotations

import csv
import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from aiprod.cli import app
from aiprod.errors import AiprodError
from aiprod.lips import blendshapes
from aiprod.lips.corpus import make_faces
from aiprod.lips.measure_file import measure_lips, pictures_of, read_times, see
from aiprod.media.audio import read_sound
from aiprod.media.encoding import encode
from aiprod.media.frames import VideoReader
from aiprod.speech import recogniser
from aiprod.speech.lip_sync import SHIFTS, MouthTrack, area_under_curve, correlation, measure
from aiprod.speech.phones import LANGUAGES, PHONES, SILENCE
from aiprod.speech.visemes import CLOSED, OPEN, VISEME_OF, VISEMES, middles, mouth_at, visemes_at
from aiprod.speech.voice import TimedUnit
from tests.lips.talking import FACES, clip, faces, speech


@st.composite
def utterances(draw: st.DrawFn) -> tuple[list[TimedUnit], str]:
    language = draw(st.sampled_from(LANGUAGES))
    names = draw(st.lists(st.sampled_from(sorted(PHONES[language])), min_size=1, max_size=12))
    lengths = draw(st.lists(st.floats(0.02, 0.3), min_size=len(names), max_size=len(names)))
    ends = np.cumsum(lengths)
    starts = [0.0, *ends[:-1]]
    return [TimedUnit(n, float(a), float(b)) for n, a, b in zip(names, starts, ends, strict=True)], language


def test_every_phone_of_every_language_is_seen_as_one_viseme() -> None:
    for language in LANGUAGES:
        assert set(VISEME_OF[language]) == set(PHONES[language])
        assert set(VISEME_OF[language].values()) <= set(VISEMES)
    assert len(VISEMES) == len(set(VISEMES)) == 15


@settings(max_examples=25, deadline=None)
@given(utterances())
def test_a_mouth_stays_within_its_range_and_closes_before_lips_that_touch_are_over(given_: object) -> None:
    phones, language = given_  # type: ignore[misc]
    times = middles(int(phones[-1].end_s * 100) + 1, 100.0)
    mouth = mouth_at(phones, language, times)
    assert mouth.shape == (len(times), 4) and (mouth >= 0).all() and (mouth <= 1).all()
    for phone in phones:
        if VISEME_OF[language][phone.name] in CLOSED and phone.end_s - phone.start_s > 0.07:
            inside = (times >= phone.start_s - 0.03) & (times < phone.end_s)
            assert mouth[inside, 0].min() < 0.12, phone
    kinds = visemes_at(phones, language, times[times < phones[-1].end_s])
    assert {VISEMES[n] for n in kinds} <= {VISEME_OF[language][phone.name] for phone in phones}


def test_a_mouth_moves_before_it_is_heard_and_is_closed_in_silence() -> None:
    phones = [TimedUnit(SILENCE, 0, 0.5), TimedUnit("AA", 0.5, 0.9), TimedUnit(SILENCE, 0.9, 1.6)]
    aperture = mouth_at(phones, "en", np.array([0.3, 0.5, 0.75, 1.5]))[:, 0]
    assert aperture[0] == pytest.approx(0, abs=0.01) and 0.1 < aperture[1] < aperture[2] > 0.9 and aperture[3] < 0.01


def test_the_same_parameters_give_the_same_bytes(tmp_path: Path) -> None:
    rows, folder = faces()
    again = make_faces(FACES.model_copy(update={"faults": False}), speech()[0], speech()[1], tmp_path, 2)
    assert again == [row for row in rows if row.fault == "none"]
    assert all((tmp_path / row.file_name).read_bytes() == (folder / row.file_name).read_bytes() for row in again)
    assert len({row.file_sha256 for row in rows}) == len(rows)


def test_held_out_are_sentences_and_every_row_says_that_nobody_is_seen() -> None:
    rows, _ = faces()
    texts = {split: {row.text for row in rows if row.split == split} for split in ("train", "heldout")}
    assert texts["train"] and texts["heldout"] and not texts["train"] & texts["heldout"]
    assert all(row.synthetic and "does not exist" in row.provenance for row in rows)
    assert all(len(row.visemes) == len(row.aperture) == row.frames == len(row.mouth) // 4 for row in rows)


def test_the_landmarks_see_what_was_drawn() -> None:
    rows, folder = faces()
    heldout = [row for row in rows if row.fault == "none" and row.split == "heldout"]
    assert heldout
    for row in heldout:
        film = see(folder / row.file_name)
        assert film.face_count == 1 and all(face is not None for face in film.faces)
        aperture = np.array([face.aperture for face in film.faces if face is not None])
        assert correlation(aperture, np.array(row.aperture)) > 0.85
        pose = np.array(row.pose).reshape(-1, 4)
        centres = np.array([face.centre for face in film.faces if face is not None])
        assert np.abs(centres - pose[:, :2]).max() < 0.08 * pose[:, 2].max()


@pytest.mark.parametrize("late", [-4, 3])
def test_the_sound_is_found_to_be_as_late_as_it_was_made(tmp_path: Path, late: int) -> None:
    row, path = clip()
    sound = read_sound(path, 48_000, 1)
    assert sound is not None
    by = round(late / row.fps * 48_000)
    moved = np.pad(sound, ((0, 0), (by, 0))) if by >= 0 else sound[:, -by:]
    with VideoReader(path) as reader:
        pictures = [picture for _, picture in pictures_of(path, reader)]
    encode(tmp_path / "moved.mp4", pictures, Fraction(25), moved)
    shift = late / row.fps
    phones = [p for p in row.timed_phones() if p.end_s + shift > 0]
    times = {
        "language": row.language,
        "phones": [{"phone": p.name, "start_s": max(0.0, p.start_s + shift), "end_s": p.end_s + shift} for p in phones],
    }
    (tmp_path / "moved.json").write_text(json.dumps(times))
    found = measure_lips(tmp_path / "moved.mp4")
    assert found["sound_late_frames"] == late
    assert found["correlation"] > 0.8
    assert found["correlation_mismatched"] < 0.3


@pytest.mark.long
@pytest.mark.skipif(not recogniser.installed(), reason="PocketSphinx (extra `voice`) is not installed")
def test_times_by_another_program_lead_to_the_same_offset(tmp_path: Path) -> None:
    rows, folder = faces()
    row = next(row for row in rows if row.language == "en" and row.fault == "none")
    path = folder / row.file_name
    sound = read_sound(path, 48_000, 1)
    with VideoReader(path) as reader:
        pictures = [picture for _, picture in pictures_of(path, reader)]
    assert sound is not None
    encode(tmp_path / "late.mp4", pictures, Fraction(25), np.pad(sound, ((0, 0), (4 * 1920, 0))))
    by_hand, late = (measure_lips(p, text=row.text)["sound_late_frames"] for p in (path, tmp_path / "late.mp4"))
    assert abs(by_hand) <= 1 and abs(late - by_hand - 4) <= 1


@settings(max_examples=20, deadline=None)
@given(st.integers(-5, 5), st.integers(0, 50))
def test_any_offset_within_five_frames_is_found_from_the_mouth_alone(late: int, seed: int) -> None:
    rows, _ = speech()
    english = [row for row in rows if row.language == "en"]
    row = english[seed % len(english)]
    phones = row.timed_phones()
    times = middles(int(phones[-1].end_s * 25), 25.0)
    noise = np.random.default_rng(seed).normal(0, 0.03, len(times))
    seen = MouthTrack(times, mouth_at(phones, "en", times)[:, 0] + noise, 0.04)
    moved = [TimedUnit(p.name, p.start_s + late / 25, p.end_s + late / 25) for p in phones]
    assert measure(seen, moved, "en").late_frames == late


def test_the_area_under_the_curve_is_the_share_of_pairs_in_order() -> None:
    rng = np.random.default_rng(0)
    low, high = rng.integers(0, 6, 9).astype(float), rng.integers(2, 8, 7).astype(float)
    pairs = [(a < b) + 0.5 * (a == b) for a in low for b in high]
    assert area_under_curve(low, high) == pytest.approx(np.mean(pairs))


def test_a_mouth_with_another_sentences_sound_has_no_offset() -> None:
    rows = [row for row in speech()[0] if row.language == "en"]
    assert SHIFTS[0] == -5 and SHIFTS[-1] == 5
    unrelated = 0
    for row, other in zip(rows[:10], rows[3:13], strict=True):
        times = middles(int(row.timed_phones()[-1].end_s * 25), 25.0)
        aperture = mouth_at(row.timed_phones(), "en", times)[:, 0]
        if row.text != other.text:
            still = measure(MouthTrack(times, np.full(len(times), 0.02), 0.04), other.timed_phones(), "en")
            assert still.late_frames is None
            found = measure(MouthTrack(times, aperture, 0.04), other.timed_phones(), "en")
            unrelated += 1
            assert found.correlation is not None and found.correlation < 0.95
            assert set(found.curve) <= set(SHIFTS) and (found.auc is None or 0 <= found.auc <= 1)
    assert unrelated >= 5 and CLOSED.isdisjoint(OPEN)


@pytest.mark.parametrize(
    ("fault", "words"),
    [("profile", "no face is seen"), ("hand", "does not do what is said"), ("two_faces", "2"), ("leaves", "frames")],
)
def test_what_hides_a_mouth_is_named(fault: str, words: str) -> None:
    _, path = clip(fault)
    result = CliRunner().invoke(app, ["measure", "lips", str(path)])
    said = str(result.exception or "") + result.output
    assert words in said
    if fault == "leaves":
        figures = measure_lips(path)
        assert 0 < figures["frames_with_face"] < figures["frames"]


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"phones": []}', '{"phones": [{"phone": "QQ", "start_s": 0, "end_s": 1}]}',
                '{"phones": [{"phone": "AA", "start_s": NaN, "end_s": 1}]}',
                '{"phones": [{"phone": "AA", "start_s": 2, "end_s": 1}]}', '{"language": [], "phones": [1]}']
)  # fmt: skip
def test_a_file_without_times_is_one_line(tmp_path: Path, content: str) -> None:
    (tmp_path / "t.json").write_text(content)
    with pytest.raises(AiprodError, match=r"does not hold times of phones"):
        read_times(tmp_path / "t.json")


def test_without_words_and_times_nothing_is_measured(tmp_path: Path) -> None:
    _, path = clip()
    (tmp_path / "f.mp4").write_bytes(path.read_bytes())
    with pytest.raises(AiprodError, match=r"nothing says what is spoken.*--text"):
        measure_lips(tmp_path / "f.mp4")
    assert CliRunner().invoke(app, ["measure", "lips", str(tmp_path / "none.mp4")]).exception is not None


def test_a_persons_face_is_followed_and_their_lips_show(shared_clips: Path) -> None:
    film = see(shared_clips / "open" / "intel_asl_book_480p30.mkv")
    assert sum(face is not None for face in film.faces) == len(film.faces) and film.face_count == 1
    assert film.lips is not None and film.lips > 2.5


def test_blendshapes_are_shares_and_do_nothing_in_silence(tmp_path: Path) -> None:
    kinds = np.eye(15)
    mouth = np.random.default_rng(0).random((15, 4))
    weights = blendshapes.blendshapes(kinds, mouth)
    assert weights.shape == (15, len(blendshapes.NAMES)) and (weights >= 0).all() and (weights <= 1).all()
    rest = blendshapes.blendshapes(kinds[:1], np.array([[0.0, 0.5, 0.0, 0.0]]))
    assert (rest == 0).all()
    names = [VISEMES[n] for n in range(15)]
    blendshapes.write_curves(tmp_path / "a.csv", middles(15, 30.0), weights, names, 30.0)
    blendshapes.write_curves(tmp_path / "a.json", middles(15, 30.0), weights, names, 30.0)
    lines = list(csv.DictReader((tmp_path / "a.csv").open()))
    held = json.loads((tmp_path / "a.json").read_text())
    assert [float(line["jawOpen"]) for line in lines] == [row[0] for row in held["weights"]] and held["synthetic"]
    assert [line["viseme"] for line in lines] == held["visemes"] == names
    with pytest.raises(AiprodError, match=r"neither .csv nor .json"):
        blendshapes.write_curves(tmp_path / "a.txt", middles(15, 30.0), weights, names, 30.0)
