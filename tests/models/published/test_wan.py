"""Wan as published is read whole, and gives what the published code gives."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from aiprod.errors import CheckpointError
from aiprod.models.published.recognise import expert_of
from aiprod.models.published.wan import wan_transformer, wan_vae
from aiprod.models.published.weights import open_weights
from tests.models.published.deterministic import values
from tests.models.published.files import agree, shards, wan_tensors
from tests.models.published.test_ltx2 import made


@torch.no_grad()
@pytest.mark.parametrize("layout", ["comfyui", "bare", "shards"])
def test_the_transformer_gives_what_the_published_code_gives(tmp_path: Path, layout: str) -> None:
    tensors = wan_tensors("transformer")
    if layout == "shards":  # as the Wan team publishes it: with its own configuration
        path = shards(tmp_path / "high_noise_model", tensors)
        config = {"_class_name": "WanModel", "dim": 128, "num_heads": 1, "eps": 1e-6, "model_type": "t2v"}
        (path / "config.json").write_text(json.dumps(config))
    else:
        path = tmp_path / "wan.safetensors"
        prefix = "model.diffusion_model." if layout == "comfyui" else ""
        save_file({f"{prefix}{n}": t for n, t in tensors.items()}, path)
    model = made(wan_transformer(open_weights(path)))
    text = torch.zeros(1, 8, 24)
    text[0, :5] = values("in.text", (5, 24), 1.0)
    out = model(values("in.video", (1, 16, 2, 4, 6), 1.0), torch.tensor([700.0]), text).sample
    agree("wan", "transformer", "transformer", out)


@torch.no_grad()
@pytest.mark.parametrize(
    ("version", "clip", "latent"),
    [("vae2.1", (1, 3, 5, 32, 48), (1, 16, 2, 4, 6)), ("vae2.2", (1, 3, 5, 64, 96), (1, 48, 2, 4, 6))],
)
def test_the_autoencoders_give_what_the_published_code_gives(
    tmp_path: Path, version: str, clip: tuple[int, ...], latent: tuple[int, ...]
) -> None:
    save_file(wan_tensors(version), tmp_path / "vae.safetensors")
    model = made(wan_vae(open_weights(tmp_path / "vae.safetensors")))
    agree("wan", version, "encode", model.encode(values("in.clip", clip, 1.0)).latent_dist.mean)
    agree("wan", version, "decode", model.decode(values("in.latent", latent, 1.0)).sample)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("image", "takes more than noise and text.*img_emb"),
        ("channels", "36 channels, and gives 16"),
        ("vace", "takes more than noise and text.*vace_blocks"),
        ("extra", r"not known: blocks\.0\.router\.weight"),
        ("heads", "100 values a token"),
        ("less", r"missing: blocks\.1\.attn2\.to_q\.weight"),
    ],
)
def test_other_models_of_the_family_are_refused_by_name(tmp_path: Path, change: str, named: str) -> None:
    tensors = wan_tensors("transformer")
    if change == "image":
        tensors["img_emb.proj.0.weight"] = torch.zeros(4)
    elif change == "channels":
        tensors["patch_embedding.weight"] = torch.zeros(128, 36, 1, 2, 2)
    elif change == "vace":
        tensors["vace_blocks.0.after_proj.bias"] = torch.zeros(4)
    elif change == "extra":
        tensors["blocks.0.router.weight"] = torch.zeros(2, 2)
    elif change == "heads":
        tensors["patch_embedding.weight"] = torch.zeros(100, 16, 1, 2, 2)
    else:
        del tensors["blocks.1.cross_attn.q.weight"]
    save_file(tensors, tmp_path / "a.safetensors")
    with pytest.raises(CheckpointError, match=named):
        wan_transformer(open_weights(tmp_path / "a.safetensors")).check()


def test_an_autoencoder_of_unknown_latents_is_refused(tmp_path: Path) -> None:
    tensors = wan_tensors("vae2.1")
    tensors["conv2.weight"] = torch.zeros(20, 20, 1, 1, 1)
    save_file(tensors, tmp_path / "a.safetensors")
    with pytest.raises(CheckpointError, match="latents of 20 channels"):
        wan_vae(open_weights(tmp_path / "a.safetensors"))


@pytest.mark.parametrize(
    ("name", "expert"),
    [
        ("wan2.2_t2v_high_noise_14B_fp16.safetensors", "transformer"),
        ("Wan2_2-T2V-A14B-LOW-noise_fp8.safetensors", "transformer_2"),
        ("low_noise_model/diffusion_pytorch_model.safetensors", "transformer_2"),
        ("wan2.1_t2v_1.3B.safetensors", None),
        ("high_noise_model/low_noise.safetensors", None),
    ],
)
def test_experts_are_known_by_their_names(name: str, expert: str | None) -> None:
    assert expert_of(Path("models") / name) == expert
