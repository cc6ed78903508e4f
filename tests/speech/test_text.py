"""Text to phones: nothing that is said is lost, figures are words, and a sound may be given."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiprod.errors import AiprodError
from aiprod.speech.english_lexicon import LETTERS, WORDS
from aiprod.speech.ipa import phones_of_ipa
from aiprod.speech.numbers_in_words import LARGEST, cardinal, ordinal
from aiprod.speech.phones import LANGUAGES, PHONES, SILENCE
from aiprod.speech.text_to_phones import bundled_dictionary, phrases

SMALL = {name: n for n, name in enumerate(cardinal(n)[0] for n in range(20))}
TENS = {cardinal(n)[0]: n for n in range(20, 100, 10)}
SCALES = {"thousand": 10**3, "million": 10**6, "billion": 10**9}


def said(text: str, language: str = "en") -> list[str]:
    return [word.text.lower() for phrase in phrases(text, language) for word in phrase.words]


def number_of(words: list[str]) -> int:
    """The number that words say, by the rules of arithmetic and not by those that wrote them."""
    total = group = 0
    for word in words:
        if word in SCALES:
            total, group = total + group * SCALES[word], 0
        elif word == "hundred":
            group *= 100
        else:
            group += SMALL[word] if word in SMALL else TENS[word]
    return total + group


@given(st.integers(0, LARGEST))
def test_a_number_in_words_is_that_number(number: int) -> None:
    assert number_of(cardinal(number)) == number
    assert len(ordinal(number)) == len(cardinal(number)) and ordinal(number)[:-1] == cardinal(number)[:-1]
    assert number_of(said(f"{number:,}")) == number


@given(
    st.lists(st.sampled_from(sorted(WORDS)), min_size=1, max_size=60), st.sampled_from(["; ", ", ", " ", ".\n", "! "])
)
def test_no_word_is_lost_or_put_in_however_long_and_however_punctuated(words: list[str], between: str) -> None:
    found = phrases(between.join(words), "en")
    assert [word.text.lower() for phrase in found for word in phrase.words] == words
    assert all(phrase.words and all(word.phones for word in phrase.words) for phrase in found)


def test_every_pronunciation_is_of_phones_that_the_voice_has() -> None:
    for word, phones in {**WORDS, **LETTERS}.items():
        assert phones and set(phones) <= set(PHONES["en"]) - {SILENCE}, word


def test_the_words_of_the_lexicon_are_those_of_cmudict() -> None:
    sphinx = pytest.importorskip("pocketsphinx", reason="needs aiprod[voice]")
    with open(sphinx.get_model_path("en-us/cmudict-en-us.dict"), encoding="utf-8") as file:
        ways: dict[str, set[tuple[str, ...]]] = {}
        for line in file:
            name, *phones = line.split()
            ways.setdefault(re.sub(r"\(\d+\)$", "", name), set()).add(tuple(phones))
    strange = [word for word, phones in WORDS.items() if phones not in ways.get(word, {phones})]
    assert not strange


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("2026-11-28", "november twenty eighth twenty twenty six"),
        ("28 Nov. 1905", "november twenty eighth nineteen oh five"),
        ("March 3rd, 2003", "march third two thousand three"),
        ("at 10:30 and 9:05", "at ten thirty and nine oh five"),
        ("$5.20 or €1", "five dollars and twenty or one euro"),
        ("-3.14 km", "minus three point one four kilometers"),
        ("20% of 1,234", "twenty percent of one thousand two hundred thirty four"),
        ("Dr. No, e.g. no. 7", "doctor no for example number seven"),
        ("yes and no.", "yes and no"),
        ("007 at 24 fps", "zero zero seven at twenty four frames per second"),
        ("the U.S. train", "the u s train"),
        ("DVC", "d v c"),
        ("the 1990s and the '80s, 90s", "the nineteen nineties and the eighties ninety seconds"),
        ("$1.5 million, ¥500", "one point five million dollars five hundred yen"),
        ("½ or 3 3/4, at 24/7", "one half or three and three quarters at twenty four seven"),
        (".5 of 10²", "zero point five of ten squared"),
        (
            "28.11.2026 or 11/28/2026",
            "november twenty eighth twenty twenty six or november twenty eighth twenty twenty six",
        ),
        ("3/4/2026", "three four twenty twenty six"),
        ("from 50-60 to 555-1234", "from fifty to sixty to five five five one two three four"),
        ("-5 °C, 41°F", "minus five degrees celsius forty one degrees fahrenheit"),
        ("1 km, 1 ft, 6 ft", "one kilometer one foot six feet"),
        ("#1 + 2 = 3", "number one plus two equals three"),
        ("St. A on May St. The end", "saint a on may street the end"),
        ("5th Ave.", "fifth avenue"),
        ("May II, Book II, March IIII", "may the second book two march i i i i"),
        (
            "1'000 of 1\u202f234\u202f567",
            "one thousand of one million two hundred thirty four thousand five hundred sixty seven",
        ),
        ("at https://www.a.com/", "at w w w dot a dot com"),
    ],
)
def test_what_is_abbreviated_is_written_out(text: str, words: str) -> None:
    assert " ".join(said(text)) == words


def test_a_sound_may_be_given_in_braces_and_by_ssml() -> None:
    (phrase,) = phrases('say <phoneme alphabet="ipa" ph="ˈɹɛd">lead</phoneme>, {R EH1 D} {ɹɛd}', "en")[1:]
    (first,) = phrases('say <phoneme alphabet="ipa" ph="ˈɹɛd">lead</phoneme>', "en")
    assert {word.phones for word in (*phrase.words, first.words[1])} == {("R", "EH", "D")}
    assert first.words[1].text == "lead", "captions show the word and not its sound"


def test_a_capital_alone_is_a_letter_and_a_small_a_the_article() -> None:
    (phrase,) = phrases("at A two a", "en")
    assert phrase.words[1].phones == ("EY",) and phrase.words[3].phones == ("AH",)


def test_the_made_language_is_read_as_it_is_written() -> None:
    (phrase,) = phrases("taro müsta", "qaa")
    assert phrase.words[1].phones == ("M", "UE", "S", "T", "A")
    assert said("3", "qaa") == ["tre"]


@pytest.mark.parametrize("text", ["", "   \n", "...!", "<speak></speak>", "—"])
@pytest.mark.parametrize("language", LANGUAGES)
def test_an_empty_text_is_refused(text: str, language: str) -> None:
    with pytest.raises(AiprodError, match="no words"):
        phrases(text, language)


@pytest.mark.parametrize(
    ("text", "language", "words"),
    [
        ("red zzyzxq", "en", "'zzyzxq'.*R EH D"),
        ("red wand", "qaa", "'wand'|'red'"),
        ("red", "xx", "unknown language 'xx'"),
        ('<phoneme ph="q">x</phoneme>', "en", "'q'.*not a sound of language en"),
        ('<phoneme alphabet="sampa" ph="r">x</phoneme>', "en", "sampa.*ipa"),
        ("{}", "en", "empty"),
        ("red " * 300_000, "en", "characters"),
        ("9" * 60, "en", "60 digits"),
        ("red ① red", "en", "'①'"),
    ],
)
def test_what_cannot_be_spoken_is_one_line_with_a_remedy(text: str, language: str, words: str) -> None:
    with pytest.raises(AiprodError, match=words) as caught:
        phrases(text, language)
    assert caught.value.hint and "\n" not in str(caught.value)


@given(st.text(max_size=80))
def test_any_text_gives_words_or_one_line(text: str) -> None:
    try:
        assert phrases(text, "en")
    except AiprodError as error:
        assert "\n" not in str(error)


def test_the_large_dictionary_searched_as_text_is_the_one_that_is_parsed() -> None:
    sphinx = pytest.importorskip("pocketsphinx", reason="needs aiprod[voice]")
    with open(sphinx.get_model_path("en-us/cmudict-en-us.dict"), encoding="utf-8") as file:
        lines = [line.split() for line in file]
    known = {word: tuple(phones) for word, *phones in reversed(lines)}  # of two ways, the first
    found = bundled_dictionary()
    assert set(found) == set(known) and len(found) == len(known) and found
    assert all(found[word] == known[word] for word in [*list(known)[::1500], lines[0][0], lines[-1][0]])
    assert not {"", " ", "zzyzxq", "hello HH", "a\n"} & set(filter(found.get, ["", " ", "zzyzxq", "hello HH", "a\n"]))


def test_an_accent_does_not_hide_a_word() -> None:
    assert phrases("bé", "en")[0].words[0].phones == ("B", "IY")


def test_ipa_reads_the_longest_sign() -> None:
    assert phones_of_ipa("tʃeɪndʒ", "en") == ("CH", "EY", "N", "JH")
