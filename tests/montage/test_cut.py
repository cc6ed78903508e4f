"""What is cut is what was asked: picture by picture, and sound to the sample."""

from __future__ import annotations

import itertools
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from aiprod.errors import AiprodError
from aiprod.media.audio import read_sound
from aiprod.media.colour import planes
from aiprod.media.video_form import VideoForm
from aiprod.montage import cut as cutting
from aiprod.montage.cut import cut, segments_of
from aiprod.montage.pictures import Composer
from aiprod.montage.short_form import timeline_of
from aiprod.montage.sources import Readers, look
from aiprod.montage.timeline import TARGETS, Clip, PictureTrack, Placement, Sound, Timeline, Transition
from tests.montage.conftest import HEIGHT, WIDTH, MakeNumbered, lumas_of, numbers_of

NTSC = Fraction(24000, 1001)
AS_MIXED = TARGETS["as_mixed"]


def form(timeline: Timeline) -> VideoForm:
    return VideoForm(timeline.rate, timeline.width, timeline.height, preset="ultrafast", crf=14)


def timeline(rate: Fraction, clips: list[Clip], sound: bool = True, **more: object) -> Timeline:
    sounds = [
        Sound(film=c.film, record_in=c.record_in, record_out=c.record_out, source_in=c.source_in, conform=c.conform)
        for c in clips
    ]
    values = {"loudness": AS_MIXED, "width": WIDTH, "height": HEIGHT, "sounds": sounds if sound else [], **more}
    return Timeline.checked(
        rate=rate, pictures=[{"clips": clips, "transitions": values.pop("transitions", [])}], **values
    )


def clicks(samples: np.ndarray) -> list[int]:
    """Where sound is loud that was not before."""
    loud = np.flatnonzero(np.abs(samples[0]) > 0.2)
    return [int(at) for n, at in enumerate(loud) if n == 0 or at - loud[n - 1] > 100]


@pytest.mark.parametrize("rate", [Fraction(25), NTSC, Fraction(30000, 1001)], ids=str)
def test_frames_of_every_rate_are_those_on_screen_and_clicks_are_where_they_were(
    rate: Fraction, make_numbered: MakeNumbered, tmp_path: Path
) -> None:
    sources = [Fraction(24), NTSC, Fraction(25), Fraction(30000, 1001)]
    films = [make_numbered(source, round(5 * source), 1000 * n) for n, source in enumerate(sources)]
    clips, at, wanted, heard = [], 0, [], []
    for n, (film, source) in enumerate(zip(films, sources, strict=True)):
        length, begin = 17 + 9 * n, Fraction(n + 1, 2)
        clips.append(Clip(film=film, record_in=at, record_out=at + length, source_in=begin))
        wanted += [1000 * n + int((begin + (k + Fraction(1, 2)) / rate) * source) for k in range(length)]
        first = round(at * 48000 / rate)
        end = round((at + length) * 48000 / rate)
        source_first = round(begin * 48000)
        second = -(-source_first // 48000)
        heard += [x for x in (first + s * 48000 - source_first for s in range(second, 6)) if x < end]
        at += length
    made = timeline(rate, clips)
    done = cut(made, tmp_path / "out.mp4", form=form(made), workers=1, stems=True)
    assert numbers_of(tmp_path / "out.mp4") == wanted and done.frames == at
    mixed = read_sound(done.stems["effects"])
    assert mixed is not None and mixed.shape[1] == made.samples
    assert all(abs(a - b) <= 1 for a, b in zip(clicks(mixed), heard, strict=True))
    coded = read_sound(tmp_path / "out.mp4")
    assert coded is not None and all(abs(a - b) <= 24 for a, b in zip(clicks(coded), heard, strict=True))


def test_pictures_of_a_variable_rate_are_taken_by_their_times(make_numbered: MakeNumbered, tmp_path: Path) -> None:
    times = [0.0, 0.1, 0.13, 0.5, 0.52, 1.7, 1.75, 1.9]
    film = make_numbered(Fraction(25), 8, 3000, times)
    made = timeline(Fraction(25), [Clip(film=film, record_in=0, record_out=40, source_in=Fraction(1, 5))], sound=False)
    cut(made, tmp_path / "out.mp4", form=form(made), workers=1)
    shown = [0.2 + (k + 0.5) / 25 for k in range(40)]
    assert numbers_of(tmp_path / "out.mp4") == [3000 + sum(t <= s + 1e-6 for t in times) - 1 for s in shown]


def test_a_source_at_another_speed_is_shown_picture_for_picture_and_its_sound_keeps_with_it(
    make_numbered: MakeNumbered, tmp_path: Path
) -> None:
    film = make_numbered(NTSC, 120)
    made = timeline(Fraction(25), [Clip(film=film, record_in=0, record_out=110, conform="speed")])
    done = cut(made, tmp_path / "out.mp4", form=form(made), workers=1, stems=True)
    assert numbers_of(tmp_path / "out.mp4") == list(range(110))
    mixed = read_sound(done.stems["effects"])
    assert mixed is not None
    speed = Fraction(25) / NTSC
    assert all(abs(at + 1000 - n * 48000 / speed) <= 2 for n, at in enumerate(clicks(mixed[:, 1000:]), 1))


@pytest.mark.parametrize("align", [0, 5, 10])
def test_a_dissolve_weighs_both_pictures_within_a_code(align: int, make_numbered: MakeNumbered, tmp_path: Path) -> None:
    a, b = make_numbered(Fraction(25), 60, 100), make_numbered(Fraction(25), 60, 40000)
    clips = [
        Clip(film=a, record_in=0, record_out=30, source_in=Fraction(1, 5)),
        Clip(film=b, record_in=30, record_out=50, source_in=Fraction(1)),
    ]
    fade = Transition(record_in=30 - align, record_out=40 - align)
    made = timeline(Fraction(25), clips, sound=False, transitions=[fade])
    with Composer(made, {film: look(film) for film in (a, b)}) as composer:
        pictures = [np.array(planes(frame)[0]) for frame in composer.frames(0, 50)]
    old, new = lumas_of(a), lumas_of(b)
    for n in range(50):
        if n < fade.record_in:
            wanted = old[5 + n].astype(float)
        elif n >= fade.record_out:
            wanted = new[25 + n - 30].astype(float)
        else:
            weight = (n - fade.record_in + 0.5) / 10
            wanted = (1 - weight) * old[5 + n] + weight * new[25 + n - 30]
        assert np.abs(pictures[n] - wanted).max() <= 0.5 + 1e-6


def test_layers_lie_over_each_other_in_their_places(make_numbered: MakeNumbered, tmp_path: Path) -> None:
    import cv2

    film = make_numbered(Fraction(25), 60, 500)
    title = np.zeros((40, 60, 4), np.uint8)
    title[10:30, 10:50] = (255, 255, 255, 255)
    cv2.imwrite(str(tmp_path / "title.png"), title)
    over = Clip(
        film=tmp_path / "title.png", record_in=5, record_out=15, placement=Placement(x=20, y=30, width=60, height=40)
    )
    made = Timeline.checked(
        width=WIDTH,
        height=HEIGHT,
        loudness=AS_MIXED,
        pictures=[
            PictureTrack(clips=(Clip(film=film, record_in=0, record_out=20),)),
            PictureTrack(name="V2", clips=(over,)),
        ],
    )
    with Composer(made, {f: look(f) for f in made.films()}) as composer:
        pictures = [np.array(planes(frame)[0]) for frame in composer.frames(0, 20)]
    plain = lumas_of(film)
    for n in range(20):
        titled = plain[n].copy()
        if 5 <= n < 15:
            titled[40:60, 30:70] = 235
        assert np.array_equal(pictures[n], titled)


def test_a_killed_cut_goes_on_and_ends_in_the_same_bytes(
    make_numbered: MakeNumbered, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    film = make_numbered(Fraction(25), 120, 7)
    clips = [Clip(film=film, record_in=40 * n, record_out=40 * n + 40, source_in=Fraction(n, 25)) for n in range(6)]
    made = timeline(Fraction(25), clips)
    monkeypatch.setattr(cutting, "_SEGMENT_S", 1.6)
    assert len(segments_of(made)) == 6
    whole = cut(made, tmp_path / "whole.mp4", form=form(made), workers=1)
    assert (whole.rendered, whole.reused) == (6, 0)
    monkeypatch.setattr(cutting, "mix", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        cut(made, tmp_path / "killed.mp4", form=form(made), workers=1)
    assert not (tmp_path / "killed.mp4").exists()
    monkeypatch.undo()
    monkeypatch.setattr(cutting, "_SEGMENT_S", 1.6)
    (sorted((tmp_path / ".killed.mp4.cutting").glob("*.mp4"))[2]).unlink()
    again = cut(made, tmp_path / "killed.mp4", form=form(made), workers=1)
    assert (again.rendered, again.reused) == (1, 5)
    assert (tmp_path / "killed.mp4").read_bytes() == (tmp_path / "whole.mp4").read_bytes()
    assert not list(tmp_path.glob(".*"))


def test_segments_cover_the_timeline_once() -> None:
    clips = [Clip(film=Path("x"), record_in=37 * n, record_out=37 * n + 37) for n in range(200)]
    made = Timeline.checked(pictures=[PictureTrack(clips=tuple(clips))])
    parts = segments_of(made)
    assert parts[0][0] == 0 and parts[-1][1] == made.frames
    assert all(a[1] == b[0] for a, b in itertools.pairwise(parts))
    assert max(b - a for a, b in parts) <= 30 * 25


def test_a_film_that_is_too_short_is_named_before_anything_is_rendered(
    make_numbered: MakeNumbered, tmp_path: Path
) -> None:
    film = make_numbered(Fraction(25), 60)
    long = timeline(Fraction(25), [Clip(film=film, record_in=0, record_out=61)])
    with pytest.raises(AiprodError, match=r"ends 0\.0\d+ s too early"):
        cut(long, tmp_path / "out.mp4", form=form(long))
    clips = [Clip(film=film, record_in=0, record_out=30), Clip(film=film, record_in=30, record_out=60)]
    early = timeline(Fraction(25), clips, transitions=[Transition(record_in=25, record_out=35)])
    with pytest.raises(AiprodError, match=r"begin it 5 frames later"):
        cut(early, tmp_path / "out.mp4", form=form(early))
    missing = timeline(Fraction(25), [Clip(film=tmp_path / "none.mp4", record_in=0, record_out=9)])
    with pytest.raises(AiprodError, match="does not exist"):
        cut(missing, tmp_path / "out.mp4", form=form(missing))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("codec", "suffix"), [("av1", "mp4"), ("hevc", "mp4"), ("dnxhr", "mov"), ("prores", "mov")])
def test_every_codec_holds_the_same_frames_over_the_seams_of_its_segments(
    codec: str, suffix: str, make_numbered: MakeNumbered, tmp_path: Path
) -> None:
    films = [make_numbered(rate, round(5 * rate), 1000 * n) for n, rate in enumerate((NTSC, Fraction(25)))]
    clips = [
        Clip(film=films[n % 2], record_in=12 * n, record_out=12 * n + 12, source_in=Fraction(n, 2)) for n in range(4)
    ]
    made, out = timeline(Fraction(25), clips), tmp_path / f"o.{suffix}"
    done = cut(made, out, form=cutting.form_of(made, codec, 20, "ultrafast", out), workers=1, segment_s=0.4)
    assert done.rendered == 4
    wanted = [
        1000 * (n % 2) + int((Fraction(n, 2) + (k + Fraction(1, 2)) / 25) * (NTSC, 25)[n % 2])
        for n in range(4)
        for k in range(12)
    ]
    assert numbers_of(out) == wanted
    sound = read_sound(out)
    assert sound is not None and abs(sound.shape[1] - made.samples) <= (1024 if suffix == "mp4" else 0)


def test_a_film_that_stays_open_between_two_clips_shows_the_same_pictures(
    make_numbered: MakeNumbered, tmp_path: Path
) -> None:
    film = make_numbered(Fraction(24), 120)
    places = (Fraction(3), Fraction(0), Fraction(5, 2), Fraction(1, 3), Fraction(3))
    clips = [Clip(film=film, record_in=10 * n, record_out=10 * n + 10, source_in=at) for n, at in enumerate(places)]
    made = timeline(Fraction(24), clips, sound=False, transitions=[Transition(record_in=18, record_out=22)])
    readers = Readers()
    shown = []
    for kept in (None, readers):
        with Composer(made, {film: look(film)}, readers=kept) as composer:
            shown.append([np.array(planes(frame)[0]) for frame in composer.frames(0, made.frames)])
    readers.close()
    assert all(np.array_equal(one, other) for one, other in zip(*shown, strict=True))


def test_a_fade_weighs_a_picture_against_what_lies_below(make_numbered: MakeNumbered, tmp_path: Path) -> None:
    film = make_numbered(Fraction(25), 120)
    stated = {
        "size": f"{WIDTH}x{HEIGHT}",
        "loudness": "as_mixed",
        "tracks": [
            [
                {"dissolve": "10f"},
                {"film": str(film), "length": "40f"},
                {"dissolve": "8f"},
                {"gap": "5f"},
                {"dissolve": "6f"},
                {"film": str(film), "length": "40f"},
                {"dissolve": "12f"},
            ],
            [{"dissolve": "4f"}, {"film": str(film), "at": "15f", "length": "10f", "from": "80f"}],
        ],
    }
    made = timeline_of(stated, tmp_path)
    assert made.frames == 85
    fades = [(0, 10, 1), (32, 40, -1), (45, 51, 1), (73, 85, -1)]
    sources = {film: look(film)}
    with Composer(made, sources) as composer:
        shown = [np.array(planes(composer.frame(n))[0], float) for n in range(85)]
    plain = [luma.astype(float) for luma in lumas_of(film)]
    for n, luma in enumerate(shown):
        weight = 0.0 if 40 <= n < 45 else 1.0
        for first, behind, way in fades:
            if first <= n < behind:
                done = (n - first + 0.5) / (behind - first)
                weight = done if way > 0 else 1 - done
        wanted = 16 + (plain[n % 45] - 16) * weight
        if 15 <= n < 25:  # the track above comes out of the one below
            above = min(1.0, (n - 15 + 0.5) / 4)
            wanted += (plain[80 + n - 15] - wanted) * above
        assert np.abs(luma - wanted).max() <= 1, n
    whole = cut(made, tmp_path / "out.mp4", form=form(made), workers=1, segment_s=0.5)
    assert whole.frames == 85 and whole.rendered > 1
    assert all(np.abs(a - b).mean() < 3 for a, b in zip(lumas_of(tmp_path / "out.mp4"), shown, strict=True))
