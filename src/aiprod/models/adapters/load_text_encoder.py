"""Opens the text encoder in a folder, whatever its kind."""

from __future__ import annotations

from pathlib import Path

import torch

from aiprod.core.protocols import TextEncoder
from aiprod.models.adapters.gemma import GemmaTextEncoder
from aiprod.models.adapters.hugging_face import Quantize
from aiprod.models.adapters.ltx2_text import LTX2TextEncoder, has_connectors
from aiprod.models.adapters.t5 import FAMILIES, T5TextEncoder, model_family, read_rules


def load_text_encoder(
    folder: Path | str, quantize: Quantize | None = None, device: str | torch.device = "cpu"
) -> TextEncoder:
    """A Gemma, T5 or UMT5 in transformers' format, or a Gemma with the connectors of LTX-2.

    Args:
        folder: with model and tokenizer side by side, or of a whole diffusers pipeline.
        quantize: ``int8`` stores linear layers in 8 bits.

    Raises:
        CheckpointError: missing, damaged, pickled, or of another kind.
    """
    if model_family(folder) in FAMILIES:
        return T5TextEncoder.from_pretrained(folder, quantize, device)
    if has_connectors(folder):
        return LTX2TextEncoder.from_pretrained(folder, quantize, device)
    return GemmaTextEncoder.from_pretrained(folder, quantize, device)


def padded_tokens(folder: Path | str) -> int | None:
    """To how many tokens a transformer without a mask of the text pads this encoder's features; None: to none.

    Raises:
        CheckpointError: the folder's ``text_rules.json`` is not understood.
    """
    rules = read_rules(folder)
    return rules.max_tokens if rules is not None and rules.padded else None
