"""Reads text models and tokenizers from folders in transformers' format; nothing is fetched and nothing unpickled."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from aiprod.errors import CheckpointError, CoreError
from aiprod.models.checkpoint.folder import check_folder
from aiprod.models.checkpoint.variants import refuse_unusual

Quantize = Literal["int8"]
Reader = Callable[[Path | str, torch.device, torch.dtype], tuple[Any, Any] | None]
"""Model and tokenizer in a checked folder; None of a kind that it does not read."""


class FrozenTextModel(nn.Module):
    """What text encoders that read a frozen transformers model have in common."""

    model: nn.Module

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return next(self.model.parameters()).device


def some_texts(texts: Sequence[str]) -> None:
    """Refuse an empty batch.

    Raises:
        CoreError: no texts.
    """
    if not texts:
        raise CoreError("no text to encode", "give at least one, it may be empty")


def quiet_transformers() -> None:
    """No progress bars for weights and no line for each 8-bit product."""
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    for name in ("bitsandbytes", "bitsandbytes.autograd._functions", "bitsandbytes.backends.cpu.ops"):
        logging.getLogger(name).setLevel(logging.ERROR)


def read_text_model(
    folder: Path | str,
    *,
    what: str,
    families: Sequence[str],
    auto_class: str,
    quantize: Quantize | None,
    device: torch.device,
    dtype: torch.dtype | None,
    tokenizer: Path | str | None = None,
    first: Reader | None = None,
) -> tuple[Any, Any]:
    """A model on its device, and its tokenizer.

    Args:
        folder: with ``config.json`` and safetensors, or a hub id that is in the local cache.
        what: the kind in words, with its article, for errors.
        families: how the ``model_type`` of its configuration may begin.
        auto_class: name of a class of transformers that reads it; ``{model_type}`` is not filled in.
        quantize: ``int8`` stores linear layers in 8 bits through bitsandbytes, on CPU and CUDA.
        dtype: of what is not quantised; None means fp32 on CPU and bf16 elsewhere.
        tokenizer: where the tokenizer lies; None means beside the weights.
        first: asked first, where nothing is quantised, so that transformers need not be loaded for what it reads.

    Raises:
        CheckpointError: missing, damaged, pickled, incomplete, or of another kind.
    """
    for place in {folder, tokenizer or folder}:
        if Path(place).is_dir():
            refuse_unusual(place)
            check_folder(place)
    dtype = dtype or (torch.float32 if device.type == "cpu" else torch.bfloat16)
    if first is not None and quantize is None and (read := first(folder, device, dtype)) is not None:
        return read
    quiet_transformers()
    import transformers

    try:
        config = transformers.AutoConfig.from_pretrained(str(folder), local_files_only=True)
        kind = str(config.model_type)
        if not kind.startswith(tuple(families)):
            raise CheckpointError(f"{folder} holds a {kind}, not {what}", f"give {what} checkpoint")
        arguments: dict[str, Any] = {"dtype": dtype, "local_files_only": True, "use_safetensors": True}
        if quantize == "int8":
            arguments["quantization_config"] = transformers.BitsAndBytesConfig(
                load_in_8bit=True, llm_int8_threshold=0.0
            )
            arguments["device_map"] = {"": device}
        loaded, report = getattr(transformers, auto_class).from_pretrained(
            str(folder), output_loading_info=True, **arguments
        )
        words = transformers.AutoTokenizer.from_pretrained(str(tokenizer or folder), local_files_only=True)
    except CheckpointError:
        raise
    except Exception as error:  # transformers, safetensors and tokenizers raise many kinds
        said = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise CheckpointError(
            f"{folder} does not load as {what} ({said[:200]})",
            "give a folder with config.json, safetensors and a tokenizer",
        ) from None
    lacking = sorted(report.get("missing_keys", ()))
    if lacking:
        raise CheckpointError(f"{folder} lacks weights: {', '.join(lacking[:5])}", "restore it, or save it again")
    return (loaded if quantize else loaded.to(device)), words


def frozen(model: nn.Module) -> nn.Module:
    """In eval mode and without gradients."""
    return model.eval().requires_grad_(False)
