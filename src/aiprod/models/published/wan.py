"""Wan 2.1 and 2.2 as published: transformers with or without a configuration, autoencoders, UMT5 in one file.

Without a configuration, sizes are those of the stored tensors; all published Wan transformers have heads of 128 values.
Names are turned by diffusers' own converters (Apache-2.0), and by the few rules that those lack.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from aiprod.errors import CheckpointError
from aiprod.models.checkpoint.json_files import read_json_object
from aiprod.models.published.parts import Part
from aiprod.models.published.weights import Weights

PREFIX = "model.diffusion_model."
_HEAD = 128
_REFUSED = "use a checkpoint that the Wan team published for text to video"
# mean and spread of the 48 channels of the autoencoder of 2.2, from the code it was published with (Apache-2.0)
_MEAN_48 = [
    -0.2289, -0.0052, -0.1323, -0.2339, -0.2799, 0.0174, 0.1838, 0.1557, -0.1382, 0.0542, 0.2813, 0.0891, 0.157,
    -0.0098, 0.0375, -0.1825, -0.2246, -0.1207, -0.0698, 0.5109, 0.2665, -0.2108, -0.2158, 0.2502, -0.2055, -0.0322,
    0.1109, 0.1567, -0.0729, 0.0899, -0.2799, -0.123, -0.0313, -0.1649, 0.0117, 0.0723, -0.2839, -0.2083, -0.052,
    0.3748, 0.0152, 0.1957, 0.1433, -0.2944, 0.3573, -0.0548, -0.1681, -0.0667,
]  # fmt: skip
_STD_48 = [
    0.4765, 1.0364, 0.4514, 1.1677, 0.5313, 0.499, 0.4818, 0.5013, 0.8158, 1.0344, 0.5894, 1.0901, 0.6885, 0.6165,
    0.8454, 0.4978, 0.5759, 0.3523, 0.7135, 0.6804, 0.5833, 1.4146, 0.8986, 0.5659, 0.7069, 0.5338, 0.4889, 0.4917,
    0.4069, 0.4999, 0.6866, 0.4093, 0.5709, 0.6065, 0.6415, 0.4944, 0.5726, 1.2042, 0.5458, 1.6887, 0.3971, 1.06,
    0.3943, 0.5537, 0.5444, 0.4089, 0.7468, 0.7744,
]  # fmt: skip
_NESTED = re.compile(r"(encoder|decoder)\.(down|up)samples\.(\d+)\.(?:down|up)samples\.(\d+)\.(.+)")
_INSIDE = {"residual.0.": "norm1.", "residual.2.": "conv1.", "residual.3.": "norm2.", "residual.6.": "conv2."}


def is_wan_transformer(weights: Weights) -> bool:
    """Whether these are weights of a Wan transformer by the names that the Wan team gives."""
    return any(f"{prefix}head.modulation" in weights.tensors for prefix in ("", PREFIX))


def is_wan_vae(weights: Weights) -> bool:
    """Whether these are weights of a Wan autoencoder by the names that the Wan team gives."""
    return "decoder.middle.0.residual.0.gamma" in weights.tensors


def wan_transformer(weights: Weights, name: str = "transformer") -> Part:
    """A transformer of text to video.

    Args:
        name: ``transformer``, or ``transformer_2`` for the expert of low noise.

    Raises:
        CheckpointError: one that takes an image, or of sizes that contradict each other.
    """
    from diffusers.loaders.single_file_utils import convert_wan_transformer_to_diffusers

    names = {n.removeprefix(PREFIX): n for n in weights.tensors}
    shapes = {n: weights.tensors[k].shape for n, k in names.items()}
    extra = sorted(
        k for n, k in names.items() if n.startswith(("vace_", "img_emb.", "motion_encoder.", "face_", "control_"))
    )
    where = weights.where
    try:
        dim, taken, *patch = shapes["patch_embedding.weight"]
        out_channels = shapes["head.head.weight"][0] // (patch[0] * patch[1] * patch[2])
        ffn, freq, text = (
            shapes["blocks.0.ffn.0.weight"][0],
            shapes["time_embedding.0.weight"][1],
            shapes["text_embedding.0.weight"][1],
        )
    except (KeyError, ValueError, IndexError, ZeroDivisionError):
        raise CheckpointError(f"{where} lacks weights that every Wan transformer has", _REFUSED) from None
    if extra or taken != out_channels:
        more = extra[0] if extra else f"{taken} channels, and gives {out_channels}"
        raise CheckpointError(f"{where} takes more than noise and text ({more})", _REFUSED)
    stated = _config_beside(where)
    heads = stated.get("num_heads", dim // _HEAD)
    if type(heads) is not int or heads < 1 or dim % heads or (not stated and dim % _HEAD):
        raise CheckpointError(f"{where} has {dim} values per token, not a whole number of heads", _REFUSED)
    config = {
        "patch_size": patch,
        "num_attention_heads": heads,
        "attention_head_dim": dim // heads,
        "in_channels": taken,
        "out_channels": out_channels,
        "text_dim": text,
        "freq_dim": freq,
        "ffn_dim": ffn,
        "num_layers": len({n.split(".")[1] for n in names if n.startswith("blocks.")}),
        "cross_attn_norm": "blocks.0.norm3.weight" in names,
        "qk_norm": "rms_norm_across_heads",
        "eps": stated.get("eps", 1e-6),
        "added_kv_proj_dim": None,
    }
    keys = dict(convert_wan_transformer_to_diffusers(dict(names)))
    lost = tuple(sorted(set(names.values()) - set(keys.values())))
    return Part(name, "WanTransformer3DModel", config, weights, keys, lost)


def wan_vae(weights: Weights) -> Part:
    """The autoencoder of 2.1 or of 2.2's 5B.

    Raises:
        CheckpointError: of a number of channels that is not published.
    """
    from diffusers.loaders.single_file_utils import convert_wan_vae_to_diffusers

    shapes = {n: about.shape for n, about in weights.tensors.items()}
    try:
        z = shapes["conv2.weight"][0]
        base, inner, channels = (
            shapes["encoder.conv1.weight"][0],
            shapes["decoder.head.0.gamma"][0],
            shapes["encoder.conv1.weight"][1],
        )
    except (KeyError, IndexError):
        raise CheckpointError(f"{weights.where} lacks weights that every Wan autoencoder has", _REFUSED) from None
    nested = {n: _NESTED.fullmatch(n) for n in shapes}
    residual = any(nested.values())
    if z != (48 if residual else 16):
        raise CheckpointError(
            f"{weights.where} has latents of {z} channels, whose mean and spread are not known", _REFUSED
        )
    config: dict[str, Any] = {
        "base_dim": base,
        "decoder_base_dim": inner,
        "z_dim": z,
        "dim_mult": [1, 2, 4, 4],
        "num_res_blocks": 2,
        "attn_scales": [],
        "temperal_downsample": [False, True, True],
        "dropout": 0.0,
        "is_residual": residual,
        "in_channels": channels,
        "out_channels": channels,
    }
    if residual:
        config |= {"latents_mean": _MEAN_48, "latents_std": _STD_48, "patch_size": 2, "scale_factor_spatial": 16}
    keys = {_inside(match): n for n, match in nested.items() if match}
    keys |= convert_wan_vae_to_diffusers({n: n for n, match in nested.items() if not match})
    lost = tuple(sorted(set(shapes) - set(keys.values())))
    return Part("vae", "AutoencoderKLWan", config, weights, keys, lost)


def _inside(match: re.Match[str]) -> str:
    """The name of a tensor within the nested levels of 2.2, which diffusers' converter does not know."""
    half, way, level, number, rest = match.groups()
    for old, new in _INSIDE.items():
        if rest.startswith(old):
            return f"{half}.{way}_blocks.{level}.resnets.{number}.{new}{rest.removeprefix(old)}"
    if rest.startswith("shortcut."):
        return f"{half}.{way}_blocks.{level}.resnets.{number}.conv_{rest}"
    return f"{half}.{way}_blocks.{level}.{way}sampler.{rest}"


def _config_beside(where: Path) -> dict[str, Any]:
    """The Wan team's own ``config.json`` beside the weights; empty where there is none."""
    path = (where if where.is_dir() else where.parent) / "config.json"
    if not path.is_file():
        return {}
    config = read_json_object(path)
    return config if config.get("_class_name") == "WanModel" else {}
