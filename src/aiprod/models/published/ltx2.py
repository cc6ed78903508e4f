"""LTX-2, 2.3 and 2.5 as Lightricks publishes them: one file with everything, or one for each part.

Configurations come from the JSON in the file's metadata, never from a table of versions; names are turned by diffusers'
own converters (Apache-2.0), and by the few rules that those lack.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from aiprod.errors import CheckpointError
from aiprod.models.checkpoint.variants import some_of
from aiprod.models.published.ltx2_audio_config import audio_vae_config, vocoder_config
from aiprod.models.published.ltx2_config import connectors_config, transformer_config, video_vae_config
from aiprod.models.published.parts import Part
from aiprod.models.published.weights import Weights

DIT = "model.diffusion_model."
_MARK = "av_ca_a2v_gate_adaln_single.emb.timestep_embedder.linear_1.weight"
_CONNECTORS = ("video_embeddings_connector.", "audio_embeddings_connector.")
_PROJECTION = "text_embedding_projection."
_DURATION = "duration_head."
_AGAIN = "download the original file, whose metadata says how it is built"


def is_ltx2(weights: Weights) -> bool:
    """Whether these are weights of LTX-2, of its transformer or of another part of it."""
    names = weights.tensors
    if any(name in names for name in (DIT + _MARK, _MARK)):
        return True
    starts = ("audio_vae.", "vocoder.", _PROJECTION)
    if any(name.startswith(starts) for name in names):
        return True
    return (
        any(f"{p}per_channel_statistics.mean-of-means" in names for p in ("vae.", "")) and "config" in weights.metadata
    )


def as_one_file(weights: Weights) -> Weights:
    """Weights of one part by the names that they have in a file with everything; other names stay as they are."""
    names = weights.tensors
    if _MARK in names:  # the transformer without its prefix
        apart = (DIT, "vae.", "audio_vae.", "vocoder.", _PROJECTION, _DURATION)
        return weights.renamed(lambda n: n if n.startswith(apart) else f"{DIT}{n}")
    if "per_channel_statistics.mean-of-means" in names:  # the video autoencoder without its prefix
        halves = ("encoder.", "decoder.", "per_channel_statistics.")
        return weights.renamed(lambda n: f"vae.{n}" if n.startswith(halves) else n)
    return weights


def ltx2_parts(weights: Weights, caption_channels: int | None = None) -> tuple[list[Part], list[str]]:
    """The parts in these weights, and in words what is known in them and not read from them.

    Args:
        weights: of one part or several.
        caption_channels: values of a state of the text encoder, where it is known.

    Raises:
        CheckpointError: no configuration in the metadata, or one that diffusers' classes cannot express.
    """
    weights = as_one_file(weights)
    metadata, where, names = _stated_config(weights), weights.where, set(weights.tensors)
    taken: set[str] = set()

    def under(prefix: str) -> dict[str, str]:
        part = {n.removeprefix(prefix): n for n in names if n.startswith(prefix)}
        taken.update(part.values())
        return part

    parts: list[Part] = []
    unread = []
    dit = under(DIT)
    connectors = {n: k for n, k in dit.items() if n.startswith(_CONNECTORS)}
    transformer = {n: k for n, k in dit.items() if n not in connectors}
    if transformer:
        keys = _transformer_keys(transformer)
        parts.append(
            _part("transformer", "LTX2VideoTransformer3DModel", transformer_config(metadata, where), weights, keys)
        )
    projection = {f"{_PROJECTION}{n}": k for n, k in under(_PROJECTION).items()}
    if connectors and projection:
        both = {**connectors, **projection}
        config = connectors_config(
            metadata, {n: weights.tensors[k].shape for n, k in both.items()}, caption_channels, where
        )
        parts.append(_part("connectors", "LTX2TextConnectors", config, weights, _connector_keys(both)))
    elif connectors:
        unread.append("connectors: their projection of the text lies with the text encoder")
    elif projection:
        unread.append("projection of the text: its connectors lie with the transformer")
    if video := under("vae."):
        parts.append(
            _part("vae", "AutoencoderKLLTX2Video", video_vae_config(metadata, where), weights, _video_keys(video))
        )
    if audio := under("audio_vae."):
        config = audio_vae_config(metadata, where)
        parts.append(_part("audio_vae", "AutoencoderKLLTX2Audio", config, weights, _audio_keys(audio)))
    if vocoder := under("vocoder."):
        wide, config = vocoder_config(metadata, where)
        class_name = "LTX2VocoderWithBWE" if wide else "LTX2Vocoder"
        parts.append(_part("vocoder", class_name, config, weights, _vocoder_keys(vocoder)))
    if under(_DURATION):
        unread.append("duration_head: nothing here uses it")
    left = sorted(names - taken)
    if left:
        raise CheckpointError(f"{where} holds tensors that are not known: {some_of(left)}", _AGAIN)
    return parts, unread


def _stated_config(weights: Weights) -> dict[str, Any]:
    text = weights.metadata.get("config", "")
    try:
        read = json.loads(text)
    except (ValueError, RecursionError):
        read = None
    if not isinstance(read, dict):
        raise CheckpointError(f"{weights.where} says nothing of how LTX-2 is built (no config in its metadata)", _AGAIN)
    return read


def _part(
    name: str, class_name: str, config: dict[str, Any], weights: Weights, keys: tuple[dict[str, str], list[str]]
) -> Part:
    return Part(name, class_name, config, weights, keys[0], tuple(keys[1]))


def _converted(
    names: Mapping[str, str], convert: Callable[[dict[str, str]], Mapping[str, str]], dropped: tuple[str, ...] = ()
) -> tuple[dict[str, str], list[str]]:
    """Names through a converter of state dicts, which moves values without looking at them.

    Returns:
        new name → published name, and the published names that the converter lost without being known to drop them.
    """
    converted = dict(convert(dict(names)))
    kept = set(converted.values())
    lost = [k for n, k in names.items() if k not in kept and not any(d in n for d in dropped)]
    return converted, lost


def _transformer_keys(names: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    from diffusers.loaders.single_file_utils import convert_ltx2_transformer_to_diffusers

    # from 2.3 on; diffusers' converter takes them for parts of adaln_single otherwise
    later = {re.sub(r"^(audio_)?prompt_adaln_single\.", r"\1prompt_adaln.", n): k for n, k in names.items()}
    return _converted(later, convert_ltx2_transformer_to_diffusers)


def _video_keys(names: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    from diffusers.loaders.single_file_utils import convert_ltx2_vae_to_diffusers

    later = (  # levels of 2.3, and names of a decoder that is told its noise level, which the converter lacks
        (r"^(decoder\.)up_blocks\.7\.", r"\1up_blocks.3.upsamplers.0."),
        (r"^(decoder\.)up_blocks\.8\.", r"\1up_blocks.3."),
        (r"last_time_embedder", "time_embedder"),
        (r"last_scale_shift_table", "scale_shift_table"),
    )
    keys, lost = _converted(names, convert_ltx2_vae_to_diffusers, ("per_channel_statistics.",))
    for pattern, put in later:
        keys = {re.sub(pattern, put, n): k for n, k in keys.items()}
    return keys, lost


def _audio_keys(names: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    from diffusers.loaders.single_file_utils import convert_ltx2_audio_vae_to_diffusers

    return _converted(names, convert_ltx2_audio_vae_to_diffusers)


def _vocoder_keys(names: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """Diffusers publishes the rules for the vocoder in its script alone."""
    words = {"resblocks": "resnets", "conv_pre": "conv_in", "conv_post": "conv_out", "act_post": "act_out"}

    def renamed(name: str) -> str:
        for old, new in words.items():
            name = re.sub(rf"(^|\.){old}(?=\.)", rf"\1{new}", name)
        name = name.replace("downsample.lowpass.", "downsample.")
        return re.sub(r"(^|\.)ups(?=\.\d)", r"\1upsamplers", name)

    return _merged({n: renamed(n) for n in names}, names)


def _connector_keys(names: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    words = (
        (r"^(video|audio)_embeddings_connector\.", r"\1_connector."),
        (r"\.transformer_1d_blocks\.", ".transformer_blocks."),
        (r"^text_embedding_projection\.(video|audio)_aggregate_embed\.", r"\1_text_proj_in."),
        (r"^text_embedding_projection\.aggregate_embed\.", "text_proj_in."),
        (r"\.([qk])_norm\.", r".norm_\1."),
    )

    def renamed(name: str) -> str:
        for pattern, put in words:
            name = re.sub(pattern, put, name)
        return name

    return _merged({n: renamed(n) for n in names}, names)


def _merged(renamed: Mapping[str, str], names: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    merged: dict[str, str] = {}
    lost = []
    for old, new in renamed.items():
        if new in merged:
            lost.append(names[old])
        else:
            merged[new] = names[old]
    return merged, lost
