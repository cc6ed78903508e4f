"""Text features from any Gemma checkpoint: Gemma, Gemma 2, Gemma 3, text-only or multimodal, 8-bit where asked for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from aiprod.core.text_features import TextFeatures
from aiprod.errors import CoreError
from aiprod.models.adapters.gemma3_text import read_plain
from aiprod.models.adapters.hugging_face import FrozenTextModel, Quantize, frozen, read_text_model, some_texts

Layers = Literal["mean", "last"]


class GemmaTextEncoder(FrozenTextModel):
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
        self.model = frozen(model)
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
        loaded, tokenizer = read_text_model(
            folder,
            what="a Gemma",
            families=("gemma",),
            auto_class="AutoModel",
            quantize=quantize,
            device=torch.device(device),
            dtype=dtype,
            first=read_plain,
        )
        decoder = getattr(loaded, "language_model", loaded)  # a multimodal Gemma keeps its text decoder there
        return cls(decoder, tokenizer, **options)

    @property
    def width(self) -> int:
        """Size D of a token's vector."""
        return int(self.model.config.hidden_size)  # type: ignore[union-attr, arg-type]

    @torch.no_grad()
    def encode(self, texts: Sequence[str]) -> TextFeatures:
        """Features of texts; an empty text has at least one token, so that attention has something to look at.

        Raises:
            CoreError: no texts.
        """
        some_texts(texts)
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
