"""Wan as published is read whole, and gives what the published code gives."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from typer.testing import CliRunner

from aiprod.cli import app
from aiprod.core.components.patchifier import VideoLatentPatchifier
from aiprod.core.transformer.modality import ModalityInput
from aiprod.core.types import VideoCompression
from aiprod.errors import AiprodError, CheckpointError
from aiprod.models.adapters.load_backbone import load_backbone
from aiprod.models.adapters.wan import EXPERTS, WanBackbone
from aiprod.models.checkpoint.folder import read_safetensors, save_checkpoint
from aiprod.models.checkpoint.lora import fuse_lora
from aiprod.models.load_transformer import load_transformer
from aiprod.models.published.import_pipeline import import_pipeline
from aiprod.models.published.recognise import expert_of
from aiprod.models.published.wan import wan_transformer, wan_vae
from aiprod.models.published.weights import open_weights
from aiprod.trainer.diffusion.lora import LoraParams, add_lora, base_weights, save_lora
from tests.models.published.deterministic import values
from tests.models.published.files import agree, shards, wan_tensors
from tests.models.published.test_ltx2 import made

VIDEO = VideoCompression(4, 8, 8, 16)


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
    # Random weights amplify rounding: in single precision, processors differ by up to 1.5e-4.
    model = made(wan_vae(open_weights(tmp_path / "vae.safetensors"))).double()
    agree("wan", version, "encode", model.encode(values("in.clip", clip, 1.0).double()).latent_dist.mean)
    agree("wan", version, "decode", model.decode(values("in.latent", latent, 1.0).double()).sample)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("image", "takes more than noise and text.*img_emb"),
        ("channels", "36 channels, and gives 16"),
        ("vace", "takes more than noise and text.*vace_blocks"),
        ("extra", r"not known: blocks\.0\.router\.weight"),
        ("heads", "100 values per token"),
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


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pipeline of two experts of which the second has other weights."""
    folder = tmp_path_factory.mktemp("pair")
    tensors = wan_tensors("transformer")
    save_file(tensors, folder / "wan2.2_high_noise.safetensors")
    save_file({n: t * 1.2 for n, t in tensors.items()}, folder / "wan2.2_low_noise.safetensors")
    import_pipeline([folder], folder / "given")
    return folder / "given"


def asked(levels: list[float], seed: int = 3) -> ModalityInput:
    batch, generator = len(levels), torch.Generator().manual_seed(seed)
    latent = torch.randn(batch, 16, 2, 4, 6, generator=generator)
    tokens, positions = VideoLatentPatchifier(VIDEO, (1, 2, 2)).patchify(latent, 16.0)
    text = torch.randn(batch, 5, 24, generator=generator)
    return ModalityInput(tokens, torch.tensor(levels)[:, None], positions, text, torch.ones(batch, 5, dtype=torch.bool))


@torch.no_grad()
def test_each_expert_is_asked_in_its_range_of_noise(pair: Path) -> None:
    both = load_transformer(pair, VIDEO, 8)
    alone = [load_backbone(pair / n, VIDEO, text_tokens=8).eval() for n in ("transformer", "transformer_2")]
    levels = [1.0, 0.876, 0.875, 0.874, 0.3]
    mixed = asked(levels)
    out = both(mixed, None).video
    assert out is not None
    for row, level in enumerate(levels):
        one = ModalityInput(*(None if t is None else t[row : row + 1] for t in mixed))
        wanted, other = (model(one, None).video for model in (alone if level >= 0.875 else alone[::-1]))
        assert wanted is not None and other is not None
        torch.testing.assert_close(out[row : row + 1], wanted, atol=1e-5, rtol=1e-4)
        assert not torch.allclose(out[row : row + 1], other, atol=1e-2)
    given = mixed._replace(timesteps=mixed.timesteps.expand(-1, mixed.latent.shape[1]).clone())
    given.timesteps[:, :6] = 0.0  # a first frame that is given changes no expert
    assert both(given, None).video is not None


def test_both_experts_are_trained_saved_and_opened_again(pair: Path, tmp_path: Path) -> None:
    model = load_transformer(pair, VIDEO, 8)
    assert isinstance(model, WanBackbone) and len(model.blocks) == 4
    base = {n.removeprefix("model."): t.clone() for n, t in model.state_dict().items()}
    params = LoraParams(rank=2, alpha=3.0)
    add_lora(model, params, seed=0)
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    for _ in range(2):  # B starts at 0, so A moves from the second step on
        loss = model(asked([0.95, 0.2]), None).video.square().mean()
        loss.backward()
        optimizer.step()
    trained = {n.removeprefix("model."): t for n, t in model.state_dict().items()}
    moved = {n.split(".")[0] for n, t in trained.items() if "lora_B" in n and bool(t.any())}
    assert moved == {"high", "low"}, "each expert learned from the sample in its range"
    save_lora(trained, params, tmp_path / "lora")
    config = {k: v for k, v in model.config.items() if not k.startswith("_")}
    fused = fuse_lora(base_weights(trained), tmp_path / "lora")
    assert fused.keys() == base.keys()
    save_checkpoint(tmp_path / "out", config, fused, EXPERTS, weights_name="diffusion_pytorch_model.safetensors")
    again = load_transformer(tmp_path / "out", VIDEO, 8)
    with torch.no_grad():
        one, other = (m.eval()(asked([0.9, 0.5]), None).video for m in (again, model))
    torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-3)
    for expert, part in (("high", "transformer"), ("low", "transformer_2")):
        file = tmp_path / f"{expert}_noise.safetensors"
        arguments = ["model", "lora", str(tmp_path / "lora"), "--style", "comfyui", "--expert", expert]
        done = CliRunner().invoke(app, [*arguments, "--model", str(pair), "--to", str(file)])
        assert done.exit_code == 0, done.output
        weights = read_safetensors(pair / part / "diffusion_pytorch_model.safetensors")
        for name, weight in fuse_lora(weights, file).items():
            torch.testing.assert_close(weight, fused[f"{expert}.{name}"], msg=name)


@pytest.mark.parametrize(
    ("change", "named"), [("ratio", "states no boundary_ratio"), ("class", "holds a LTXVideoTransformer3DModel")]
)
def test_a_pair_that_is_none_is_refused(pair: Path, tmp_path: Path, change: str, named: str) -> None:
    shutil.copytree(pair, tmp_path / "p")
    path = tmp_path / "p" / ("model_index.json" if change == "ratio" else "transformer_2/config.json")
    said = json.loads(path.read_text())
    said |= {"boundary_ratio": None} if change == "ratio" else {"_class_name": "LTXVideoTransformer3DModel"}
    path.write_text(json.dumps(said))
    with pytest.raises(AiprodError, match=named):
        load_transformer(tmp_path / "p", VIDEO, 8)
