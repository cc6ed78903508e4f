"""Opens a checkpoint folder in diffusers format as a backbone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from aiprod.base.files import read_json
from aiprod.core.types import VideoCompression
from aiprod.errors import AiprodError, CoreError
from aiprod.models.adapters.backbone import DiffusersBackbone
from aiprod.models.checkpoint.variants import refuse_unusual

EXPERT_PARTS = ("transformer", "transformer_2")
_CLASSES = ("LTX2VideoTransformer3DModel", "LTXVideoTransformer3DModel", "WanTransformer3DModel")


def load_backbone(
    folder: Path | str,
    compression: VideoCompression,
    *,
    dtype: torch.dtype = torch.float32,
    text_tokens: int | None = None,
    sound: bool = True,
) -> DiffusersBackbone:
    """A public transformer checkpoint as the backbone of our trainers and samplers.

    Args:
        folder: with ``config.json`` and safetensors; nothing is downloaded and nothing is unpickled.
        compression: of the VAE that goes with it.
        dtype: of the weights in memory.
        text_tokens: see :class:`~aiprod.models.adapters.wan.WanBackbone`; others take no notice.
        sound: see :class:`~aiprod.models.adapters.ltx2.LTX2Backbone`; others take no notice.

    Raises:
        AiprodError: no such folder, a class without an adapter, or weights that do not fit the configuration.
    """
    folder = Path(folder)
    path = folder / "config.json"
    if not path.is_file():
        raise AiprodError(f"{folder} has no config.json", "give the transformer folder of a checkpoint")
    name = str(read_json(path).get("_class_name"))
    if name not in _CLASSES:
        raise AiprodError(f"{path} is for {name}, which has no adapter", f"use one of {', '.join(_CLASSES)}")
    quantised = read_json(path).get("quantization_config")
    if quantised:
        method = quantised.get("quant_method", "unnamed") if isinstance(quantised, dict) else "unnamed"
        raise AiprodError(f"{folder} holds quantised weights ({method})", "give the same model in bf16, fp16 or fp32")
    try:
        refuse_unusual(folder)
    except CoreError as error:
        raise AiprodError(error.what, error.hint) from None
    return _adapted(_read(folder, name, dtype), compression, text_tokens, sound)


def empty_backbone(
    folder: Path, compression: VideoCompression, *, text_tokens: int | None = None, sound: bool = True
) -> DiffusersBackbone:
    """The backbone that a configuration describes, with new weights: for fake tensors, which have sizes alone.

    Raises:
        AiprodError: no configuration, a class without an adapter, or values that it does not take.
    """
    import diffusers

    path = folder / "config.json"
    config = read_json(path) if path.is_file() else {}
    name = str(config.get("_class_name"))
    if name not in _CLASSES:
        raise AiprodError(f"{path} is for {name}, which has no adapter", f"use one of {', '.join(_CLASSES)}")
    try:
        model = getattr(diffusers, name).from_config(config)
    except (TypeError, ValueError, RuntimeError) as error:
        raise AiprodError(
            f"{path} describes no {name}: {str(error)[:200]}", "use the config.json it came with"
        ) from None
    return _adapted(model, compression, text_tokens, sound)


def _adapted(model: Any, compression: VideoCompression, text_tokens: int | None, sound: bool) -> DiffusersBackbone:
    name = type(model).__name__
    if name == "LTX2VideoTransformer3DModel":
        from aiprod.models.adapters.ltx2 import LTX2Backbone

        return LTX2Backbone(model, sound=sound)
    if name == "LTXVideoTransformer3DModel":
        from aiprod.models.adapters.ltx import LTXBackbone

        return LTXBackbone(model, compression)
    from aiprod.models.adapters.wan import WanBackbone

    return WanBackbone(model, compression, text_tokens)


def experts_in(folder: Path) -> bool:
    """Whether a folder of a whole pipeline holds both experts of Wan 2.2."""
    return not (folder / "config.json").is_file() and all((folder / n / "config.json").is_file() for n in EXPERT_PARTS)


def load_experts(
    folder: Path, compression: VideoCompression, *, dtype: torch.dtype = torch.float32, text_tokens: int | None = None
) -> DiffusersBackbone:
    """Both experts of a pipeline folder as one backbone.

    Raises:
        AiprodError: no boundary between them, experts of different sizes, or as :func:`load_backbone`.
    """
    from aiprod.models.adapters.wan import WanBackbone, WanExperts

    index = folder / "model_index.json"
    boundary = read_json(index).get("boundary_ratio") if index.is_file() else None
    if isinstance(boundary, bool) or not isinstance(boundary, int | float) or not 0 < boundary < 1:
        raise AiprodError(f"{index} states no boundary_ratio between 0 and 1", "restore it")
    models = []
    for name in EXPERT_PARTS:
        class_name = read_json(folder / name / "config.json").get("_class_name")
        if class_name != "WanTransformer3DModel":
            raise AiprodError(f"{folder / name} holds a {class_name}", "give two experts of Wan 2.2")
        models.append(load_backbone(folder / name, compression, dtype=dtype).model)
    sizes = [{k: dict(m.config)[k] for k in ("in_channels", "patch_size", "text_dim")} for m in models]
    if sizes[0] != sizes[1]:
        raise AiprodError(f"the experts in {folder} take different sizes", "give two of one checkpoint")
    return WanBackbone(WanExperts(models[0], models[1], boundary), compression, text_tokens)


def _read(folder: Path, name: str, dtype: torch.dtype) -> Any:
    """A model of diffusers with every weight that its configuration asks for, and no other."""
    import diffusers

    try:
        model, report = getattr(diffusers, name).from_pretrained(
            folder, torch_dtype=dtype, use_safetensors=True, local_files_only=True, output_loading_info=True
        )
    except Exception as error:  # diffusers, safetensors and the model's own constructor raise many kinds
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise AiprodError(f"{folder} cannot be loaded: {first[:300]}", "check that the download is complete") from None
    wrong = [
        f"{kind.replace('_', ' ')}: {', '.join(map(str, list(report[kind])[:3]))}"
        for kind in ("missing_keys", "unexpected_keys", "mismatched_keys")
        if report.get(kind)
    ]
    if wrong:
        raise AiprodError(
            f"{folder} does not fit its configuration: {'; '.join(wrong)}", "use the matching config.json"
        )
    return model
