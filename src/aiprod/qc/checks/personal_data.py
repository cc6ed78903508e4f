"""Kinds of personal data in lines of text, by their form: precise ones, for a hit asks for a review."""

from __future__ import annotations

import re
from collections.abc import Iterable

_EMAIL = re.compile(r"[\w.+-]{1,64}\s?@\s?[\w-]+(\.[\w-]+)*\.[a-z]{2,}", re.IGNORECASE)
# A phone number says so by a plus or a leading zero, or by its groups. A date, a timecode or a price has other marks.
_PHONE = re.compile(
    r"(?<![\w.,:/])(\+\d{1,3}[\s.-]?\(?\d{1,4}\)?([\s.-]?\d{2,4}){2,4}|\(?0\d{2,4}\)?([\s.-]\d{2,4}){2,4}"
    r"|\(?\d{3}\)?[\s.-]\d{3}[\s.-]\d{4})(?![\w:/])"
)
_PHONE_DIGITS = range(8, 16)
# Letters and digits in a line of their own, as Europe, North America and India write plates; not a word with a
# year, nor a date.
_PLATE = re.compile(
    r"[A-Z]{1,3}[\s-][A-Z]{1,2}[\s-]?\d{1,4}[EH]?"  # B-AB 1234
    r"|[A-Z]{2}[\s-]?\d{3}[\s-]?[A-Z]{2}"  # AB-123-CD
    r"|[A-Z]{2}\d{2}\s?[A-Z]{3}"  # AB12 CDE
    r"|\d{1,2}[\s-]?[A-Z]{2,3}[\s-]?\d{2,4}"  # 34 ABC 123
    r"|\d[A-Z]{3}\d{3}"  # 7ABC123
    r"|[A-Z]{3}-\d{4}"  # ABC-1234
    r"|[A-Z]{2}[\s-]?\d{1,2}[\s-]?[A-Z]{1,2}[\s-]?\d{4}"  # MH 12 AB 1234
)
_MONTH = re.compile(r"\b(JAN|FEB|MAR|APR|MAY|MAI|JUN|JUL|AUG|SEP|OCT|OKT|NOV|DEC|DEZ)\b")


def kinds_of(lines: Iterable[str]) -> list[str]:
    """``e-mail``, ``phone``, ``plate``: which of them the lines hold, sorted."""
    kinds: set[str] = set()
    for line in lines:
        if _EMAIL.search(line):
            kinds.add("e-mail")
        if any(sum(letter.isdigit() for letter in hit[0]) in _PHONE_DIGITS for hit in _PHONE.finditer(line)):
            kinds.add("phone")
        if _PLATE.fullmatch(line.strip().replace("·", " ").replace("•", " ")) and not _MONTH.search(line):
            kinds.add("plate")
    return sorted(kinds)
