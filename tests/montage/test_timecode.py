"""Time codes: every one that exists is one frame, and no other is read."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiprod.errors import AiprodError
from aiprod.montage.timecode import drops_frames, format_timecode, parse_rate, parse_time, parse_timecode

RATES = [Fraction(24), Fraction(24000, 1001), Fraction(25), Fraction(30), Fraction(30000, 1001), Fraction(60000, 1001)]


@given(st.sampled_from(RATES), st.integers(0, 24 * 3600 * 60 - 1), st.booleans())
def test_every_frame_has_a_code_that_names_it(rate: Fraction, frame: int, drop: bool) -> None:
    drop = drop and drops_frames(rate)
    assert parse_timecode(format_timecode(frame, rate, drop), rate) == frame


def test_drop_frame_codes_are_those_that_counting_by_hand_gives() -> None:
    """Count through eleven minutes: two numbers are left out at each minute but the tenth (SMPTE ST 12-1)."""
    rate = Fraction(30000, 1001)
    h = m = s = f = 0
    for frame in range(11 * 60 * 30):
        if s == 0 and f == 0 and m % 10:
            f = 2
        assert format_timecode(frame, rate, drop=True) == f"{h:02}:{m:02}:{s:02};{f:02}"
        f += 1
        if f == 30:
            f, s = 0, s + 1
        if s == 60:
            s, m = 0, m + 1


def test_an_hour_of_drop_frame_is_an_hour() -> None:
    for rate in (Fraction(30000, 1001), Fraction(60000, 1001)):
        assert abs(parse_timecode("01:00:00;00", rate) / rate - 3600) < Fraction(1, 100)


@pytest.mark.parametrize(
    ("code", "rate"),
    [
        ("00:01:00;00", Fraction(30000, 1001)),
        ("00:01:00;03", Fraction(60000, 1001)),
        ("00:00:00;00", Fraction(25)),
        ("00:00:00:25", Fraction(25)),
        ("00:60:00:00", Fraction(25)),
        ("1:2", Fraction(25)),
    ],
)
def test_codes_that_do_not_exist_are_refused(code: str, rate: Fraction) -> None:
    with pytest.raises(AiprodError, match=r"does not exist|drop-frame|not a time code"):
        parse_timecode(code, rate)


def test_times_are_exact() -> None:
    rate = Fraction(30000, 1001)
    assert parse_time("30f", rate) == Fraction(1001, 1000)
    assert parse_time("0.1s", rate) == parse_time("100 ms", rate) == Fraction(1, 10) == parse_time(0.1, rate)
    assert parse_time("1:02.5", rate) == Fraction(125, 2)
    assert parse_time("00:00:01:00", Fraction(25)) == 1
    assert parse_rate(29.97) == rate and parse_rate("23.976") == Fraction(24000, 1001)
    for wrong in ("", "soon", True, None, "1/0"):
        with pytest.raises(AiprodError):
            parse_time(wrong, rate)
    for wrong in ("0", "-25", "fast", "29.96", "1000"):
        with pytest.raises(AiprodError):
            parse_rate(wrong)
