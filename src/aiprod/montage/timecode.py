"""SMPTE ST 12-1 time code, with drop-frame counting at 29.97 and 59.94 frames/s, and other ways to state a time."""

from __future__ import annotations

import re
from fractions import Fraction

from aiprod.errors import AiprodError

_CODE = re.compile(r"(\d{1,2}):(\d{2}):(\d{2})([:;.,])(\d{2,3})")
_CLOCK = re.compile(r"(?:(\d+):)?(\d{1,2}):(\d{2}(?:\.\d+)?)")
_FRAMES = re.compile(r"(-?\d+)\s*f(?:rames?)?")
_SECONDS = re.compile(r"(-?\d+(?:\.\d+)?|-?\d+/\d+)\s*(s|sec|seconds?|ms)?")
_DECIMAL_RATES = {
    "23.976": Fraction(24000, 1001),
    "23.98": Fraction(24000, 1001),
    "29.97": Fraction(30000, 1001),
    "47.952": Fraction(48000, 1001),
    "59.94": Fraction(60000, 1001),
    "119.88": Fraction(120000, 1001),
}
RATE_MAX = 240


def parse_rate(value: object) -> Fraction:
    """Frames a second as a fraction: ``25``, ``24000/1001``, or ``29.97``, which is read as the NTSC rate.

    Raises:
        AiprodError: it is not a rate, or a decimal that is not exact and names no NTSC rate.
    """
    text = str(value).strip()
    rate = _DECIMAL_RATES.get(text)
    if rate is None:
        try:
            rate = Fraction(text)
        except (ValueError, ZeroDivisionError):
            raise AiprodError(f"{value!r} is not a frame rate", "write 25, 24000/1001 or 29.97") from None
    if not 0 < rate <= RATE_MAX:
        raise AiprodError(f"the frame rate {value!r} is not between 0 and {RATE_MAX}", "write 25, 24000/1001 or 29.97")
    if rate.denominator not in (1, 1001) and "/" not in text:  # films have all sorts, and say so in fractions
        raise AiprodError(f"the frame rate {value!r} is not a standard rate", "write it as a fraction: 30000/1001")
    return rate


def drops_frames(rate: Fraction) -> bool:
    """Whether drop-frame time code is defined at a rate: 29.97 and 59.94 only."""
    return rate in (Fraction(30000, 1001), Fraction(60000, 1001))


def parse_timecode(text: str, rate: Fraction) -> int:
    """The frame number that a time code names; ``;`` before the frames says that it is a drop-frame code.

    Raises:
        AiprodError: it is no time code, one that does not exist (a dropped number, a frame beyond the rate), or a
            drop-frame code at a rate that has none.
    """
    match = _CODE.fullmatch(text.strip())
    if match is None:
        raise AiprodError(f"{text!r} is not a time code", "write HH:MM:SS:FF, or HH:MM:SS;FF for drop frame")
    hours, minutes, seconds, frames = (int(match[n]) for n in (1, 2, 3, 5))
    nominal = -(-rate.numerator // rate.denominator)
    if minutes > 59 or seconds > 59 or frames >= nominal:
        raise AiprodError(f"the time code {text} does not exist at {name_of(rate)} frames/s", "correct it")
    number = ((hours * 60 + minutes) * 60 + seconds) * nominal + frames
    if match[4] in ":.":
        return number
    if not drops_frames(rate):
        raise AiprodError(
            f"{text} is a drop-frame code, which does not exist at {name_of(rate)} frames/s", "write it with ':'"
        )
    dropped = nominal // 15  # 2 at 29.97, 4 at 59.94
    if seconds == 0 and frames < dropped and minutes % 10:
        hint = f"the first that exists is {hours:02}:{minutes:02}:00;{dropped:02}"
        raise AiprodError(f"the drop-frame code {text} does not exist", hint)
    total = hours * 60 + minutes
    return number - dropped * (total - total // 10)


def format_timecode(frame: int, rate: Fraction, drop: bool = False) -> str:
    """The time code of a frame number, the inverse of :func:`parse_timecode`.

    Raises:
        AiprodError: ``drop`` at a rate that has no drop-frame code, or a negative frame.
    """
    if frame < 0:
        raise AiprodError(f"frame {frame} has no time code", "give a frame at or after 0")
    nominal = -(-rate.numerator // rate.denominator)
    if drop:
        if not drops_frames(rate):
            raise AiprodError(f"{name_of(rate)} frames/s has no drop-frame code", "use it without drop frame")
        dropped = nominal // 15
        minute, ten = nominal * 60 - dropped, nominal * 600 - 9 * dropped
        tens, rest = divmod(frame, ten)
        # the first minute of ten drops nothing
        extra = 0 if rest < nominal * 60 else dropped * (1 + (rest - nominal * 60) // minute)
        frame += 9 * dropped * tens + extra
    seconds, frames = divmod(frame, nominal)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}{';' if drop else ':'}{frames:02}"


def parse_time(value: object, rate: Fraction) -> Fraction:
    """Seconds, exactly: ``2.5`` or ``2.5s``, ``60f`` (frames at ``rate``), ``01:02:03:04`` (time code), ``1:02.5``.

    Raises:
        AiprodError: it is none of these.
    """
    if isinstance(value, bool) or value is None:
        raise AiprodError(f"{value!r} is not a time", "write 2.5s, 60f or 00:00:02:12")
    text = str(value).strip()
    if match := _FRAMES.fullmatch(text):
        return Fraction(int(match[1])) / rate
    if match := _SECONDS.fullmatch(text):
        try:
            number = Fraction(match[1])
        except ZeroDivisionError:
            raise AiprodError(f"{value!r} is not a time", "write 2.5s, 60f or 00:00:02:12") from None
        return number / 1000 if match[2] == "ms" else number
    if _CODE.fullmatch(text):
        return parse_timecode(text, rate) / rate
    if match := _CLOCK.fullmatch(text):
        return (int(match[1] or 0) * 60 + int(match[2])) * 60 + Fraction(match[3])
    raise AiprodError(f"{value!r} is not a time", "write 2.5s, 60f or 00:00:02:12")


def name_of(rate: Fraction) -> str:
    """A rate as people write it: ``25`` or ``24000/1001``."""
    return str(rate.numerator) if rate.denominator == 1 else f"{rate.numerator}/{rate.denominator}"
