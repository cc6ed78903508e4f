"""Words for licences: what is understood, that nothing is dropped of what was written, and that the narrower rules."""

from __future__ import annotations

import itertools
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiprod.rights.licence_words import MAX_CHARS, UNKNOWN, all_of, quoted, read_licence
from aiprod.rights.licences import judge_licence
from aiprod.rights.right import Right

TRAINABLE = ["CC0-1.0", "CC-BY-4.0", "CC-BY-SA-3.0", "MIT", "own", "BSD-3", "Apache-2.0", "cc by 4.0"]
DENIED = ["CC-BY-NC-4.0", "CC-BY-ND 4.0", "All rights reserved", "unknown", "Getty Images", "CC-BY", "LicenseRef-x"]
RESTRICTING = [
    "non-commercial",
    "no AI training",
    "not for machine learning",
    "but music: all rights reserved",
    "except music",
    "research only",
    "until 2020",
    "ask first",
    "with Ada's consent",
    "NC",
    "video only",
    "kein Training",
    "¿?",
    "∅",
    "CC-BY-NC-4.0",
    "personal use",
]
HARMLESS = ["repo", "film", "verified", "see LICENSE file"]
CHOICE = ("CC0-1.0", "CC-BY-4.0", "CC-BY-SA-3.0", "MIT", "Apache-2.0")  # in SPDX's own spelling
FORMS = [
    "{l} ({r})",
    "{l}; {r}",
    "{l}, {r}",
    "{l} - {r}",
    "{l} [{r}]",
    "({r}) {l}",
    "{l} / {r}",
    "{l} or {r}",
    "{l} | {r}",
    "{l}: {r}",
    "{l} {r}",
    "{l}\n{r}",
    "{l} & {r}",
    "{r}; {l}",
    "{l} WITH {r}",
    "{l} AND {r}",
    "{l} OR {r}",
]
BETWEEN = [" / ", ", ", " or ", "; ", " | "]


@pytest.mark.parametrize("form", FORMS)
def test_a_remark_that_is_not_known_to_be_harmless_denies(form: str) -> None:
    for licence, remark in itertools.product(TRAINABLE, RESTRICTING):
        words = form.format(l=licence, r=remark)
        chosen = " OR " in words and remark == "CC-BY-NC-4.0" and licence in CHOICE  # as SPDX defines its OR
        assert (judge_licence(words).right > Right.DENY) == chosen, words


@pytest.mark.parametrize("remark", HARMLESS)
def test_a_harmless_remark_takes_nothing_away(remark: str) -> None:
    for licence in TRAINABLE:
        assert read_licence(f"{licence} ({remark})").spdx == read_licence(licence).spdx
    assert read_licence(f"({remark})").spdx == UNKNOWN


@given(st.lists(st.sampled_from([*TRAINABLE, *DENIED]), min_size=1, max_size=4), st.sampled_from(BETWEEN))
def test_several_licences_permit_no_more_than_each_of_them(licences: list[str], between: str) -> None:
    together = judge_licence(between.join(licences))
    each = [judge_licence(licence) for licence in licences]
    assert together.right == min(finding.right for finding in each)
    if together.right > Right.DENY:
        assert set(together.obligations) == {o for finding in each for o in finding.obligations}


@given(st.permutations(["CC0-1.0", "MIT OR Apache-2.0", "CC-BY-4.0", "LicenseRef-own"]), st.integers(1, 4))
def test_order_and_number_make_no_difference(licences: list[str], times: int) -> None:
    assert all_of(licences) == all_of(sorted(licences) * times)
    assert read_licence(all_of(licences)).spdx == all_of(licences)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("CC BY 4.0", "CC-BY-4.0"),
        ("CC-BY-SA 4.0", "CC-BY-SA-4.0"),
        ("cc_by_nc_4.0", "CC-BY-NC-4.0"),
        ("Creative Commons Attribution-ShareAlike 3.0 Unported", "CC-BY-SA-3.0"),
        ("CC BY v4.0", "CC-BY-4.0"),
        ("https://creativecommons.org/licenses/by/4.0/", "CC-BY-4.0"),
        ("http://www.creativecommons.org/licenses/by-nc-sa/2.0/deed.de", "CC-BY-NC-SA-2.0"),
        ("https://creativecommons.org/licenses/by/4.0/deed.zh-hans", "CC-BY-4.0"),
        ("https://creativecommons.org/licenses/by/4.0/legalcode", "CC-BY-4.0"),
        ("https://creativecommons.org/publicdomain/zero/1.0/", "CC0-1.0"),
        ("https://creativecommons.org/licenses/by/3.0/de/", "CC-BY-3.0-DE"),
        ("https://spdx.org/licenses/MIT.html", "MIT"),
        ("https://opensource.org/license/mit", "MIT"),
        ("CC BY 4.0 (https://creativecommons.org/licenses/by/4.0/)", "CC-BY-4.0"),
        ("\uff23\uff23\uff10", "CC0-1.0"),
        ("CC\u2011BY\u20114.0", "CC-BY-4.0"),
        ("GPL-2.0", "GPL-2.0-only"),
        ("apache-2.0", "Apache-2.0"),
        ("public domain (NASA)", "LicenseRef-public-domain-us-government"),
        ("MIT OR (Apache-2.0 AND CC0-1.0)", "MIT OR (Apache-2.0 AND CC0-1.0)"),
    ],
)
def test_spellings_that_mean_one_licence(words: str, expected: str) -> None:
    assert read_licence(words).spdx == expected
    assert read_licence(unicodedata.normalize("NFD", f"  {words} ")).spdx == expected


@pytest.mark.parametrize(
    "words",
    [
        "CC-BY-4.0 WITH no-training",
        "CC-BY-4.0 WITH LicenseRef-no-ai",
        "MIT WITH MIT",
        "CC BY 4.0 nc",
        "\u0421\u0421-BY-4.0",
        "https://creativecommons.org.evil.example/licenses/by/4.0/",
        "CC-BY-4.0\u200b(no AI)",
        "MIT Apache-2.0",
        "AND",
        "((",
        "https://creativecommons.org/licenses/by/4.0/?no=training",
        "CC-BY-4.0 or later",
        "not CC0",
        "CC-BY-9.9",
    ],
)
def test_what_is_not_understood_denies_and_is_quoted(words: str) -> None:
    finding = judge_licence(words)
    assert finding.right == Right.DENY
    assert "not understood" in finding.why or "names no licence" in finding.why
    assert quoted(words) in finding.why


@given(st.text(max_size=200))
def test_any_text_is_read_and_its_reading_is_read_as_it_is(words: str) -> None:
    spdx = read_licence(words).spdx
    assert read_licence(spdx).spdx == spdx
    assert not {unicodedata.category(c) for c in quoted(words)} & {"Cc", "Cf", "Cs", "Zl", "Zp"}
    assert len(quoted(words)) < 1000


LONG = ["(" * 40_000, "()" * 20_000, "CC0-1.0 / " * 4_000, " or " * 10_000, "MIT AND " * 5_000 + "MIT"]


@pytest.mark.parametrize("text", LONG)
def test_long_texts_take_time_in_proportion(text: str) -> None:
    assert read_licence(text).spdx == UNKNOWN
    for size in (MAX_CHARS - 1, MAX_CHARS):
        read_licence(text[:size])
