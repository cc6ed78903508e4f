"""Small speech models in the layouts of Kokoro and StyleTTS2.

Names, shapes and outputs in ``kokoro.json`` and ``styletts2.json`` are from the published code itself (``kokoro``
0.9.4, and StyleTTS2's repository with its HiFi-GAN), made narrow and run in double precision on these very weights,
without noise.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor

from tests.models.published.deterministic import values

HERE = Path(__file__).parent
Change = Callable[[dict[str, dict[str, Tensor]]], object]


@functools.cache
def reference(family: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((HERE / f"{family}.json").read_text(encoding="utf-8"))
    return found


def weight(family: str, name: str, shape: list[int]) -> Tensor:
    """Weights that give neither silence nor noise."""
    value = values(name, shape)
    if name.endswith("F0_proj.bias"):
        value = value + 120
    if name.endswith("weight_g") or "alpha" in name:
        value = value.abs() + 0.3
    if name.endswith("linear_layer.weight"):
        value = value * 9
    if "conv_post.weight_g" in name:
        value = value * (0.2 if family == "kokoro" else 0.02)
    return value


@functools.cache
def _tables(family: str) -> dict[str, dict[str, Tensor]]:
    tables: dict[str, dict[str, Tensor]] = {}
    for name, shape in reference(family)["names"].items():
        network, _, rest = name.partition(".")
        value = weight(family, name, shape)
        tables.setdefault(network, {})[rest] = value.long() if rest.endswith("position_ids") else value
    return tables


def style(values_each: int = 8) -> Tensor:
    return values("style", (values_each,))


def save_kokoro(folder: Path, change: Change = lambda tables: None, **settings: Any) -> Path:
    """``config.json``, ``kokoro-v1_0.pth`` and ``voices``; the file of weights."""
    folder.mkdir(parents=True, exist_ok=True)
    tables = {name: dict(table) for name, table in _tables("kokoro").items()}
    change(tables)
    (folder / "config.json").write_text(json.dumps({**reference("kokoro")["config"], **settings}))
    torch.save(tables, folder / "kokoro-v1_0.pth")
    (folder / "voices").mkdir(exist_ok=True)
    for number, name in enumerate(("af_one", "am_two")):
        rows = style().repeat(510, 1, 1) * torch.linspace(1, 0.5 - number / 4, 510)[:, None, None]
        torch.save(rows, folder / f"voices/{name}.pt")
    return folder / "kokoro-v1_0.pth"


def save_styletts2(folder: Path, change: Change = lambda tables: None) -> Path:
    """What StyleTTS2's training writes: networks of training and the optimizer's state among it."""
    config = dict(reference("styletts2")["config"])
    plbert = config.pop("plbert")
    tables = {name: dict(table) for name, table in _tables("styletts2").items()}
    change(tables)
    (folder / "Utils/PLBERT").mkdir(parents=True)
    (folder / "Utils/PLBERT/config.yml").write_text(yaml.safe_dump({"model_params": plbert}))
    about = {"model_params": config, "preprocess_params": {"sr": 24_000}, "PLBERT_dir": "Utils/PLBERT/"}
    (folder / "config.yml").write_text(yaml.safe_dump(about))
    extra = {"mpd": {"module.x": torch.zeros(2)}, "diffusion": {"module.y": torch.zeros(3)}}
    saved = {
        "net": tables | extra,
        "optimizer": [{"step": torch.tensor(3.0)}],
        "iters": 3,
        "val_loss": 1.5,
        "epoch": 20,
    }
    torch.save(saved, folder / "epochs_2nd_00020.pth")
    return folder / "epochs_2nd_00020.pth"
