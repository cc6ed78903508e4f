"""The drawn voice: its times and its fundamental are true, and a stranger's recogniser understands it."""

from __future__ import annotations

import numpy as np
import pytest

from aiprod.errors import AiprodError
from aiprod.speech.aligner import Aligner
from aiprod.speech.corpus import UNSEEN, MakeSpeechParams, plans
from aiprod.speech.fundamental import fundamental
from aiprod.speech.held_out import fresh_commands
from aiprod.speech.phones import SILENCE
from aiprod.speech.text_to_phones import phrases
from aiprod.speech.voice import RATE, SPEAKERS, Utterance, speak


def spoken(text: str, speaker: str, language: str = "en", seed: int = 3) -> Utterance:
    (phrase,) = phrases(text, language)
    words = [(word.text, word.phones) for word in phrase.words]
    return speak(words, SPEAKERS[speaker], language, np.random.default_rng(seed))


@pytest.mark.parametrize("speaker", SPEAKERS)
@pytest.mark.parametrize(("text", "language"), [("place blue at A two now", "en"), ("taro patir müsta", "qaa")])
def test_phones_leave_no_gap_and_words_are_made_of_theirs(speaker: str, text: str, language: str) -> None:
    said = spoken(text, speaker, language)
    assert said.phones[0].start_s == 0 and said.phones[-1].end_s == pytest.approx(len(said.sound) / RATE)
    assert all(a.end_s == b.start_s for a, b in zip(said.phones, said.phones[1:], strict=False))
    assert [word.name for word in said.words] == text.split()
    edges = {phone.start_s for phone in said.phones} | {phone.end_s for phone in said.phones}
    assert all({word.start_s, word.end_s} <= edges for word in said.words)


@pytest.mark.parametrize("speaker", SPEAKERS)
def test_the_fundamental_that_is_measured_is_the_one_that_was_drawn(speaker: str) -> None:
    said = spoken("lay green by M nine please", speaker)
    measured = fundamental(said.sound)
    at = ((np.arange(len(measured)) + 0.5) * len(said.f0_hz) / len(measured)).astype(int)
    drawn = said.f0_hz[at]
    both = (measured > 0) & (drawn > 0)
    assert both.mean() > 0.5 * (drawn > 0).mean()
    cents = 1200 * np.abs(np.log2(measured[both] / drawn[both]))
    assert np.median(cents) < 15 and (cents > 400).mean() < 0.02, "no octave is mistaken"
    assert ((measured > 0) == (drawn > 0)).mean() > 0.85


def test_a_vowel_is_louder_than_the_room_and_silence_is_the_room() -> None:
    said = spoken("set white in E two soon", "bruno")
    rms = {name: [] for name in ("vowel", "room")}  # type: ignore[var-annotated]
    for phone in said.phones:
        part = said.sound[int((phone.start_s + 0.03) * RATE) : int((phone.end_s - 0.03) * RATE)]
        if phone.name in {"IY", "AY", "UW", SILENCE} and len(part):
            rms["room" if phone.name == SILENCE else "vowel"].append(np.sqrt(np.mean(part**2)))
    assert 20 * np.log10(min(rms["vowel"]) / np.mean(rms["room"])) > 30
    assert min(rms["room"]) > 0, "silence that is digital has no logarithm"


def test_the_same_seed_gives_the_same_sound() -> None:
    assert np.array_equal(spoken("bin red by B one now", "alba").sound, spoken("bin red by B one now", "alba").sound)


def test_held_out_sentences_and_the_unseen_pair_are_never_trained_on() -> None:
    everything = plans(MakeSpeechParams())
    trained = {(plan.text, plan.language) for plan in everything if plan.split == "train"}
    assert not trained & {(plan.text, plan.language) for plan in everything if plan.split != "train"}
    assert UNSEEN not in {(plan.speaker, plan.language) for plan in everything if plan.split != "unseen_pair"}
    assert {(p.speaker, p.language) for p in everything if p.split == "unseen_pair"} == {UNSEEN}
    assert len({plan.utterance_id for plan in everything}) == len(everything)


@pytest.mark.slow
def test_a_recogniser_of_people_understands_it() -> None:
    pytest.importorskip("pocketsphinx", reason="needs aiprod[voice]")
    from aiprod.speech.recogniser import Recogniser, accuracy, chance

    recogniser, truths = Recogniser(), fresh_commands(30, seed=5)
    texts = [truth.text.lower().split() for truth in truths]
    found = accuracy([(recogniser.words(t.heard.sound), said) for t, said in zip(truths, texts, strict=True)])
    assert found > 0.85, "0.94 of 450 words when it was measured; real GRID speech 0.944"
    assert chance(texts) < 0.3


def test_what_the_aligner_misses_by_some_milliseconds_is_aligned_and_another_text_is_not() -> None:
    pytest.importorskip("pocketsphinx", reason="needs aiprod[voice]")
    text = "a small purple triangle waits to the right"
    (said,), (other,) = phrases(text, "en"), phrases("we see the teal window before the evening", "en")
    utterance = spoken(text, "carlo", seed=2)
    aligner = Aligner()
    _, found = aligner.align(utterance.sound, said.words, "en")
    errors = [abs(a.start_s - b.start_s) for a, b in zip(found, utterance.words, strict=True)]
    assert [word.name for word in found] == [word.text for word in said.words] and np.median(errors) < 0.03
    with pytest.raises(AiprodError, match="not what is heard"):
        aligner.align(utterance.sound, other.words, "en")
