"""Small files in the layouts that makers publish.

Names, shapes and outputs in ``ltx2.json`` and ``wan.json`` are from the published code itself, run on these very
weights (:mod:`tests.models.published.deterministic`): Lightricks' ``ltx-core`` 1.2.0, and Wan 2.2's repository.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from tests.models.published.deterministic import some, values

HERE = Path(__file__).parent


@functools.cache
def reference(family: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((HERE / f"{family}.json").read_text(encoding="utf-8"))
    return found


@functools.cache
def _ltx2(version: str) -> dict[str, Tensor]:
    return {name: values(name, shape) for name, shape in reference("ltx2")[version]["names"].items()}


def ltx2_tensors(version: str) -> dict[str, Tensor]:
    return dict(_ltx2(version))


def ltx2_metadata(version: str) -> dict[str, str]:
    return {"config": json.dumps(reference("ltx2")[version]["config"]), "model_version": f"{version}.0"}


def save_ltx2(path: Path, version: str = "2.0", **changes: Any) -> Path:
    """One file with everything; ``changes`` are settings of the transformer that the metadata states otherwise."""
    config = json.loads(json.dumps(reference("ltx2")[version]["config"]))
    config["transformer"].update(changes)
    save_file(ltx2_tensors(version), path, metadata={"config": json.dumps(config), "model_version": f"{version}.0"})
    return path


def save_split(folder: Path, version: str = "2.3", *, bare: bool = True) -> Path:
    """``diffusion_models`` and ``vae`` (twice) as LTX-2.5 is published; the text encoder is apart."""
    tensors, metadata = ltx2_tensors(version), ltx2_metadata(version)
    dit = "model.diffusion_model."
    parts: dict[str, dict[str, Tensor]] = {
        "diffusion_models/transformer.safetensors": {
            (n.removeprefix(dit) if bare else n): t for n, t in tensors.items() if n.startswith(dit)
        },
        "vae/video-vae-conv.safetensors": {
            (n.removeprefix("vae.") if bare else n): t for n, t in tensors.items() if n.startswith("vae.")
        },
        "vae/audio-vae.safetensors": {n: t for n, t in tensors.items() if n.startswith(("audio_vae.", "vocoder."))},
    }
    for name, held in parts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        save_file(held, folder / name, metadata=metadata)
    return folder


def wan_tensors(part: str) -> dict[str, Tensor]:
    names = reference("wan")[part]["names"]
    return {n: values(n, shape) + (1 if n.endswith("gamma") else 0) for n, shape in names.items()}


def shards(folder: Path, tensors: Mapping[str, Tensor], stem: str = "diffusion_pytorch_model", count: int = 2) -> Path:
    """Several files with an index."""
    folder.mkdir(parents=True, exist_ok=True)
    names = sorted(tensors)
    weight_map = {n: f"{stem}-{i % count + 1:05d}-of-{count:05d}.safetensors" for i, n in enumerate(names)}
    for file in set(weight_map.values()):
        save_file({n: tensors[n] for n in names if weight_map[n] == file}, folder / file)
    (folder / f"{stem}.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    return folder


def scaled_fp8(tensors: Mapping[str, Tensor], style: str, rows: bool = False) -> dict[str, Tensor]:
    """Matrices in 8 bits with factors as Lightricks (``weight_scale``) or ComfyUI (``scale_weight``) names them."""
    made: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if tensor.dim() != 2 or not name.endswith(".weight"):
            made[name] = tensor
            continue
        axis = {"dim": 1} if rows else {}
        scale = (tensor.abs().amax(**axis) / 448).clamp(min=1e-8)
        made[name] = (tensor / (scale[:, None] if rows else scale)).to(torch.float8_e4m3fn)
        stem = name.removesuffix(".weight")
        if style == "comfyui":
            made[f"{stem}.scale_weight"] = scale.reshape(-1, 1) if rows else scale.reshape(1)
        else:
            made[f"{stem}.weight_scale"] = scale
            made[f"{stem}.input_scale"] = torch.tensor(1.0)
    if style == "comfyui":
        made["scaled_fp8"] = torch.zeros(2, dtype=torch.float8_e4m3fn)
    return made


def agree(family: str, version: str, name: str, got: Tensor, tolerance: float = 1e-4) -> None:
    """What the published code gave for the same weights and inputs."""
    wanted = torch.tensor(reference(family)[version]["outputs"][name], dtype=torch.float64)
    found = torch.tensor(some(got), dtype=torch.float64)
    assert float(wanted.std()) > 1e-3, "an output that could tell something"
    torch.testing.assert_close(found, wanted, atol=tolerance * float(wanted.abs().max()), rtol=0)
