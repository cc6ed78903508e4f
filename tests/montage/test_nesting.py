"""What is nested in a timeline of another program is shown and heard frame for frame."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aiprod.errors import AiprodError
from aiprod.media.audio import read_sound
from aiprod.media.video_form import VideoForm
from aiprod.montage.cut import cut
from aiprod.montage.interchange import read_interchange
from aiprod.montage.timeline import Timeline
from tests.montage.conftest import HEIGHT, WIDTH, MakeNumbered, numbers_of

pytest.importorskip("opentimelineio", reason="the extra `montage` is not installed")
RATE = "<rate><timebase>25</timebase><ntsc>FALSE</ntsc></rate>"


@pytest.fixture
def films(make_numbered: MakeNumbered) -> list[Path]:
    return [make_numbered(Fraction(25), 100), make_numbered(Fraction(25), 100, 1000)]


def item(content: str, start: int, end: int, first: int, more: str = "") -> str:
    span = f"<start>{start}</start><end>{end}</end><in>{first}</in><out>{first + end - start}</out>"
    return f"<clipitem><name>x</name><duration>100</duration>{RATE}{span}{content}{more}</clipitem>"


def film(path: Path, defined: bool = True) -> str:
    inner = f"<name>{path.name}</name><pathurl>file://localhost{path}</pathurl>{RATE}<duration>100</duration>"
    return f'<file id="{path.stem}">{inner if defined else ""}</file>'


def sequence(name: str, video: list[str], audio: list[str] | None = None) -> str:
    tracks = ["".join(f"<track>{track}</track>" for track in kind) for kind in (video, audio or [])]
    media = f"<media><video>{tracks[0]}</video><audio>{tracks[1]}</audio></media>"
    return f'<sequence id="{name}"><name>{name}</name><duration>60</duration>{RATE}{media}</sequence>'


def read(folder: Path, content: str) -> Timeline:
    path = folder / "edit.xml"
    path.write_text(f'<?xml version="1.0"?><!DOCTYPE xmeml><xmeml version="5">{content}</xmeml>')
    return read_interchange(path, rate=Fraction(25), width=WIDTH, height=HEIGHT)


def rendered(timeline: Timeline, folder: Path) -> tuple[list[int], list[int]]:
    """Numbers of the pictures, and the samples at which clicks begin."""
    out = folder / "out.mov"
    cut(timeline, out, form=VideoForm(timeline.rate, WIDTH, HEIGHT, "prores"), workers=1)
    sound = read_sound(out)
    loud = np.flatnonzero(np.abs(sound[0]) > 0.01) if sound is not None else []
    return numbers_of(out), [int(at) for n, at in enumerate(loud) if n == 0 or at - loud[n - 1] > 100]


def inner_of(films: list[Path]) -> str:
    """Pictures 10 to 29 of one film, 1040 to 1069 of the other; the sound of the second alone."""
    one, other = films
    second = item(film(other, defined=False), 20, 50, 40)
    return sequence("inner", [item(film(one), 0, 20, 10) + item(film(other), 20, 50, 40)], [second])


@pytest.mark.parametrize("binned", [False, True], ids=["where it is first shown", "in a bin behind it"])
def test_a_sequence_in_final_cut_xml_shows_and_sounds_what_is_in_it(
    binned: bool, films: list[Path], tmp_path: Path
) -> None:
    reference = '<sequence id="inner"/>'
    nested = item(reference if binned else inner_of(films), 15, 50, 10)
    outer = sequence(
        "outer",
        [item(film(films[0], defined=not binned), 0, 15, 0) + nested + item(film(films[0], defined=False), 50, 55, 90)],
        [item(reference, 15, 50, 10)],
    )
    bins = f"<bin><children>{inner_of(films) if binned else ''}</children></bin>"
    timeline = read(tmp_path, f"<project><children>{outer}{bins}</children></project>" if binned else outer)
    shown, clicks = rendered(timeline, tmp_path)
    assert shown == [*range(15), *range(20, 30), *range(1040, 1065), *range(90, 95)]
    assert clicks == [(25 + 10) * 1920]  # picture 1050 begins the second film's third second


def test_a_sequence_in_a_sequence_in_a_sequence_lies_over_what_is_below(films: list[Path], tmp_path: Path) -> None:
    one, other = films
    middle = sequence("middle", [item(film(one), 0, 30, 0), item(inner_of(films), 10, 30, 15)])
    timeline = read(tmp_path, sequence("outer", [item(film(other), 0, 40, 5), item(middle, 8, 33, 5)]))
    want = [*range(1005, 1013), *range(5, 10), *range(25, 30), *range(1040, 1055), *range(1038, 1045)]
    assert rendered(timeline, tmp_path)[0] == want
    assert not timeline.sounds


def test_a_stack_nested_in_opentimelineio_keeps_its_dissolve(films: list[Path], tmp_path: Path) -> None:
    import opentimelineio as otio

    def span(first: int, count: int) -> Any:
        time = otio.opentime.RationalTime
        return otio.opentime.TimeRange(time(first, 25), time(count, 25))

    def clip(path: Path, first: int, count: int) -> Any:
        media = otio.schema.ExternalReference(str(path), span(0, 100))
        return otio.schema.Clip(path.stem, media, span(first, count))

    tracks = {kind: otio.schema.Track(kind, kind=kind) for kind in ("Video", "Audio")}
    half = otio.opentime.RationalTime(4, 25)
    move = otio.schema.Transition("d", "SMPTE_Dissolve", half, half)
    tracks["Video"].extend([clip(films[0], 10, 20), move, clip(films[1], 40, 30)])
    tracks["Audio"].append(clip(films[1], 0, 50))
    stack = otio.schema.Stack("inner", list(tracks.values()), span(10, 30))
    timeline = otio.schema.Timeline("outer")
    timeline.tracks.append(otio.schema.Track("V1", [clip(films[0], 0, 5), stack], kind="Video"))
    otio.adapters.write_to_file(timeline, str(tmp_path / "edit.otio"))
    found = read_interchange(tmp_path / "edit.otio", rate=Fraction(25), width=WIDTH, height=HEIGHT)
    (track,) = found.pictures
    assert [(c.record_in, c.record_out, c.source_in * 25) for c in track.clips] == [
        (0, 5, 0),
        (5, 15, 20),
        (15, 35, 40),
    ]
    assert [(t.record_in, t.record_out) for t in track.transitions] == [(11, 19)]
    assert [(s.record_in, s.record_out, s.source_in * 25) for s in found.sounds] == [(5, 35, 10)]
    shown, clicks = rendered(found, tmp_path)
    assert shown[:11] == [*range(5), *range(20, 26)] and shown[19:] == [*range(1044, 1060)]
    assert clicks == [20 * 1920]


def test_what_is_switched_off_in_final_cut_xml_is_neither_seen_nor_heard(films: list[Path], tmp_path: Path) -> None:
    off = "<enabled>FALSE</enabled>"
    top = item(film(films[1]), 0, 20, 0, off) + item(film(films[1]), 20, 30, 20)
    hidden = off + item(film(films[1]), 0, 30, 0)
    timeline = read(tmp_path, sequence("outer", [item(film(films[0]), 0, 30, 0), top, hidden], [hidden]))
    assert rendered(timeline, tmp_path) == ([*range(20), *range(1020, 1030)], [])


def test_the_sequence_states_the_rate_and_not_its_first_clip(make_numbered: MakeNumbered, tmp_path: Path) -> None:
    slow = make_numbered(Fraction(24), 60)
    clip = item(film(slow).replace("<timebase>25", "<timebase>24"), 0, 25, 0).replace("<timebase>25", "<timebase>24", 1)
    timeline = read(tmp_path, sequence("outer", [clip]))
    assert (timeline.rate, timeline.frames) == (25, 25)


def transition(start: int, end: int) -> str:
    effect = "<effect><name>Cross Dissolve</name><effectid>Cross Dissolve</effectid></effect>"
    span = f"{RATE}<start>{start}</start><end>{end}</end><alignment>center</alignment>"
    return f"<transitionitem>{span}{effect}</transitionitem>"


def broken(films: list[Path]) -> str:
    """A sequence that is shown up to the middle of its dissolve."""
    track = item(film(films[0]), 0, -1, 0) + transition(16, 24) + item(film(films[1]), -1, 50, 9)
    return sequence("a", [item(sequence("b", [track]), 0, 18, 4)])


def doubling(films: list[Path]) -> str:
    """Sequences that each show the next one nine times."""
    inner = [[item(f'<sequence id="s{n + 1}"/>', k, k + 1, 0) for k in range(9)] for n in range(7)]
    made = [sequence(f"s{n}", tracks) for n, tracks in enumerate(inner)]
    return "".join([*made, sequence("s7", [item(film(films[0]), 0, 9, 0)])])


def test_a_dissolve_into_a_sequence_shows_the_clip_at_its_edge_or_is_refused(films: list[Path], tmp_path: Path) -> None:
    def outer(first: int) -> Timeline:
        tail = item(inner_of(films), -1, 40, first).replace("<start>20</start>", "<start>-1</start>", 0)
        return read(tmp_path, sequence("outer", [item(film(films[0]), 0, -1, 0) + transition(16, 24) + tail]))

    found = outer(24)
    assert [(t.record_in, t.record_out) for t in found.pictures[0].transitions] == [(16, 24)]
    assert found.pictures[0].clips[1].source_in * 25 == 48  # picture 8 of the second film's stretch, at the cut
    with pytest.raises(AiprodError, match="'inner': a transition reaches 4 frames beyond its edge"):
        outer(18)


def shown_in(place: str, inner: str) -> Callable[[list[Path]], str]:
    """A clip of a file in which, within an element where nobody looks for it, a file or sequence is named by its id."""
    more = f"{RATE[: -len('</rate>')]}<{place}>{inner}</{place}></rate>"
    file = f'<file id="f"><name>f.mp4</name>{more}<duration>100</duration></file>'
    return lambda _: sequence("a", [item(file, 0, 9, 0)])


@pytest.mark.timeout(60)  # what is part of itself was followed for ever
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (lambda _: sequence("a", [item('<sequence id="a"/>', 0, 9, 0)]), "the sequence 'a' shows itself"),
        (shown_in("ntsc", '<file id="f"/>'), "the file 'f.mp4' holds itself"),
        (shown_in("ntsc", '<file id="g"><file id="f"/></file>'), "the file 'f.mp4' holds itself"),
        (shown_in("clipitem", '<sequence id="a"/>'), "the sequence 'a' shows itself"),
        (broken, "'b' begins or ends within a transition"),
        (doubling, "more than 100,000 clips"),
    ],
    ids=["itself", "file in itself", "file in another", "sequence in a file", "within a dissolve", "doubling"],
)
def test_what_cannot_be_laid_out_is_said_in_one_line(
    content: Callable[[list[Path]], str], said: str, films: list[Path], tmp_path: Path
) -> None:
    with pytest.raises(AiprodError, match=said) as caught:
        read(tmp_path, content(films))
    assert str(caught.value).startswith("edit.xml: ") and "\n" not in str(caught.value)
