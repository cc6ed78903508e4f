"""Training of the speech model: killed and continued to the bit, measured, and written with who was heard."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from aiprod.base.denials import log_to
from aiprod.errors import AiprodError
from aiprod.governance.audit.denials import append
from aiprod.governance.audit.log import AuditLog
from aiprod.models.checkpoint.folder import folder_digest
from aiprod.models.checkpoint.lora import fuse_lora
from aiprod.rights.agreements import VOICE
from aiprod.speech import meters, scores
from aiprod.speech.corpus import MakeSpeechParams, make_corpus
from aiprod.speech.inputs import batch_of, phones_of_words
from aiprod.speech.model import load_speech_model
from aiprod.speech.phones import CONSTRUCTED, ENGLISH
from aiprod.speech.rows import SpeechRow
from aiprod.speech.synthesis import Voice, speak_phrase
from aiprod.speech.text_to_phones import phrases
from aiprod.trainer.loop.context import TrainContext
from aiprod.trainer.speech import data as speech_data
from aiprod.trainer.speech import report
from aiprod.trainer.speech.adaptation import with_speakers
from aiprod.trainer.speech.data import load_utterances
from aiprod.trainer.speech.strategy import SpeechLossParams, SpeechStrategy
from aiprod.trainer.speech.train import TrainSpeechParams, train_speech
from tests.once import computed_once
from tests.speech.test_speaking import consented
from tests.trainer.stopping import Stop, stop_at

pytestmark = pytest.mark.bitwise
SMALL = {"width": 16, "decoder": 16, "blocks": 2, "vocoder": 16}


@pytest.fixture(autouse=True, scope="module")
def sounds_are_measured_once() -> Iterator[None]:
    """Of one corpus, by each of twenty trainings: it takes longer than their steps."""
    with pytest.MonkeyPatch.context() as patch:
        computed_once(patch, speech_data, "features_of")
        computed_once(patch, meters, "_voice", "_segments")
        computed_once(patch, scores, "fundamental", "griffin_lim")
        yield


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[SpeechRow], Path]:
    folder = tmp_path_factory.mktemp("speech")
    return make_corpus(MakeSpeechParams(commands=16, descriptions=8, made=12), folder, 1), folder


def train(
    corpus: tuple[list[SpeechRow], Path],
    folder: Path,
    *,
    steps: int = 12,
    stop: int = -1,
    init: str | None = None,
    lora: dict[str, float] | None = None,
    drawn: bool = False,
    saved: bool = False,
) -> dict[str, object]:
    """Train on a corpus.

    Spectrograms and checkpoints, which take longer than steps, are ``drawn`` where a test looks at them, and ``saved``
    after every step where one goes on from them.
    """
    trainer = {"steps": steps, "batch": 4, "lr_scale": 5.0, "checkpoint_every_s": 0.0 if saved else 1e6}
    params = TrainSpeechParams.model_validate(
        {"model": SMALL, "trainer": trainer, "heldout_utterances": 3, "threads": 1, "init": init, "lora": lora}
    )
    context = TrainContext(1e-3, 7, "x", lambda fingerprint: folder / "state", {"speech": "d"}, stop_at(stop))
    rows, data = corpus
    with pytest.MonkeyPatch.context() as patch:
        if not drawn:
            patch.setattr(report, "_draw", lambda path, spectrograms: path.write_bytes(b""))
        return train_speech(params, rows, context, data=data, models=folder / "m", reports=folder / "r")


@pytest.fixture(scope="module")
def whole(corpus: tuple[list[SpeechRow], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    train(corpus, folder, drawn=True)
    return folder


def test_it_learns_and_says_who_was_heard(corpus: tuple[list[SpeechRow], Path], whole: Path) -> None:
    losses = [float(line.split(",")[1]) for line in (whole / "r/curve.csv").read_text().splitlines()[1:]]
    assert len(losses) == 12 and losses[-1] < 0.7 * losses[0]
    ledger = json.loads((whole / "m/training/exposure.json").read_text())
    rows = {row.utterance_id: row for row in corpus[0]}
    assert sum(clip["times"] for clip in ledger["clips"]) == 12 * 4
    assert all(rows[clip["clip_id"]].split == "train" for clip in ledger["clips"])
    assert all(rows[clip["clip_id"]].speaker == clip["speaker"] for clip in ledger["clips"])
    assert {*(clip["clip_id"] for clip in ledger["clips"]), *ledger["left_out"]} == set(rows)
    assert ledger["model_digest"] == folder_digest(whole / "m")


def test_figures_stand_beside_their_bounds_and_chance(whole: Path) -> None:
    metrics = json.loads((whole / "r/metrics.json").read_text())
    for name in ("phone_accuracy", "speaker_accuracy", "language_accuracy"):
        assert 0 <= metrics[f"{name}_chance"] < metrics[f"{name}_bound"] <= 1 and 0 <= metrics[name] <= 1
    page = (whole / "r/page/index.html").read_text()
    assert page.count("<audio") == 2 * page.count("<section>") and "synthetic" in page
    assert all((whole / "r/page" / name).is_file() for name in ("0_voice.wav", "0_model.wav", "0.png"))


def test_a_few_at_a_time_have_the_losses_of_the_whole_batch(corpus: tuple[list[SpeechRow], Path], whole: Path) -> None:
    rows, data = corpus
    train = load_utterances([row for row in rows if row.split == "train"][:10], data)
    strategy = SpeechStrategy(load_speech_model(whole / "m"), train, train, SpeechLossParams(), 0)
    batch, seeds = strategy._batch(train, [None] * 10, [False] * 10), list(range(10))
    model, device = strategy.model, torch.device("cpu")
    with torch.no_grad():
        parts, at_once = (make(model, batch, seeds, device) for make in (strategy._means, strategy._losses))
    for name in ("duration", "prior", "flow"):
        assert torch.allclose(parts[name], at_once[name], rtol=1e-4), name
    assert torch.allclose(parts["vocoder"], at_once["vocoder"], rtol=0.02)  # its noise is another
    pieces = [batch.part([0]), batch.part([1, 2])]
    assert [tuple(p.features.shape[::2]) for p in pieces] == [(1, batch.lengths[0]), (2, max(batch.lengths[1:3]))]


def test_a_phrase_lasts_as_long_alone_as_beside_a_longer_one(whole: Path) -> None:
    model = load_speech_model(whole / "m").acoustic
    short, long = (phones_of_words([("B", "L", "UW")] * count) for count in (1, 4))
    with torch.no_grad():
        alone = model.encode(batch_of([short], ["en"], [1], [None]))[2]
        beside = model.encode(batch_of([short, long], ["en", "en"], [1, 1], [None, None]))[2]
    assert torch.allclose(alone[0], beside[0, : alone.shape[1]], atol=1e-5)


def test_each_phone_moves_in_a_way_of_its_own(whole: Path) -> None:
    model = load_speech_model(whole / "m").acoustic
    rising, falling = torch.randn(2, 1, 16, 1, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        (first, _), (second, _) = (model.expand(phone, torch.tensor([[9]])) for phone in (rising, falling))
        states = (model.to_frames(rising) - model.to_frames(falling)).unflatten(1, (3, -1))[0, :, :, 0]
    apart = (first - second)[0].T  # at every frame: what the frame's place adds is the same for both
    assert torch.allclose(apart[4], states[1], atol=1e-5)
    assert torch.allclose(apart[0], states[0] + (states[1] - states[0]) / 9, atol=1e-5)
    assert torch.allclose(apart[8], states[2] + (states[1] - states[2]) / 9, atol=1e-5)


def test_a_speaker_is_added_from_few_sentences_as_lora(corpus, tmp_path: Path) -> None:
    rows, data = corpus
    two = [row for row in rows if row.speaker != "carlo"]
    train((two, data), tmp_path / "base", steps=6)
    base = load_speech_model(tmp_path / "base/m")
    init = str(tmp_path / "base/m")
    with pytest.raises(AiprodError, match="does not know the speaker 'carlo'") as caught:
        train(corpus, tmp_path / "no", init=init)
    assert "train_speech.lora" in str(caught.value)
    lora = {"rank": 2, "alpha": 8.0}
    for folder, stop in (("a", -1), ("b", 4)):
        if stop > 0:
            with pytest.raises(Stop):
                train(corpus, tmp_path / folder, steps=8, stop=stop, init=init, lora=lora, saved=True)
        train(corpus, tmp_path / folder, steps=8, init=init, lora=lora, saved=stop > 0)
    assert folder_digest(tmp_path / "a/m") == folder_digest(tmp_path / "b/m")
    model = load_speech_model(tmp_path / "a/m")
    assert model.speakers == (*base.speakers, "carlo")
    ledger = json.loads((tmp_path / "a/m/training/exposure.json").read_text())
    assert {clip["speaker"] for clip in ledger["clips"]} == {"carlo"}
    before, after = base.state_dict(), model.state_dict()
    assert torch.equal(after["acoustic.speaker.weight"][:-1], before["acoustic.speaker.weight"])
    table = "acoustic.speaker.weight"
    plain = {name: weight for name, weight in before.items() if name != table}
    again = fuse_lora(plain, tmp_path / "a/m/lora")
    assert all(torch.equal(after[name], weight) for name, weight in again.items())
    assert any(not torch.equal(plain[name], weight) for name, weight in again.items())
    truth = load_utterances([row for row in rows if row.speaker == "carlo" and row.split == "train"][:4], data)
    mean = with_speakers(base, ["carlo"]).eval()
    losses = []
    for each in (mean, model):
        strategy = SpeechStrategy(each, truth, truth, SpeechLossParams(), 0)
        with torch.no_grad():
            losses.append(strategy.heldout(each, "speech", device=torch.device("cpu"))["heldout/loss"])
    assert losses[1] < 0.95 * losses[0]


def test_a_language_without_data_is_refused_by_a_model_that_never_heard_it(corpus, tmp_path: Path) -> None:
    rows, data = corpus
    train(([row for row in rows if row.language == ENGLISH], data), tmp_path, steps=1)
    model = load_speech_model(tmp_path / "m")
    for speaker in model.speakers:
        with pytest.raises(AiprodError, match="has heard nothing in the language qaa"):
            speak_phrase(model, phrases("taro patir", CONSTRUCTED)[0], Voice(speaker, CONSTRUCTED))
    assert len(speak_phrase(model, phrases("red", ENGLISH)[0], Voice(speaker, ENGLISH)).sound)


@pytest.mark.parametrize("stop", [5, 11])
def test_killed_and_continued_it_ends_with_the_same_bytes(corpus, whole: Path, tmp_path: Path, stop: int) -> None:
    with pytest.raises(Stop):
        train(corpus, tmp_path, stop=stop, saved=True)
    assert list((tmp_path / "state").glob("step_*"))
    train(corpus, tmp_path, drawn=stop == 5, saved=True)  # drawing takes longer than all steps
    assert folder_digest(tmp_path / "m") == folder_digest(whole / "m")
    pictures = ["r/page/0.png"] if stop == 5 else []
    for name in ("r/metrics.json", "r/curve.csv", "m/training/exposure.json", "r/page/0_model.wav", *pictures):
        assert (tmp_path / name).read_bytes() == (whole / name).read_bytes(), name


def test_a_given_model_is_copied_with_no_steps(corpus, whole: Path, tmp_path: Path) -> None:
    train(corpus, tmp_path, steps=0, init=str(whole / "m"))
    before, after = load_speech_model(whole / "m").state_dict(), load_speech_model(tmp_path / "m").state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_a_speaker_whom_a_given_model_does_not_know_is_named(corpus, whole: Path, tmp_path: Path) -> None:
    strangers = [row.model_copy(update={"speaker": "dora"}) if row.speaker == "alba" else row for row in corpus[0]]
    with pytest.raises(AiprodError, match=r"does not know the speaker 'dora'.*alba"):
        train((strangers, corpus[1]), tmp_path, init=str(whole / "m"))


def test_a_voice_whose_sentences_are_all_held_out_is_not_measured(corpus, tmp_path: Path, capfd) -> None:
    rows, data = corpus
    without = [row for row in rows if row.speaker != "carlo" or row.split != "train"]
    assert any(row.speaker == "carlo" and row.split == "heldout" for row in without)
    assert any(row.split == "unseen_pair" for row in without)
    metrics = train((without, data), tmp_path, steps=1)
    assert metrics["heldout_utterances"] and "unseen_pair" not in metrics
    assert "not measured: carlo, of whom nothing is trained on" in "".join(capfd.readouterr())


def test_no_utterance_to_train_on_is_one_line(corpus, tmp_path: Path) -> None:
    kept = [row for row in corpus[0] if row.split != "train"]
    with pytest.raises(AiprodError, match=r"no utterance is left.*make_speech"):
        train((kept, corpus[1]), tmp_path)
    with pytest.raises(AiprodError, match=r"steps is 0"):
        train(corpus, tmp_path, steps=0)


@pytest.mark.parametrize(
    ("state", "purpose", "named", "why"),
    [
        ("given", VOICE, None, "no consent is named"),
        ("given", VOICE, "consent/2026-015", "there is no record 2026-015"),
        ("given", "train-generative-models", "2026-014", "is not for clone-voice"),
        ("withdrawn", VOICE, "2026-014", "is withdrawn"),
        ("given", VOICE, "2026-014", None),
    ],
)
def test_a_persons_voice_is_trained_on_only_where_the_person_agreed_to_that(  # noqa: PLR0917 (parameters of a test)
    corpus: tuple[list[SpeechRow], Path],
    tmp_path: Path,
    state_home: Path,
    monkeypatch: pytest.MonkeyPatch,
    state: str,
    purpose: str,
    named: str | None,
    why: str | None,
) -> None:
    monkeypatch.chdir(tmp_path)
    consented(tmp_path, purpose, state)
    persons = {"synthetic": False, "consent_ref": named, "provenance": "recorded"}
    rows = [row.model_copy(update=persons) if row.speaker == "alba" else row for row in corpus[0]]
    log_to(append)
    try:
        train((rows, corpus[1]), tmp_path, steps=2)
        if named is None:  # one reason for all: whether it is logged again
            train((rows, corpus[1]), tmp_path / "again", steps=2)
    finally:
        log_to(None)
    ledger = json.loads((tmp_path / "m/training/exposure.json").read_text())
    heard = {clip["speaker"] for clip in ledger["clips"]}
    logged = [entry.value for entry in AuditLog().entries()]
    if why is None:
        assert logged == [] and "alba" in load_speech_model(tmp_path / "m").speakers
        return
    mine = [row.utterance_id for row in rows if row.speaker == "alba"]
    assert "alba" not in heard and "alba" not in load_speech_model(tmp_path / "m").speakers
    said = {ledger["left_out"][utterance_id] for utterance_id in mine}
    assert len(said) == 1 and why in (line := said.pop()) and "the voice of alba may not be trained on" in line
    (entry,) = logged  # one voice, and not again in the same words
    assert entry["facts"]["lack"] == "consent" and "alba" not in json.dumps(entry)
