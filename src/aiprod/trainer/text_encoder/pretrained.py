"""A text encoder that is used as it is: copied, measured, never trained."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from aiprod.base.files import atomic_folder, write_json
from aiprod.base.progress import log
from aiprod.errors import AiprodError
from aiprod.models.adapters.load_text_encoder import load_text_encoder
from aiprod.models.adapters.ltx2_text import CONFIG, copy_connectors, has_connectors
from aiprod.models.adapters.t5 import (
    FAMILIES,
    RULES_FILE,
    T5TextEncoder,
    model_family,
    read_rules,
    text_folders,
    write_rules,
)
from aiprod.models.checkpoint.folder import DIGEST, check_folder, write_digest
from aiprod.storage.ledger import write_ledger
from aiprod.trainer.loop.exposure import ExposureLedger
from aiprod.trainer.stage import EXPOSURE, loaded, reasons, rounded, write_curve
from aiprod.trainer.training_set import Selection


def only_as_it_is(folder: Path, steps: int, section: str) -> bool:
    """Whether the encoder in a folder is of a kind that is not trained here.

    Raises:
        AiprodError: it is, and is to be trained.
    """
    family = model_family(folder)
    if family not in FAMILIES and not has_connectors(folder):
        return False
    if steps:
        raise AiprodError(
            f"{folder} holds a {family}, which is used unchanged: a transformer was trained on its features",
            f"set {section}.trainer.steps to 0",
        )
    return True


def copy_encoder(folder: Path, target: Path) -> str:
    """Copy model and tokenizer side by side into ``target``, an existing folder, with how they are read; its digest.

    Raises:
        CheckpointError: the files changed since they were saved.
    """
    for source in dict.fromkeys(map(Path, text_folders(folder))):
        check_folder(source)
        for file in sorted(source.iterdir()):
            if file.is_file() and file.name != DIGEST:  # a copy: DVC may make its own files read-only
                shutil.copyfile(file, target / file.name)
    if has_connectors(folder) and not (target / CONFIG).is_file():
        copy_connectors(folder, target)
    rules = read_rules(folder)
    if rules is not None and not (target / RULES_FILE).is_file():
        write_rules(target, rules)
    return write_digest(target)


def use_as_it_is(
    folder: Path, selection: Selection, *, quantize_check: bool, models: Path, reports: Path
) -> dict[str, Any]:
    """Copy an encoder and write what it makes of the captions; the metrics.

    Raises:
        AiprodError: it does not load, or no clip has a caption.
    """
    train = [clip for clip in selection.train if clip.caption]
    heldout = [clip for clip in selection.heldout if clip.caption] or train
    if not train:
        raise AiprodError("no clip to train on has a caption", "see the reasons in the manifest of the caption stage")
    with atomic_folder(models) as temporary:
        digest = loaded(lambda path: copy_encoder(path, temporary), folder)
        document = ExposureLedger().document(digest, {})
        write_ledger(temporary / EXPOSURE, {**document, "left_out": dict(sorted(reasons(selection).items()))})
    metrics = rounded(
        {
            "clips": len(heldout),
            "train_clips": len(train),
            "steps": 0,
            **_figures(models, [clip.caption for clip in (*train, *heldout)]),
            **(int8_agreement(models, [clip.caption for clip in heldout][:16]) if quantize_check else {}),
        }
    )
    write_json(reports / "metrics.json", metrics)
    write_curve(reports / "curve.csv", [])
    log(f"text encoder: a {metrics['family']} is used unchanged, {metrics['captions_cut']} captions are cut for it")
    return metrics


def _figures(folder: Path, captions: Sequence[str]) -> dict[str, Any]:
    """Size of the encoder in a folder, and how long the captions are to it."""
    encoder = loaded(load_text_encoder, folder)
    most = encoder.rules.max_tokens if isinstance(encoder, T5TextEncoder) else encoder.max_tokens
    lengths = [len(encoder.tokenizer(caption)["input_ids"]) for caption in captions]
    return {
        "family": model_family(folder),
        "width": encoder.width,
        "vocabulary": len(encoder.tokenizer),
        "parameters": sum(p.numel() for p in encoder.parameters()),
        "max_tokens": most,
        "tokens_mean": sum(lengths) / len(lengths),
        "captions_cut": sum(length > most for length in lengths),
    }


def int8_agreement(folder: Path, captions: list[str]) -> dict[str, float]:
    """Cosine between the features of a saved model in 8 bits and in fp32, over tokens."""
    exact = loaded(load_text_encoder, folder).encode(captions)
    eight = loaded(lambda path: load_text_encoder(path, "int8"), folder).encode(captions)
    cosine = torch.nn.functional.cosine_similarity(exact.hidden, eight.hidden, dim=-1)[exact.mask]
    return {"int8_cosine_mean": round(float(cosine.mean()), 6), "int8_cosine_least": round(float(cosine.min()), 6)}
