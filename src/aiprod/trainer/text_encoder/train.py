"""Trains a small Gemma on the captions and saves it in the format of the large ones, so that both load by one path."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from aiprod.base.files import atomic_folder, write_json
from aiprod.base.params import Params
from aiprod.base.progress import log
from aiprod.errors import AiprodError, words_of
from aiprod.models.adapters.hugging_face import quiet_transformers
from aiprod.models.adapters.t5 import text_folders
from aiprod.models.checkpoint.folder import check_folder, write_digest
from aiprod.models.checkpoint.variants import refuse_unusual
from aiprod.storage.ledger import write_ledger
from aiprod.trainer.loop.accelerator import Engine, is_main_process, make_engine
from aiprod.trainer.loop.checkpoints import CheckpointStore
from aiprod.trainer.loop.context import Log, TrainContext, no_log
from aiprod.trainer.loop.eager import AdamW
from aiprod.trainer.loop.exposure import ExposureLedger
from aiprod.trainer.loop.levels import Levels
from aiprod.trainer.loop.loop import TrainingRun
from aiprod.trainer.loop.one_phase import OnePhaseParams
from aiprod.trainer.loop.optimizers import UNSET_LR
from aiprod.trainer.loop.samplers import Draw, StepSampler
from aiprod.trainer.loop.strategy import BaseStrategy, StepLoss
from aiprod.trainer.stage import (
    EXPOSURE,
    init_folder,
    loaded,
    need_steps,
    reasons,
    rounded,
    use_threads,
    write_curve,
)
from aiprod.trainer.text_encoder.pretrained import copy_encoder, int8_agreement, only_as_it_is, use_as_it_is
from aiprod.trainer.training_set import Selection, TrainingClip

SECTION, PHASE = "train_text_encoder", "text_encoder"
_PAD, _EOS, _BOS, _UNK = "<pad>", "<eos>", "<bos>", "<unk>"  # in the order of Gemma's own ids 0 to 3
_IGNORED = -100


@dataclass(frozen=True)
class Captions:
    """Some captions of a batch: token ids and labels ``[B, T]``, and how much their mean loss counts."""

    ids: Tensor
    labels: Tensor
    weight: float


class GemmaSize(Params):
    """Size of a new Gemma 3 text model."""

    vocabulary: int = Field(
        default=512, ge=260, le=1_000_000, description="maximum; 256 of them are bytes, so any text can be encoded"
    )
    width: int = Field(default=128, ge=16, le=65_536)
    layers: int = Field(default=3, ge=1, le=1000)
    heads: int = Field(default=4, ge=1, le=1024)
    max_tokens: int = Field(default=128, ge=8, le=1_000_000)

    @model_validator(mode="after")
    def _whole_heads(self) -> GemmaSize:
        if self.heads > 1 and self.heads % 2 and self.heads != 3:  # two query heads share one of keys and values
            raise ValueError(f"heads is {self.heads} → give {self.heads - 1} or {self.heads + 1}")
        if self.width % (2 * self.heads):
            near = max(1, round(self.width / (2 * self.heads))) * 2 * self.heads
            raise ValueError(f"width is {self.width}, not a multiple of twice the {self.heads} heads → give {near}")
        return self


class TextTrainer(OnePhaseParams):
    """How the text encoder is trained."""

    steps: int = Field(default=150, ge=0, description="0 with `init`: the given checkpoint is copied")
    batch: int = Field(default=16, ge=1, le=65_536, description="captions per step, over all processes")
    weight_decay: float = Field(default=0.1, ge=0)
    checkpoint_every_s: float = Field(default=10.0, ge=0, description="0: after every step")


class TrainTextEncoderParams(Params):
    """Train a text encoder, or copy one."""

    init: str | None = Field(
        default=None, min_length=1, description="folder of a Gemma, T5 or UMT5; with steps: 0 it is copied"
    )
    model: GemmaSize = GemmaSize()
    trainer: TextTrainer = TextTrainer()
    quantize_check: bool = Field(default=True, description="read the result back in 8 bits and compare")
    threads: int = Field(default=0, ge=0, le=1024, description="torch threads on CPU; 0: one per core")


def train_text_encoder(
    params: TrainTextEncoderParams, selection: Selection, context: TrainContext, *, models: Path, reports: Path
) -> dict[str, Any]:
    """Train (or copy) the text encoder and write ``models`` and ``reports``; the metrics.

    Raises:
        AiprodError: no captions to train on, or ``init`` is no Gemma.
    """
    need_steps(params.trainer.steps, params.init, SECTION)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # its threads and ours would fight over the cores
    quiet_transformers()
    use_threads(params.threads)
    torch.manual_seed(context.seed)
    source = init_folder(params.init) if params.init else None
    if source is not None and only_as_it_is(source, params.trainer.steps, SECTION):
        if not is_main_process():
            return {}
        return use_as_it_is(source, selection, quantize_check=params.quantize_check, models=models, reports=reports)
    train = [clip for clip in selection.train if clip.caption]
    heldout = [clip for clip in selection.heldout if clip.caption] or train
    if not train:
        raise AiprodError("no clip to train on has a caption", "see the reasons in the manifest of the caption stage")
    if source is not None:
        model, tokenizer = _pretrained(source)
    else:
        tokenizer = make_tokenizer([clip.caption for clip in train], params.model)
        model = make_gemma(params.model, len(tokenizer))
    engine = make_engine()
    settings = context.settings(params.model_dump(mode="json"))
    levels = context.level(settings, [(clip.clip_id, clip.caption) for clip in train])
    store = context.store({**settings, "clips": levels.levels[0].digest})
    ledger, curve = ExposureLedger(), []
    if params.trainer.steps:
        run = caption_run(
            CaptionStrategy(tokenizer, train, params.model.max_tokens),
            model,
            params.trainer,
            lr=context.lr,
            seed=context.seed,
            store=store,
            engine=engine,
            log=context.log,
            levels=levels,
        )
        run.train()
        ledger, curve = run.ledger, run.curve
    model.eval().cpu()
    figures = _figures(model, tokenizer, train, heldout, params.model.max_tokens)
    if engine.rank:
        return rounded(figures)
    _write(params, model, tokenizer, ledger, train, selection, models)
    if params.quantize_check:
        figures.update(int8_agreement(models, [clip.caption for clip in heldout][:16]))
    metrics = rounded(
        {
            "split": "heldout" if heldout is not train else "train",
            "clips": len(heldout),
            "train_clips": len(train),
            "steps": params.trainer.steps,
            "vocabulary": len(tokenizer),
            "parameters": sum(p.numel() for p in model.parameters()),
            **figures,
        }
    )
    write_json(reports / "metrics.json", metrics)
    write_curve(reports / "curve.csv", curve)
    store.finish()
    log(
        f"text encoder: perplexity {metrics['perplexity']:.2f} a token on {metrics['clips']} captions "
        f"(unigram: {metrics['baseline_unigram_perplexity']:.1f})"
        + (f", 8-bit agrees to cosine {metrics['int8_cosine_mean']:.4f}" if "int8_cosine_mean" in metrics else "")
    )
    return metrics


def make_tokenizer(captions: Sequence[str], size: GemmaSize) -> Any:
    """A byte-level BPE tokenizer learned from the captions, with Gemma's special tokens; every text can be read."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    raw = Tokenizer(models.BPE(unk_token=_UNK))
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    raw.decoder = decoders.ByteLevel()
    learner = trainers.BpeTrainer(
        vocab_size=size.vocabulary,
        special_tokens=[_PAD, _EOS, _BOS, _UNK],
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    raw.train_from_iterator(captions, learner)
    begin = [(_BOS, raw.token_to_id(_BOS))]
    raw.post_processor = processors.TemplateProcessing(single=f"{_BOS} $A", special_tokens=begin)
    return PreTrainedTokenizerFast(
        tokenizer_object=raw,
        pad_token=_PAD,
        eos_token=_EOS,
        bos_token=_BOS,
        unk_token=_UNK,
        model_max_length=size.max_tokens,
        padding_side="right",
    )


def make_gemma(size: GemmaSize, vocabulary: int) -> Any:
    """A new Gemma 3 text model; its last layer attends over all tokens, the others within a window, as Gemma's do."""
    from transformers import Gemma3ForCausalLM, Gemma3TextConfig

    model = Gemma3ForCausalLM(
        Gemma3TextConfig(
            vocab_size=vocabulary,
            hidden_size=size.width,
            intermediate_size=3 * size.width,
            num_hidden_layers=size.layers,
            num_attention_heads=size.heads,
            num_key_value_heads=max(1, size.heads // 2),
            head_dim=size.width // size.heads,
            max_position_embeddings=2 * size.max_tokens,
            sliding_window=size.max_tokens,
            query_pre_attn_scalar=size.width // size.heads,
            pad_token_id=0,
            eos_token_id=1,
            bos_token_id=2,
        )
    )
    with torch.no_grad():  # Gemma multiplies embeddings by √width: so a word weighs as much as what a layer adds to it
        model.model.embed_tokens.weight.normal_(std=size.width**-0.5)
    return model


class CaptionStrategy(BaseStrategy):
    """Next-token training on captions."""

    in_memory: ClassVar[bool] = True

    def __init__(self, tokenizer: Any, clips: Sequence[TrainingClip], max_tokens: int) -> None:
        self.clip_ids = [clip.clip_id for clip in clips]
        self.ids, self.labels = _batch(tokenizer, [clip.caption for clip in clips], max_tokens)

    def sampler(self, batch: int, seed: int) -> StepSampler:
        """What the loop draws batches from: captions with replacement."""

        def draw(generator: torch.Generator) -> tuple[Tensor, list[str]]:
            chosen = torch.randint(len(self.ids), (batch,), generator=generator)
            return chosen, [self.clip_ids[i] for i in chosen.tolist()]

        return StepSampler(draw, batch=batch, seed=seed)

    def load(self, phase: str, draw: Draw, places: Sequence[int]) -> Captions:
        """Tokens and labels, cut to the longest."""
        chosen = draw.content[list(places)]
        counted = self.labels[:, 1:] != _IGNORED
        weight = 1.0
        if len(places) < len(draw.content):  # the mean over ranks is then that over all tokens
            share = len(places) / len(draw.content)
            weight = float(counted[chosen].sum() / counted[draw.content].sum()) / share
        longest = int((self.labels[chosen] != _IGNORED).sum(1).max()) + 1
        return Captions(self.ids[chosen, :longest], self.labels[chosen, :longest], weight)

    def loss(
        self, model: nn.Module, batch: Captions, *, step: int, slots: Sequence[int], device: torch.device
    ) -> StepLoss:
        """Mean over the tokens of the batch."""
        loss = next_token_loss(model, batch.ids.to(device), batch.labels.to(device))
        return StepLoss(loss if batch.weight == 1 else loss * batch.weight)


def caption_run(
    strategy: CaptionStrategy,
    model: nn.Module,
    trainer: TextTrainer,
    *,
    lr: float,
    seed: int,
    store: CheckpointStore,
    engine: Engine,
    log: Log = no_log,
    levels: Levels | None = None,
) -> TrainingRun:
    """The training run of a text encoder."""
    return TrainingRun(
        strategy=strategy,
        model=model,
        optimizer=AdamW(model.parameters(), lr=UNSET_LR, betas=(0.9, 0.95), fused=True),
        phases=trainer.scheduler(PHASE, SECTION, lr, decay_from_start=True),
        samplers={PHASE: strategy.sampler(trainer.batch, seed)},
        store=store,
        engine=engine,
        params=trainer.loop(ema_decay=0.0),
        log=log,
        levels=levels,
    )


def next_token_loss(model: Any, ids: Tensor, labels: Tensor) -> Tensor:
    """Mean negative log likelihood, in nats, of each token given those before it; padding does not count."""
    logits = model(input_ids=ids, use_cache=False).logits[:, :-1]
    wanted = labels[:, 1:].flatten()
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1).float(), wanted, ignore_index=_IGNORED)


def _batch(tokenizer: Any, captions: Sequence[str], most: int) -> tuple[Tensor, Tensor]:
    """Token ids with the end token, right-padded, and labels that ignore the padding."""
    rows = [[*tokenizer(caption)["input_ids"][: most - 1], tokenizer.eos_token_id] for caption in captions]
    longest = max(len(row) for row in rows)
    pad = tokenizer.pad_token_id or 0
    ids = torch.tensor([row + [pad] * (longest - len(row)) for row in rows])
    labels = torch.tensor([row + [_IGNORED] * (longest - len(row)) for row in rows])
    return ids, labels


@torch.no_grad()
def _figures(
    model: Any, tokenizer: Any, train: list[TrainingClip], heldout: list[TrainingClip], most: int
) -> dict[str, Any]:
    """Perplexity a token of held-out captions, against a unigram model of the training captions (add-one smoothed)."""
    _, seen = _batch(tokenizer, [clip.caption for clip in train], most)
    ids, labels = _batch(tokenizer, [clip.caption for clip in heldout], most)
    counts = Counter(seen[:, 1:][seen[:, 1:] != _IGNORED].tolist())
    total, kinds = sum(counts.values()), len(tokenizer)
    wanted = labels[:, 1:][labels[:, 1:] != _IGNORED].tolist()
    unigram = -sum(math.log((counts[token] + 1) / (total + kinds)) for token in wanted) / len(wanted)
    weighted = [
        (float(next_token_loss(model, ids[i : i + 16], labels[i : i + 16])), int((labels[i : i + 16, 1:] >= 0).sum()))
        for i in range(0, len(ids), 16)
    ]
    own = sum(loss * n for loss, n in weighted) / sum(n for _, n in weighted)
    return {"perplexity": math.exp(own), "baseline_unigram_perplexity": math.exp(unigram), "tokens": len(wanted)}


def _pretrained(folder: Path) -> tuple[Any, Any]:
    """The language model and tokenizer of a given checkpoint."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    weights, words = text_folders(folder)
    loaded(refuse_unusual, Path(weights))
    loaded(check_folder, Path(weights))
    try:
        model = AutoModelForCausalLM.from_pretrained(weights, local_files_only=True, dtype=torch.float32)
        return model, AutoTokenizer.from_pretrained(words, local_files_only=True)
    except Exception as error:  # transformers, safetensors and tokenizers raise many kinds
        raise AiprodError(
            f"init: {folder} is not a language model ({words_of(error, 160)})", "give a Gemma checkpoint"
        ) from None


def _write(  # noqa: PLR0917
    params: TrainTextEncoderParams,
    model: Any,
    tokenizer: Any,
    ledger: ExposureLedger,
    train: list[TrainingClip],
    selection: Selection,
    models: Path,
) -> None:
    """Save in transformers' format with a digest, or copy the given files where nothing was trained."""
    with atomic_folder(models) as temporary:
        if params.init and params.trainer.steps == 0:
            copy_encoder(init_folder(params.init), temporary)
        else:
            model.save_pretrained(temporary)
            tokenizer.save_pretrained(temporary)
            for file in temporary.iterdir():
                file.chmod(0o644)  # safetensors writes for the owner alone
        digest = write_digest(temporary)
        document = ledger.document(digest, {clip.clip_id: clip.film_id for clip in train})
        write_ledger(temporary / EXPOSURE, {**document, "left_out": dict(sorted(reasons(selection).items()))})
