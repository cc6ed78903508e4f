"""The vision-language captioner against a tiny checkpoint of the Qwen-VL class, whose pictures vary in tokens."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.captions.shapes import check_mixed_batch

_PICTURE = ["<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"]
_TEMPLATE = (
    "{% for m in messages %}USER: {% for c in m['content'] %}{% if c['type'] == 'image' %}"
    "<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ c['text'] }}{% endif %}{% endfor %}{% endfor %} ASSISTANT:"
)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Qwen2-VL checkpoint of a few thousand weights, saved by transformers itself."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast, Qwen2VLConfig, Qwen2VLForConditionalGeneration, Qwen2VLProcessor
    from transformers.models.qwen2_vl.image_processing_qwen2_vl import Qwen2VLImageProcessor
    from transformers.models.qwen2_vl.video_processing_qwen2_vl import Qwen2VLVideoProcessor

    words = [
        "<pad>",
        "<s>",
        "</s>",
        "<unk>",
        *_PICTURE,
        "USER",
        "ASSISTANT",
        ":",
        ".",
        "Describe",
        "this",
        "video",
        "red",
    ]
    core = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core, pad_token="<pad>", bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )
    tokenizer.add_special_tokens({"additional_special_tokens": _PICTURE})
    processor = Qwen2VLProcessor(
        image_processor=Qwen2VLImageProcessor(min_pixels=28 * 28, max_pixels=56 * 56, patch_size=14),
        tokenizer=tokenizer,
        video_processor=Qwen2VLVideoProcessor(),
        chat_template=_TEMPLATE,
    )
    torch.manual_seed(0)
    model = Qwen2VLForConditionalGeneration(
        Qwen2VLConfig(
            text_config={
                "vocab_size": len(words), "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2,
                "num_attention_heads": 2, "num_key_value_heads": 2, "pad_token_id": 0, "bos_token_id": 1,
                "eos_token_id": 2,
                "rope_parameters": {"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 10000.0},
            },
            vision_config={
                "depth": 1, "embed_dim": 16, "hidden_size": 16, "num_heads": 2, "mlp_ratio": 2, "patch_size": 14
            },
            image_token_id=words.index("<|image_pad|>"),
            video_token_id=words.index("<|video_pad|>"),
            vision_start_token_id=words.index("<|vision_start|>"),
            vision_end_token_id=words.index("<|vision_end|>"),
        )
    )  # fmt: skip
    with torch.no_grad():  # a language head that likes its content words, so that an answer is never empty
        model.lm_head.weight[:8] = 0.0
    folder = tmp_path_factory.mktemp("qwen")
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def test_films_of_different_shape_share_a_batch(checkpoint: Path, tmp_path: Path) -> None:
    """Pictures of this class have as many tokens as their size asks for, so a batch is padded."""
    check_mixed_batch(checkpoint, tmp_path, tall=(96, 48))
