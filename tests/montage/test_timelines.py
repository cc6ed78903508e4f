"""Timelines as people write them and as other programs do: read, refused by name, and the same after a round trip."""

from __future__ import annotations

import itertools
import re
import wave
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiprod.errors import AiprodError
from aiprod.montage.cut import write_lists
from aiprod.montage.exporting import edl, write_otio
from aiprod.montage.interchange import read_interchange
from aiprod.montage.reading import read_timeline
from aiprod.montage.short_form import timeline_of
from aiprod.montage.subtitles import srt, webvtt
from aiprod.montage.timeline import Clip, PictureTrack, Sound, Timeline, Transition
from aiprod.montage.transitions import WIPES, wipe_mask
from tests.montage.conftest import MakeNumbered

RATES = [Fraction(24), Fraction(24000, 1001), Fraction(25), Fraction(30000, 1001)]


@st.composite
def timelines(draw: st.DrawFn, folder: Path, whole_frames: bool = False) -> Timeline:
    rate = draw(st.sampled_from(RATES))
    at, clips, transitions, ends = 0, [], [], 0
    for n in range(draw(st.integers(1, 6))):
        length = draw(st.integers(20, 60))
        begins = Fraction(draw(st.integers(30, 90)), 1 if whole_frames else 7) / (rate if whole_frames else 1)
        clips.append(Clip(film=folder / f"f{n % 3}.mp4", record_in=at, record_out=at + length, source_in=begins))
        if n and draw(st.booleans()):
            first = draw(st.integers(max(ends, at - 9), at))
            kind = draw(st.sampled_from(["dissolve", "wipe"] if whole_frames else ["dissolve", "wipe", "dip", "push"]))
            code = draw(st.sampled_from(sorted(WIPES))) if kind == "wipe" else 1
            transitions.append(
                Transition(kind=kind, record_in=first, record_out=at + draw(st.integers(1, 9)), code=code)
            )
            ends = transitions[-1].record_out
        at += length
        if not whole_frames and draw(st.booleans()):
            at += draw(st.integers(1, 30))
            ends = at
    if transitions:  # only at cuts without a gap
        cuts = {b.record_in for a, b in itertools.pairwise(clips) if a.record_out == b.record_in}
        transitions = [t for t in transitions if any(t.record_in <= c < t.record_out for c in cuts)]
    sounds = []
    if not whole_frames:
        for n in range(draw(st.integers(0, 4))):
            first = draw(st.integers(0, 100))
            sounds.append(
                Sound(
                    film=folder / f"f{n % 3}.mp4",
                    bus=draw(st.sampled_from(["dialogue", "music", "effects"])),
                    record_in=first,
                    record_out=first + draw(st.integers(30, 90)),
                    source_in=Fraction(n, 3),
                    gain_db=draw(st.sampled_from([0.0, -6.0])),
                    fade_in=draw(st.integers(0, 9)),
                )
            )
        sounds.sort(key=lambda s: (s.bus, s.record_in, s.record_out))
    return Timeline.checked(
        rate=rate, name="t", pictures=[PictureTrack(clips=tuple(clips), transitions=tuple(transitions))], sounds=sounds
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("films")
    for n in range(3):
        (made / f"f{n}.mp4").touch()
    return made.resolve()


@given(st.data())
@settings(max_examples=50, deadline=None)
def test_what_is_on_screen_follows_from_cuts_and_transitions(folder: Path, data: st.DataObject) -> None:
    track = data.draw(timelines(folder)).pictures[0]
    for n, clip in enumerate(track.clips):
        into = [t for t in track.transitions if n and t.record_in <= clip.record_in <= t.record_out]
        out = [
            t
            for t in track.transitions
            if clip is not track.clips[-1] and t.record_in <= clip.record_out <= t.record_out
        ]
        assert track.shown(n) == (
            min([clip.record_in, *(t.record_in for t in into)]),
            max([clip.record_out, *(t.record_out for t in out)]),
        )
    for frame in range(track.clips[-1].record_out):
        within = [t for t in track.transitions if t.record_in <= frame < t.record_out]
        assert [t for t in [track.transition_at(frame)] if t] == within
        assert all(track.clips[n].record_out == track.clips[m].record_in for n, m in map(track.around, within))


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_opentimelineio_gives_back_what_was_written(folder: Path, data: st.DataObject) -> None:
    otio = pytest.importorskip("opentimelineio", reason="the extra `montage` is not installed")
    given_timeline = data.draw(timelines(folder))
    write_otio(given_timeline, folder / "t.otio", folder)
    written = otio.adapters.read_from_file(str(folder / "t.otio"))
    lengths = {track.duration().to_frames() for track in written.tracks}
    assert lengths == {given_timeline.frames}, "OpenTimelineIO's otiostat calls tracks of other lengths an error"
    found = read_interchange(folder / "t.otio", rate=Fraction(25), width=16, height=16)
    sounds = tuple(sorted(found.sounds, key=lambda s: (s.bus, s.record_in, s.record_out)))
    again = found.model_copy(update={"sounds": sounds})
    assert {s.model_dump_json() for s in again.sounds} == {s.model_dump_json() for s in given_timeline.sounds}
    update = {"sounds": ()}
    assert again.model_copy(update=update) == given_timeline.model_copy(update=update)


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_an_edit_list_gives_back_cuts_dissolves_and_wipes(folder: Path, data: st.DataObject) -> None:
    pytest.importorskip("opentimelineio", reason="the extra `montage` is not installed")
    given_timeline = data.draw(timelines(folder, whole_frames=True))
    (folder / "t.edl").write_text(edl(given_timeline))
    found = read_interchange(folder / "t.edl", rate=given_timeline.rate, width=1280, height=720)
    assert edl(found) == edl(given_timeline)
    assert [(t.record_in, t.record_out, t.kind, t.code) for t in found.pictures[0].transitions] == [
        (t.record_in, t.record_out, t.kind, t.code) for t in given_timeline.pictures[0].transitions
    ]
    shown = [given_timeline.pictures[0].shown(n) for n in range(len(given_timeline.pictures[0].clips))]
    assert [found.pictures[0].shown(n) for n in range(len(shown))] == shown


def test_an_edit_list_with_a_still_after_a_transition_reads_back(folder: Path) -> None:
    pytest.importorskip("opentimelineio", reason="the extra `montage` is not installed")
    (folder / "end.png").write_bytes(b"")
    clips = [
        Clip(film=folder / "f0.mp4", record_in=0, record_out=50, source_in=Fraction(1)),
        Clip(film=folder / "end.png", record_in=50, record_out=100),
    ]
    wipe = Transition(kind="wipe", code=1, record_in=38, record_out=63)
    given = Timeline.checked(rate=Fraction(25), pictures=[PictureTrack(clips=tuple(clips), transitions=(wipe,))])
    (folder / "still.edl").write_text(edl(given))
    found = read_interchange(folder / "still.edl", rate=given.rate, width=1280, height=720).pictures[0]
    assert [found.shown(n) for n in range(2)] == [(0, 63), (38, 100)]
    assert found.clips[1].film.name == "end.png"


def test_a_transition_of_an_edit_list_names_both_films(folder: Path) -> None:
    clips = [Clip(film=folder / f"f{n}.mp4", record_in=50 * n, record_out=50 * n + 50) for n in range(2)]
    clips[1] = clips[1].model_copy(update={"source_in": Fraction(1)})
    moves = [Transition(record_in=first, record_out=behind) for first, behind in ((0, 10), (45, 55), (90, 100))]
    given = Timeline.checked(rate=Fraction(25), pictures=[PictureTrack(clips=tuple(clips), transitions=tuple(moves))])
    assert re.findall(r"^\* (.*) CLIP NAME: (.*)$", edl(given), re.MULTILINE) == [
        ("TO", "f0.mp4"),
        ("FROM", "f0.mp4"),
        ("TO", "f1.mp4"),
        ("FROM", "f1.mp4"),
    ]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"pictures": [{"film": "f0.mp4", "lenght": "2s"}]}, "unknown key 'lenght'"),
        ({"pictures": [{"film": "f0.mp4", "length": "soon"}]}, "V1, entry 1: 'soon' is not a time"),
        ({"pictures": [{"dissolve": "1s"}]}, "has no clip beside it"),
        ({"rate": 26.5}, "not a standard rate"),
        ({"pictures": [], "sounds": [{"film": "f0.mp4", "length": "2s", "bus": "voice"}]}, "sounds, entry 1"),
        ({"loudness": "loud", "pictures": [{"film": "f0.mp4", "length": "2s"}]}, "loudness is 'loud'"),
        ({"pictures": []}, "the timeline is empty"),
        ({"pictures": [{"film": "f0.mp4", "length": "0s"}]}, "has no length"),
        ({"pictures": [{"film": "f0.mp4", "length": 1}, {"wipe": 1, "length": 1}]}, "a dissolve is a fade"),
        ({"pictures": [{"film": "f0.mp4", "length": 1}, {"dissolve": 1}, {"dissolve": 1}]}, "two transitions"),
        ({"pictures": [{"film": "f0.mp4", "length": 1}, {"gap": 1}, {"dissolve": 1}]}, "has no clip beside it"),
        ({"pictures": "f0.mp4"}, "pictures is not a list"),
        ({"size": "big", "pictures": [{"film": "f0.mp4", "length": 1}]}, "not a size"),
    ],
)
def test_what_is_wrong_in_a_timeline_is_one_line_with_its_place(folder: Path, data: dict[str, Any], words: str) -> None:
    with pytest.raises(AiprodError) as caught:
        timeline_of(data, folder)
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_the_short_form_says_the_same_as_the_long_one(make_numbered: MakeNumbered, tmp_path: Path) -> None:
    film = make_numbered(Fraction(24000, 1001), 120)
    (tmp_path / "x.yaml").write_text(
        f"""
rate: 25
size: 640x360
loudness: streaming
pictures:
  - {{film: {film}, from: 24f, length: 2s, sound: dialogue}}
  - {{wipe: 1, length: 12f, softness: 0.1}}
  - {{film: {film}, from: 1s, length: 50f}}
  - gap: 1s
  - {{film: {film}, length: 1s}}
sounds:
  - {{film: {film}, bus: music, at: 1s, length: 2s, fade_out: 10f}}
subtitles:
  - {{at: 1s, length: 2s, text: "Guten Tag --> <b>"}}
"""
    )
    made = read_timeline(tmp_path / "x.yaml")
    clips = made.pictures[0].clips
    assert clips[0].source_in == Fraction(24) * 1001 / 24000 and clips[0].record_out == 50
    assert [c.record_in for c in clips] == [0, 50, 125] and made.frames == 150
    assert made.pictures[0].transitions[0].record_in == 44 and made.pictures[0].transitions[0].code == 1
    assert [s.bus for s in made.sounds] == ["dialogue", "music"] and made.sounds[1].fade_out == 10
    assert made.loudness.lufs == -14
    assert "00:00:01,000 --> 00:00:03,000\nGuten Tag → <b>" in srt(made)
    assert "Guten Tag → &lt;b>" in webvtt(made)


@given(st.sampled_from(sorted(WIPES)), st.floats(0, 1), st.booleans(), st.sampled_from([0.0, 0.2]))
@settings(max_examples=60, deadline=None)
def test_a_wipe_begins_with_nothing_and_ends_with_all_and_never_goes_back(
    code: int, progress: float, reverse: bool, softness: float
) -> None:
    masks = [wipe_mask(code, p, 72, 128, softness, reverse) for p in (0.0, progress, min(1.0, progress + 0.1), 1.001)]
    assert masks[0].max() == 0 and masks[-1].min() == 1
    assert all(np_all(a <= b + 1e-6) for a, b in itertools.pairwise(masks))


def np_all(values: Any) -> bool:
    return bool(values.all())


def test_final_cut_xml_gives_back_cuts_and_dissolves(folder: Path) -> None:
    otio = pytest.importorskip("opentimelineio", reason="the extra `montage` is not installed")
    time = otio.opentime.RationalTime
    made = otio.schema.Timeline("t")
    track = otio.schema.Track("V1", kind="Video")
    made.tracks.append(track)
    for n in range(3):
        if n == 2:
            track.append(otio.schema.Transition("d", "SMPTE_Dissolve", time(6, 25), time(6, 25)))
        url = "file://localhost" + str(folder / f"f{n}.mp4")
        media = otio.schema.ExternalReference(url, otio.opentime.TimeRange(time(0, 25), time(250, 25)))
        track.append(otio.schema.Clip(f"c{n}", media, otio.opentime.TimeRange(time(20 + n, 25), time(50, 25))))
    otio.adapters.write_to_file(made, str(folder / "t.xml"))
    found = read_interchange(folder / "t.xml", rate=Fraction(25), width=1280, height=720)
    clips = found.pictures[0].clips
    assert [(c.film.name, c.record_in, c.record_out) for c in clips] == [
        ("f0.mp4", 0, 50),
        ("f1.mp4", 50, 100),
        ("f2.mp4", 100, 150),
    ]
    assert [c.source_in for c in clips] == [Fraction(20, 25), Fraction(21, 25), Fraction(22, 25)]
    assert [(t.record_in, t.record_out) for t in found.pictures[0].transitions] == [(94, 106)]


@pytest.mark.parametrize("suffix", [".otio", ".edl", ".xml", ".yaml", ".txt"])
def test_what_is_no_timeline_is_one_line(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"t{suffix}"
    path.write_text("neither: [one\nnor <other")
    with pytest.raises(AiprodError) as caught:
        read_timeline(path)
    assert "\n" not in str(caught.value)


def test_the_command_checks_cuts_and_lists(make_numbered: MakeNumbered, tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from aiprod.cli import app

    film = make_numbered(Fraction(25), 60)
    (tmp_path / "x.yaml").write_text(f"size: 256x144\npictures: [{{film: {film}, length: 1s, sound: effects}}]\n")
    run = CliRunner().invoke
    assert "every film reaches" in run(app, ["cut", str(tmp_path / "x.yaml"), "--check"]).stdout
    done = run(app, ["cut", str(tmp_path / "x.yaml"), "--out", str(tmp_path / "o.mp4"), "--workers", "1"])
    assert done.exit_code == 0, done.output
    assert {p.name for p in tmp_path.iterdir()} == {"x.yaml", "o.mp4", "o.otio", "o.edl"}
    again = run(app, ["cut", str(tmp_path / "o.otio"), "--out", str(tmp_path / "p.mp4"), "--workers", "1"])
    assert again.exit_code == 0 and (tmp_path / "p.mp4").read_bytes() != b""
    assert "101  iris, rectangle" in run(app, ["cut", "--wipes"]).stdout
    for wrong in (["--out", "o.mov"], ["--codec", "h265"], ["--preset", "fastish"]):
        assert isinstance(run(app, ["cut", str(tmp_path / "x.yaml"), *wrong]).exception, AiprodError)


def test_what_was_cut_becomes_final_cut_xml_by_the_adapter_of_opentimelineio(
    make_numbered: MakeNumbered, tmp_path: Path
) -> None:
    pytest.importorskip("otio_fcp_adapter", reason="the extra `montage` is not installed")
    import cv2
    import opentimelineio as otio

    cv2.imwrite(str(tmp_path / "title.png"), np.zeros((144, 256, 3), np.uint8))
    clips = [  # the adapter needs how long a film is, and a rate that has time codes, as 17 has not
        Clip(film=make_numbered(Fraction(30000, 1001), 90), record_in=0, record_out=40, source_in=Fraction(1, 5)),
        Clip(film=make_numbered(Fraction(17), 90), record_in=40, record_out=80, source_in=Fraction(1)),
        Clip(film=tmp_path / "title.png", record_in=80, record_out=100),
    ]
    track = PictureTrack(clips=tuple(clips), transitions=(Transition(record_in=36, record_out=44),))
    sounds = [Sound(film=clips[0].film, record_in=0, record_out=40)]
    given = Timeline.checked(rate=Fraction(25), pictures=[track], sounds=sounds)
    otio_path, _ = write_lists(given, tmp_path / "o.mp4")
    otio.adapters.write_to_file(otio.adapters.read_from_file(str(otio_path)), str(tmp_path / "o.xml"))
    found = read_timeline(tmp_path / "o.xml")
    assert [found.pictures[0].shown(n) for n in range(3)] == [track.shown(n) for n in range(3)]
    assert [c.film for c in found.pictures[0].clips] == [c.film for c in clips] and len(found.sounds) == 1
    xml = (tmp_path / "o.xml").read_text()  # OpenShot reads no track without a lock, and others guess the size
    assert xml.count("<locked>FALSE</locked>") == xml.count("<track>") == 2
    assert f"<width>{given.width}</width>" in xml and f"<height>{given.height}</height>" in xml


def test_sound_that_ends_within_a_frame_is_as_long_as_it_is_used(tmp_path: Path) -> None:
    """Kdenlive shortens a clip that is longer than its film is said to be: all behind it is then a frame early."""
    otio = pytest.importorskip("opentimelineio", reason="the extra `montage` is not installed")
    for samples, frames in ((48_000, 25), (48_400, 26)):
        with wave.open(str(tmp_path / f"{frames}.wav"), "wb") as out:
            out.setparams((1, 2, 48_000, 0, "NONE", ""))
            out.writeframes(bytes(2 * samples))
    sounds = [Sound(film=tmp_path / f"{n}.wav", record_in=at, record_out=at + n) for n, at in ((25, 0), (26, 25))]
    [otio_path] = write_lists(Timeline.checked(rate=Fraction(25), sounds=sounds), tmp_path / "o.mp4")
    clips = otio.adapters.read_from_file(str(otio_path)).find_clips()
    assert [c.available_range().duration.to_frames() for c in clips] == [25, 26]


@pytest.mark.parametrize(
    "entry", ["{film: no.mp4}", "{film: no.mp4, from: 5f, length: 1s}", "{film: no.png, length: 1s}"]
)
def test_a_film_that_is_not_there_or_does_not_play_is_named_and_not_the_timeline(entry: str, tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from aiprod.cli import app

    (tmp_path / "x.yaml").write_text(f"pictures: [{entry}]\n")
    name = "no.png" if "png" in entry else "no.mp4"
    for data in (None, b"neither film nor picture"):
        if data is not None:
            (tmp_path / name).write_bytes(data)
        error = CliRunner().invoke(app, ["cut", str(tmp_path / "x.yaml"), "--check"]).exception
        assert name in str(error) and "x.yaml" not in str(error)


def test_drop_frame_codes_that_do_not_exist_are_refused_with_their_line(tmp_path: Path) -> None:
    event = "001  F0       V     C        00:01:00;00 00:01:04;00 00:00:00;00 00:00:03;28"
    (tmp_path / "x.edl").write_text(f"TITLE: x\nFCM: DROP FRAME\n{event}\n")
    with pytest.raises(AiprodError, match=r"line 3: the drop-frame code 00:01:00;00 does not exist"):
        read_timeline(tmp_path / "x.edl", rate=Fraction(30000, 1001))
    with pytest.raises(AiprodError, match="drop-frame code, which does not exist at 25"):
        read_timeline(tmp_path / "x.edl", rate=Fraction(25))


EVENTS = """TITLE: x
FCM: NON-DROP FRAME
001  BL       V     C        00:00:00:00 00:00:00:00 01:00:00:00 01:00:00:00
001  F0       V     D    012 00:00:01:00 00:00:03:00 01:00:00:00 01:00:02:00
* TO CLIP NAME: f0.mp4
* ASC_SOP (1.1 1 0.9)(0 0.01 0)(1 1 1.2)
* ASC_SAT 0.8
002  F1       AA/V  C        00:00:01:00 00:00:03:00 01:00:02:00 01:00:04:00
* FROM CLIP NAME: f1.mp4
003  F1       V     C        00:00:03:00 00:00:03:00 01:00:04:00 01:00:04:00
003  BL       V     D    010 00:00:00:00 00:00:01:00 01:00:04:00 01:00:05:00
004  F2       A2    C        00:00:00:00 00:00:01:00 01:00:04:00 01:00:05:00
* FROM CLIP NAME: f2.mp4
"""


def test_an_edit_list_keeps_fades_corrections_start_and_the_places_of_its_sounds(folder: Path) -> None:
    pytest.importorskip("opentimelineio", reason="the extra `montage` is not installed")
    (folder / "e.edl").write_bytes(EVENTS.replace("\n", "\r\n").encode())
    found = read_interchange(folder / "e.edl", rate=Fraction(25), width=64, height=36)
    [track] = found.pictures
    assert [(t.record_in, t.record_out, track.around(t)) for t in track.transitions] == [
        (0, 12, (None, 0)),
        (100, 110, (1, None)),
    ]
    assert track.shown(1) == (50, 110) and found.start == 90_000
    # the film's channels are listed on two tracks, which begin where their first event does; it is heard once
    assert [(s.film.name, s.record_in, s.record_out) for s in found.sounds] == [
        ("f1.mp4", 50, 100),
        ("f2.mp4", 100, 125),
    ]
    grade = track.clips[0].grade
    assert grade is not None and track.clips[1].grade is None
    made = grade.correction()
    assert made is not None and (made.slope, made.saturation) == ((1.1, 1, 0.9), 0.8)
    again = edl(found)
    (folder / "again.edl").write_text(again)
    assert edl(read_interchange(folder / "again.edl", rate=Fraction(25), width=64, height=36)) == again
    assert "ASC_SOP (1.1 1 0.9)(0 0.01 0)(1 1 1.2)" in again and "01:00:04:10" in again


def test_the_reader_of_opentimelineio_takes_a_list_that_begins_with_a_fade(folder: Path) -> None:
    otio = pytest.importorskip("opentimelineio", reason="the extra `montage` is not installed")
    clips = [Clip(film=folder / "f0.mp4", record_in=25 * n, record_out=25 * n + 25) for n in range(2)]
    moves = [Transition(record_in=n, record_out=n + 10) for n in (0, 20, 40)]
    made = Timeline(pictures=(PictureTrack(clips=tuple(clips), transitions=tuple(moves)),))
    (folder / "fades.edl").write_text(edl(made))
    [track] = otio.adapters.read_from_file(str(folder / "fades.edl"), rate=25).tracks
    found = [each for each in track if isinstance(each, otio.schema.Transition)]
    assert [each.in_offset.value + each.out_offset.value for each in found] == [10, 10, 10]
    assert track.duration().value == made.frames == 50
    again = read_interchange(folder / "fades.edl", rate=Fraction(25), width=64, height=36)
    assert again.pictures[0].transitions == made.pictures[0].transitions


def test_an_edit_list_says_where_its_files_are(folder: Path, tmp_path: Path) -> None:
    otio = pytest.importorskip("opentimelineio", reason="the extra `montage` is not installed")
    clips = [Clip(film=folder / f"f{n % 2}.mp4", record_in=25 * n, record_out=25 * n + 25) for n in range(4)]
    moves = [Transition(record_in=0, record_out=10), Transition(record_in=45, record_out=55)]
    made = Timeline(pictures=(PictureTrack(clips=tuple(clips), transitions=tuple(moves)),))
    (folder / "here.edl").write_text(edl(made, folder))
    lists = tmp_path / "lists"
    lists.mkdir()
    (lists / "far.edl").write_text(edl(made, lists))
    for path, base in ((folder / "here.edl", ""), (lists / "far.edl", f"{folder}/")):
        [track] = otio.adapters.read_from_file(str(path), rate=25).tracks
        shown = [each for each in track if isinstance(each, otio.schema.Clip) and each.duration().value]
        assert [each.media_reference.target_url for each in shown] == [f"{base}{clip.film.name}" for clip in clips]
        again = read_interchange(path, rate=Fraction(25), width=64, height=36)
        assert [clip.film for clip in again.pictures[0].clips] == [clip.film.resolve() for clip in clips]
    assert "OTIO REFERENCE" not in edl(made)


def test_a_transition_of_an_edit_list_without_what_it_comes_from_is_refused(folder: Path) -> None:
    pytest.importorskip("opentimelineio", reason="the extra `montage` is not installed")
    (folder / "e.edl").write_text(EVENTS.replace("003  F1  ", "002  F1  "))
    with pytest.raises(AiprodError, match="line 11: the transition D has no line of the clip that it comes from"):
        read_interchange(folder / "e.edl", rate=Fraction(25), width=64, height=36)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "latin-1"])
def test_an_edit_list_is_read_in_whichever_encoding_it_is(encoding: str, folder: Path) -> None:
    pytest.importorskip("opentimelineio", reason="the extra `montage` is not installed")
    (folder / "e.edl").write_bytes(EVENTS.replace("TITLE: x", "TITLE: Schnitt Ü").encode(encoding))
    found = read_interchange(folder / "e.edl", rate=Fraction(25), width=64, height=36)
    assert found.name.startswith("Schnitt") and [c.film.name for c in found.pictures[0].clips] == ["f0.mp4", "f1.mp4"]


def test_a_key_of_an_edit_list_is_called_one(folder: Path) -> None:
    pytest.importorskip("opentimelineio", reason="the extra `montage` is not installed")
    (folder / "e.edl").write_text(EVENTS.replace("AA/V  C  ", "V     K B"))
    with pytest.raises(AiprodError, match="line 8: keys are not read"):
        read_interchange(folder / "e.edl", rate=Fraction(25), width=64, height=36)


def test_a_reel_is_the_film_among_files_of_its_name_and_never_guessed(tmp_path: Path) -> None:
    pytest.importorskip("opentimelineio", reason="the extra `montage` is not installed")
    event = "001  REEL1    V     C        00:00:01:00 00:00:03:00 00:00:00:00 00:00:02:00\n"
    (tmp_path / "reel1.edl").write_text(f"TITLE: x\n{event}")
    for name, head in (("Reel1.mov", b"\0\0\0\x14ftypqt  "), ("REEL1.srt", b"1\n"), ("reel1.wav", b"RIFF\0\0\0\0WAVE")):
        (tmp_path / name).write_bytes(head)

    def read() -> Timeline:
        return read_interchange(tmp_path / "reel1.edl", rate=Fraction(25), width=64, height=36)

    assert read().pictures[0].clips[0].film.name == "Reel1.mov"
    (tmp_path / "reel1.mp4").write_bytes(b"\0\0\0\x14ftypisom")
    with pytest.raises(AiprodError, match=r"'REEL1' may be Reel1.mov, reel1.mp4"):
        read()


@pytest.fixture
def exported(folder: Path) -> Any:
    """Writes tracks of OpenTimelineIO, each a list of items, and reads them."""
    otio = pytest.importorskip("opentimelineio", reason="the extra `montage` is not installed")

    def read(*tracks: Any) -> Timeline:
        made = otio.schema.Timeline("t")
        made.tracks.extend(tracks)
        otio.adapters.write_to_file(made, str(folder / "x.otio"))
        return read_interchange(folder / "x.otio", rate=Fraction(25), width=64, height=36)

    return read


def _items(otio: Any, kind: str, *items: Any) -> Any:
    """A track: films by number, of 50 frames from the first second on; gaps of 25 for None; else as it is."""
    time = otio.opentime.RationalTime
    track = otio.schema.Track(kind=kind)
    for item in items:
        if item is None:
            track.append(otio.schema.Gap(duration=time(25, 25)))
        elif isinstance(item, int):
            span = otio.opentime.TimeRange(time(25, 25), time(50, 25))
            track.append(otio.schema.Clip(f"c{item}", otio.schema.ExternalReference(f"f{item}.mp4"), span))
        elif isinstance(item, tuple):
            track.append(otio.schema.Transition("", "SMPTE_Dissolve", *(time(frames, 25) for frames in item)))
        else:
            track.append(item)
    return track


def test_fades_of_other_programs_lie_where_a_clip_has_no_neighbour(folder: Path, exported: Any) -> None:
    otio = pytest.importorskip("opentimelineio", reason="the extra `montage` is not installed")
    pictures = _items(otio, "Video", (0, 12), 0, (6, 0), None, (0, 8), 1, (10, 0))
    sounds = _items(otio, "Audio", (0, 12), 0, (6, 0), None, (0, 8), 1, (10, 0))
    found = exported(pictures, sounds)
    [track] = found.pictures
    assert [(t.record_in, t.record_out, track.around(t)) for t in track.transitions] == [
        (0, 12, (None, 0)),
        (44, 50, (0, None)),
        (75, 83, (None, 1)),
        (115, 125, (1, None)),
    ]
    assert [(s.record_in, s.record_out, s.fade_in, s.fade_out) for s in found.sounds] == [
        (0, 50, 12, 6),
        (75, 125, 8, 10),
    ]
    write_otio(found, folder / "y.otio", folder)
    assert read_interchange(folder / "y.otio", rate=Fraction(25), width=64, height=36) == found


def test_what_is_switched_off_is_not_cut(exported: Any) -> None:
    otio = pytest.importorskip("opentimelineio", reason="the extra `montage` is not installed")
    first, above = _items(otio, "Video", 0, 1), _items(otio, "Video", 2)
    first[0].enabled = above.enabled = False
    found = exported(first, above)
    assert [[(c.film.name, c.record_in) for c in track.clips] for track in found.pictures] == [[("f1.mp4", 50)]]


def test_what_is_not_read_of_other_programs_is_named(exported: Any) -> None:
    otio = pytest.importorskip("opentimelineio", reason="the extra `montage` is not installed")
    time = otio.opentime.RationalTime
    nested, trimmed, warped = otio.schema.Track(), _items(otio, "Video", 0, 1), _items(otio, "Video", 0)
    nested.append(otio.schema.Stack())
    trimmed.source_range = otio.opentime.TimeRange(time(10, 25), time(50, 25))
    warped.effects.append(otio.schema.LinearTimeWarp(time_scalar=2.0))
    for track, words in ((nested, "is empty"), (trimmed, "a part of itself"), (warped, "the effect LinearTimeWarp")):
        with pytest.raises(AiprodError, match=words):
            exported(track)
    with pytest.raises(AiprodError, match=r"^x.otio: two transitions of V1 overlap at frame 45") as caught:
        exported(_items(otio, "Video", (0, 50), 0, (5, 5), 1))
    assert "\n" not in str(caught.value)
