"""What the published code of a model calls the layers that diffusers' class calls otherwise."""

from __future__ import annotations

import re
from collections.abc import Iterable

# (pattern, replacement) on a layer's name in diffusers, each applied in order
_LTX = (
    (r"^proj_in$", "patchify_proj"),
    (r"^time_embed\.", "adaln_single."),
)
_LTX2 = (
    *_LTX,
    (r"^audio_proj_in$", "audio_patchify_proj"),
    (r"^audio_time_embed\.", "audio_adaln_single."),
    (r"^av_cross_attn_(video|audio)_scale_shift\.", r"av_ca_\1_scale_shift_adaln_single."),
    (r"^av_cross_attn_(?:video|audio)_(a2v|v2a)_gate\.", r"av_ca_\1_gate_adaln_single."),
    (r"^(audio_)?prompt_adaln\.", r"\1prompt_adaln_single."),
)
_WAN = (
    (r"^condition_embedder\.(time|text)_embedder\.linear_1$", r"\1_embedding.0"),
    (r"^condition_embedder\.(time|text)_embedder\.linear_2$", r"\1_embedding.2"),
    (r"^condition_embedder\.time_proj$", "time_projection.1"),
    (r"^proj_out$", "head.head"),
    (r"\.attn1\.", ".self_attn."),
    (r"\.attn2\.", ".cross_attn."),
    (r"\.to_([qkv])$", r".\1"),
    (r"\.to_out\.0$", ".o"),
    (r"\.ffn\.net\.0\.proj$", ".ffn.0"),
    (r"\.ffn\.net\.2$", ".ffn.2"),
)


def published_names(layers: Iterable[str]) -> dict[str, str]:
    """Layer in diffusers' class → layer in the published code, where those differ.

    Args:
        layers: all of a model, by which its family is known.
    """
    names = list(layers)
    rules = _rules({name.split(".")[0] for name in names} | set(names))
    renamed = {name: _apply(name, rules) for name in names}
    return {name: new for name, new in renamed.items() if new != name}


def _rules(names: set[str]) -> tuple[tuple[str, str], ...]:
    if "condition_embedder.time_proj" in names:
        return _WAN
    if "av_cross_attn_video_a2v_gate" in names:
        return _LTX2
    return _LTX if {"proj_in", "time_embed"} <= names else ()


def _apply(name: str, rules: tuple[tuple[str, str], ...]) -> str:
    for pattern, put in rules:
        name = re.sub(pattern, put, name)
    return name
