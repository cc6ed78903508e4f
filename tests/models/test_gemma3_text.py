"""The Gemma 3 that is read without transformers: its features to the bit, no import of it, and what is left to it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from aiprod.errors import CheckpointError
from aiprod.models.adapters.gemma import GemmaTextEncoder
from aiprod.models.adapters.gemma3_text import Gemma3Text, read_plain
from aiprod.models.checkpoint.folder import write_digest
from aiprod.trainer.text_encoder.train import GemmaSize, make_gemma, make_tokenizer

CAPTIONS = ("A red disc falls.", "A blue star rises over a wide and striped wall.", "Rain.", "Zwölf Würfel, 12!")
CPU = torch.device("cpu")


def saved(folder: Path, *, layers: int = 2, heads: int = 4, max_tokens: int = 24) -> Path:
    """An encoder as the stage saves it, with weights that are not at their start."""
    torch.manual_seed(1)
    size = GemmaSize(width=32, layers=layers, heads=heads, vocabulary=300, max_tokens=max_tokens)
    tokenizer = make_tokenizer(CAPTIONS, size)
    model = make_gemma(size, len(tokenizer))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    write_digest(folder)
    return folder


def of_transformers(folder: Path, **options: Any) -> GemmaTextEncoder:
    from transformers import AutoModel, AutoTokenizer

    model = AutoModel.from_pretrained(folder, dtype=torch.float32)
    return GemmaTextEncoder(model, AutoTokenizer.from_pretrained(folder), **options)


@pytest.fixture(scope="module", params=[(1, 2), (2, 4), (7, 2)], ids=str)
def encoders(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[GemmaTextEncoder, GemmaTextEncoder]:
    """Ours and the one of transformers, with one and with two heads for a key, with and without a global layer."""
    layers, heads = request.param
    folder = saved(tmp_path_factory.mktemp("gemma") / "encoder", layers=layers, heads=heads)
    ours = GemmaTextEncoder.from_pretrained(folder, max_tokens=64)
    assert isinstance(ours.model, Gemma3Text)
    return ours, of_transformers(folder, max_tokens=64)


@pytest.mark.bitwise
@settings(max_examples=40)
@given(texts=st.lists(st.one_of(st.sampled_from(CAPTIONS), st.text(max_size=80)), min_size=1, max_size=5))
def test_features_are_those_of_transformers(
    encoders: tuple[GemmaTextEncoder, GemmaTextEncoder], texts: list[str]
) -> None:
    ours, theirs = (encoder.encode(texts) for encoder in encoders)
    assert torch.equal(ours.mask, theirs.mask)
    assert torch.equal(ours.hidden, theirs.hidden)


def test_a_text_encoder_is_read_without_transformers(tmp_path: Path) -> None:
    folder = saved(tmp_path / "encoder")
    code = (
        "import sys; from aiprod.models.adapters.load_text_encoder import load_text_encoder\n"
        "assert load_text_encoder(sys.argv[1]).encode(['Rain.']).hidden.shape[-1] == 32\n"
        "print(sorted({'transformers', 'torch._dynamo', 'scipy', 'pandas'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("attention_bias", True),
        ("attn_logit_softcapping", 30.0),
        ("hidden_activation", "silu"),
        ("use_bidirectional_attention", True),
        ("model_type", "gemma2"),
        ("num_hidden_layers", 3),
        ("rope_parameters", {"sliding_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1e4}}),
    ],
)
def test_what_it_does_not_compute_is_left_to_transformers(tmp_path: Path, name: str, value: Any) -> None:
    folder = saved(tmp_path / "encoder")
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), name: value}))
    assert read_plain(folder, CPU, torch.float32) is None


def test_another_tokenizer_is_left_to_transformers(tmp_path: Path) -> None:
    folder = saved(tmp_path / "encoder")
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "tokenizer_class": "GemmaTokenizer"}))
    assert read_plain(folder, CPU, torch.float32) is None


def test_lost_weights_are_named(tmp_path: Path) -> None:
    folder = saved(tmp_path / "encoder")
    weights = load_file(folder / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    write_digest(folder)
    assert read_plain(folder, CPU, torch.float32) is None
    with pytest.raises(CheckpointError, match="up_proj"):
        GemmaTextEncoder.from_pretrained(folder)
