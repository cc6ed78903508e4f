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
    "prof.": "professor",
    "jr.": "junior",
    "sr.": "senior",
    "vs.": "versus",
    "e.g.": "for example",
    "i.e.": "that is",
    "etc.": "et cetera",
    "co.": "company",
    "inc.": "incorporated",
}
_SIGNS = {
    "&": "and",
    "%": "percent",
    "+": "plus",
    "=": "equals",
    "×": "times",
    "@": "at",
    "²": "squared",
    "³": "cubed",
    "°c": "degrees celsius",
    "°f": "degrees fahrenheit",
    "°": "degrees",
}
_STREETS = {"ave.": "avenue", "blvd.": "boulevard", "rd.": "road"}
_NOT_NAMES = {"The", "In", "At", "On", "To", "From", "And", "Of", "For", "By", "Near", "Mount", "Fort", "Port"}
_FRACTION_SIGNS = {"½": "1/2", "⅓": "1/3", "⅔": "2/3", "¼": "1/4", "¾": "3/4", "⅛": "1/8"}
_PARTS = {2: "half", 3: "third", 4: "quarter", 5: "fifth", 6: "sixth", 8: "eighth", 10: "tenth", 16: "sixteenth"}
_COUNTED = {  # what a Roman number counts rather than ranks
    *("Act", "Appendix", "Article", "Book", "Chapter", "Class", "Episode", "Grade", "Level", "Mark", "Part"),
    *("Phase", "Scene", "Season", "Section", "Title", "Type", "Volume", "War"),
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
    "ft": "feet",
    "lb": "pounds",
    "mi": "miles",
    "ml": "milliliters",
    "mph": "miles per hour",
    "ms": "milliseconds",
    "fps": "frames per second",
    "px": "pixels",
    "gb": "gigabytes",
    "mb": "megabytes",
    "min": "minutes",
    "h": "hours",
    "s": "seconds",
}
_MONEY = {"$": ("dollar", "dollars"), "€": ("euro", "euros"), "£": ("pound", "pounds"), "¥": ("yen", "yen")}
_NUMBER = r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?"


def write_out(text: str) -> str:
    """The text with every figure and abbreviation in words; punctuation stays.

    Raises:
        AiprodError: a number has more digits than there are words for.
    """
    text = text.replace("’", "'").replace("–", "-").replace("−", "-")
    text = re.sub(f"[{''.join(_FRACTION_SIGNS)}]", lambda match: f" {_FRACTION_SIGNS[match[0]]}", text)
    text = re.sub(r"(?<=\d)[\u00a0\u2009\u202f'](?=\d{3}(?!\d))", ",", text)  # 1'000, and thin spaces
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


def _unit(number: str, unit: str) -> str:
    words = _UNITS[unit.lower()]
    if number != "1":
        return words
    first, *rest = words.split()
    return " ".join(["foot" if first == "feet" else first.removesuffix("s"), *rest])


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


def _written_date(match: re.Match[str]) -> str:
    """Day and month; where either may be the day, no order is guessed, and the numbers are read as they stand."""
    day, month, year_ = int(match[1]), int(match[3]), int(match[4])
    if match[2] == "/" and day <= 12 and month > 12:
        day, month = month, day
    sure = match[2] == "." or day > 12 or day == month
    if sure and 1 <= month <= 12 and 1 <= day <= 31:
        return " ".join([MONTHS[month - 1], *ordinal(day), *year(year_)])
    return " ".join([*cardinal(int(match[1])), *cardinal(int(match[3])), *year(year_)])


def _fraction(match: re.Match[str]) -> str:
    whole, above, below = match[1], int(match[2]), int(match[3])
    if below not in _PARTS or not 0 < above < below:
        return match[0]
    part = _PARTS[below] if above == 1 else "halves" if below == 2 else f"{_PARTS[below]}s"
    count = ["a"] if whole and above == 1 else cardinal(above)
    return " ".join([*([*cardinal(int(whole)), "and"] if whole else []), *count, part])


def _decade(match: re.Match[str]) -> str:
    century, ten = match[1], int(match[2])
    tens = {0: "hundreds", 1: "tens"}.get(ten) or f"{cardinal(10 * ten)[0][:-1]}ies"
    if century == "20" and ten == 0:
        return "two thousands"
    return " ".join([*(cardinal(int(century)) if century else []), tens])


def _range(match: re.Match[str]) -> str:
    low, high = match[1], match[2]
    if (len(low), len(high)) == (3, 4):
        return " ".join([*digits(low), *digits(high)])  # a telephone's number
    return f"{low} to {high}" if int(low) < int(high) and len(high) <= 12 else match[0]


def _saint_or_street(match: re.Match[str]) -> str:
    before, follows = match[1], match[2]
    named = before is not None and before not in _NOT_NAMES and (before[0].isupper() or before[0].isdigit())
    if follows and not named:
        return f"{before or ''} saint"
    return f"{before or ''} street{'.' if follows else ''}"


def _roman(match: re.Match[str]) -> str:
    number, largest = 0, 0
    for letter in reversed(match[2]):
        value = {"I": 1, "V": 5, "X": 10}[letter]
        number, largest = number + (value if value >= largest else -value), max(largest, value)
    tens, ones = divmod(number, 10)
    if "X" * tens + ["", "I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX"][ones] != match[2]:
        return match[0]
    return " ".join([match[1], *(cardinal(number) if match[1] in _COUNTED else ["the", *ordinal(number)])])


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
    if match[3]:
        return " ".join([*_value(match[2]), match[3].lower(), many])
    return " ".join([*words, *(["and", *cardinal(int(cents[:2].ljust(2, "0")))] if cents.strip("0") else [])])


_YEAR = r"(?:,?\s+(?P<year>\d{4}))?"
_RULES = (
    _rule(r"\b(\d{4})-(\d{2})-(\d{2})\b", _iso_date),
    _rule(rf"\b(?P<day>\d{{1,2}})(?:st|nd|rd|th)?\s+(?P<month>{_MONTH})\b{_YEAR}(?!\d)", _day_month),
    _rule(rf"\b(?P<month>{_MONTH})\s+(?P<day>\d{{1,2}})(?:st|nd|rd|th)?\b{_YEAR}(?!\d)", _day_month),
    _rule(r"(?<![\w./])(\d{1,2})([./])(\d{1,2})\2(\d{4})(?![\w/]|\.\d)", _written_date),
    _rule(r"(?<![\w./])(?:(\d+)\s+)?(\d{1,2})/(\d{1,2})(?![\w/]|\.\d)", _fraction),
    _rule(r"\b(\d{1,2}):(\d{2})\b", _time),
    _rule(rf"([$€£¥])\s?({_NUMBER})(?:\s(thousand|million|billion|trillion)\b)?", _money),
    _rule(r"(?<![\w.])(1[1-9]|20)(\d)0s\b", _decade),
    _rule(r"(?<![\w.])'()([2-9])0s\b", _decade),
    _rule(r"(?<![\w.,-])(\d+)-(\d+)(?![\w-]|[.,]\d)", _range),
    _rule(r"(?<![\w.])(-?)\.(\d+)\b", lambda m: f"{m[1]}0.{m[2]}"),
    _rule(r"\bhttps?://|(?<=\w)/(?=\s|$)", lambda _: ""),
    _rule(r"\bwww\.", lambda _: "W W W dot "),
    _rule(r"(?<=[a-z0-9])\.(com|org|net|info)\b", lambda m: f"dot {m[1]}"),
    _rule(r"(?:\b([\w']+)\s+)?\bst\.(?=(\s+(?-i:[A-Z]))?)", _saint_or_street),
    _rule(r"(?<=\w)\s+(" + "|".join(map(re.escape, _STREETS)) + r")(?!\w)", lambda m: _STREETS[m[1].lower()]),
    _rule(r"(?-i:\b([A-Z][a-z]+)\s+([IVX]{2,})\b)", _roman),
    _rule(r"#\s?(?=\d)", lambda _: "number"),
    _rule(r"\b(no|fig)\.\s?(?=\d)", lambda m: "number" if m[1].lower() == "no" else "figure"),
    _rule(
        r"(?<![\w.])(" + "|".join(map(re.escape, _ABBREVIATIONS)) + r")(?!\w)", lambda m: _ABBREVIATIONS[m[1].lower()]
    ),
    _rule(
        rf"(?<![\w.])(-?)({_NUMBER})\s?({'|'.join(map(re.escape, _UNITS))})\b",
        lambda m: " ".join([*(["minus"] if m[1] else []), *_value(m[2]), _unit(m[2], m[3])]),
    ),
    _rule(
        r"\b(\d+)(?:st|nd|rd|th)\b", lambda m: " ".join(ordinal(int(m[1])) if int(m[1]) <= LARGEST else digits(m[1]))
    ),
    _rule(r"\b(1[1-9]\d{2}|20\d{2})\b(?![.,]?\d|%)", lambda m: " ".join(year(int(m[1])))),
    _rule(
        rf"(?<![\w.])(-?)({_NUMBER})(%?)",
        lambda m: " ".join([*(["minus"] if m[1] else []), *_value(m[2]), *(["percent"] if m[3] else [])]),
    ),
    _rule("|".join(map(re.escape, _SIGNS)), lambda m: _SIGNS[m[0].lower()]),
    _rule(r"\b((?:[a-z]\.){2,})", lambda m: m[1].upper().replace(".", " ")),
)
