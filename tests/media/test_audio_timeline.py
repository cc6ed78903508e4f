"""Where decoded sound is placed: joined by its samples, moved only where time stamps agree that it moves."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiprod.media.audio_timeline import place

LENGTHS = st.sampled_from([128 / 44_100, 960 / 48_000, 1024 / 48_000, 1024 / 44_100, 1536 / 48_000, 4608 / 44_100])


def clock(length_s: float, total_s: float) -> tuple[np.ndarray, np.ndarray]:
    """True times and lengths of frames."""
    count = int(total_s / length_s)
    return np.arange(count) * length_s, np.full(count, length_s)


@settings(deadline=None, max_examples=60)
@given(LENGTHS, st.floats(0, 0.0105), st.integers(0, 2**31), st.floats(-2, 5))
def test_jitter_parts_nothing(length_s: float, jitter_s: float, seed: int, start_s: float) -> None:
    times, lengths = clock(length_s, 12.0)
    stamps = start_s + times + np.random.default_rng(seed).uniform(-jitter_s, jitter_s, times.size)
    placed = place(stamps, lengths)
    [run] = placed.runs
    assert (run.first, run.behind, run.knots, placed.reset) == (0, times.size, (), None)
    assert run.start_s == pytest.approx(start_s, abs=max(0.0007, jitter_s / 2))


@settings(deadline=None, max_examples=60)
@given(LENGTHS, st.floats(0, 5), st.sampled_from([np.round, np.floor]))
def test_stamps_rounded_to_a_millisecond_leave_the_start_exact(length_s: float, start_s: float, how: object) -> None:
    times, lengths = clock(length_s, 5.0)
    start_s = round(start_s, 3)
    stamps = how((start_s + times) * 1000 + 1e-6) / 1000  # type: ignore[operator]
    [run] = place(stamps, lengths).runs
    assert run.start_s == pytest.approx(start_s, abs=1e-6)
    assert run.knots == ()


@settings(deadline=None, max_examples=60)
@given(
    LENGTHS,
    st.lists(st.tuples(st.floats(0.05, 0.95), st.floats(0.03, 3.0)), min_size=1, max_size=3),
    st.floats(0, 0.004),
    st.integers(0, 2**31),
)
def test_gaps_stay_where_they_are(length_s: float, gaps: list[tuple[float, float]], jitter_s: float, seed: int) -> None:
    times, lengths = clock(length_s, 20.0)
    cuts = sorted({round(share * times.size): gap_s for share, gap_s in gaps}.items())
    if any(b[0] - a[0] < 1.2 / length_s for a, b in itertools.pairwise(cuts)):
        cuts = cuts[:1]
    true = times.copy()
    for at, gap_s in cuts:
        true[at:] += gap_s
    stamps = true + np.random.default_rng(seed).uniform(-jitter_s, jitter_s, times.size)
    placed = place(stamps, lengths)
    assert [run.first for run in placed.runs] == [0, *(at for at, _ in cuts)]
    for run in placed.runs:
        assert run.start_s == pytest.approx(true[run.first], abs=max(1e-9, jitter_s))


def test_lost_packets_one_after_another_are_as_many_gaps() -> None:
    """Opus sends nothing while nobody speaks."""
    stamps = np.arange(40) * 0.4
    placed = place(stamps, np.full(40, 0.02))
    assert [run.start_s for run in placed.runs] == pytest.approx(stamps.tolist())


@given(st.integers(5, 400), st.sampled_from([-1e6, -3.0, 0.5, 40.0, 95_443.7]))
def test_a_lone_wild_stamp_moves_nothing(at: int, wrong_s: float) -> None:
    times, lengths = clock(1024 / 48_000, 10.0)
    stamps = times.copy()
    stamps[at : at + 3] += wrong_s
    placed = place(stamps, lengths)
    assert (len(placed.runs), placed.reset, placed.runs[0].knots) == (1, None, ())


@pytest.mark.parametrize("ppm", [-900, -100, 60, 400])
def test_a_clock_that_runs_unlike_the_sound_is_followed_without_a_seam(ppm: int) -> None:
    times, lengths = clock(1024 / 48_000, 300.0)
    stamps = np.round(times * (1 + ppm / 1e6), 3)
    [run] = place(stamps, lengths).runs
    late = np.interp(times, *zip(*run.knots, strict=True))
    assert np.abs(run.start_s + times + late - times * (1 + ppm / 1e6)).max() < 0.001


@given(st.integers(60, 400), st.floats(0.6, 100))
def test_what_follows_a_reset_is_in_no_run(at: int, back_s: float) -> None:
    times, lengths = clock(1024 / 48_000, 10.0)
    stamps = times.copy()
    stamps[at:] -= back_s
    placed = place(stamps, lengths)
    assert placed.reset == at
    assert placed.runs[-1].behind == at


def test_sound_without_stamps_lies_where_it_is_counted() -> None:
    times, lengths = clock(0.02, 4.0)
    stamps = np.full(times.size, np.nan)
    assert place(stamps, lengths, start_s=1.5).runs[0].start_s == 1.5
    stamps[30::7] = times[30::7] + 0.25  # Ogg and transport streams stamp a page, not a packet
    [run] = place(stamps, lengths).runs
    assert run.start_s == pytest.approx(0.25)


def test_a_first_packet_stamped_zero_by_its_writer_is_no_island() -> None:
    stamps = np.array([0.0, *(0.08 + 0.0213 * n for n in range(1, 100))])
    [run] = place(stamps, np.full(100, 0.0213)).runs
    assert run.start_s == pytest.approx(0.08)
