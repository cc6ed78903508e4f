"""The one canonical form of JSON: RFC 8785 (JSON Canonicalization Scheme). Digests, Merkle leaves and signatures are
taken over it, so that a stranger can recompute them with any implementation of the standard."""

from __future__ import annotations

import json
import re
import sys
from typing import Any

import rfc8785

from aiprod.errors import AiprodError

_EXACT = 2**53  # whole numbers below it are doubles
_PYTHON = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode
# Where Python's text may differ from the standard's: whole numbers as floating point, exponents, whole numbers that a
# double may not hold, and characters beyond the basic plane, by which keys are sorted in another order.
_ODD = re.compile(r"\.0(?![0-9])|[0-9]e[-+]?[0-9]|(?<![0-9.])[0-9]{16}|[\U00010000-\U0010ffff]")
_LONG = re.compile(r"[0-9]{16}(?<![0-9.][0-9]{16})")  # begins with a set of characters, for which re looks quickly
_TEXT = re.compile(r'"(?:[^"\\]|\\.)*"')
_WHOLE = re.compile(r"\.0(?![0-9])")
_NOUGHT = re.compile(r"-0(?![0-9.])")
_EXPONENT = re.compile(r"[0-9.]+e[-+]?[0-9]+")


def canonical_json(value: Any) -> bytes:
    """The RFC 8785 form of a JSON value.

    Raises:
        ValueError: NaN or infinity.
        AiprodError: a whole number that JSON readers would round, or bytes that are no UTF-8 in a text.
    """
    text = _PYTHON(value)
    try:
        data = text.encode()
    except UnicodeEncodeError as error:  # RFC 8785 has no form for halves of surrogate pairs
        what = f"canonical JSON cannot hold {text[error.start : error.end]}, which is no character"
        raise AiprodError(what, "write the text in UTF-8") from None
    if _ODD.search(text) is None:
        return data
    if not text.isascii() and len(text.encode("utf-16-le")) != 2 * len(text):  # beyond the basic plane
        return by_the_book(value)
    standard = _in_standard_form(text)
    return by_the_book(value) if standard is None else standard.encode()


def by_the_book(value: Any) -> bytes:
    """The same by a plain implementation of the standard, which is slower.

    Raises:
        AiprodError: as :func:`canonical_json`.
    """
    return rfc8785.dumps(_as_doubles(value))


def _as_doubles(value: Any) -> Any:
    """The value with whole numbers of 2^53 and more as doubles, which is what numbers are in the standard."""
    if isinstance(value, dict):
        return {key: _as_doubles(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_as_doubles(part) for part in value]
    if type(value) is not int or -_EXACT < value < _EXACT:
        return value
    if abs(value) > sys.float_info.max or int(float(value)) != value:
        raise AiprodError(f"canonical JSON cannot hold {value}: readers would round it", "store it as text")
    return float(value)


def former_canonical_json(value: Any) -> bytes:
    """The form of releases before manifest format 2: floating point as Python writes it.

    Only to check what was committed to or signed then; nothing new is written so.
    """
    return _PYTHON(value).encode()


def _in_standard_form(text: str) -> str | None:
    """Python's JSON with its floating point as in the standard; None with a number of very many digits.

    Numbers are sought in what is no text, all at once.
    """
    if '\\"' in text:
        texts = _TEXT.findall(text)
        between = _TEXT.sub('"', text)
    else:  # then every quotation mark begins or ends a text, and splitting is quicker
        parts = text.split('"')
        texts = [f'"{part}"' for part in parts[1::2]]
        between = '"'.join(parts[::2])
    if _LONG.search(between) is not None:
        return None
    between = _WHOLE.sub("", between)
    if "-0" in between:
        between = _NOUGHT.sub("0", between)
    between = _EXPONENT.sub(_shortest, between)
    rest = between.split('"')
    whole = [""] * (len(rest) + len(texts))
    whole[::2], whole[1::2] = rest, texts
    return "".join(whole)


def _shortest(number: re.Match[str]) -> str:
    return rfc8785.dumps(float(number[0])).decode()
