"""English numbers, ordinals and years as words."""

from __future__ import annotations

_ONES = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
_TENS = ["_", "_", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_POWERS = ((10**9, "billion"), (10**6, "million"), (1000, "thousand"), (100, "hundred"))
_ORDINALS = {
    "one": "first",
    "two": "second",
    "three": "third",
    "five": "fifth",
    "eight": "eighth",
    "nine": "ninth",
    "twelve": "twelfth",
}
LARGEST = 10**12 - 1


def cardinal(number: int) -> list[str]:
    """Words of a whole number from 0 to :data:`LARGEST`."""
    if number < 20:
        return [_ONES[number]]
    if number < 100:
        return [_TENS[number // 10], *([_ONES[number % 10]] if number % 10 else [])]
    for power, name in _POWERS:
        if number >= power:
            rest = number % power
            return [*cardinal(number // power), name, *(cardinal(rest) if rest else [])]
    raise AssertionError(number)


def ordinal(number: int) -> list[str]:
    """Words of its place in a row: ``twenty third``."""
    *before, last = cardinal(number)
    if last in _ORDINALS:
        return [*before, _ORDINALS[last]]
    return [*before, f"{last[:-1]}ieth" if last.endswith("y") else f"{last}th"]


def year(number: int) -> list[str]:
    """Words of a year of four digits: ``nineteen oh five``, ``twenty twenty six``, ``two thousand three``."""
    century, rest = divmod(number, 100)
    if not 1_000 <= number <= 9_999 or (century % 10 == 0 and rest < 10):
        return cardinal(number)
    if rest == 0:
        return [*cardinal(century), "hundred"]
    return [*cardinal(century), *(["oh"] if rest < 10 else []), *cardinal(rest)]


def digits(text: str) -> list[str]:
    """One word per digit."""
    return [_ONES[int(digit)] for digit in text]


def decimal(text: str) -> list[str]:
    """Words of digits with at most one point, ``3.14``."""
    whole, point, fraction = text.partition(".")
    return [*cardinal(int(whole or "0")), *(["point", *digits(fraction)] if point and fraction else [])]
