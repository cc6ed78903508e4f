"""Rates from times, and formats from bytes."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiprod.media.errors import MediaError
from aiprod.media.frame_rate import STANDARD, rate_of
from aiprod.media.frames import TimedFrame
from aiprod.media.normalising import on_grid
from aiprod.media.probing import probe
from aiprod.media.sniffing import sniff, sniff_bytes

RATES = [r for r in STANDARD if r >= 5]


@settings(deadline=None)
@given(rate=st.sampled_from(RATES), count=st.integers(72, 400), seed=st.integers(0, 9))
def test_times_rounded_to_a_millisecond_give_the_rate_back(rate: Fraction, count: int, seed: int) -> None:
    times = [round(float(n / rate), 3) + seed for n in range(count)]
    found, constant = rate_of(times)
    assert constant
    if count > 200:  # with fewer, a millisecond cannot tell 24 from 24000/1001
        assert found == rate
    assert float(found) == pytest.approx(float(rate), rel=0.0015)


@given(st.integers(0, 1000))
def test_jumping_intervals_are_a_variable_rate(seed: int) -> None:
    steps = np.random.default_rng(seed).choice([1 / 30, 1 / 24, 1 / 8], 60)
    found, constant = rate_of(np.cumsum(steps).tolist())
    assert not constant
    assert 5 <= found <= 60


@given(st.lists(st.floats(0.01, 0.3), min_size=1, max_size=40), st.sampled_from(RATES))
def test_a_constant_rate_shows_the_nearest_picture(steps: list[float], rate: Fraction) -> None:
    times = [0.0, *np.cumsum(steps).tolist()]
    count = max(1, round((times[-1] + 0.04) * rate))
    shown = list(on_grid([TimedFrame(t, n) for n, t in enumerate(times)], 0.0, rate, count))  # type: ignore[arg-type]
    assert len(shown) == count
    for n, index in enumerate(shown):
        best = min(abs(t - n / rate) for t in times)
        assert abs(times[index] - n / float(rate)) <= best + 1e-9  # type: ignore[call-overload]


@given(st.binary(max_size=400))
def test_random_bytes_are_no_film(data: bytes) -> None:
    found = sniff_bytes(data)
    assert found is None or data[:4] != b"\0\0\0\0"


def test_names_are_not_believed(film: Path, tmp_path: Path) -> None:
    disguised = tmp_path / "notes.txt"
    disguised.write_bytes(film.read_bytes())
    assert sniff(disguised).name == "MP4"
    assert probe(disguised).video is not None
    playlist = tmp_path / "film.mp4"
    playlist.write_text("#EXTM3U\n#EXTINF:2,\n/etc/hosts\n")
    with pytest.raises(MediaError, match="not a media container"):
        probe(playlist)


def test_extension_and_format_of_real_files(shared_clips: Path) -> None:
    files = [path for path in (shared_clips / "bad").iterdir() if path.stat().st_size and path.suffix != ".csv"]
    assert len(files) > 3
    for path in sorted(files):
        if path.name != "fl_encrypted_bee2.ts":
            assert sniff(path).extension == path.suffix[1:], path.name


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_mutated_film_costs_an_error_not_a_crash(
    film: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    content = bytearray(film.read_bytes())
    for _ in range(data.draw(st.integers(1, 30))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(1, len(content) - 1)) :]
    path = tmp_path_factory.getbasetemp() / "mutated.mp4"
    path.write_bytes(content)
    try:
        facts = probe(path)
        assert facts.video is None or facts.video.width > 0
    except MediaError as error:
        assert str(path.parent) not in error.reason
