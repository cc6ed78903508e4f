"""A Gemma 3 text model and its tokenizer, as the demo trains them, read without transformers.

Loading transformers takes about three seconds, longer than anything else between a command and its first picture. What
is computed is equal to the bit. Any other Gemma is left to transformers.

Gemma 3: arXiv:2503.19786. Rotary positions: arXiv:2104.09864.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.functional import gelu, linear, scaled_dot_product_attention

from aiprod.models.checkpoint.folder import CONFIG, WEIGHTS

_KIND = "gemma3_text"
_TOKENIZERS = ("TokenizersBackend", "PreTrainedTokenizerFast")
_TOKENIZER, _ABOUT_TOKENIZER = "tokenizer.json", "tokenizer_config.json"
_ATTENTIONS = ("sliding_attention", "full_attention")
_PLAIN = {  # what is computed in no other way here
    "attention_bias": False,
    "attn_logit_softcapping": None,
    "hidden_activation": "gelu_pytorch_tanh",
    "use_bidirectional_attention": False,
}
_NORMS = ("input_layernorm", "post_attention_layernorm", "pre_feedforward_layernorm", "post_feedforward_layernorm")


class Gemma3Text(nn.Module):
    """The decoder, frozen, with the interface of transformers' own as far as an encoder calls it.

    Args:
        about: its ``config.json``.
        weights: name → tensor as transformers saves them.
    """

    def __init__(self, about: dict[str, Any], weights: dict[str, Tensor]) -> None:
        super().__init__()
        self.config = SimpleNamespace(**about)
        self._names = {name: name.removeprefix("model.").replace(".", "_") for name in weights}
        for name, tensor in weights.items():
            self.register_parameter(self._names[name], nn.Parameter(tensor, requires_grad=False))

    def _weight(self, name: str) -> Tensor:
        return self.get_parameter(self._names[f"model.{name}.weight"])

    def forward(self, input_ids: Tensor, attention_mask: Tensor, **_: Any) -> SimpleNamespace:
        """``hidden_states``: the embedding [B, N, D], then each layer's output, the last one normalised.

        Args:
            input_ids: [B, N].
            attention_mask: [B, N], 1 at tokens and 0 at the padding on their right.
        """
        c = self.config
        hidden = nn.functional.embedding(input_ids, self._weight("embed_tokens"))
        hidden = hidden * torch.tensor(c.hidden_size**0.5, device=hidden.device).to(hidden.dtype)
        turns = {kind: self._turns(kind, hidden) for kind in set(c.layer_types)}
        masks = {kind: self._mask(kind, attention_mask) for kind in set(c.layer_types)}
        states = [hidden]
        for number, kind in enumerate(c.layer_types):
            hidden = self._layer(f"layers.{number}", hidden, turns[kind], masks[kind])
            states.append(hidden)
        states[-1] = self._norm("norm", hidden)
        return SimpleNamespace(hidden_states=tuple(states))

    def _turns(self, kind: str, like: Tensor) -> tuple[Tensor, Tensor]:
        """Cosine and sine of each position's turns, [N, head]."""
        base, size = self.config.rope_parameters[kind]["rope_theta"], self.config.head_dim
        rates = 1.0 / (base ** (torch.arange(0, size, 2, dtype=torch.float) / size)).to(like.device)
        angles = torch.arange(like.shape[1], device=like.device)[:, None].float() * rates
        both = torch.cat((angles, angles), dim=-1)
        return both.cos().to(like.dtype), both.sin().to(like.dtype)

    def _mask(self, kind: str, attention_mask: Tensor) -> Tensor | None:
        """Which keys each query sees, [B, 1, N, N]; None for all up to itself."""
        count = attention_mask.shape[1]
        near = self.config.sliding_window if kind == "sliding_attention" else count
        if bool(attention_mask.all()) and count <= near:
            return None
        at = torch.arange(count, device=attention_mask.device)
        back = at[:, None] - at[None, :]
        return ((back >= 0) & (back < near))[None, None] & attention_mask.bool()[:, None, None, :]

    def _layer(self, place: str, hidden: Tensor, turns: tuple[Tensor, Tensor], mask: Tensor | None) -> Tensor:
        before, after, before_wide, after_wide = (f"{place}.{name}" for name in _NORMS)
        attended = self._attention(f"{place}.self_attn", self._norm(before, hidden), turns, mask)
        hidden = hidden + self._norm(after, attended)
        into = self._norm(before_wide, hidden)
        gate = gelu(linear(into, self._weight(f"{place}.mlp.gate_proj")), approximate="tanh")
        wide = gate * linear(into, self._weight(f"{place}.mlp.up_proj"))
        return hidden + self._norm(after_wide, linear(wide, self._weight(f"{place}.mlp.down_proj")))

    def _attention(self, place: str, hidden: Tensor, turns: tuple[Tensor, Tensor], mask: Tensor | None) -> Tensor:
        c = self.config
        shape = (*hidden.shape[:2], -1, c.head_dim)
        query, key, value = (
            linear(hidden, self._weight(f"{place}.{part}_proj")).view(shape).transpose(1, 2) for part in "qkv"
        )
        query = _turned(self._norm(f"{place}.q_norm", query), *turns)
        key = _turned(self._norm(f"{place}.k_norm", key), *turns)
        groups = c.num_attention_heads // c.num_key_value_heads
        if mask is not None and groups > 1:
            key, value = (part.repeat_interleave(groups, dim=1) for part in (key, value))
        out = scaled_dot_product_attention(
            query,
            key,
            value,
            attn_mask=mask,
            is_causal=mask is None and query.shape[2] > 1,
            scale=c.query_pre_attn_scalar**-0.5,
            enable_gqa=mask is None and groups > 1,
        )
        joined = out.transpose(1, 2).reshape(*hidden.shape[:2], -1)
        return linear(joined, self._weight(f"{place}.o_proj"))

    def _norm(self, place: str, hidden: Tensor) -> Tensor:
        whole = hidden.float()
        unit = whole * torch.rsqrt(whole.pow(2).mean(-1, keepdim=True) + self.config.rms_norm_eps)
        return (unit * (1.0 + self._weight(place).float())).type_as(hidden)


def _turned(part: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Queries or keys [B, heads, N, head] turned by their positions."""
    first, second = part.chunk(2, dim=-1)
    return (part * cosine) + (torch.cat((-second, first), dim=-1) * sine)


class PlainTokenizer:
    """A tokenizer of the ``tokenizers`` library, with the interface of transformers' as far as an encoder calls it."""

    def __init__(self, file: Path, about: dict[str, Any]) -> None:
        from tokenizers import Tokenizer

        self.backend_tokenizer = Tokenizer.from_file(str(file))
        self.eos_token, self.pad_token = about.get("eos_token"), about.get("pad_token")
        self.bos_token_id = self._number(about.get("bos_token"))
        self.padding_side = "right"

    def _number(self, token: str | None) -> int | None:
        number: int | None = None if token is None else self.backend_tokenizer.token_to_id(token)
        return number

    @property
    def pad_token_id(self) -> int | None:
        """Number of the token that fills a batch."""
        return self._number(self.pad_token)

    def __call__(self, texts: Sequence[str], *, max_length: int, **_: Any) -> dict[str, Tensor]:
        """``input_ids`` and ``attention_mask``, [B, N], cut to ``max_length`` and filled on the right."""
        self.backend_tokenizer.enable_truncation(max_length)
        self.backend_tokenizer.enable_padding(pad_id=self.pad_token_id, pad_token=self.pad_token)
        read = self.backend_tokenizer.encode_batch(list(texts))
        ids, mask = torch.tensor([one.ids for one in read]), torch.tensor([one.attention_mask for one in read])
        return {"input_ids": ids, "attention_mask": mask}


def read_plain(
    folder: Path | str, device: torch.device, dtype: torch.dtype
) -> tuple[Gemma3Text, PlainTokenizer] | None:
    """The model and tokenizer of a folder; None where it holds anything that is not read here, or is not whole.

    Its files have been checked (:func:`~aiprod.models.checkpoint.folder.check_folder`).
    """
    place = Path(folder)
    try:
        about = json.loads((place / CONFIG).read_bytes())
        words = json.loads((place / _ABOUT_TOKENIZER).read_bytes())
        if not _plain(about, words) or not (place / _TOKENIZER).is_file():
            return None
        weights = load_file(place / WEIGHTS, device=str(device))
        tokenizer = PlainTokenizer(place / _TOKENIZER, words)
    except Exception:  # transformers says what is wrong with it
        return None
    weights = {name: tensor.to(dtype) for name, tensor in weights.items() if name.startswith("model.")}
    if set(weights) != _names(about) or tokenizer.pad_token_id is None:
        return None
    return Gemma3Text(about, weights), tokenizer


def _plain(about: dict[str, Any], words: dict[str, Any]) -> bool:
    turns = about.get("rope_parameters") or {}
    layers = about.get("layer_types") or []
    return (
        about.get("model_type") == _KIND
        and all(about.get(name, usual) == usual for name, usual in _PLAIN.items())
        and len(layers) == about["num_hidden_layers"]
        and set(layers) <= set(_ATTENTIONS)
        and all(turns[kind]["rope_type"] == "default" for kind in layers)
        and words.get("tokenizer_class") in _TOKENIZERS
        and all(isinstance(words.get(f"{name}_token"), str) for name in ("pad", "bos", "eos"))
    )


def _names(about: dict[str, Any]) -> set[str]:
    parts = [*_NORMS, *(f"self_attn.{part}" for part in ("q_norm", "k_norm", "q_proj", "k_proj", "v_proj", "o_proj"))]
    parts += [f"mlp.{part}_proj" for part in ("gate", "up", "down")]
    layers = [f"layers.{number}.{part}" for number in range(about["num_hidden_layers"]) for part in parts]
    return {f"model.{name}.weight" for name in ("embed_tokens", "norm", *layers)}
