"""What of a given checkpoint would be passed over is used, refused by name or told; never read in part."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import safetensors.torch
import torch
from diffusers import WanTransformer3DModel

from aiprod.core.types import VideoCompression
from aiprod.errors import AiprodError, CheckpointError, CoreError
from aiprod.models.adapters.hugging_face import read_text_model
from aiprod.models.adapters.load_backbone import load_backbone
from aiprod.models.checkpoint.folder import open_checkpoint
from aiprod.models.checkpoint.variants import refuse_unusual
from aiprod.trainer.stage import part_of
from aiprod.trainer.text_encoder.train import _pretrained
from aiprod.trainer.unused_parts import name_unused
from tests.models.test_backbones import wan

WHERE = "train_diffusion.init"
COMPRESSION = VideoCompression(4, 8, 8, 4)


@pytest.fixture
def pipeline(tmp_path: Path) -> Path:
    """A folder of Wan 2.2 with one transformer, as diffusers lays it out."""
    wan().save_pretrained(tmp_path / "wan" / "transformer")
    (tmp_path / "wan" / "vae").mkdir()
    index = {
        "_class_name": "WanPipeline",
        "boundary_ratio": None,
        "transformer_2": [None, None],
        "transformer": ["diffusers", "WanTransformer3DModel"],
        "vae": ["diffusers", "AutoencoderKLWan"],
    }
    (tmp_path / "wan" / "model_index.json").write_text(json.dumps(index))
    return tmp_path / "wan"


def _state(root: Path, **changes: object) -> None:
    index = json.loads((root / "model_index.json").read_text())
    (root / "model_index.json").write_text(json.dumps(index | changes))


def test_one_transformer_is_used_and_the_other_parts_are_named(pipeline: Path, capsys) -> None:
    part = part_of(pipeline, "transformer")
    name_unused(pipeline, part, WHERE)
    assert "not used here: vae" in capsys.readouterr().err
    shutil.copy(part / "diffusion_pytorch_model.safetensors", part / "diffusion_pytorch_model.fp16.safetensors")
    name_unused(part, part, WHERE)
    assert "not used of" in (said := capsys.readouterr().err) and "diffusion_pytorch_model.fp16" in said


@pytest.mark.parametrize("given", ["whole", "transformer", "transformer_2"])
@pytest.mark.parametrize("known_by", ["ratio", "index", "folder"])
def test_one_of_two_experts_is_refused_by_name(pipeline: Path, given: str, known_by: str) -> None:
    """The second one was passed over: the model knew half of the noise levels that it was asked for."""
    if known_by != "ratio":
        shutil.copytree(pipeline / "transformer", pipeline / "transformer_2")
    if known_by == "ratio":
        _state(pipeline, boundary_ratio=0.875)
        shutil.copytree(pipeline / "transformer", pipeline / "transformer_2")
    elif known_by == "index":
        _state(pipeline, transformer_2=["diffusers", "WanTransformer3DModel"])
    whole = pipeline if given == "whole" else pipeline / given
    with pytest.raises(AiprodError, match=rf"{WHERE}: .*one of two experts.*→ .*single transformer") as caught:
        name_unused(whole, part_of(whole, "transformer"), WHERE)
    assert "\n" not in str(caught.value)


def test_an_expert_in_a_folder_of_its_own_is_a_transformer(pipeline: Path, tmp_path: Path) -> None:
    _state(pipeline, boundary_ratio=0.875)
    shutil.copytree(pipeline / "transformer", tmp_path / "alone")
    name_unused(tmp_path / "alone", tmp_path / "alone", WHERE)
    assert load_backbone(tmp_path / "alone", COMPRESSION) is not None


@pytest.mark.parametrize(
    "name",
    [
        "diffusion_pytorch_model.fp16.safetensors",
        "diffusion_pytorch_model.bf16-00001-of-00001.safetensors",
        "diffusion_pytorch_model-00001-of-00001.fp8_e4m3fn.safetensors",
    ],
)
def test_weights_under_the_name_of_a_variant_are_named(pipeline: Path, name: str) -> None:
    part = pipeline / "transformer"
    (part / "diffusion_pytorch_model.safetensors").rename(part / name)
    with pytest.raises(AiprodError, match=r"only as the variant (fp16|bf16|fp8_e4m3fn) \(diffusion_pytorch_model"):
        load_backbone(part, COMPRESSION)
    with pytest.raises(CoreError, match="only as the variant"):
        open_checkpoint(part, require_digest=False)


def _eight_bits(tensors: dict[str, torch.Tensor], factor: str) -> dict[str, torch.Tensor]:
    """As tools store them: the weight over its largest value, and that value beside it."""
    result = dict(tensors)
    for name, weight in tensors.items():
        if name.endswith(".weight") and weight.ndim == 2:
            result[name] = (weight / weight.abs().max() * 448).to(torch.float8_e4m3fn)
            result[name.removesuffix("weight") + factor] = weight.abs().max() / 448
    return result


@pytest.mark.parametrize("factor", ["scale_weight", "weight_scale", "weight_scale_inv"])
def test_fp8_with_factors_is_named_and_never_read_without_them(pipeline: Path, factor: str) -> None:
    path = pipeline / "transformer" / "diffusion_pytorch_model.safetensors"
    safetensors.torch.save_file(_eight_bits(safetensors.torch.load_file(path), factor), path)
    for load in (
        lambda: load_backbone(path.parent, COMPRESSION),
        lambda: open_checkpoint(path.parent, require_digest=False),
    ):
        with pytest.raises((AiprodError, CheckpointError), match=rf"separate scale factors \(.*{factor}"):
            load()


def test_weights_packed_to_four_bits_and_stated_quantisation_are_named(pipeline: Path) -> None:
    part = pipeline / "transformer"
    path = part / "diffusion_pytorch_model.safetensors"
    whole = path.read_bytes()
    packed = {"a.weight": torch.zeros(8, 1, dtype=torch.uint8), "a.weight.absmax": torch.ones(1)}
    safetensors.torch.save_file(packed, path)
    with pytest.raises(AiprodError, match=r"quantised weights \(a\.weight\.absmax\)"):
        load_backbone(part, COMPRESSION)
    path.write_bytes(whole)
    config = json.loads((part / "config.json").read_text())
    (part / "config.json").write_text(json.dumps({**config, "quantization_config": {"quant_method": "bitsandbytes"}}))
    with pytest.raises(AiprodError, match=r"quantised weights \(bitsandbytes\)"):
        load_backbone(part, COMPRESSION)
    (part / "config.json").write_text(json.dumps(config))
    path.rename(part / "model.gguf")
    with pytest.raises(AiprodError, match=r"quantised weights \(model\.gguf\)"):
        load_backbone(part, COMPRESSION)


def test_a_text_encoder_in_fp8_with_factors_is_named_too(tmp_path: Path) -> None:
    from transformers import UMT5Config, UMT5EncoderModel

    config = UMT5Config(vocab_size=32, d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2)
    UMT5EncoderModel(config).save_pretrained(tmp_path / "t5")
    path = tmp_path / "t5" / "model.safetensors"
    safetensors.torch.save_file(_eight_bits(safetensors.torch.load_file(path), "scale_weight"), path, {"format": "pt"})
    with pytest.raises(CheckpointError, match="fp8 weights with separate scale factors"):
        read_text_model(
            tmp_path / "t5",
            what="a T5",
            families=["umt5"],
            auto_class="UMT5EncoderModel",
            quantize=None,
            device=torch.device("cpu"),
            dtype=None,
        )
    with pytest.raises(AiprodError, match="fp8 weights with separate scale factors"):
        _pretrained(tmp_path / "t5")


def test_plain_weights_of_every_kind_pass(pipeline: Path, tmp_path: Path) -> None:
    for dtype in (torch.float32, torch.bfloat16, torch.float16):
        wan().to(dtype).save_pretrained(tmp_path / str(dtype))
        refuse_unusual(tmp_path / str(dtype))
    wan().save_pretrained(tmp_path / "sharded", max_shard_size="20KB")
    assert len(list((tmp_path / "sharded").glob("*.safetensors"))) > 1
    assert isinstance(load_backbone(tmp_path / "sharded", COMPRESSION).model, WanTransformer3DModel)
    assert len(open_checkpoint(tmp_path / "sharded", require_digest=False).shards) > 1
    (tmp_path / "sharded" / "damaged.safetensors").write_bytes(b"\xff" * 40)
    refuse_unusual(tmp_path / "sharded")
    refuse_unusual(tmp_path / "nowhere")
