"""The licence of every installed distribution is known and allowed: no GPL or AGPL, nothing for non-commercial use."""

from __future__ import annotations

import re
from functools import cache
from importlib.metadata import Distribution, distributions
from typing import Any

import pytest
from boolean import AND, OR
from license_expression import ExpressionError, Licensing

ALLOWED = {
    "Apache": r"Apache( Software License| 2\.0|-2\.0| License,? (Version )?2\.0| 2\.0 License|-2)?",
    "MIT": r"MIT(-0|-CMU)?( License)?|Expat",
    "BSD": r"(3-Clause )?BSD([ -][23][ -][Cc]lause)?( License)?|0BSD",
    "ISC, zlib, CC0, public domain": r"ISC( License( \(ISCL\))?)?|Zlib|CC0-1\.0|Unlicense|The Unlicense \(Unlicense\)",
    "Python": r"(PSF|Python|CNRI-Python|Python Software Foundation License)(-2\.0)?",
    "by file, and only where it is changed": r"MPL[- ]?2\.0|Mozilla Public License 2\.0( \(MPL 2\.0\))?|EPL-2\.0",
    "others that permit": r"ZPL-2\.1|Zope Public License|BSL-1\.0|HPND|OFL-1\.1",
}
WITH_REASON = {
    "pygit2": "GPL-2.0 with an exception that permits linking from any program; DVC needs it",
    "grandalf": "EPL-1.0 by choice (it is offered under GPL-2.0 or EPL-1.0); DVC needs it",
    "frozendict": "LGPL-3.0: used as it is, as a library that can be replaced",
    "pytest-timeout": "MIT; a classifier names DFSG besides",
    "opencolorio": "BSD-3-Clause; its metadata name the copyright alone",
    "mlcroissant": "Apache-2.0 by its repository; its wheel names none",
    "skops": "MIT; its metadata name none, its LICENSE file does",
    "sigstore-models": "MIT; its metadata name none, its LICENSE file does",
    "huey": "MIT; its metadata name none, its LICENSE file does",
    "cuda-toolkit": "NVIDIA's terms permit use and redistribution; torch for GPUs needs it",
}
_KNOWN = re.compile("|".join(ALLOWED.values()))
_NVIDIA = re.compile(r"nvidia-|cuda-")  # the same terms, in a package for each library


@cache
def installed() -> list[tuple[str, Distribution]]:
    """Every distribution by its name. Half a second, which each worker would spend where this is a constant."""
    return sorted({str(d.metadata["Name"]): d for d in distributions() if d.metadata["Name"]}.items())


def stated(found: Distribution) -> list[str]:
    """The licences that the metadata name: an SPDX expression, else classifiers, else the field of old."""
    about = found.metadata
    if expression := about.get("License-Expression"):
        return [str(expression)]
    classifiers = [c.split(" :: ")[-1] for c in about.get_all("Classifier") or [] if c.startswith("License :: ")]
    named = [c for c in classifiers if c not in ("OSI Approved", "Other/Proprietary License")]
    return named or [line.strip() for line in str(about.get("License") or "").splitlines()[:1] if line.strip()]


def allowed(licence: str) -> bool:
    """Whether it is on the list: all parts of an AND, or one of an OR."""
    if _KNOWN.fullmatch(licence):
        return True
    try:
        return _holds(Licensing().parse(licence))
    except ExpressionError:
        return False


def _holds(part: Any) -> bool:
    if isinstance(part, AND | OR):
        return (all if isinstance(part, AND) else any)(_holds(each) for each in part.args)
    return _KNOWN.fullmatch(str(getattr(part, "key", part))) is not None


def test_every_installed_distribution_is_under_an_allowed_licence() -> None:
    wrong = {}
    for name, found in installed():
        if name.lower() not in WITH_REASON and not _NVIDIA.match(name.lower()):
            licences = stated(found)
            if not licences or not all(map(allowed, licences)):
                wrong[name] = licences
    assert len(installed()) > 50
    assert not wrong, "read the licences of these, and add those that permit use to ALLOWED or WITH_REASON"


def test_exceptions_are_few_and_each_is_still_needed() -> None:
    """An exception whose package now states an allowed licence is taken off the list."""
    metadata = {name.lower(): found for name, found in installed()}
    for name in WITH_REASON.keys() & metadata.keys():
        licences = stated(metadata[name])
        assert not licences or not all(allowed(licence) for licence in licences), name


@pytest.mark.parametrize(
    "licence",
    [
        "GPL-3.0-only",
        "AGPL-3.0",
        "GNU General Public License v2 (GPLv2)",
        "CC-BY-NC-4.0",
        "GPL-2.0 AND (MIT OR BSD)",
        "MIT-ish",
    ],
)
def test_what_is_not_allowed_is_not(licence: str) -> None:
    assert not allowed(licence)
