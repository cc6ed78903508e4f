"""A LoRA goes out and comes in unchanged in every style, and diffusers and peft make of it what we make of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from aiprod.core.transformer.config import AVTransformerConfig
from aiprod.core.transformer.model import AVTransformer
from aiprod.errors import CheckpointError
from aiprod.models.checkpoint.header import read_header
from aiprod.models.checkpoint.lora import fuse_lora
from aiprod.models.checkpoint.lora_file import STYLES, LoraLayer, Style, fit_lora, is_lora, read_lora, write_lora
from aiprod.models.checkpoint.lora_names import published_names
from tests.models.test_backbones import ltx, ltx2, wan

FAMILIES = {"ltx": ltx, "ltx2": ltx2, "wan": wan}


def linears(model: nn.Module) -> dict[str, nn.Linear]:
    return {n: m for n, m in model.named_modules() if isinstance(m, nn.Linear)}


def layers_for(model: nn.Module, *, mixed: bool = True) -> dict[str, LoraLayer]:
    """Of every linear layer in the blocks; ``mixed`` ranks and alphas."""
    generator = torch.Generator().manual_seed(1)
    made = {}
    for number, (name, layer) in enumerate(linears(model).items()):
        if "blocks." not in name:
            continue
        rank = 2 + number % 2 if mixed else 2
        made[name] = LoraLayer(
            torch.randn(rank, layer.in_features, generator=generator),
            torch.randn(layer.out_features, rank, generator=generator) / 4,
            1.5 if mixed and number % 3 else 3.0,
        )
    return made


def shapes(model: nn.Module) -> dict[str, tuple[int, ...]]:
    return {n: tuple(t.shape) for n, t in model.state_dict().items()}


def own() -> AVTransformer:
    return AVTransformer(AVTransformerConfig.preset("demo", depth=1, text_dim=8))


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("family", ["ltx2", "wan", "own"])
def test_what_is_written_is_read_back_to_the_bit(tmp_path: Path, family: str, style: Style) -> None:
    model = own() if family == "own" else FAMILIES[family]()
    layers, target = layers_for(model), tmp_path / ("folder" if style == "peft" else "lora.safetensors")
    write_lora(layers, target, style, shapes(model))
    lora = read_lora(target)
    assert lora.style == style
    back = fit_lora(lora, shapes(model))
    assert back.keys() == layers.keys()
    for name, layer in layers.items():
        assert torch.equal(back[name].down, layer.down) and torch.equal(back[name].up, layer.up), name
        assert back[name].alpha == layer.alpha and back[name].rank == layer.rank, name
    once = fuse_lora(model.state_dict(), target, 0.5)
    for name, layer in layers.items():
        wanted = model.state_dict()[f"{name}.weight"] + 0.5 * layer.alpha / layer.rank * layer.up @ layer.down
        torch.testing.assert_close(once[f"{name}.weight"], wanted, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("style", STYLES)
def test_the_same_layers_are_the_same_bytes(tmp_path: Path, style: Style) -> None:
    written = set()
    for number in range(20):
        target = tmp_path / str(number)
        write_lora(layers_for(own()), target, style, metadata={"license": "CC0-1.0", "base": "a" * 64, "title": "own"})
        written.add((target / "adapter_model.safetensors" if target.is_dir() else target).read_bytes())
    assert len(written) == 1


@pytest.mark.parametrize("family", ["ltx2", "wan"])
def test_published_names_are_what_diffusers_turns_back(family: str) -> None:
    """diffusers' own converters of whole checkpoints, asked about every layer of the model."""
    from diffusers.loaders import single_file_utils as theirs

    names = list(linears(FAMILIES[family]()))
    spoken = published_names(names)
    turned = getattr(theirs, f"convert_{family}_transformer_to_diffusers")(
        {f"{spoken.get(name, name)}.weight": name for name in names}
    )
    assert {f"{name}.weight": name for name in names} == turned
    assert len(spoken) > len(names) / 5


@pytest.mark.parametrize("style", ["diffusers", "comfyui", "kohya"])
@pytest.mark.parametrize("family", ["ltx2", "wan"])
@torch.no_grad()
def test_diffusers_reads_what_is_written(tmp_path: Path, family: str, style: Style) -> None:
    """Each weight with diffusers' adapter on it is the one that we fuse."""
    import diffusers

    if (family, style) == ("ltx2", "kohya"):
        pytest.skip("diffusers reads kohya's keys of Wan, and none of LTX-2")
    model = FAMILIES[family]()
    layers = layers_for(model, mixed=style != "comfyui" or family == "wan")
    if (family, style) == ("ltx2", "comfyui"):  # diffusers takes no alpha beside LTX-2's layers
        layers = {n: LoraLayer(layer.down, layer.up, float(layer.rank)) for n, layer in layers.items()}
    write_lora(layers, tmp_path / "lora.safetensors", style, shapes(model))
    pipeline: Any = {"ltx2": diffusers.LTX2Pipeline, "wan": diffusers.WanPipeline}[family]
    state, metadata = pipeline.lora_state_dict(
        str(tmp_path), weight_name="lora.safetensors", return_lora_metadata=True, local_files_only=True
    )
    plain = {n: t.clone() for n, t in model.state_dict().items()}
    model.load_lora_adapter(state, prefix="transformer", metadata=metadata or None)
    model.fuse_lora()
    model.unload_lora()
    ours = fuse_lora(plain, tmp_path / "lora.safetensors")
    theirs = model.state_dict()
    assert any(not torch.equal(theirs[n], plain[n]) for n in plain)
    for name in plain:
        torch.testing.assert_close(ours[name], theirs[name], atol=2e-5, rtol=1e-4, msg=name)


@torch.no_grad()
def test_peft_reads_what_is_written(tmp_path: Path) -> None:
    from peft import PeftModel

    net = nn.ModuleDict({"blocks": nn.ModuleList([nn.Linear(6, 5), nn.Linear(5, 7)])})
    layers = layers_for(net)
    write_lora(layers, tmp_path / "lora", "peft", shapes(net))
    fused = fuse_lora(net.state_dict(), tmp_path / "lora")
    merged = PeftModel.from_pretrained(net, str(tmp_path / "lora")).merge_and_unload()
    for name, weight in merged.state_dict().items():
        torch.testing.assert_close(fused[name], weight, atol=1e-6, rtol=1e-5)


def test_old_names_of_the_pairs_are_read(tmp_path: Path) -> None:
    a, b = torch.randn(2, 4), torch.randn(3, 2)
    save_file({"transformer.x.lora.down.weight": a, "transformer.x.lora.up.weight": b}, tmp_path / "old.safetensors")
    layer = fit_lora(read_lora(tmp_path / "old.safetensors"), {"x.weight": (3, 4)})["x"]
    assert torch.equal(layer.down, a) and layer.alpha == 2


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("unknown", r"lora\.safetensors: blocks\.7\.self_attn\.q has no weight in the model"),
        ("norm", r"not a LoRA of A and B pairs \(diffusion_model\.blocks\.0\.norm3\.diff"),
        ("dora", r"not a LoRA of A and B pairs \(.*dora_scale"),
        ("mixed", "holds layers of the transformer and others"),
        ("rank", r"do not fit each other \(\[3, .*\] and \[.*, 5\]\)"),
        ("alpha", "the alpha of .* is not a number"),
        ("metadata", "damaged metadata"),
    ],
)
def test_what_is_not_understood_is_refused_by_name(tmp_path: Path, change: str, named: str) -> None:
    model = wan()
    file = tmp_path / "lora.safetensors"
    write_lora(layers_for(model), file, "comfyui", shapes(model))
    tensors, texts = load_file(file), {"format": "pt"}
    first = "diffusion_model.blocks.0.self_attn.q"
    if change == "unknown":
        for part in ("A", "B"):
            tensors[f"diffusion_model.blocks.7.self_attn.q.lora_{part}.weight"] = tensors[f"{first}.lora_{part}.weight"]
    elif change == "norm":
        tensors["diffusion_model.blocks.0.norm3.diff"] = torch.zeros(4)
    elif change == "dora":
        tensors[f"{first}.dora_scale"] = torch.zeros(4)
    elif change == "mixed":
        for part in ("A", "B"):
            tensors[f"text_encoder.x.lora_{part}.weight"] = torch.zeros(2, 2)
    elif change == "rank":
        tensors[f"{first}.lora_B.weight"] = torch.zeros(32, 5)
    elif change == "alpha":
        tensors[f"{first}.alpha"] = torch.tensor(float("nan"))
    else:
        texts["lora_adapter_metadata"] = "["
    save_file({n: t.contiguous().clone() for n, t in tensors.items()}, file, metadata=texts)
    with pytest.raises(CheckpointError, match=named):
        fit_lora(read_lora(file), shapes(model))


def test_kohya_names_that_could_be_two_layers_are_refused(tmp_path: Path) -> None:
    names = {"a.b_c.weight": (3, 4), "a_b.c.weight": (3, 4)}
    layer = LoraLayer(torch.zeros(2, 4), torch.zeros(3, 2), 2.0)
    write_lora({"a.b_c": layer}, tmp_path / "x.safetensors", "kohya", names)
    with pytest.raises(CheckpointError, match="a_b_c has no weight"):
        fit_lora(read_lora(tmp_path / "x.safetensors"), names)


def test_a_file_says_how_it_was_scaled(tmp_path: Path) -> None:
    model = wan()
    write_lora(layers_for(model, mixed=False), tmp_path / "a.safetensors", "diffusers", shapes(model), {"note": "mine"})
    header = read_header(tmp_path / "a.safetensors")
    said = json.loads(header.metadata["lora_adapter_metadata"])
    assert (said["transformer.r"], said["transformer.lora_alpha"], header.metadata["note"]) == (2, 3.0, "mine")
    assert is_lora(header.tensors) and not is_lora(["blocks.0.weight"])
