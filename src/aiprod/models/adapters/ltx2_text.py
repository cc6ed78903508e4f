"""Text features for LTX-2 (arXiv:2601.03233): every layer of a Gemma 3, through the connectors of the checkpoint."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from aiprod.core.text_features import TextFeatures
from aiprod.errors import CheckpointError, CoreError
from aiprod.models.adapters.hugging_face import FrozenTextModel, Quantize, frozen, read_text_model, some_texts
from aiprod.models.adapters.t5 import text_folders
from aiprod.models.checkpoint.folder import open_checkpoint, read_safetensors
from aiprod.models.checkpoint.json_files import read_json_object
from aiprod.models.checkpoint.load import strict_load

CONFIG, WEIGHTS = "connectors.json", "connectors.safetensors"
_CLASS = "LTX2TextConnectors"


class LTX2TextEncoder(FrozenTextModel):
    """Gemma 3 and connectors, with the interface of :class:`~aiprod.models.adapters.gemma.GemmaTextEncoder`.

    A token's vector holds what the video stream reads and, behind it, what the audio stream reads;
    :class:`~aiprod.models.adapters.ltx2.LTX2Backbone` takes them apart. Texts are padded on the left to one length, as
    the model was trained, and learned registers take the place of the padding, so that a text does not depend on its
    neighbours.

    Args:
        model: a text decoder of transformers that returns hidden states.
        tokenizer: its tokenizer.
        connectors: ``LTX2TextConnectors`` of diffusers.
        max_tokens: to which texts are cut and padded; a multiple of the number of registers.

    Raises:
        CoreError: the connectors are made for another Gemma, or for another length.
    """

    model: Any
    connectors: Any

    def __init__(self, model: nn.Module, tokenizer: Any, connectors: Any, max_tokens: int = 1024) -> None:
        super().__init__()
        config: Any = model.config
        takes = connectors.config.caption_channels, connectors.config.text_proj_in_factor
        if takes != (config.hidden_size, config.num_hidden_layers + 1):
            raise CoreError(
                f"the connectors read {takes[1]} states of {takes[0]} values, and the Gemma gives "
                f"{config.num_hidden_layers + 1} of {config.hidden_size}",
                "use the text encoder of the same checkpoint",
            )
        registers = connectors.config.video_connector_num_learnable_registers or 1
        if max_tokens % registers:
            raise CoreError(f"max_tokens is {max_tokens}", f"give a multiple of the {registers} registers")
        self.model, self.tokenizer, self.connectors = frozen(model), tokenizer, frozen(connectors)
        self.tokenizer.padding_side = "left"
        if self.tokenizer.pad_token_id is None:
            self.tokenizer.pad_token = self.tokenizer.eos_token
        self.max_tokens = max_tokens

    @classmethod
    def from_pretrained(
        cls,
        folder: Path | str,
        quantize: Quantize | None = None,
        device: str | torch.device = "cpu",
        *,
        dtype: torch.dtype | None = None,
        max_tokens: int = 1024,
    ) -> LTX2TextEncoder:
        """Load from a folder; nothing is fetched.

        Args:
            folder: of a whole diffusers pipeline (``text_encoder``, ``tokenizer``, ``connectors``), or what
                :func:`copy_connectors` made of one.
            quantize: ``int8`` stores the Gemma's linear layers in 8 bits.
            dtype: of what is not quantised; None means fp32 on CPU and bf16 elsewhere.

        Raises:
            CheckpointError: missing, damaged, pickled, or of another kind.
        """
        weights, words = text_folders(folder)
        device = torch.device(device)
        dtype = dtype or (torch.float32 if device.type == "cpu" else torch.bfloat16)
        loaded, tokenizer = read_text_model(
            weights,
            what="a Gemma",
            families=("gemma",),
            auto_class="AutoModel",
            quantize=quantize,
            device=device,
            dtype=dtype,
            tokenizer=words,
        )
        connectors = _connectors(Path(folder)).to(device, dtype)
        return cls(getattr(loaded, "language_model", loaded), tokenizer, connectors, max_tokens)

    @property
    def width(self) -> int:
        """Size D of a token's vector: that of the video stream and that of the audio stream."""
        return int(self.connectors.video_connector.inner_dim + self.connectors.audio_connector.inner_dim)

    @torch.no_grad()
    def encode(self, texts: Sequence[str]) -> TextFeatures:
        """Features of texts.

        Raises:
            CoreError: no texts.
        """
        some_texts(texts)
        batch = self.tokenizer(
            [text.strip() for text in texts],
            padding="max_length",
            truncation=True,
            max_length=self.max_tokens,
            return_tensors="pt",
        )
        ids, mask = batch["input_ids"].long().to(self.device), batch["attention_mask"].to(self.device)
        states = self.model(input_ids=ids, attention_mask=mask, output_hidden_states=True, use_cache=False)
        stacked: Tensor = torch.stack(states.hidden_states, dim=-1)
        dtype = next(self.connectors.parameters()).dtype
        video, audio, seen = self.connectors(stacked.to(dtype), mask, padding_side="left")
        hidden = torch.cat([video, audio], dim=-1).float()
        return TextFeatures(hidden.masked_fill(~seen.bool().unsqueeze(-1), 0), seen.bool())


def has_connectors(folder: Path | str) -> bool:
    """Whether a folder holds the connectors of an LTX-2 checkpoint, beside the model or as a part of a pipeline."""
    return (Path(folder) / CONFIG).is_file() or (Path(folder) / "connectors" / "config.json").is_file()


def copy_connectors(folder: Path, target: Path) -> None:
    """Write the connectors of a pipeline folder beside the text model in ``target``, as two files.

    Raises:
        CheckpointError: missing or damaged.
    """
    config, tensors = _read(folder)
    save_file(tensors, target / WEIGHTS, metadata={"format": "pt"})
    (target / WEIGHTS).chmod(0o644)  # safetensors writes for the owner alone
    (target / CONFIG).write_text(json.dumps(config, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def _connectors(folder: Path) -> Any:
    from diffusers.pipelines.ltx2.connectors import LTX2TextConnectors

    config, tensors = _read(folder)
    try:
        connectors = LTX2TextConnectors.from_config(config)
    except (TypeError, ValueError) as error:
        first = str(error).splitlines()[0]
        raise CheckpointError(f"the connectors in {folder} cannot be made ({first[:160]})", "restore them") from None
    strict_load(connectors, tensors, f"{folder}/connectors")
    return connectors


def _read(folder: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    if not (folder / CONFIG).is_file():
        files = open_checkpoint(folder / "connectors", _CLASS, require_digest=False)
        return dict(files.config), files.tensors()
    return read_json_object(folder / CONFIG, "restore it with `dvc checkout`"), read_safetensors(folder / WEIGHTS)
