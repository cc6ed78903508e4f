"""T5 and UMT5 in the public files give what diffusers' own pipelines give their transformers."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st

from aiprod.core.protocols import TextEncoder
from aiprod.errors import CheckpointError, CoreError
from aiprod.models.adapters.gemma import GemmaTextEncoder
from aiprod.models.adapters.load_text_encoder import load_text_encoder, padded_tokens
from aiprod.models.adapters.t5 import T5TextEncoder, TextRules, clean, read_rules, write_rules
from aiprod.models.checkpoint.folder import write_digest
from tests.models.t5_folders import PIPELINES, WORDS, save_pipeline

pytestmark = pytest.mark.bitwise

LONG = " ".join(WORDS * 40)  # beyond 512 tokens
HARD = ["  two   blue\n squares &amp;amp; ring ", "slowly itâ€™s night", LONG]


@pytest.fixture(scope="module", params=list(PIPELINES))
def family(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def folder(family: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_pipeline(tmp_path_factory.mktemp(family) / "pipeline", family)


@pytest.fixture(scope="module")
def encoder(folder: Path) -> T5TextEncoder:
    return T5TextEncoder.from_pretrained(folder)


def public(folder: Path, family: str, prompts: list[str]) -> tuple[torch.Tensor, torch.Tensor]:
    """Features and mask by diffusers' pipeline, which transformers' own classes were loaded for."""
    import diffusers

    kind = transformers.T5EncoderModel if family == "t5" else transformers.UMT5EncoderModel
    parts: dict[str, Any] = {
        "text_encoder": kind.from_pretrained(folder / "text_encoder"),
        "tokenizer": transformers.T5TokenizerFast.from_pretrained(folder / "tokenizer"),
        "vae": None,
        "transformer": None,
        "scheduler": None,
    }
    if family == "t5":
        hidden, mask, _, _ = diffusers.LTXPipeline(**parts).encode_prompt(
            prompts, do_classifier_free_guidance=False, device="cpu"
        )
        return hidden, mask
    hidden, _ = diffusers.WanPipeline(**parts).encode_prompt(
        prompts, do_classifier_free_guidance=False, device="cpu", max_sequence_length=512
    )
    return hidden, hidden.abs().sum(-1) > 0


def test_features_are_those_of_the_public_pipeline(folder: Path, family: str, encoder: T5TextEncoder) -> None:
    prompts = [*WORDS, *HARD]
    ours, (theirs, mask) = encoder.encode(prompts), public(folder, family, prompts)
    length = ours.mask.shape[1]
    assert length == {"t5": 128, "umt5": 512}[family] == encoder.rules.max_tokens, "the longest text is cut there"
    assert torch.equal(ours.mask, mask[:, :length])
    size = theirs[mask].abs().max()
    assert (ours.hidden - theirs)[ours.mask].abs().max() <= 1e-5 * size
    assert not ours.hidden[~ours.mask].any()
    if family == "umt5":
        assert not theirs[~mask].any(), "zeros follow the text, as WanBackbone pads it"


def test_features_do_not_depend_on_batch_mates(encoder: T5TextEncoder) -> None:
    together = encoder.encode(WORDS)
    for i, text in enumerate(WORDS):
        alone = encoder.encode([text])
        length = int(alone.mask.sum())
        assert length == int(together.mask[i].sum()) >= 1
        assert torch.allclose(together.hidden[i, :length], alone.hidden[0, :length], atol=1e-5)


def test_eight_bits_agree_with_fp32(folder: Path, encoder: T5TextEncoder) -> None:
    eight = T5TextEncoder.from_pretrained(folder, quantize="int8")
    kept = {n.split(".")[-1] for n, m in eight.model.named_modules() if type(m).__name__ == "Linear"}
    assert "Linear8bitLt" in {type(m).__name__ for m in eight.model.modules()}
    assert kept <= {"wo"}, "transformers keeps T5's last layers, which overflow, as they are"
    exact, found = encoder.encode(WORDS), eight.encode(WORDS)
    assert float(torch.nn.functional.cosine_similarity(exact.hidden, found.hidden, dim=-1)[exact.mask].min()) > 0.99


def test_it_has_the_interface_of_the_other_encoders(folder: Path, family: str, encoder: T5TextEncoder) -> None:
    assert isinstance(encoder, TextEncoder) and {"width", "encode"} <= set(dir(GemmaTextEncoder))
    found = load_text_encoder(folder)
    assert isinstance(found, T5TextEncoder) and found.width == 32 and found.device.type == "cpu"
    assert padded_tokens(folder) == {"t5": None, "umt5": 512}[family]
    assert not any(p.requires_grad for p in encoder.parameters()) and not encoder.model.training
    with pytest.raises(CoreError, match="no text"):
        encoder.encode([])


def test_rules_come_from_the_folder(folder: Path, family: str, tmp_path: Path) -> None:
    flat = tmp_path / "flat"
    shutil.copytree(folder / "text_encoder", flat)
    shutil.copytree(folder / "tokenizer", flat, dirs_exist_ok=True)
    usual = read_rules(folder)
    assert read_rules(flat) == usual, "of its family"
    long = TextRules(300, sees_padding=True, cleaned=False, padded=False)
    write_rules(flat, long)
    assert T5TextEncoder.from_pretrained(flat).encode(["a"]).mask.shape[1] == 300
    (flat / "text_rules.json").write_text('{"max_tokens": 0}')
    with pytest.raises(CheckpointError, match="is not understood"):
        T5TextEncoder.from_pretrained(flat)
    (flat / "text_rules.json").unlink()
    (flat / "model_index.json").write_text(json.dumps({"_class_name": "LTXConditionPipeline"}))
    assert read_rules(flat) == TextRules(256, sees_padding=True, cleaned=False, padded=False)
    with pytest.raises(CoreError, match="max_tokens is 0"):
        TextRules(0, sees_padding=False, cleaned=False, padded=False)


@given(st.text(alphabet=st.sampled_from("ab &;<>amplt\t\n'â€™é"), max_size=40))
@settings(max_examples=40, deadline=None)
def test_cleaning_is_that_of_wan(text: str) -> None:
    from diffusers.pipelines.wan.pipeline_wan import prompt_clean

    assert clean(text) == prompt_clean(text)


def test_damaged_and_foreign_folders_are_refused_with_one_line(folder: Path, tmp_path: Path) -> None:
    def refused(place: Path, words: str) -> None:
        with pytest.raises(CheckpointError, match=words) as error:
            T5TextEncoder.from_pretrained(place)
        assert "\n" not in str(error.value)

    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    weights = copy / "text_encoder/model.safetensors"
    data = weights.read_bytes()
    write_digest(copy / "text_encoder")
    weights.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    refused(copy, "changed since it was saved")
    (copy / "text_encoder/digest.json").unlink()
    weights.write_bytes(data[:-9])
    refused(copy, "does not load as a T5")
    weights.unlink()
    torch.save({}, copy / "text_encoder/pytorch_model.bin")
    refused(copy, "does not load as a T5")
    shutil.rmtree(copy / "tokenizer")
    refused(copy, "does not load as a T5")
    refused(tmp_path, "does not load as a T5")
    config = copy / "text_encoder/config.json"
    config.write_text(json.dumps({"model_type": "llama"}))
    refused(copy, "holds a llama, not a T5 or UMT5")
    with pytest.raises(CoreError, match="not known how a llama is read"):
        T5TextEncoder(
            transformers.LlamaModel(
                transformers.LlamaConfig(
                    hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1, vocab_size=8
                )
            ),
            None,
        )


def test_missing_weights_are_named_and_not_drawn_at_random(folder: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    copy = Path(shutil.copytree(folder, tmp_path / "part"))
    file = copy / "text_encoder/model.safetensors"
    tensors = load_file(file)
    name = next(k for k in tensors if k.endswith("SelfAttention.q.weight"))
    save_file({k: v for k, v in tensors.items() if k != name}, file, metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=r"lacks weights: .*SelfAttention\.q"):
        T5TextEncoder.from_pretrained(copy)
