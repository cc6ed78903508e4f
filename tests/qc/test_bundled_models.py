"""Bundled networks: on by one setting, pinned by their bytes, and what they make of known pictures."""

from __future__ import annotations

from collections.abc import Callable
from importlib import metadata
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import matplotlib as mpl
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy.ndimage import median_filter

from aiprod.errors import AiprodError
from aiprod.executors.executor import ordered_map
from aiprod.media.audio import hear
from aiprod.media.media_info import Orientation
from aiprod.media.probing import probe
from aiprod.media.scaling import upright
from aiprod.qc.bundled import blazeface, catalogue, fitting
from aiprod.qc.bundled.catalogue import BUNDLED, BY_ALL, USES, Use, missing
from aiprod.qc.checks import opennsfw, personal_data, text_reader, voices
from aiprod.qc.checks.ocr import judge as judged_text
from aiprod.qc.measure.measure_clip import measure_clip
from aiprod.qc.measure.standalone import FileJob, examine, networks_line, params_here
from aiprod.qc.metric_table import FigureTable
from aiprod.qc.params import QcDecideParams, QcMeasureParams
from tests.qc.films import texture, write

ALL = QcMeasureParams(models="all")
RATE = 16_000


def needs(use: Use) -> pytest.MarkDecorator:
    return pytest.mark.skipif(missing(use) is not None, reason=f"needs {BUNDLED[use].package}")


@pytest.fixture(scope="module")
def portrait() -> np.ndarray:
    """A photograph of the US Navy (public domain), which Matplotlib brings along: Grace Hopper, [600, 512, 3] RGB."""
    path = Path(mpl.get_data_path()) / "sample_data" / "grace_hopper.jpg"
    return np.asarray(cv2.imread(str(path))[:, :, ::-1])


def measured(film: Path, params: QcMeasureParams, *names: str) -> dict[str, Any]:
    """The named measurements of a whole film."""
    facts = probe(film)
    assert facts.video is not None
    return measure_clip(film, facts, 0.0, facts.video.duration_s or 1.0, params, only=names)[0]


def lettered(lines: list[str], height: int = 360, width: int = 640, size: float = 1.0) -> np.ndarray:
    """White words on a rich picture."""
    picture = np.repeat(texture(width, height, seed=3)[..., None] // 2, 3, axis=2)
    for number, line in enumerate(lines):
        place = (40, 80 + int(70 * size) * number)
        cv2.putText(picture, line, place, cv2.FONT_HERSHEY_DUPLEX, size, (255, 255, 255), 2, cv2.LINE_AA)
    return picture


# which are used, and which bytes


def test_nothing_is_used_unless_it_is_asked_for(tmp_path: Path) -> None:
    film = write(tmp_path / "film.mp4", [lettered(["HELLO WORLD"])] * 6)
    found = measured(film, QcMeasureParams(), "text", "voices", "nsfw", "faces", "persons")
    assert {found[name]["status"] for name in ("text", "voices", "nsfw", "persons")} == {"not_evaluated"}
    assert "Haar" in found["faces"]["method"]
    assert not QcMeasureParams().uses
    assert QcMeasureParams(models=["faces"]).uses == {"faces"}
    assert ALL.uses == set(BY_ALL)
    with pytest.raises(ValidationError, match="models"):
        QcMeasureParams(models=["smell"])  # type: ignore[list-item]


def test_what_is_not_installed_is_not_evaluated_and_says_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found_before = metadata.distribution

    def without(name: str) -> metadata.Distribution:
        if name in {model.package for model in BUNDLED.values() if model.package}:
            raise metadata.PackageNotFoundError(name)
        return found_before(name)

    here = ALL.work_digest()
    monkeypatch.setattr(catalogue.metadata, "distribution", without)
    film = write(tmp_path / "film.mp4", [lettered(["HELLO WORLD"])] * 6)
    found = measured(film, ALL, "text", "voices", "nsfw", "faces")
    for name, extra in (("text", "ocr"), ("voices", "speech"), ("nsfw", "nsfw")):
        assert found[name]["status"] == "not_evaluated"
        assert found[name]["reason"].endswith(f"pip install 'aiprod[{extra}]'")
    assert found["faces"]["status"] == "ok", "these lie in this package"
    assert ALL.work_digest() != here, "results of before would be taken for those of now"


def test_results_are_kept_by_the_networks_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    faces = QcMeasureParams(models=["faces"])
    before = faces.work_digest()
    assert before not in (QcMeasureParams().work_digest(), ALL.work_digest())
    other = catalogue.BundledNetwork("other", "MIT", {"blazeface_short_range.tflite": "0" * 64})
    monkeypatch.setitem(BUNDLED, "faces", other)
    assert faces.work_digest() != before


def test_another_file_than_the_pinned_one_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "_HERE", tmp_path)
    catalogue._checked.cache_clear()
    with pytest.raises(AiprodError, match="cannot be read"):
        catalogue.require_intact(frozenset({"faces"}))
    for name in BUNDLED["faces"].files:
        (tmp_path / name).write_bytes(b"another network")
    with pytest.raises(AiprodError, match=r"blazeface_\w+.tflite is not that of this package"):
        catalogue.require_intact(frozenset({"faces"}))
    catalogue._checked.cache_clear()


@pytest.mark.parametrize("use", USES)
def test_each_is_intact_and_has_its_licence(use: Use) -> None:
    if (why := missing(use)) is not None:
        pytest.skip(why)
    catalogue.require_intact(frozenset({use}))
    text = BUNDLED[use].licence_text()
    assert {"Apache-2.0": "Apache License", "MIT": "MIT License", "BSD-2-Clause": "Redistribution"}[
        BUNDLED[use].licence
    ] in text


# text


@needs("text")
def test_words_are_read_where_they_are_and_the_film_is_held_upright(tmp_path: Path) -> None:
    picture = lettered(["NO SMOKING", "Platform 12"])
    for shown in (picture, cv2.resize(picture, None, fx=2, fy=2)):
        lines = text_reader.read_lines(shown)
        assert [line.text for line in lines] == ["NO SMOKING", "Platform 12"]
        left, top, width, height = lines[0].box
        assert left == pytest.approx(40 / 640, abs=0.03)
        assert top < 70 / 360 < top + height
        assert 0.2 < width < 0.5
    assert text_reader.read_lines(lettered([])) == []


@needs("text")
def test_what_looks_the_same_is_not_read_again_and_what_changed_is(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[np.ndarray] = []
    monkeypatch.setattr(text_reader, "_read", _counted(text_reader._read, read))
    reader = text_reader.TextReader()
    noise = np.random.default_rng(3)
    told = []
    for minute in ("10:45", "10:45", "10:46", "10:46"):
        shown = lettered([f"NIGHT TRAIN {minute}"], size=1.2)
        shown = np.clip(shown + noise.normal(0, 1.5, shown.shape), 0, 255).astype(np.uint8)
        told.append([line.text for line in reader.lines(shown)])
    assert told[0] == told[1] and told[2] == told[3] and told[1] != told[2]
    assert len(read) == 2


def _counted(
    read: Callable[[np.ndarray], tuple[str, float]], seen: list[np.ndarray]
) -> Callable[..., tuple[str, float]]:
    def counting(line: np.ndarray) -> tuple[str, float]:
        seen.append(line)
        return read(line)

    return counting


@needs("text")
@pytest.mark.parametrize(
    ("words", "kinds"),
    [(["anna.berg@example.org"], ["e-mail"]), (["Tel. +49 30 901820"], ["phone"]), (["END OF PART ONE"], [])],
)
def test_personal_data_in_text_asks_for_a_review_that_does_not_repeat_it(
    tmp_path: Path, words: list[str], kinds: list[str]
) -> None:
    film = write(tmp_path / "film.mp4", [lettered(words)] * 12)
    found = measured(film, QcMeasureParams(models=["text"]), "text")
    figures = found["text"]
    assert figures["personal"] == kinds
    assert figures["stills_with_text"] == len(figures["times_s"]) == 6
    assert figures["lasting"] == words
    answers = judged_text(FigureTable.of([found]), QcDecideParams())
    assert bool(answers.caps[0]) == bool(kinds)
    flags = [flag for mask, several in answers.flags() if mask[0] for flag in several]
    assert flags == [f"text: {kind}" for kind in kinds]
    assert words[0] not in answers.reasons()[0]


@pytest.mark.parametrize(
    "line",
    [
        "B-AB 1234",
        "AB12 CDE",
        "AB-123-CD",
        "7ABC123",
        "mail: a_b+c@mail.example.com",
        "call 030 901 8200",
        "555-123-4567",
        "(212) 555-0100",
        "+1 212 555 0100",
    ],
)
def test_what_looks_like_personal_data_is_named(line: str) -> None:
    assert personal_data.kinds_of(["a title", line])


@pytest.mark.parametrize(
    "line",
    [
        "01:00:10:18",
        "2026-11-28",
        "28.11.2026",
        "12,345.67",
        "1920x1080",
        "ISO 9001",
        "JAN. 16",
        "1 GOAL:",
        "3.14159265",
        "8 MINUTES",
        "16 JAN 2026",
        "@handle",
        "VP9",
        "THE MOON",
        "100 000 000",
        "24.000 fps",
        "Copyright 2008-2026",
        "10:30-12:45",
    ],
)
def test_titles_numbers_and_timecodes_are_no_personal_data(line: str) -> None:
    assert personal_data.kinds_of([line]) == []


# faces


@pytest.mark.parametrize("quick", [False, True])
def test_faces_large_and_small_are_found_where_they_are(portrait: np.ndarray, quick: bool) -> None:
    (whole,) = blazeface.find(portrait)
    left, top, width, height = whole["box"]
    assert 0.3 < left + width / 2 < 0.7
    assert 0.15 < top + height / 2 < 0.5
    face_px = height * portrait.shape[0]
    for size_px in (100, 60, 40):
        scale = size_px / face_px
        small = cv2.resize(portrait, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        picture = np.repeat(texture(854, 480, seed=7)[..., None], 3, axis=2)
        for x in (30, 500):
            picture[100 : 100 + small.shape[0], x : x + small.shape[1]] = small
        found = sorted(face["box"] for face in blazeface.find(picture, quick=quick))
        assert len(found) == 2, size_px
        for (x, _, w, _), start in zip(found, (30, 500), strict=True):
            middle = start + small.shape[1] * (left + width / 2)
            assert (x + w / 2) * 854 == pytest.approx(middle, abs=0.4 * size_px)


def test_a_film_stored_on_its_side_shows_its_faces_upright(portrait: np.ndarray) -> None:
    turned = Orientation(transpose=True, flip_x=True)
    stored = np.ascontiguousarray(np.rot90(portrait))
    assert np.array_equal(upright(stored, turned), portrait), "the picture was stored by a quarter turn"
    assert blazeface.find(np.ascontiguousarray(upright(stored, turned))) == blazeface.find(portrait)


def test_a_face_at_the_edge_of_what_is_looked_for_is_found_and_a_large_one_needs_to_be_as_sure_as_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two networks that are surer together than either alone count for small faces only."""
    picture = np.zeros((480, 640, 3), np.uint8)

    def found(size_px: float, first: float, second: float) -> int:
        box = (200.0, 200.0, size_px, size_px, first)
        monkeypatch.setattr(blazeface, "_short", lambda part, _: [box] if part.shape == picture.shape else [])
        monkeypatch.setattr(blazeface, "_confirmation", lambda rgb, box, _: second)
        return len(blazeface.find(picture))

    for size_px in (30.0, 60.0):
        assert found(size_px, 0.4, 0.8) == 1
        assert found(size_px, 0.4, 0.7) == 0, "together they are not sure"
        assert found(size_px, 0.9, 0.4) == 0, "the second does not see it"
        assert found(size_px, 0.3, 0.99) == 0, "the first does not see it"
    assert found(80.0, 0.4, 0.8) == 0
    for size_px in (30.0, 80.0):
        assert found(size_px, 0.7, 0.45) == 1


def test_no_face_in_textures_and_in_pictures_of_any_shape() -> None:
    for height, width, seed in ((480, 854, 1), (854, 480, 2), (64, 64, 3), (20, 900, 4), (2, 2, 5)):
        picture = np.repeat(texture(width, height, seed=seed)[..., None], 3, axis=2)
        assert blazeface.find(picture) == []
        assert blazeface.find(picture, quick=True) == []


def test_networks_are_given_what_arithmetic_says() -> None:
    """Tables of all codes stand for it: every code of every channel is compared."""
    codes = np.repeat(np.arange(256, dtype=np.uint8)[:, None, None], 3, axis=2)
    assert np.array_equal(fitting.signed(codes), codes.astype(np.float32) / np.float32(127.5) - np.float32(1))
    assert np.array_equal(fitting.unit(codes), codes.astype(np.float32) / np.float32(255))
    assert fitting.signed(codes).dtype == fitting.unit(codes).dtype == np.float32


# sound


@needs("speech")
def test_silence_noise_and_music_are_told_apart() -> None:
    rng = np.random.default_rng(0)
    seconds = np.arange(8 * RATE) / RATE
    noise = (rng.normal(size=seconds.size) * 0.05).astype(np.float32)
    chords = np.zeros(seconds.size, np.float32)
    for bar in range(8):
        inside = (seconds >= bar) & (seconds < bar + 1)
        for hz in ((262, 330, 392), (220, 262, 330), (175, 220, 262), (196, 247, 294))[bar % 4]:
            for partial in (1, 2, 3):
                chords[inside] += 0.06 / partial * np.sin(2 * np.pi * hz * partial * seconds[inside])
    assert set(voices.kinds_of(np.zeros(8 * RATE, np.float32))) == {"silence"}
    assert set(voices.kinds_of(noise)) == {"noise"}
    assert voices.kinds_of(chords + noise * 0.05).count("music") >= 13
    both = np.concatenate([np.zeros(4 * RATE, np.float32), noise[: 4 * RATE]])
    assert set(voices.kinds_of(both)[:7]) == {"silence"}
    assert set(voices.kinds_of(both)[8:]) == {"noise"}
    hum = (0.1 * np.sin(2 * np.pi * 200 * seconds) + 0.1 * np.sin(2 * np.pi * 400 * seconds)).astype(np.float32)
    assert "music" not in voices.kinds_of(hum[: 3 * RATE]), "what lasts as short as this may be a bee"


@given(st.integers(0, 2**32 - 1), st.integers(1, 5))
def test_a_peak_stands_out_over_the_median_of_the_bins_around_it(seed: int, moments: int) -> None:
    rng = np.random.default_rng(seed)
    level, asked = rng.normal(0, 12, (moments, 60)), rng.random((moments, 60)) < 0.4
    rises = level - median_filter(level, size=(1, voices._AROUND)) > voices._PEAK_DB
    assert np.array_equal(voices._stands_out(level, asked), rises & asked)


@needs("speech")
def test_spoken_words_are_heard_and_the_spans_cover_the_sound(shared_clips: Path) -> None:
    film = shared_clips / "open" / "friday_480p30_6s.mp4"
    found = measured(film, QcMeasureParams(models=["speech"]), "voices")
    heard = found["voices"]
    assert heard["speech"]
    assert heard["kind"] == "speech"
    spans = heard["spans"]
    assert all(a["end_s"] == b["start_s"] for a, b in pairwise(spans))
    assert sum(heard[f"{kind}_fraction"] for kind in voices.KINDS) == pytest.approx(1, abs=0.01)


@needs("speech")
def test_one_short_word_in_six_seconds_is_speech_and_none_is_heard_in_an_insect(shared_clips: Path) -> None:
    """The word lasts 0.6 s. Of the butterfly's film 0.1 s sounds like a voice."""
    films = shared_clips / "open"
    word = hear(films / "auto_editor_timecode_720p30_42s.mp4", rate=RATE, channels=1, start_s=37.0, duration_s=6.0)
    insect = hear(films / "butterfly_720p30_7s.mp4", rate=RATE, channels=1)
    assert word is not None
    assert insect is not None
    kinds = voices.kinds_of(np.asarray(word.samples[0], np.float32))
    at = [n * 0.512 for n, kind in enumerate(kinds) if kind == "speech"]
    assert at
    assert all(2.4 <= start_s <= 3.7 for start_s in at), "where the word is, and nowhere else"
    assert "speech" not in voices.kinds_of(np.asarray(insect.samples[0], np.float32))


@given(st.lists(st.tuples(st.integers(0, 25), st.integers(1, 9)), max_size=20))
def test_scattered_bursts_that_sound_like_a_voice_are_no_speech(bursts: list[tuple[int, int]]) -> None:
    """Bursts shorter than a word, none of which fill a third of a window, however many there are."""
    frames = np.zeros(32 * (len(bursts) + 1), bool)
    for n, (start, length) in enumerate(bursts):
        first = min(start, 32 - length)
        frames[32 * n + first : 32 * n + first + min(length, 5)] = True
    assert not voices._spoken(frames).any()
    frames[3 : 3 + voices._WORD] = True
    assert voices._spoken(frames)[0], "a word among them is one"


# unsafe content


@needs("nsfw")
def test_a_portrait_and_a_texture_are_not_unsafe(portrait: np.ndarray) -> None:
    for picture in (portrait, np.repeat(texture(640, 360)[..., None], 3, axis=2)):
        safe, unsafe = opennsfw.probabilities(picture)
        assert unsafe < 0.1
        assert safe + unsafe == pytest.approx(1, abs=0.002)


# the whole


@pytest.mark.slow
def test_one_worker_and_two_give_the_same(tmp_path: Path, portrait: np.ndarray) -> None:
    faces = [cv2.resize(portrait, (512, 600))] * 12
    films = [write(tmp_path / "a.mp4", faces), write(tmp_path / "b.mp4", [lettered(["SAME", "WORDS"])] * 12)]
    jobs = [FileJob(path, ALL) for path in films]

    def by(workers: int) -> list[dict[str, Any]]:
        outcomes = list(ordered_map(examine, jobs, workers=workers))
        assert all(outcome.value is not None for outcome in outcomes)
        return [outcome.value[0].measurements for outcome in outcomes if outcome.value is not None]

    one = by(1)
    assert one == by(2)
    assert one[0]["faces"]["stills_with_faces"] == 5
    if missing("text") is None:
        assert {line["text"] for line in one[1]["text"]["lines"]} == {"SAME", "WORDS"}


def test_outside_of_a_project_what_is_installed_is_used_and_one_option_turns_it_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    measure, _ = params_here()
    assert measure.uses == set(BY_ALL)
    said = networks_line(measure)
    assert all(use in said and (missing(use) or use) in said for use in BY_ALL)
    off, _ = params_here("none")
    assert not off.uses and networks_line(off) == "bundled networks: none"
    some, _ = params_here("faces, text")
    assert some.uses == {"faces", "text"}
    with pytest.raises(AiprodError, match="smell"):
        params_here("faces,smell")
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    (tmp_path / "params.yaml").write_text("qc_measure: {models: none}\nqc_decide: {}\n")
    assert not params_here()[0].uses, "a project's results depend on its parameters alone"
    assert params_here("faces")[0].uses == {"faces"}
