"""The vision-language captioner against a tiny checkpoint of the SmolVLM class, which splits large pictures."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.captions.shapes import check_mixed_batch

pytest.importorskip("num2words", reason="transformers' SmolVLM needs num2words, which is no dependency (LGPL)")

_MARKS = ["<image>", "<fake_token_around_image>", "<global-img>", "<end_of_utterance>"]
_PARTS = [f"<row_{row}_col_{column}>" for row in range(1, 4) for column in range(1, 4)]
_TEMPLATE = (
    "{% for m in messages %}User: {% for c in m['content'] %}{% if c['type'] == 'image' %}<image>{% else %}"
    "{{ c['text'] }}{% endif %}{% endfor %}<end_of_utterance>{% endfor %} Assistant:"
)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SmolVLM checkpoint of a few thousand weights, saved by transformers itself."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast, SmolVLMConfig, SmolVLMForConditionalGeneration, SmolVLMProcessor
    from transformers.models.smolvlm.image_processing_smolvlm import SmolVLMImageProcessor
    from transformers.models.smolvlm.video_processing_smolvlm import SmolVLMVideoProcessor

    words = ["<pad>", "<s>", "</s>", "<unk>", *_MARKS, *_PARTS, "User", "Assistant", ":", "Describe", "this", "red"]
    core = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core, pad_token="<pad>", bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )
    tokenizer.add_special_tokens({"additional_special_tokens": [*_MARKS, *_PARTS]})
    processor = SmolVLMProcessor(
        image_processor=SmolVLMImageProcessor(size={"longest_edge": 64}, max_image_size={"longest_edge": 32}),
        tokenizer=tokenizer,
        video_processor=SmolVLMVideoProcessor(),
        image_seq_len=4,  # (32 px / patches of 8)² / scale of 2 squared
        chat_template=_TEMPLATE,
    )
    torch.manual_seed(0)
    model = SmolVLMForConditionalGeneration(
        SmolVLMConfig(
            vision_config={
                "hidden_size": 16,
                "intermediate_size": 32,
                "num_hidden_layers": 1,
                "num_attention_heads": 2,
                "image_size": 32,
                "patch_size": 8,
            },
            text_config={
                "model_type": "llama",
                "vocab_size": len(words),
                "hidden_size": 16,
                "intermediate_size": 32,
                "num_hidden_layers": 2,
                "num_attention_heads": 2,
                "num_key_value_heads": 2,
                "pad_token_id": 0,
                "bos_token_id": 1,
                "eos_token_id": 2,
            },
            scale_factor=2,
            image_token_id=words.index("<image>"),
            pad_token_id=0,
        )
    )
    with torch.no_grad():  # a language head that likes its content words, so that an answer is never empty
        model.lm_head.weight[: 4 + len(_MARKS) + len(_PARTS)] = 0.0
    folder = tmp_path_factory.mktemp("smol")
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def test_films_of_different_shape_share_a_batch(checkpoint: Path, tmp_path: Path) -> None:
    """A picture has as many parts as its shape asks for, so a batch is padded."""
    check_mixed_batch(checkpoint, tmp_path, tall=(96, 32))
