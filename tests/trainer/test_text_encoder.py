"""The stage that trains the text encoder: real format, better than counting words, resumable, copies what is given."""

from __future__ import annotations

import json
import math
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch

from aiprod.errors import AiprodError
from aiprod.models.adapters.gemma import GemmaTextEncoder
from aiprod.models.checkpoint.folder import check_folder, folder_digest
from aiprod.trainer.loop.context import TrainContext
from aiprod.trainer.text_encoder.train import (
    GemmaSize,
    TextTrainer,
    TrainTextEncoderParams,
    make_tokenizer,
    train_text_encoder,
)
from aiprod.trainer.training_set import LeftOut, Selection, TrainingClip
from tests.trainer.stopping import Stop

pytestmark = pytest.mark.bitwise

PARAMS = TrainTextEncoderParams(
    model=GemmaSize(width=32, layers=2, heads=2, vocabulary=400, max_tokens=48),
    trainer=TextTrainer(steps=30, batch=8, lr_scale=10, checkpoint_every_s=0),
    quantize_check=False,
)


def clip(number: int, split: str, caption: str) -> TrainingClip:
    return TrainingClip(
        f"c{number:03d}", f"f{number:03d}", "test", split, Path("none.mp4"), "", True, 24.0, 48, 48, 64, caption, None
    )


@pytest.fixture(scope="module")
def selection() -> Selection:
    rng = random.Random(0)

    def caption() -> str:
        return (
            f"A {rng.choice(['red', 'blue', 'green'])} {rng.choice(['disc', 'square', 'star'])} moves "
            f"{rng.choice(['left', 'right', 'up'])} over a {rng.choice(['striped', 'plain'])} wall."
        )

    train = [clip(n, "train", caption()) for n in range(24)]
    mute = clip(24, "train", "")
    return Selection(
        [*train, mute],
        [clip(n, "heldout", caption()) for n in range(30, 36)],
        {"refused": LeftOut("frefused", "QC says REJECTED")},
    )


def around(folder: Path, stop_at: int = -1) -> TrainContext:
    def log(phase: str, step: int, figures: dict[str, float]) -> None:
        assert math.isfinite(figures["loss"])
        if step == stop_at:
            raise Stop

    return TrainContext(1e-3, 7, "x", lambda fingerprint: folder / "state" / fingerprint, log=log)


@pytest.fixture(scope="module")
def run(selection: Selection, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("text")
    seldom = PARAMS.model_copy(update={"trainer": PARAMS.trainer.model_copy(update={"checkpoint_every_s": 1e6})})
    return folder, train_text_encoder(seldom, selection, around(folder), models=folder / "m", reports=folder / "r")


def test_captions_it_has_not_read_surprise_it_less_than_counting_words(run: tuple[Path, dict[str, Any]]) -> None:
    _, metrics = run
    assert metrics["split"] == "heldout" and metrics["clips"] == 6 and metrics["train_clips"] == 24
    assert metrics["perplexity"] < 0.5 * metrics["baseline_unigram_perplexity"]


def test_both_perplexities_are_what_they_say(run: tuple[Path, dict[str, Any]], selection: Selection) -> None:
    """Computed here token by token from the files on disk."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder, metrics = run
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder / "m"), AutoTokenizer.from_pretrained(folder / "m")

    def ids(caption: str) -> list[int]:
        return [*tokenizer(caption)["input_ids"], tokenizer.eos_token_id]

    counts = Counter(t for c in selection.train if c.caption for t in ids(c.caption)[1:])
    own, unigram, n = 0.0, 0.0, 0
    for heldout in selection.heldout:
        tokens = ids(heldout.caption)
        with torch.no_grad():
            logs = model(torch.tensor([tokens])).logits[0].log_softmax(-1)
        for place, token in enumerate(tokens[1:]):
            own -= float(logs[place, token])
            unigram -= math.log((counts[token] + 1) / (sum(counts.values()) + len(tokenizer)))
            n += 1
    assert metrics["tokens"] == n
    assert metrics["perplexity"] == pytest.approx(math.exp(own / n), rel=1e-3)
    assert metrics["baseline_unigram_perplexity"] == pytest.approx(math.exp(unigram / n), rel=1e-3)


def test_the_result_is_a_gemma_that_loads_like_the_large_ones(run: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = run
    config = json.loads((folder / "m/config.json").read_text())
    assert config["model_type"] == "gemma3_text" and config["architectures"] == ["Gemma3ForCausalLM"]
    check_folder(folder / "m", require_digest=True)
    features = GemmaTextEncoder.from_pretrained(folder / "m").encode(["A red disc moves left.", "Ünbekannt 漢字!"])
    assert features.hidden.shape[-1] == 32 and features.mask.all(dim=1).any()


def test_words_that_differ_give_features_that_differ(run: tuple[Path, dict[str, Any]]) -> None:
    encoder = GemmaTextEncoder.from_pretrained(run[0] / "m")
    red, blue = encoder.encode([f"A {colour} disc moves left over a plain wall." for colour in ("red", "blue")]).hidden
    assert torch.nn.functional.cosine_similarity(red[2:4], blue[2:4], dim=-1).min() < 0.7


def test_the_tokenizer_reads_any_text_back() -> None:
    tokenizer = make_tokenizer(["a red disc", "a blue disc"], GemmaSize())
    for text in ("a red disc", "Zürich 漢字 😀 disc\n", ""):
        assert tokenizer.decode(tokenizer(text)["input_ids"], skip_special_tokens=True).strip() == text.strip()
    assert [tokenizer.pad_token_id, tokenizer.eos_token_id, tokenizer.bos_token_id] == [0, 1, 2]


def test_eight_bits_are_compared_where_asked(
    run: tuple[Path, dict[str, Any]], selection: Selection, tmp_path: Path
) -> None:
    given = {"init": str(run[0] / "m"), "trainer": TextTrainer(steps=0), "quantize_check": True}
    copy = PARAMS.model_copy(update=given)
    metrics = train_text_encoder(copy, selection, around(tmp_path), models=tmp_path / "m", reports=tmp_path / "r")
    assert folder_digest(tmp_path / "m") == folder_digest(run[0] / "m"), "a given model and no steps is a copy"
    assert metrics["perplexity"] == run[1]["perplexity"]
    assert 0.99 < metrics["int8_cosine_least"] <= metrics["int8_cosine_mean"] <= 1.0001


@pytest.mark.parametrize("stop_at", [0, 17])
def test_a_killed_run_goes_on_to_the_same_weights(
    run: tuple[Path, dict[str, Any]], selection: Selection, tmp_path: Path, stop_at: int
) -> None:
    with pytest.raises(Stop):
        train_text_encoder(PARAMS, selection, around(tmp_path, stop_at), models=tmp_path / "m", reports=tmp_path / "r")
    assert not (tmp_path / "m").exists()
    train_text_encoder(PARAMS, selection, around(tmp_path), models=tmp_path / "m", reports=tmp_path / "r")
    assert folder_digest(tmp_path / "m") == folder_digest(run[0] / "m")


def test_a_finished_run_on_other_clips_of_the_same_manifests_is_not_taken_for_this_one(
    selection: Selection, tmp_path: Path
) -> None:
    """As after a change of `train_clips.admit`, which changes no manifest."""
    fewer = Selection(selection.train[:16], selection.heldout, selection.left_out)
    for clips, name in ((selection, "all"), (fewer, "fewer")):
        train_text_encoder(PARAMS, clips, around(tmp_path), models=tmp_path / name, reports=tmp_path / f"{name}-r")
    ledger = json.loads((tmp_path / "fewer/training/exposure.json").read_text())
    assert {c["clip_id"] for c in ledger["clips"]} <= {c.clip_id for c in fewer.train}


def test_the_ledger_counts_every_caption_that_was_read(run: tuple[Path, dict[str, Any]]) -> None:
    ledger = json.loads((run[0] / "m/training/exposure.json").read_text())
    assert sum(c["times"] for c in ledger["clips"]) == 30 * 8
    assert {c["clip_id"] for c in ledger["clips"]} <= {f"c{n:03d}" for n in range(24)}
    assert ledger["left_out"] == {"refused": "QC says REJECTED"}


def test_what_cannot_work_is_said(selection: Selection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    mute = Selection([selection.train[-1]], [], {})
    with pytest.raises(AiprodError, match="no clip to train on has a caption"):
        train_text_encoder(PARAMS, mute, around(tmp_path), models=tmp_path / "m", reports=tmp_path / "r")
    (tmp_path / "empty").mkdir()
    wrong = PARAMS.model_copy(update={"init": str(tmp_path / "empty")})
    with pytest.raises(AiprodError, match="is not a language model"):
        train_text_encoder(wrong, selection, around(tmp_path), models=tmp_path / "m", reports=tmp_path / "r")
    none = PARAMS.model_copy(update={"trainer": TextTrainer(steps=0)})
    with pytest.raises(AiprodError, match="names no checkpoint"):
        train_text_encoder(none, selection, around(tmp_path), models=tmp_path / "m", reports=tmp_path / "r")
