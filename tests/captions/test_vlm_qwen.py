"""The vision-language captioner against a tiny checkpoint of the Qwen-VL class, whose pictures vary in tokens."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from aiprod.captions.captioner import Captioner, Draft, Subject
from aiprod.captions.params import VlmParams
from aiprod.captions.vlm import VlmCaptioner
from aiprod.cli import app
from tests.captions.shapes import check_mixed_batch
from tests.qc.films import texture, write

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
                "vocab_size": len(words),
                "hidden_size": 16,
                "intermediate_size": 32,
                "num_hidden_layers": 2,
                "num_attention_heads": 2,
                "num_key_value_heads": 2,
                "pad_token_id": 0,
                "bos_token_id": 1,
                "eos_token_id": 2,
                "rope_parameters": {"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 10000.0},
            },
            vision_config={
                "depth": 1,
                "embed_dim": 16,
                "hidden_size": 16,
                "num_heads": 2,
                "mlp_ratio": 2,
                "patch_size": 14,
            },
            image_token_id=words.index("<|image_pad|>"),
            video_token_id=words.index("<|video_pad|>"),
            vision_start_token_id=words.index("<|vision_start|>"),
            vision_end_token_id=words.index("<|vision_end|>"),
        )
    )
    with torch.no_grad():  # a language head that likes its content words, so that an answer is never empty
        model.lm_head.weight[:8] = 0.0
    folder = tmp_path_factory.mktemp("qwen")
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def _drafts(captioner: Captioner, subjects: list[Subject]) -> list[Draft | str]:
    return [draft for _, draft in captioner.answers(subjects)]


def test_films_of_different_shape_share_a_batch(checkpoint: Path, tmp_path: Path) -> None:
    """Pictures of this class have as many tokens as their size asks for, so a batch is padded."""
    check_mixed_batch(checkpoint, tmp_path, tall=(96, 48))


def test_a_film_too_thin_for_the_checkpoint_costs_its_own_line(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Qwen's processor takes no picture of more than 200 to 1; the films beside it are described."""
    monkeypatch.chdir(tmp_path)
    for name, (height, width) in {"a": (96, 160), "thin": (4, 1200), "z": (96, 160)}.items():
        write(tmp_path / f"{name}.mkv", [texture(width, height, 1)] * 24)
    asked = ["caption", str(tmp_path), "--json", "--vlm", str(checkpoint), "--workers", "1"]
    said = CliRunner().invoke(app, asked)
    assert said.exit_code == 1 and isinstance(said.exception, SystemExit), said.output
    lines = {Path(line["file"]).stem: line for line in map(json.loads, said.stdout.splitlines())}
    assert [lines[name]["status"] for name in ("a", "thin", "z")] == ["ok", "error", "ok"]
    assert lines["a"]["caption"] and lines["z"]["caption"]
    [reason] = lines["thin"]["reasons"]
    assert "the checkpoint cannot describe it" in reason and "aspect ratio" in reason and "\n" not in reason
    captioner = VlmCaptioner(VlmParams(checkpoint=str(checkpoint), frames=2, tokens_max=4, device="cpu", batch=4))
    drafts = _drafts(captioner, [Subject(n, {}, path=tmp_path / f"{n}.mkv") for n in ("a", "thin", "z")])
    assert [isinstance(draft, Draft) for draft in drafts] == [True, False, True], "in the stage's batches too"


def test_whatever_a_captioner_raises_is_a_line_for_its_clip(tmp_path: Path) -> None:
    class Odd(Captioner):
        name, summary, version = "odd", "", "1"

        @classmethod
        def begin(cls, params):
            return cls()

        def describe(self, subjects):
            if any(subject.clip_id == "b" for subject in subjects):
                raise TypeError("what\nis this")
            return [Draft(subject.clip_id) for subject in subjects]

    drafts = _drafts(Odd(), [Subject(name, {}) for name in "abc"])
    assert drafts == [Draft("a"), "the captioner 'odd' failed on it (TypeError: what)", Draft("c")]

    class Full(Odd):
        def describe(self, subjects):
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError):
        _drafts(Full(), [Subject("a", {})])
