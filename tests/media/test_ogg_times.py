"""Pauses in Ogg films lie where their pages say, also before the first sound and before the last page."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from aiprod.media.demuxing import demuxed
from tests.media.matrix.combinations import Combination
from tests.media.matrix.trying import try_one

RATE = 48_000


@pytest.mark.parametrize("habit", ["late_sound", "late_start", "gap", "sound_gap"])
def test_flac_is_heard_when_its_pages_say(habit: str, tmp_path: Path) -> None:
    outcome = try_one(Combination("ogg", "vp8", "flac", habit), tmp_path / "film")
    assert outcome.state == "ok", outcome.said


@pytest.mark.parametrize("codec", ["libopus", "flac"])
@pytest.mark.parametrize("place", ["first", "middle", "last"])
def test_a_pause_before_any_page(codec: str, place: str, tmp_path: Path) -> None:
    """Each packet has a page, and half a second of pause lies before one of them."""
    path = tmp_path / "film.ogg"
    with av.open(str(path), "w", format="ogg", container_options={"page_duration": "1"}) as film:
        stream = film.add_stream(codec, rate=RATE)
        stream.layout, stream.format = "stereo", "s16"
        for n in range(60):
            frame = av.AudioFrame.from_ndarray(np.full((1, 2 * 960), 100 * n, np.int16), "s16", "stereo")
            frame.sample_rate, frame.pts, frame.time_base = RATE, 960 * n, Fraction(1, RATE)
            for packet in stream.encode(frame):
                film.mux(packet)
        film.mux(stream.encode(None))
    count, pause_at = _written_anew(path, place)
    with av.open(str(path)) as film:
        stamps = [p.pts for p in demuxed(film, film.streams.audio[0]) if p.size]
    steps = np.diff(stamps)
    assert len(stamps) == count
    if pause_at:
        assert np.flatnonzero(steps > steps.min() + RATE // 4).tolist() == [pause_at - 1]
        trimmed = 960 if place == "last" else 2  # an end that is cut off and a pause are one number there
        assert steps[pause_at - 1] == pytest.approx(steps.min() + RATE // 2, abs=trimmed)
    else:
        assert stamps[0] == pytest.approx(RATE // 2, abs=960) and steps.max() < RATE // 4


def _written_anew(path: Path, place: str) -> tuple[int, int]:
    """The same packets, half a second later from one on; returns how many they are, and from which one on."""
    with av.open(str(path)) as old:
        stream = old.streams.audio[0]
        packets = [p for p in old.demux(stream) if p.size]
        pause_at = {"first": 0, "middle": len(packets) // 2, "last": len(packets) - 1}[place]
        later = path.with_suffix(".new")
        with av.open(str(later), "w", format="ogg", container_options={"page_duration": "1"}) as new:
            target = new.add_stream_from_template(stream)
            for n, packet in enumerate(packets):
                if n >= pause_at:
                    packet.pts += RATE // 2
                    packet.dts += RATE // 2
                packet.stream = target
                new.mux(packet)
    later.replace(path)
    return len(packets), pause_at
