"""Flashes by ITU-R BT.1702 and lettering, against cases whose answers are known."""

from __future__ import annotations

import unicodedata
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from aiprod.errors import AiprodError
from aiprod.film.build_timeline import _faded
from aiprod.film.delivery import check_delivery, offset_samples
from aiprod.film.flashing import Flashes, small
from aiprod.film.profiles import Profile
from aiprod.film.titles import SAFE, credit_card, credit_pages, lettered_box, title_card, words_over, wrapped
from aiprod.media.encoding import encode
from aiprod.media.segments import yuv_frame
from aiprod.montage.loudness import Meter
from aiprod.montage.timeline import Clip, PictureTrack, Sound, Timeline


def strobe(hertz: float, low: float, high: float, area: float = 1.0) -> Flashes:
    """Two seconds of a square wave of two grey levels over a share of the screen."""
    rate, seconds = 24.0, 2.0
    found = Flashes(rate)
    for n in range(round(seconds * rate)):
        picture = np.full((180, 320, 3), low, np.float32)
        picture[:, : round(320 * area)] = high if int(2 * hertz * n / rate) % 2 else low
        found.feed(small(picture))
    return found


@pytest.mark.parametrize("hertz", [2.0, 3.0, 4.0, 6.0])
def test_flashes_are_counted(hertz: float) -> None:
    assert strobe(hertz, 0.0, 1.0).most_in_a_second()["general"][0] == hertz


@pytest.mark.parametrize(
    ("low", "high", "area"),
    [
        (0.0, 1.0, 0.2),  # a fifth of the screen
        (0.5, 0.54, 1.0),  # 38 and 46 cd/m²: a change of 8
        (0.92, 1.0, 1.0),  # 164 and 200 cd/m²: the darker is above 160
    ],
)
def test_what_the_recommendation_lets_pass_is_no_flash(low: float, high: float, area: float) -> None:
    assert strobe(6.0, low, high, area).most_in_a_second()["general"][0] == 0


def test_a_saturated_red_flashes_where_its_luminance_hardly_changes() -> None:
    found = Flashes(24.0)
    for n in range(48):
        picture = np.zeros((18, 32, 3), np.float32)
        picture[..., 0] = 0.5 if n // 3 % 2 else 0.0
        found.feed(picture)
    most = found.most_in_a_second()
    assert most["general"][0] == 0 and most["red"][0] == 4


@pytest.mark.parametrize(
    "text", ["Shapes at Play", "Игра фигур", "Παιχνίδι σχημάτων", "משחק צורות", "لعبة الأشكال", "Խաղ", "A" * 200]
)
def test_titles_keep_to_the_safe_area_in_every_script(tmp_path: Path, text: str) -> None:
    for size in ((256, 144), (640, 360), (202, 360)):
        title_card(tmp_path / "t.png", text, "and a line below it", *size, [], (12, 12, 14))
        words_over(tmp_path / "w.png", text[:60], "bottom", *size, [])
        for name, ground in (("t.png", (12, 12, 14)), ("w.png", None)):
            box = lettered_box(tmp_path / name, ground)
            assert box is not None
            left, top, right, bottom = box
            assert min(left / size[0], top / size[1], 1 - right / size[0], 1 - bottom / size[1]) >= SAFE


def test_joined_letters_join_and_run_from_right_to_left(tmp_path: Path) -> None:
    pytest.importorskip("PIL.features")
    from PIL import features

    if not features.check("raqm"):
        pytest.skip("this Pillow has no libraqm")
    boxes = []
    for name, text in (("joined", "سلام"), ("apart", "س\u200cل\u200cا\u200cم")):
        title_card(tmp_path / f"{name}.png", text, "", 640, 360, [], (0, 0, 0))
        box = lettered_box(tmp_path / f"{name}.png", (0, 0, 0))
        assert box is not None
        boxes.append(box[2] - box[0])
    assert boxes[0] < boxes[1], "shaped letters take less room than isolated ones"


def test_lines_of_a_paragraph_are_about_equally_long_and_no_more_than_it_takes() -> None:
    text = "Synthetic voices: alba, bruno, carlo (AIPROD speech model 01304ac9a871)"
    lines = wrapped(text, [], 15, 520)
    assert len(lines) == 2 and " ".join(lines) == text
    assert min(map(len, lines)) > 0.6 * max(map(len, lines))


def test_a_word_is_not_broken_before_a_combining_mark() -> None:
    text = "e\u0301\u0323" * 40
    assert all(unicodedata.category(line[0]) != "Mn" for line in wrapped(text, [], 20, 100))
    assert "".join(wrapped(text, [], 20, 100)) == text


def test_words_over_pictures_come_and_go_where_nothing_is_beside_them() -> None:
    clips = [Clip(film=Path("w.png"), record_in=a, record_out=b) for a, b in ((40, 50), (0, 20), (20, 30))]
    track = _faded("V2", [(clip, 5) for clip in clips])
    assert [(t.record_in, t.record_out) for t in track.transitions] == [(0, 5), (25, 30), (40, 45), (45, 50)]
    assert [track.shown(n) for n in range(3)] == [(0, 20), (20, 30), (40, 50)]
    with pytest.raises(AiprodError, match="lettering: two clips of V2 overlap at frame 10"):
        _faded("V2", [(clip, 5) for clip in (clips[1], Clip(film=Path("w.png"), record_in=10, record_out=30))])


def test_no_word_of_the_credits_is_lost_between_pages(tmp_path: Path) -> None:
    lines = [f"Name number {n} (CC-BY-4.0)" for n in range(60)]
    pages = credit_pages("Credits", lines, 640, 360, [])
    assert [line for page in pages for line in page] == lines and len(pages) > 2
    for page in pages:
        credit_card(tmp_path / "c.png", "Credits", page, 640, 360, [])
        box = lettered_box(tmp_path / "c.png", (12, 12, 14))
        assert box is not None and box[1] >= 360 * SAFE and box[3] <= 360 * (1 - SAFE)
    assert "".join(wrapped("x" * 90, [], 20, 200)) == "x" * 90, "a word that is wider than the page is broken"


def test_a_letter_that_no_font_has_is_named(tmp_path: Path) -> None:
    with pytest.raises(AiprodError, match="no font here has ༀ"):
        title_card(tmp_path / "t.png", "ༀ", "", 640, 360, [], (0, 0, 0))


@pytest.mark.parametrize("late", [-900, -1, 0, 1, 7, 4800])
def test_the_offset_of_a_sound_is_found_to_the_sample(late: int) -> None:
    noise = np.random.default_rng(3).normal(0, 0.1, (2, 96_000)).astype(np.float32)
    assert offset_samples(np.roll(noise, late, axis=1), noise) == late


def test_a_pure_tone_that_fits_everywhere_is_taken_to_be_in_its_place() -> None:
    tone = np.sin(2 * np.pi * 500 * np.arange(96_000) / 48_000)[None].repeat(2, axis=0).astype(np.float32)
    assert offset_samples(tone + np.float32(1e-3) * np.roll(tone, 20, axis=1), tone) in (-1, 0, 1)


def test_another_sound_has_no_offset() -> None:
    draw = np.random.default_rng(4)
    one, other = (draw.normal(0, 0.1, (2, 96_000)).astype(np.float32) for _ in range(2))
    assert offset_samples(one, other) is None


def delivered(folder: Path, wrong: str) -> list[str]:
    """Reasons against two seconds of a moving picture with noise at -23 LUFS and a title, one thing of it wrong."""
    rate, count = Fraction(24), 48
    white = np.random.default_rng(5).normal(0, 0.02, (2, 96_000)).astype(np.float32)
    noise = np.sum([np.roll(white, n, axis=1) for n in range(12)], axis=0)  # AAC takes from what is high
    meter = Meter()
    meter.add(noise)
    lufs = meter.integrated_lufs()
    assert lufs is not None
    noise *= np.float32(10 ** ((-23 - lufs) / 20))
    heard = (
        np.roll(noise, 960, axis=1) if wrong == "sync" else noise * np.float32(1.5) if wrong == "loudness" else noise
    )
    if wrong == "true peak":
        heard = heard.copy()
        heard[:, 48_000:48_004] = 0.99
    luma = np.add.outer(np.arange(144), np.arange(256)) % 100 + 40
    chroma = [np.full((72, 128), 128, np.uint8) for _ in range(2)]
    if wrong == "gamut":
        chroma[1][:20] = 240
    shown = []
    for n in range(count):
        moving = 0 if wrong == "frozen" else 3 * n
        level = 60 * (n // 2 % 2) if wrong == "flashing" else 0
        bright = np.zeros_like(luma) + 16 if wrong == "black" else np.roll(luma, moving, axis=1) + level
        shown.append(yuv_frame([bright.astype(np.uint8), *chroma]))
    times = [n / 24 + (0.03 if wrong == "not at their time" and n > 20 else 0) for n in range(count)]
    film, title = folder / "film.mp4", folder / "title.png"
    encode(film, shown[:40] if wrong == "pictures" else shown, rate, heard, crf=12, times_s=iter(times))
    title_card(title, "A title", "", 256, 144, [], (12, 12, 14))
    if wrong == "safe area":
        card = cv2.imread(str(title))
        card[60:84, :6] = 255
        cv2.imwrite(str(title), card)
    clips = [Clip(film=film, record_in=0, record_out=count), Clip(film=title, record_in=0, record_out=12)]
    timeline = Timeline.checked(
        rate=rate, width=256, height=144, pictures=[PictureTrack(clips=(clip,)) for clip in clips],
        sounds=[Sound(film=film, record_in=0, record_out=count)],
    )  # fmt: skip
    profile = Profile(black_s=1.0, freeze_s=1.0)
    return check_delivery(film, timeline, profile, lettered={title: (12, 12, 14)}, mixed=noise).reasons


@pytest.mark.parametrize(
    "wrong",
    ["black", "frozen", "loudness", "true peak", "sync", "gamut", "safe area", "flashing", "not at their time",
     "pictures"],
)  # fmt: skip
def test_a_film_is_refused_for_each_thing_that_its_profile_asks(wrong: str, tmp_path: Path) -> None:
    reasons = delivered(tmp_path, wrong)
    assert any(wrong in reason for reason in reasons), reasons
    assert len(reasons) == (2 if wrong == "black" else 1), reasons  # a black picture stands still, too


def test_a_film_with_nothing_wrong_is_delivered(tmp_path: Path) -> None:
    assert delivered(tmp_path, "") == []
