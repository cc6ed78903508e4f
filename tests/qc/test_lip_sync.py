"""Lip-sync of speaking faces in any film: found offsets, and why there is none."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from aiprod.lips.file_audio import read_voice
from aiprod.media.audio_resampling import resampled
from aiprod.media.encoding import encode
from aiprod.media.frames import VideoReader
from aiprod.media.probing import probe
from aiprod.media.rgb_frames import rgb_frames
from aiprod.qc.bundled.catalogue import missing
from aiprod.qc.checks import lip_sync, phone_recognition
from aiprod.qc.checks.lip_sync import judge, spoken
from aiprod.qc.clip_context import ClipContext, ClipSound
from aiprod.qc.measure.measure_clip import measure_clip
from aiprod.qc.metric_table import FigureTable
from aiprod.qc.params import QcDecideParams, QcMeasureParams
from aiprod.speech.phones import ENGLISH
from aiprod.speech.visemes import mouth_at
from aiprod.speech.voice import RATE, TimedUnit
from tests.lips.talking import clip, faces

pytestmark = pytest.mark.skipif(
    any(missing(use) for use in ("lips", "speech")),  # type: ignore[arg-type]
    reason="needs aiprod[voice] and aiprod[speech]",
)


def measured(film: Path, models: Any = ("faces", "speech", "lips")) -> dict[str, Any]:
    facts = probe(film)
    assert facts.video is not None
    params = QcMeasureParams(models=list(models))
    return measure_clip(film, facts, 0.0, facts.video.duration_s or 1.0, params, only=["lip_sync"])[0]["lip_sync"]


def test_the_offset_of_a_shifted_sound_is_found_with_its_sign(tmp_path: Path) -> None:
    rows, folder = faces()
    row = next(row for row in rows if row.split == "train" and row.language == "en" and row.fault == "none")
    path = folder / row.file_name
    with VideoReader(path) as reader:
        pictures = [picture for _, picture in rgb_frames(reader)]
    sound = read_voice(path)
    answers = {}
    for late in (-5, 0, 5):
        moved = np.roll(np.pad(sound, RATE // 2), round(late / row.fps * RATE))[RATE // 2 : -RATE // 2]
        film = tmp_path / f"{late}.mp4"
        rate = Fraction(row.fps).limit_denominator(1001)
        encode(film, iter(pictures), rate, resampled(moved[None], RATE, 48_000).astype(np.float32), crf=18.0)
        answers[late] = measured(film)
    table = FigureTable.of([{"lip_sync": answers[late]} for late in answers])
    assert {late: found.get("sound_late_frames") for late, found in answers.items()} == {-5: -5, 0: 0, 5: 5}, answers
    judged = judge(table, QcDecideParams())
    assert judged.score.tolist() == [0.0, 1.0, 0.0]
    assert "ahead of the lips" in judged.reasons()[0]
    assert "behind the lips" in judged.reasons()[2]


def test_phones_are_heard_as_by_a_fresh_decoder_whatever_was_heard_before() -> None:
    """One decoder is kept for the process: to read its model takes as long as to recognise two seconds."""
    sound = read_voice(clip()[1])
    voice = resampled(sound[None], RATE, phone_recognition.RATE_HZ)[0].astype(np.float32)
    part = voice[: voice.size // 2] * np.float32(0.25)
    phone_recognition._decoder.cache_clear()
    fresh = phone_recognition.recognise(voice)
    decoder = phone_recognition._decoder()
    of_part = phone_recognition.recognise(part)
    assert len(fresh) > 5
    assert phone_recognition.recognise(voice) == fresh
    assert phone_recognition.recognise(part) == of_part
    assert phone_recognition._decoder() is decoder


@pytest.mark.parametrize("every", [1, 2, 3])
def test_of_pictures_that_are_passed_over_the_times_of_the_others_stay(every: int) -> None:
    with VideoReader(clip()[1]) as reader:
        whole = list(rgb_frames(reader, 64))
    with VideoReader(clip()[1]) as reader:
        some = list(rgb_frames(reader, 64, every=every))
    assert [time_s for time_s, _ in some] == [time_s for time_s, _ in whole[::every]]
    assert all(np.array_equal(one, other) for (_, one), (_, other) in zip(some, whole[::every], strict=True))


def test_stretches_of_speech_that_lie_together_are_read_at_one_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each that is read by itself is opened, sought and decoded from a key picture before it."""
    monkeypatch.setattr(lip_sync.face_mesh, "follow", lambda pictures, **_: (None for _ in pictures))
    read: list[tuple[float, float]] = []

    def rgb(side: int, start_s: float, end_s: float, every: int) -> Iterator[tuple[float, np.ndarray]]:
        read.append((start_s, end_s))
        yield from ((time_s, np.zeros((2, 2, 3), np.uint8)) for time_s in np.arange(start_s, end_s, 0.04))

    seen = SimpleNamespace(times_s=np.arange(0, 10, 0.04), frame_s=0.04, start_s=0.0, rgb=rgb)
    times = [time_s for time_s, _ in lip_sync._pictures(cast(ClipContext, seen), [(0.3, 1.0), (1.5, 2.0), (6.0, 9.9)])]
    assert read == [(0.0, 2.6), (5.4, pytest.approx(9.98))]
    assert (np.diff(times) > 0.039).all(), "no picture twice"


@pytest.mark.parametrize("follows", [True, False])
def test_a_mouth_that_does_not_do_what_is_heard_is_given_up_after_its_first_pictures(
    monkeypatch: pytest.MonkeyPatch, follows: bool
) -> None:
    rate, length_s = 25.0, 12.0
    names = np.random.default_rng(3).choice(["AA", "M", "IY", "B", "AE", "P"], round(length_s / 0.16))
    spoken_phones = [TimedUnit(str(name), 0.16 * n, 0.16 * (n + 1)) for n, name in enumerate(names)]
    times = np.arange(0, length_s, 1 / rate)
    other = np.random.default_rng(4).uniform(size=times.size)
    opened = mouth_at(spoken_phones, ENGLISH, times + 0.5 / rate)[:, 0] if follows else other
    looked = iter(opened)
    monkeypatch.setattr(
        lip_sync.face_mesh,
        "follow",
        lambda pictures, **_: (SimpleNamespace(aperture=float(next(looked))) for _ in pictures),
    )
    monkeypatch.setattr(
        lip_sync, "_phones", lambda _, spans: [p for p in spoken_phones if any(a <= p.start_s < b for a, b in spans)]
    )

    def rgb(side: int, start_s: float, end_s: float, every: int) -> Iterator[tuple[float, np.ndarray]]:
        yield from ((time_s, np.zeros((2, 2, 3), np.uint8)) for time_s in times if start_s <= time_s < end_s)

    seen = SimpleNamespace(times_s=times, frame_s=1 / rate, start_s=0.0, rgb=rgb)
    sound = SimpleNamespace(mono=np.zeros(16_000, np.float32), rate_hz=16_000)
    spans = [(0.0, 6.0), (7.5, 10.0)]
    mouth, phones = lip_sync._followed(cast(ClipContext, seen), cast(ClipSound, sound), spans)
    if follows:
        assert mouth.times_s[-1] > 10
        heard = [p.start_s for p in spoken_phones if p.start_s < 6 or 7.5 <= p.start_s < 10]
        assert [p.start_s for p in phones] == heard
    else:
        assert mouth.times_s[-1] < 3.1
        assert phones[-1].start_s < 6


def test_pictures_in_quick_colours_are_the_same_to_a_few_codes() -> None:
    with VideoReader(clip()[1]) as reader:
        exact = list(rgb_frames(reader, every=5))
    with VideoReader(clip()[1]) as reader:
        quick = list(rgb_frames(reader, every=5, quick=True))
    assert [time_s for time_s, _ in quick] == [time_s for time_s, _ in exact]
    for (_, one), (_, other) in zip(quick, exact, strict=True):
        assert one.shape == other.shape
        assert np.abs(one.astype(np.int16) - other).mean() < 3, "red is red, and not blue"


def test_nothing_is_measured_where_it_is_not_asked_for_or_nobody_speaks(tmp_path: Path) -> None:
    row, path = clip()
    assert measured(path, ())["status"] == "not_evaluated"
    alone = measured(path, ("lips",))
    assert alone["status"] == "not_evaluated"
    assert "speech" in alone["reason"]
    with VideoReader(path) as reader:
        pictures = [picture for _, picture in rgb_frames(reader)]
    quiet = np.zeros((1, round(48_000 * len(pictures) / row.fps)), np.float32)
    film = tmp_path / "quiet.mp4"
    encode(film, iter(pictures), Fraction(row.fps).limit_denominator(1001), quiet, crf=18.0)
    assert measured(film) | {"method": "", "version": ""} == {
        "status": "unmeasurable",
        "reason": "nobody speaks",
        "method": "",
        "version": "",
    }


def test_stretches_of_speech_meet_and_are_bounded() -> None:
    kinds = [
        ("speech", 1.0, 2.0),
        ("noise", 2.0, 2.2),
        ("speech", 2.2, 3.0),
        ("silence", 3.0, 9.0),
        ("speech", 9.0, 99.0),
    ]
    spans = [{"kind": kind, "start_s": start, "end_s": end} for kind, start, end in kinds]
    found = spoken(spans)
    assert found[0] == (0.75, 3.25)
    assert found[1][0] == 8.75
    assert sum(end - start for start, end in found) <= 8.0 + 2 * 0.25 * 3
