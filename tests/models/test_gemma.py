"""Text features from checkpoints in transformers' own format: Gemma 2, Gemma 3 text, Gemma 3 multimodal, 8 bits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from aiprod.errors import CheckpointError, CoreError
from aiprod.models.adapters.gemma import GemmaTextEncoder
from aiprod.models.adapters.load_text_encoder import load_text_encoder, padded_tokens
from aiprod.models.checkpoint.folder import write_digest

WORDS = [
    "a red disc moves left",
    "two blue squares bounce and ring",
    "",
    "camera pans over a green wall at night, slowly",
]
SIZES = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 16,
    "vocab_size": 300,
    "sliding_window": 16,
    "max_position_embeddings": 64,
}


def tokenizer(side: str = "left") -> Any:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel()
    raw.train_from_iterator(
        WORDS,
        trainers.BpeTrainer(
            vocab_size=290,
            special_tokens=["<pad>", "<eos>", "<bos>"],
            show_progress=False,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        ),
    )
    raw.post_processor = processors.TemplateProcessing(single="<bos> $A", special_tokens=[("<bos>", 2)])
    return PreTrainedTokenizerFast(
        tokenizer_object=raw, pad_token="<pad>", eos_token="<eos>", bos_token="<bos>", padding_side=side
    )


def save(folder: Path, kind: str) -> Path:
    import transformers as t

    torch.manual_seed(0)
    if kind == "gemma2":
        model: Any = t.Gemma2ForCausalLM(t.Gemma2Config(**SIZES))
    elif kind == "gemma3_text":
        model = t.Gemma3ForCausalLM(t.Gemma3TextConfig(**SIZES))
    else:
        vision = {
            "hidden_size": 16,
            "intermediate_size": 32,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "image_size": 28,
            "patch_size": 14,
        }
        model = t.Gemma3ForConditionalGeneration(
            t.Gemma3Config(
                text_config=SIZES,
                vision_config=vision,
                mm_tokens_per_image=4,
                image_token_index=299,
                boi_token_index=298,
                eoi_token_index=297,
            )
        )
    model.save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture(scope="module", params=["gemma2", "gemma3_text", "gemma3"])
def checkpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("gemma") / request.param, request.param)


@pytest.fixture(scope="module")
def gemma3(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("gemma") / "text", "gemma3_text")


def test_every_kind_of_gemma_gives_unit_features_and_zero_padding(checkpoint: Path) -> None:
    encoder = GemmaTextEncoder.from_pretrained(checkpoint)
    features = encoder.encode(WORDS)
    assert encoder.width == 32 and features.hidden.shape == (*features.mask.shape, 32)
    assert (features.mask.sum(1) >= 1).all(), "an empty text has a token too"
    assert not features.hidden[~features.mask].any()
    sizes = features.hidden[features.mask].square().mean(-1).sqrt()
    assert torch.allclose(sizes, torch.ones_like(sizes), atol=1e-3)
    assert (features.mask.int().diff(dim=1) <= 0).all(), "padding is on the right, whatever the tokenizer says"


def test_features_do_not_depend_on_batch_mates(checkpoint: Path) -> None:
    encoder = GemmaTextEncoder.from_pretrained(checkpoint)
    together = encoder.encode(WORDS)
    for i, text in enumerate(WORDS):
        alone = encoder.encode([text])
        length = int(alone.mask.sum())
        assert torch.allclose(together.hidden[i, :length], alone.hidden[0, :length], atol=1e-5)


def test_the_hidden_states_are_those_of_transformers(gemma3: Path) -> None:
    from transformers import AutoModel, AutoTokenizer

    encoder = GemmaTextEncoder.from_pretrained(gemma3, layers="last")
    ids = torch.tensor([AutoTokenizer.from_pretrained(gemma3)(WORDS[0])["input_ids"]])
    with torch.no_grad():
        theirs = AutoModel.from_pretrained(gemma3, dtype=torch.float32)(ids).last_hidden_state[0]
    wanted = theirs / theirs.square().mean(-1, keepdim=True).sqrt()
    assert torch.allclose(encoder.encode(WORDS[:1]).hidden[0], wanted, atol=1e-4)


def test_eight_bits_agree_with_fp32_and_keep_texts_apart(gemma3: Path) -> None:
    exact = GemmaTextEncoder.from_pretrained(gemma3).encode(WORDS)
    encoder = GemmaTextEncoder.from_pretrained(gemma3, quantize="int8")
    kinds = {type(m).__name__ for m in encoder.model.modules()}
    assert "Linear8bitLt" in kinds and "Linear" not in kinds, "the layers really hold 8 bits"
    eight = encoder.encode(WORDS)
    cosine = torch.nn.functional.cosine_similarity(exact.hidden, eight.hidden, dim=-1)[exact.mask]
    assert float(cosine.min()) > 0.99
    alone = encoder.encode(WORDS[:1])
    length = int(alone.mask.sum())
    assert torch.allclose(eight.hidden[0, :length], alone.hidden[0, :length], atol=1e-4), "rows are scaled one by one"


def test_templates_and_cutting(gemma3: Path) -> None:
    plain = GemmaTextEncoder.from_pretrained(gemma3)
    formed = GemmaTextEncoder.from_pretrained(gemma3, template="film: {prompt}", max_tokens=6)
    assert torch.allclose(formed.encode(["a"]).hidden, plain.encode(["film: a"]).hidden[:, :6], atol=1e-5)
    assert formed.encode([WORDS[3]]).mask.shape[1] == 6
    with pytest.raises(CoreError, match="no place for the prompt"):
        GemmaTextEncoder.from_pretrained(gemma3, template="film")
    with pytest.raises(CoreError, match="no text"):
        plain.encode([])


def test_a_tokenizer_without_special_tokens_still_encodes_nothing(gemma3: Path) -> None:
    encoder = GemmaTextEncoder.from_pretrained(gemma3)
    encoder.tokenizer.backend_tokenizer.post_processor = None  # adds no token of its own any more
    from tokenizers import processors

    encoder.tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(single="$A", special_tokens=[])
    assert encoder.encode([""]).mask.tolist() == [[True]]
    assert encoder.encode(["", "a red"]).mask.any(1).all()


def test_the_common_loader_opens_it_and_pads_nothing(gemma3: Path) -> None:
    assert isinstance(load_text_encoder(gemma3), GemmaTextEncoder) and padded_tokens(gemma3) is None


def test_what_is_no_gemma_is_refused_with_one_line(gemma3: Path, tmp_path: Path) -> None:
    import shutil

    import transformers as t

    def refused(folder: Path | str, words: str) -> None:
        with pytest.raises(CheckpointError, match=words) as error:
            GemmaTextEncoder.from_pretrained(folder)
        assert "\n" not in str(error.value)

    t.LlamaModel(
        t.LlamaConfig(hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=1, vocab_size=8)
    ).save_pretrained(tmp_path / "llama")
    refused(tmp_path / "llama", "holds a llama, not a Gemma")
    refused("no-such-owner/no-such-model", "does not load as a Gemma")
    folder = Path(shutil.copytree(gemma3, tmp_path / "changed"))
    write_digest(folder)
    weights = folder / "model.safetensors"
    data = weights.read_bytes()
    weights.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    refused(folder, "changed since it was saved")
    (folder / "digest.json").unlink()
    weights.write_bytes(data[:-9])
    refused(folder, "does not load as a Gemma")
    weights.unlink()
    torch.save({}, folder / "pytorch_model.bin")
    refused(folder, "does not load as a Gemma")


def test_missing_weights_are_named_and_not_drawn_at_random(gemma3: Path, tmp_path: Path) -> None:
    import shutil

    from safetensors.torch import load_file, save_file

    folder = Path(shutil.copytree(gemma3, tmp_path / "part"))
    tensors = load_file(folder / "model.safetensors")
    name = next(k for k in tensors if "q_proj" in k)
    save_file({k: v for k, v in tensors.items() if k != name}, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=r"lacks weights: .*q_proj"):
        GemmaTextEncoder.from_pretrained(folder)
