"""Text encoders that lie in one file with their tokenizer, as ComfyUI and Lightricks have them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from torch import Tensor

from aiprod.errors import CheckpointError, words_of
from aiprod.models.adapters.hugging_face import quiet_transformers
from aiprod.models.checkpoint.header import StoredTensor
from aiprod.models.checkpoint.variants import some_of
from aiprod.models.published.parts import Part
from aiprod.models.published.weights import Weights

_CONFIG = "gemma_config"
_TOKENIZER = "tokenizer_json"
_ASSET = "hf_asset__"
_ASSET_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}\.(json|jinja)")
_BYTES_MOST = 1 << 28
_IN_METADATA = ("tokenizer_config.json", "processor_config.json", "chat_template.jinja", "generation_config.json")
# ComfyUI's names for the parts of a Gemma 4 → those in the files of transformers
_FLAT = (
    (r"^model\.(layers|embed_tokens|norm)\.", r"model.language_model.\1."),
    (r"^vision_model\.", "model.vision_embedder."),
    (r"^multi_modal_projector\.", "model.embed_vision."),
    (r"^audio_projector\.", "model.embed_audio."),
)
_PIECES = "spiece_model"
_T5_WORDS = {
    "tokenizer_class": "T5Tokenizer",
    "eos_token": "</s>",
    "unk_token": "<unk>",
    "pad_token": "<pad>",
    "extra_ids": 0,  # nothing is masked in a prompt
    "model_max_length": 512,
}
_AGAIN = "give the text encoder as a folder of transformers (--text-encoder)"


def is_packed_gemma(weights: Weights) -> bool:
    """Whether a file holds a Gemma with its configuration and tokenizer, as LTX-2.5 has it."""
    return _CONFIG in weights.metadata


def gemma_in_one_file(weights: Weights) -> list[Part]:
    """The text encoder, and the projection of its states where it lies beside it.

    Raises:
        CheckpointError: without tokenizer, with a damaged configuration, or of another family.
    """
    try:
        config = json.loads(weights.metadata[_CONFIG])
    except (ValueError, RecursionError):
        config = None
    kind = config.get("model_type") if isinstance(config, dict) else None
    if not isinstance(kind, str) or not kind.startswith("gemma"):
        raise CheckpointError(f"{weights.where} has a damaged {_CONFIG} in its metadata", _AGAIN)
    if _TOKENIZER not in weights.tensors:
        raise CheckpointError(f"{weights.where} holds a Gemma without its tokenizer ({_TOKENIZER})", _AGAIN)
    assets = {n: n.removeprefix(_ASSET) for n in weights.tensors if n.startswith(_ASSET)}
    wrong = sorted(name for name in assets.values() if not _ASSET_NAME.fullmatch(name))
    if wrong:
        raise CheckpointError(f"{weights.where} holds files of names that are not read ({wrong[0][:60]!r})", _AGAIN)
    flat = kind.startswith("gemma4") and any(n.startswith("model.layers.") for n in weights.tensors)
    beside = {_TOKENIZER, *assets}
    keys = {
        _named(n) if flat else n: n for n in weights.tensors if n not in beside and not n.startswith("text_embedding_")
    }
    return [Part("text_encoder", "AutoModelForImageTextToText", config, weights, keys)]


def gemma_files(weights: Weights) -> dict[str, bytes]:
    """The tokenizer's files that lie in the weights.

    Raises:
        CheckpointError: larger than a tokenizer is.
    """
    files = {"tokenizer.json": _bytes(weights, _TOKENIZER)}
    for name in weights.tensors:
        if name.startswith(_ASSET):
            files[name.removeprefix(_ASSET)] = _bytes(weights, name)
    for name in _IN_METADATA:
        if name in weights.metadata:
            files.setdefault(name, weights.metadata[name].encode())
    return files


def check_written(folder: Path, where: Path) -> None:
    """Let transformers compare the names in a folder with its class, without reading a weight.

    Raises:
        CheckpointError: it does not load, or tensors are unknown, missing or of another shape; names the first.
    """
    import transformers

    quiet_transformers()
    try:
        loaded: Any = transformers.AutoModelForImageTextToText.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, output_loading_info=True, device_map="meta"
        )
    except Exception as error:  # transformers and the model's own constructor raise many kinds
        raise CheckpointError(f"{where} does not load as a text encoder ({words_of(error)})", _AGAIN) from None
    report: dict[str, Any] = loaded[1]
    problems = [
        f"{label} {some_of(sorted(map(str, report[kind])))}"
        for kind, label in (
            ("unexpected_keys", "not known:"),
            ("missing_keys", "missing:"),
            ("mismatched_keys", "of another shape:"),
        )
        if report.get(kind)
    ]
    if problems:
        raise CheckpointError(f"{where}: the text encoder does not fit; tensors {'; '.join(problems)}", _AGAIN)


def is_t5(weights: Weights) -> bool:
    """Whether these are weights of a T5 or UMT5 encoder."""
    return "encoder.block.0.layer.0.SelfAttention.q.weight" in weights.tensors


def t5_in_one_file(weights: Weights) -> Part:
    """A T5 or UMT5 in one file; its vocabulary may lie in it as a tensor.

    Raises:
        CheckpointError: sizes that contradict each other.
    """
    shapes = {n: about.shape for n, about in weights.tensors.items()}
    first, second = (f"encoder.block.{n}.layer.0.SelfAttention.relative_attention_bias.weight" for n in (0, 1))
    try:
        vocabulary, width = shapes["shared.weight"]
        buckets, heads = shapes[first]
        size = shapes["encoder.block.0.layer.0.SelfAttention.q.weight"][0] // heads
        ffn = shapes["encoder.block.0.layer.1.DenseReluDense.wi_0.weight"][0]
    except (KeyError, ValueError, IndexError, ZeroDivisionError):
        raise CheckpointError(f"{weights.where} is not a supported T5 or UMT5 encoder", _AGAIN) from None
    kind = "umt5" if second in shapes else "t5"
    config = {
        "model_type": kind,
        "vocab_size": vocabulary,
        "d_model": width,
        "d_kv": size,
        "d_ff": ffn,
        "num_heads": heads,
        "num_layers": len({n.split(".")[2] for n in shapes if n.startswith("encoder.block.")}),
        "relative_attention_num_buckets": buckets,
        "feed_forward_proj": "gated-gelu",
    }
    keys = {n: n for n in shapes if n != _PIECES}
    if "encoder.embed_tokens.weight" not in keys:
        keys["encoder.embed_tokens.weight"] = "shared.weight"
    return Part("text_encoder", f"{kind.upper()}EncoderModel", config, weights, keys)


def t5_files(weights: Weights) -> dict[str, bytes]:
    """The vocabulary that lies in the weights, where it does.

    Raises:
        CheckpointError: larger than a vocabulary is.
    """
    if _PIECES not in weights.tensors:
        return {}
    words = json.dumps(_T5_WORDS, indent=1, sort_keys=True) + "\n"
    return {"spiece.model": _bytes(weights, _PIECES), "tokenizer_config.json": words.encode()}


def _named(name: str) -> str:
    for pattern, put in _FLAT:
        name, count = re.subn(pattern, put, name)
        if count:
            return name
    return name


def _bytes(weights: Weights, name: str) -> bytes:
    about: StoredTensor = weights.tensors[name]
    if about.nbytes > _BYTES_MOST or about.dtype not in ("U8", "I8"):
        raise CheckpointError(f"{weights.where}: {name} is not a tokenizer file", _AGAIN)
    raw: Tensor = weights.raw(name)
    return bytes(raw.contiguous().view(-1).numpy().tobytes())


def config_of(part: Part) -> dict[str, Any]:
    """What ``config.json`` of a text encoder says."""
    named = [part.class_name] if not part.class_name.startswith("Auto") else part.config.get("architectures")
    return {**part.config, **({"architectures": named} if named else {})}
