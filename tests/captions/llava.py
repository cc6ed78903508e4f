"""A LLaVA checkpoint of a few thousand weights, in the format that transformers itself saves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

_WORDS = ["USER", "ASSISTANT", ":", ".", "Describe", "this", "video", "in", "one", "sentence", "red"]
_TEMPLATE = (
    "{% for m in messages %}USER: {% for c in m['content'] %}{% if c['type'] == 'image' %}<image>{% else %}"
    "{{ c['text'] }}{% endif %}{% endfor %}{% endfor %} ASSISTANT:"
)


def save_llava(folder: Path, answer: str = "") -> Path:
    """Save one in ``folder``.

    Args:
        answer: what it says to every prompt and every picture, a single word of its vocabulary; some words of its own
            where none is given.
    """
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import (
        CLIPImageProcessor,
        CLIPVisionConfig,
        LlamaConfig,
        LlavaConfig,
        LlavaForConditionalGeneration,
        LlavaProcessor,
        PreTrainedTokenizerFast,
    )

    words = ["<pad>", "<s>", "</s>", "<unk>", "<image>", *_WORDS, *([answer] if answer else [])]
    core = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core, pad_token="<pad>", bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )
    tokenizer.add_special_tokens({"additional_special_tokens": ["<image>"]})
    processor = LlavaProcessor(
        image_processor=CLIPImageProcessor(size={"shortest_edge": 16}, crop_size={"height": 16, "width": 16}),
        tokenizer=tokenizer,
        patch_size=8,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=_TEMPLATE,
    )
    torch.manual_seed(0)
    model = LlavaForConditionalGeneration(
        LlavaConfig(
            vision_config=CLIPVisionConfig(
                hidden_size=16,
                intermediate_size=32,
                num_hidden_layers=2,
                num_attention_heads=2,
                image_size=16,
                patch_size=8,
                projection_dim=16,
            ),
            text_config=LlamaConfig(
                vocab_size=len(words),
                hidden_size=16,
                intermediate_size=32,
                num_hidden_layers=2,
                num_attention_heads=2,
                num_key_value_heads=2,
                pad_token_id=0,
                bos_token_id=1,
                eos_token_id=2,
            ),
            image_token_index=words.index("<image>"),
            vision_feature_layer=-1,
        )
    )
    with torch.no_grad():  # a language head that likes its content words, so that an answer is never empty
        model.lm_head.weight[:5] = 0.0  # logit 0: some other word always has a positive one
        if answer:
            _say_only(model, asked=words.index(":"), answer=words.index(answer), end=words.index("</s>"))
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def _say_only(model: Any, *, asked: int, answer: int, end: int) -> None:
    """Let every layer pass its input on, and the head follow ``asked`` with ``answer`` and that with ``end``."""
    import torch

    for layer in model.model.language_model.layers:
        layer.self_attn.o_proj.weight.zero_()
        layer.mlp.down_proj.weight.zero_()
    embedding, head = model.model.language_model.embed_tokens.weight, model.lm_head.weight
    head.zero_()
    for place, (before, after) in enumerate(((asked, answer), (answer, end))):
        embedding[before] = torch.eye(embedding.shape[1])[place]
        head[after] = torch.eye(embedding.shape[1])[place]
