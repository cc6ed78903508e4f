"""Writes out what English text abbreviates: numbers, dates, times, amounts, units, titles and initials."""

from __future__ import annotations

import re
from collections.abc import Callable

from aiprod.errors import AiprodError
from aiprod.speech.numbers_in_words import LARGEST, cardinal, decimal, digits, ordinal, year

MONTHS = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
]
_MONTH = "|".join([*MONTHS, *(f"{m[:3]}\\.?" for m in MONTHS if m != "may"), r"sept\.?"])
_ABBREVIATIONS = {
    "dr.": "doctor",
    "mr.": "mister",
    "mrs.": "missus",
    "ms.": "miss",
    "st.": "saint",
    "prof.": "professor",
    "jr.": "junior",
    "sr.": "senior",
    "vs.": "versus",
    "e.g.": "for example",
    "i.e.": "that is",
    "etc.": "et cetera",
    "co.": "company",
    "inc.": "incorporated",
    "&": "and",
    "%": "percent",
    "+": "plus",
    "=": "equals",
}
_UNITS = {
    "km/h": "kilometers per hour",
    "km": "kilometers",
    "cm": "centimeters",
    "mm": "millimeters",
    "m": "meters",
    "kg": "kilograms",
    "g": "grams",
    "khz": "kilohertz",
    "mhz": "megahertz",
    "hz": "hertz",
    "db": "decibels",
    "fps": "frames per second",
    "px": "pixels",
    "gb": "gigabytes",
    "mb": "megabytes",
    "min": "minutes",
    "h": "hours",
    "s": "seconds",
}
_MONEY = {"$": ("dollar", "dollars"), "€": ("euro", "euros"), "£": ("pound", "pounds")}
_NUMBER = r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?"


def write_out(text: str) -> str:
    """The text with every figure and abbreviation in words; punctuation stays.

    Raises:
        AiprodError: a number has more digits than there are words for.
    """
    text = text.replace("’", "'").replace("–", "-").replace("−", "-")
    for pattern, replace in _RULES:
        text = pattern.sub(replace, text)
    return re.sub(r"\s+", " ", text).strip()


def _rule(pattern: str, replace: Callable[[re.Match[str]], str]) -> tuple[re.Pattern[str], Callable[..., str]]:
    return re.compile(pattern, re.IGNORECASE), lambda match: f" {replace(match)} "


def _value(text: str) -> list[str]:
    plain = text.replace(",", "")
    if int(plain.partition(".")[0] or "0") > LARGEST:
        if len(plain) > 40:
            raise AiprodError(f"{plain[:20]}… has {len(plain)} digits", "write it in words")
        return digits(plain.replace(".", ""))
    if "." not in plain and len(plain) > 1 and plain[0] == "0":
        return digits(plain)  # 007
    return decimal(plain)


def _month(text: str) -> str:
    return next(month for month in MONTHS if month.startswith(text.lower().rstrip(".")[:3]))


def _day_month(match: re.Match[str]) -> str:
    words = [_month(match["month"]), *ordinal(int(match["day"]))]
    return " ".join([*words, *(year(int(match["year"])) if match["year"] else [])])


def _iso_date(match: re.Match[str]) -> str:
    months, days = int(match[2]), int(match[3])
    if not (1 <= months <= 12 and 1 <= days <= 31):
        return " ".join([*_value(match[1]), *digits(match[2]), *digits(match[3])])
    return " ".join([MONTHS[months - 1], *ordinal(days), *year(int(match[1]))])


def _time(match: re.Match[str]) -> str:
    hours, minutes = int(match[1]), int(match[2])
    if hours > 23 or minutes > 59:
        return " ".join([*cardinal(hours), *cardinal(minutes)])
    if minutes == 0:
        return " ".join([*cardinal(hours), "o'clock"])
    return " ".join([*cardinal(hours), *(["oh"] if minutes < 10 else []), *cardinal(minutes)])


def _money(match: re.Match[str]) -> str:
    one, many = _MONEY[match[1]]
    whole, _, cents = match[2].replace(",", "").partition(".")
    words = [*_value(whole), one if whole == "1" else many]
    return " ".join([*words, *(["and", *cardinal(int(cents[:2].ljust(2, "0")))] if cents.strip("0") else [])])


_YEAR = r"(?:,?\s+(?P<year>\d{4}))?"
_RULES = (
    _rule(r"\b(\d{4})-(\d{2})-(\d{2})\b", _iso_date),
    _rule(rf"\b(?P<day>\d{{1,2}})(?:st|nd|rd|th)?\s+(?P<month>{_MONTH})\b{_YEAR}(?!\d)", _day_month),
    _rule(rf"\b(?P<month>{_MONTH})\s+(?P<day>\d{{1,2}})(?:st|nd|rd|th)?\b{_YEAR}(?!\d)", _day_month),
    _rule(r"\b(\d{1,2}):(\d{2})\b", _time),
    _rule(r"([$€£])\s?(\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?)", _money),
    _rule(r"\b(no|fig)\.\s?(?=\d)", lambda m: "number" if m[1].lower() == "no" else "figure"),
    _rule(
        r"(?<![\w.])(" + "|".join(map(re.escape, _ABBREVIATIONS)) + r")(?!\w)", lambda m: _ABBREVIATIONS[m[1].lower()]
    ),
    _rule(
        rf"(?<![\w.])(-?)({_NUMBER})\s?({'|'.join(map(re.escape, _UNITS))})\b",
        lambda m: " ".join([*(["minus"] if m[1] else []), *_value(m[2]), _UNITS[m[3].lower()]]),
    ),
    _rule(
        r"\b(\d+)(?:st|nd|rd|th)\b", lambda m: " ".join(ordinal(int(m[1])) if int(m[1]) <= LARGEST else digits(m[1]))
    ),
    _rule(r"\b(1[1-9]\d{2}|20\d{2})\b(?![.,]?\d|%)", lambda m: " ".join(year(int(m[1])))),
    _rule(
        rf"(?<![\w.])(-?)({_NUMBER})(%?)",
        lambda m: " ".join([*(["minus"] if m[1] else []), *_value(m[2]), *(["percent"] if m[3] else [])]),
    ),
    _rule(r"\b((?:[a-z]\.){2,})", lambda m: m[1].upper().replace(".", " ")),
)
