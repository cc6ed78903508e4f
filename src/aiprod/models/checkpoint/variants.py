"""Names what a checkpoint folder holds in a form that would be passed over, or read as something else.

Libraries look for one file name and take every tensor at its word. A folder that has only ``…fp16.safetensors`` looks
empty to them, and an 8-bit weight that is stored with a factor beside it is read without the factor.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path

from aiprod.errors import CheckpointError
from aiprod.models.checkpoint.header import read_header

_VARIANT = re.compile(
    r"(?:model|diffusion_pytorch_model|pytorch_model|adapter_model)"
    r"(?:\.([\w-]+?)(?:-\d+-of-\d+)?|-\d+-of-\d+\.([\w-]+))\.safetensors"
)
_FACTOR = re.compile(r"(?:^|[._])(?:scale_weight|weight_scale(?:_inv|_2)?|scale_input|input_scale|scaled_fp8|scales?)$")
_PACKED = re.compile(r"(?:SCB|absmax|quant_map|quant_state\..+|qweight|qzeros|weight_packed|weight_zero_point)$")
_PLAIN = "give the same model in bf16, fp16 or fp32"


def refuse_unusual(folder: Path | str) -> None:
    """Refuse weights that are quantised, or named as a variant where there are none of the plain name.

    A folder whose ``config.json`` states a ``quantization_config`` says itself how it is read, and passes.

    Raises:
        CheckpointError: names the files, or the tensors, and what to give instead.
    """
    root = Path(folder)
    if not root.is_dir():
        return
    files = sorted(p for p in root.iterdir() if p.is_file() and not p.name.startswith("."))
    named = {p: _variant(p.name) for p in files if p.suffix == ".safetensors"}
    plain = [p for p, variant in named.items() if variant is None]
    variants = {p: variant for p, variant in named.items() if variant is not None}
    if variants and not plain:
        kinds = sorted(set(variants.values()))
        raise CheckpointError(
            f"{root} holds its weights only as the variant {' and '.join(kinds)} ({some_of(p.name for p in variants)})",
            f"take .{kinds[0]} out of the files' names (and of those in an index), or give the plain variant",
        )
    packed = [p.name for p in files if p.suffix in (".gguf", ".ggml")]
    if packed and not named:
        raise CheckpointError(f"{root} holds quantised weights ({some_of(packed)})", _PLAIN)
    if _states_how(root):
        return
    for path in plain:
        _refuse_quantised(path)


def unused_variants(folder: Path | str) -> list[str]:
    """Weight files beside those of the plain name, which nothing reads."""
    root = Path(folder)
    return sorted(p.name for p in root.iterdir() if p.is_file() and _variant(p.name)) if root.is_dir() else []


def _variant(name: str) -> str | None:
    match = _VARIANT.fullmatch(name)
    return (match[1] or match[2]) if match else None


def _states_how(root: Path) -> bool:
    try:
        return "quantization_config" in json.loads((root / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError):
        return False  # whoever opens the folder says so


def _refuse_quantised(path: Path) -> None:
    try:
        kinds = {name: about.dtype for name, about in read_header(path).tensors.items()}
    except CheckpointError:
        return  # whoever reads the file says so
    eight = sorted(name for name, kind in kinds.items() if kind.startswith("F8"))
    factors = sorted(name for name in kinds if _FACTOR.search(name))
    if eight and factors:
        raise CheckpointError(f"{path} holds fp8 weights with separate scale factors ({some_of(factors)})", _PLAIN)
    if packed := sorted(name for name in kinds if _PACKED.search(name)):
        raise CheckpointError(f"{path} holds quantised weights ({some_of(packed)})", _PLAIN)


def some_of(names: Iterable[str], limit: int = 5) -> str:
    """The first names, and how many more there are."""
    every = list(names)
    return ", ".join(every[:limit]) + (f" and {len(every) - limit} more" if len(every) > limit else "")
