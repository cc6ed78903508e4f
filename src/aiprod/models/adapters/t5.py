"""Text features from T5 and UMT5 encoders, read as the public pipelines of LTX-Video and Wan read them.

T5: Raffel et al., 2019, arXiv:1910.10683; UMT5: Chung et al., 2023, arXiv:2304.09151.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from aiprod.core.text_features import TextFeatures
from aiprod.errors import CheckpointError, CoreError
from aiprod.models.adapters.hugging_face import FrozenTextModel, Quantize, frozen, read_text_model, some_texts
from aiprod.models.checkpoint.json_files import read_json_object

RULES_FILE = "text_rules.json"
INDEX_FILE = "model_index.json"
FAMILIES = ("t5", "umt5")


@dataclass(frozen=True)
class TextRules:
    """How a diffusion model was trained to read its encoder.

    Attributes:
        max_tokens: texts are cut and padded to so many tokens.
        sees_padding: the encoder attends to padding as to words (LTX-Video); otherwise padding is masked (Wan).
        cleaned: markup entities, broken encodings and repeated blanks are fixed first.
        padded: the transformer, which knows no mask of the text, sees zeros up to ``max_tokens``.

    Raises:
        CoreError: no token is left.
    """

    max_tokens: int
    sees_padding: bool
    cleaned: bool
    padded: bool

    def __post_init__(self) -> None:
        if self.max_tokens < 1:
            raise CoreError(f"max_tokens is {self.max_tokens}", "give at least 1")


_LTX = TextRules(128, sees_padding=True, cleaned=False, padded=False)
_LTX_LONG = TextRules(256, sees_padding=True, cleaned=False, padded=False)
_WAN = TextRules(512, sees_padding=False, cleaned=True, padded=True)
_OF_PIPELINE = {"LTXPipeline": _LTX, "LTXImageToVideoPipeline": _LTX, "LTXConditionPipeline": _LTX_LONG}
_OF_FAMILY = {"t5": _LTX, "umt5": _WAN}


class T5TextEncoder(FrozenTextModel):
    """A frozen T5 or UMT5 encoder, with the interface of :class:`~aiprod.models.adapters.gemma.GemmaTextEncoder`.

    A text's features do not depend on what else is in the batch: either every text is padded to one length, or padding
    is masked. 8-bit products scale every row by itself.

    Args:
        model: ``T5EncoderModel`` or ``UMT5EncoderModel`` of transformers.
        tokenizer: its tokenizer.
        rules: how it is read; None takes those of the public pipeline for its family.

    Raises:
        CoreError: no rules are known for the family, and none were given.
    """

    def __init__(self, model: nn.Module, tokenizer: Any, rules: TextRules | None = None) -> None:
        super().__init__()
        family = str(model.config.model_type)  # type: ignore[union-attr]
        if rules is None and family not in _OF_FAMILY:
            raise CoreError(f"it is not known how a {family} is read", f"give rules, or one of {', '.join(FAMILIES)}")
        self.model, self.tokenizer = frozen(model), tokenizer
        self.tokenizer.padding_side = "right"
        self.rules = rules or _OF_FAMILY[family]

    @classmethod
    def from_pretrained(
        cls,
        folder: Path | str,
        quantize: Quantize | None = None,
        device: str | torch.device = "cpu",
        *,
        dtype: torch.dtype | None = None,
        rules: TextRules | None = None,
    ) -> T5TextEncoder:
        """Load from a folder; nothing is fetched.

        Args:
            folder: of a whole diffusers pipeline (``text_encoder``, ``tokenizer`` and ``model_index.json``), or one
                that holds model and tokenizer side by side.
            quantize: ``int8`` stores linear layers in 8 bits through bitsandbytes, on CPU and CUDA.
            dtype: of what is not quantised; None means fp32 on CPU and bf16 elsewhere.
            rules: instead of those that the folder tells.

        Raises:
            CheckpointError: missing, damaged, pickled, or no T5.
        """
        weights, words = text_folders(folder)
        auto = "UMT5EncoderModel" if model_family(folder) == "umt5" else "T5EncoderModel"
        model, tokenizer = read_text_model(
            weights,
            what="a T5 or UMT5",
            families=FAMILIES,
            auto_class=auto,
            quantize=quantize,
            device=torch.device(device),
            dtype=dtype,
            tokenizer=words,
        )
        return cls(model, tokenizer, rules or read_rules(folder))

    @property
    def width(self) -> int:
        """Size D of a token's vector."""
        return int(self.model.config.d_model)  # type: ignore[union-attr, arg-type]

    @torch.no_grad()
    def encode(self, texts: Sequence[str]) -> TextFeatures:
        """Features of texts; an empty text has one token, the end of the text.

        Raises:
            CoreError: no texts.
        """
        some_texts(texts)
        ids, mask = self._tokens([clean(text) for text in texts] if self.rules.cleaned else list(texts))
        attended = None if self.rules.sees_padding else mask.long()
        hidden: Tensor = self.model(input_ids=ids, attention_mask=attended).last_hidden_state
        return TextFeatures(hidden.float().masked_fill(~mask.unsqueeze(-1), 0), mask)

    def _tokens(self, texts: list[str]) -> tuple[Tensor, Tensor]:
        batch = self.tokenizer(
            texts,
            padding="max_length" if self.rules.sees_padding else True,
            truncation=True,
            max_length=self.rules.max_tokens,
            return_tensors="pt",
        )
        return batch["input_ids"].long().to(self.device), batch["attention_mask"].bool().to(self.device)


def clean(text: str) -> str:
    """A prompt as Wan's pipeline cleans it: encoding fixed, entities read, blanks single."""
    import ftfy

    return re.sub(r"\s+", " ", html.unescape(html.unescape(ftfy.fix_text(text)))).strip()


def text_folders(folder: Path | str) -> tuple[Path | str, Path | str]:
    """Where model and tokenizer lie: the folder itself, or two in it where it is a whole pipeline of diffusers."""
    inner = Path(folder) / "text_encoder"
    if (Path(folder) / "config.json").is_file() or not inner.is_dir():
        return folder, folder
    return inner, Path(folder) / "tokenizer"


def model_family(folder: Path | str) -> str:
    """The ``model_type`` of the text model in a folder, or the empty string where none can be read."""
    config = _json(Path(text_folders(folder)[0]) / "config.json")
    return str(config.get("model_type", ""))


def read_rules(folder: Path | str) -> TextRules | None:
    """How the model in a folder is read: as its ``text_rules.json``, pipeline or family says; None if none does.

    Raises:
        CheckpointError: ``text_rules.json`` is not understood.
    """
    rules = _json(Path(folder) / RULES_FILE)
    if rules:
        try:
            return TextRules(**rules)
        except (TypeError, CoreError) as error:
            raise CheckpointError(f"{Path(folder) / RULES_FILE} is not understood ({error})", "remove it") from None
    pipeline = str(_json(Path(folder) / INDEX_FILE).get("_class_name"))
    return _OF_PIPELINE.get(pipeline) or _OF_FAMILY.get(model_family(folder))


def write_rules(folder: Path | str, rules: TextRules) -> None:
    """Say beside a model how it is read."""
    text = json.dumps(asdict(rules), indent=1, sort_keys=True)
    (Path(folder) / RULES_FILE).write_text(text + "\n", encoding="utf-8")


def _json(path: Path) -> dict[str, Any]:
    try:
        return read_json_object(path)
    except CheckpointError:
        return {}
