"""Small T5 and UMT5 encoders in the files that the public pipelines have."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

WORDS = [
    "a red disc moves left",
    "two blue squares bounce and ring",
    "",
    "camera pans over a green wall at night, slowly and far away from the river",
]
PIPELINES = {"t5": "LTXPipeline", "umt5": "WanPipeline"}


def pieces() -> list[tuple[str, float]]:
    letters = sorted(set("abcdefghijklmnopqrstuvwxyz0123456789<>&;.,ü'").union(*WORDS) - {" "})
    words = sorted({"▁" + word for text in WORDS for word in text.split()})
    return [
        ("<pad>", 0.0),
        ("</s>", 0.0),
        ("<unk>", 0.0),
        ("▁", -2.0),
        *((letter, -6.0) for letter in letters),
        *((word, -3.0) for word in words),
    ]


def save_spiece(path: Path) -> None:
    """The binary vocabulary of sentencepiece, which is all that LTX-Video's tokenizer folder has."""
    from sentencepiece import sentencepiece_model_pb2 as spm

    kinds = {"<pad>": 3, "</s>": 3, "<unk>": 2}
    model = spm.ModelProto()
    model.trainer_spec.model_type, model.trainer_spec.unk_id = 1, 2
    model.trainer_spec.pad_id, model.trainer_spec.eos_id, model.trainer_spec.bos_id = 0, 1, -1
    model.normalizer_spec.name = "identity"
    for piece, score in pieces():
        model.pieces.add(piece=piece, score=score, type=kinds.get(piece, 1))
    path.write_bytes(model.SerializeToString())


def make_encoder(family: str, width: int = 32) -> Any:
    import transformers as t

    torch.manual_seed(0)
    kind: Any = {"t5": (t.T5Config, t.T5EncoderModel), "umt5": (t.UMT5Config, t.UMT5EncoderModel)}[family]
    config = kind[0](
        vocab_size=len(pieces()) + 100,
        d_model=width,
        d_kv=16,
        d_ff=64,
        num_layers=2,
        num_heads=2,
        feed_forward_proj="gated-gelu",
        tie_word_embeddings=False,
    )
    return kind[1](config).eval()


def save_pipeline(folder: Path, family: str, width: int = 32) -> Path:
    """``text_encoder``, ``tokenizer`` and ``model_index.json`` of a public checkpoint."""
    import transformers as t

    make_encoder(family, width).save_pretrained(folder / "text_encoder")
    if family == "umt5":
        t.T5Tokenizer(vocab=pieces()).save_pretrained(folder / "tokenizer")
    else:
        (folder / "tokenizer").mkdir(parents=True)
        save_spiece(folder / "tokenizer" / "spiece.model")
        facts = {
            "tokenizer_class": "T5Tokenizer",
            "eos_token": "</s>",
            "unk_token": "<unk>",
            "pad_token": "<pad>",
            "extra_ids": 100,
            "model_max_length": 128,
        }
        (folder / "tokenizer" / "tokenizer_config.json").write_text(json.dumps(facts))
    (folder / "model_index.json").write_text(json.dumps({"_class_name": PIPELINES[family]}))
    return folder
