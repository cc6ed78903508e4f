"""Text features from any Gemma checkpoint: Gemma, Gemma 2, Gemma 3, text-only or multimodal, 8-bit where asked for."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from aiprod.core.errors import CoreError
from aiprod.core.loader.errors import CheckpointError
from aiprod.core.loader.files import check_folder

Quantize = Literal["int8"]
Layers = Literal["mean", "last"]


@dataclass(frozen=True)
class TextFeatures:
    """What the transformer is told of a text.

    Attributes:
        hidden: ``[B, T, D]``; each token's vector has a root mean square of 1, padding is zero.
        mask: ``[B, T]``; True = a token, False = padding. Texts are padded on the right.
    """

    hidden: Float[Tensor, "b t d"]
    mask: Bool[Tensor, "b t"]


class GemmaTextEncoder(nn.Module):
    """A frozen Gemma decoder read out as an encoder.

    A text's features do not depend on what else is in the batch: padding is on the right of a causal model, masked,
    and 8-bit products scale every row by itself (bitsandbytes' outlier columns, which span a batch, are off).

    Args:
        model: a text decoder of transformers that returns hidden states.
        tokenizer: its tokenizer.
        layers: ``mean`` averages the normalised states of all layers, so that both the words themselves (early layers)
            and their context (late layers) are seen; ``last`` takes the final layer alone.
        template: a prompt template with ``{prompt}`` in it.
        max_tokens: longer texts are cut.

    Raises:
        CoreError: the template has no place for the prompt.
    """

    def __init__(
        self,
        model: nn.Module,
        tokenizer: Any,
        *,
        layers: Layers = "mean",
        template: str = "{prompt}",
        max_tokens: int = 128,
    ) -> None:
        super().__init__()
        if "{prompt}" not in template:
            raise CoreError(f"the template {template!r} has no place for the prompt", "write {prompt} into it")
        self.model = model.eval().requires_grad_(False)
        self.tokenizer = tokenizer
        self.tokenizer.padding_side = "right"
        if self.tokenizer.pad_token_id is None:
            self.tokenizer.pad_token = self.tokenizer.eos_token
        self.layers, self.template, self.max_tokens = layers, template, max_tokens

    @classmethod
    def from_pretrained(
        cls,
        folder: Path | str,
        quantize: Quantize | None = None,
        device: str | torch.device = "cpu",
        *,
        dtype: torch.dtype | None = None,
        **options: Any,
    ) -> GemmaTextEncoder:
        """Load from a folder in transformers' format, or a hub id that is in the local cache; nothing is fetched.

        Args:
            quantize: ``int8`` stores linear layers in 8 bits through bitsandbytes, on CPU and CUDA.
            dtype: of what is not quantised; None means fp32 on CPU and bf16 elsewhere.
            options: further arguments of the class.

        Raises:
            CheckpointError: missing, damaged, pickled, or no Gemma.
        """
        device = torch.device(device)
        dtype = dtype or (torch.float32 if device.type == "cpu" else torch.bfloat16)
        if Path(folder).is_dir():
            check_folder(folder)
        model, tokenizer = _load(str(folder), quantize, device, dtype)
        return cls(model, tokenizer, **options)

    @property
    def width(self) -> int:
        """Size D of a token's vector."""
        return int(self.model.config.hidden_size)  # type: ignore[union-attr, arg-type]

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return next(self.model.parameters()).device

    @torch.no_grad()
    def encode(self, texts: Sequence[str]) -> TextFeatures:
        """Features of texts; an empty text has at least one token, so that attention has something to look at.

        Raises:
            CoreError: no texts.
        """
        if not texts:
            raise CoreError("no text to encode", "give at least one, it may be empty")
        filled = [self.template.replace("{prompt}", text) for text in texts]
        ids, mask = self._tokens(filled)
        states = self.model(
            input_ids=ids, attention_mask=mask.long(), output_hidden_states=True, use_cache=False
        ).hidden_states
        chosen = states[-1:] if self.layers == "last" else states
        hidden = torch.stack([_unit(state.float()) for state in chosen]).mean(0)
        return TextFeatures(_unit(hidden) * mask.unsqueeze(-1), mask)

    def _tokens(self, texts: list[str]) -> tuple[Tensor, Tensor]:
        batch = self.tokenizer(texts, padding=True, truncation=True, max_length=self.max_tokens, return_tensors="pt")
        ids, mask = batch["input_ids"].long(), batch["attention_mask"].bool()
        filler = self.tokenizer.bos_token_id if self.tokenizer.bos_token_id is not None else self.tokenizer.pad_token_id
        if ids.shape[1] == 0:
            ids, mask = torch.full((len(texts), 1), filler), torch.ones(len(texts), 1, dtype=torch.bool)
        empty = ~mask.any(1)
        ids[empty, 0], mask[empty, 0] = filler, True
        return ids.to(self.device), mask.to(self.device)


def _unit(hidden: Tensor) -> Tensor:
    """Root mean square 1 over the last dimension."""
    return nn.functional.rms_norm(hidden, hidden.shape[-1:], eps=1e-6)


def quiet_transformers() -> None:
    """No progress bars for weights and no line for each 8-bit product."""
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    for name in ("bitsandbytes", "bitsandbytes.autograd._functions", "bitsandbytes.backends.cpu.ops"):
        logging.getLogger(name).setLevel(logging.ERROR)


def _load(folder: str, quantize: Quantize | None, device: torch.device, dtype: torch.dtype) -> tuple[nn.Module, Any]:
    from transformers import AutoConfig, AutoModel, AutoTokenizer

    quiet_transformers()
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True)
        if not str(config.model_type).startswith("gemma"):
            raise CheckpointError(f"{folder} holds a {config.model_type}, not a Gemma", "give a Gemma checkpoint")
        arguments: dict[str, Any] = {"dtype": dtype, "local_files_only": True, "use_safetensors": True}
        if quantize == "int8":
            from transformers import BitsAndBytesConfig

            arguments["quantization_config"] = BitsAndBytesConfig(load_in_8bit=True, llm_int8_threshold=0.0)
            arguments["device_map"] = {"": device}
        loaded, report = AutoModel.from_pretrained(folder, output_loading_info=True, **arguments)
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except CheckpointError:
        raise
    except Exception as error:  # transformers, safetensors and tokenizers raise many kinds
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise CheckpointError(
            f"{folder} does not load as a Gemma ({first[:200]})",
            "give a folder with config.json, safetensors and a tokenizer",
        ) from None
    lacking = sorted(report.get("missing_keys", ()))
    if lacking:
        raise CheckpointError(f"{folder} lacks weights: {', '.join(lacking[:5])}", "restore it, or save it again")
    decoder = getattr(loaded, "language_model", loaded)  # a multimodal Gemma keeps its text decoder there
    return (decoder if quantize else decoder.to(device)), tokenizer
