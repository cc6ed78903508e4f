"""The metadata of LTX-2 files as configurations of diffusers' classes; what those cannot express is refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aiprod.errors import CheckpointError

_REFUSED = "use a checkpoint that Lightricks published"
# Settings that diffusers' classes have built in. Absent ones are as the published code takes them.
_TRANSFORMER_IS = {
    "dropout": 0.0,
    "attention_bias": True,
    "num_vector_embeds": None,
    "num_embeds_ada_norm": 1000,
    "cross_attention_norm": True,
    "activation_fn": "gelu-approximate",
    "use_linear_projection": False,
    "only_cross_attention": False,
    "double_self_attention": False,
    "upcast_attention": False,
    "standardization_norm": "rms_norm",
    "norm_elementwise_affine": False,
    "qk_norm": "rms_norm",
    "positional_embedding_type": "rope",
    "use_audio_video_cross_attention": True,
    "share_ff": False,
    "av_cross_ada_norm": True,
    "use_middle_indices_grid": True,
    "connector_ff_bias": True,
}
_DOWN = {"compress_space_res": "spatial", "compress_time_res": "temporal", "compress_all_res": "spatiotemporal"}
_UP = {"compress_space": "spatial", "compress_time": "temporal", "compress_all": "spatiotemporal"}


def transformer_config(said: Mapping[str, Any], where: Path) -> dict[str, Any]:
    """Of ``LTX2VideoTransformer3DModel``.

    Raises:
        CheckpointError: a setting that the class does not have.
    """
    c = _section(said, "transformer", where)
    _refuse_other(c, _TRANSFORMER_IS, where)
    audio = audio_vae_config(said, where) if "audio_vae" in said else {"sample_rate": 16_000, "mel_hop_length": 160}
    span = _numbers(c.get("positional_embedding_max_pos", [20, 2048, 2048]), 3, where)
    gated, adaln = bool(c.get("apply_gated_attention", False)), bool(c.get("cross_attention_adaln", False))
    return {
        "in_channels": c.get("in_channels", 128),
        "out_channels": c.get("out_channels", 128),
        "num_attention_heads": c.get("num_attention_heads", 32),
        "attention_head_dim": c.get("attention_head_dim", 128),
        "cross_attention_dim": c.get("cross_attention_dim", 4096),
        "num_layers": c.get("num_layers", 48),
        "norm_eps": c.get("norm_eps", 1e-6),
        "rope_theta": c.get("positional_embedding_theta", 10_000.0),
        "pos_embed_max_pos": span[0],
        "base_height": span[1],
        "base_width": span[2],
        "timestep_scale_multiplier": c.get("timestep_scale_multiplier", 1000),
        "audio_in_channels": c.get("audio_in_channels", 128),
        "audio_out_channels": c.get("audio_out_channels", 128),
        "audio_num_attention_heads": c.get("audio_num_attention_heads", 32),
        "audio_attention_head_dim": c.get("audio_attention_head_dim", 64),
        "audio_cross_attention_dim": c.get("audio_cross_attention_dim", 2048),
        "audio_pos_embed_max_pos": _numbers(c.get("audio_positional_embedding_max_pos", [20]), 1, where)[0],
        "audio_sampling_rate": audio["sample_rate"],
        "audio_hop_length": audio["mel_hop_length"],
        "cross_attn_timestep_scale_multiplier": c.get("av_ca_timestep_scale_multiplier", 1),
        "rope_type": c.get("rope_type", "split"),
        "rope_double_precision": c.get("frequencies_precision", False) == "float64",
        "gated_attn": gated,
        "audio_gated_attn": gated,
        "cross_attn_mod": adaln,
        "audio_cross_attn_mod": adaln,
        "use_prompt_embeddings": not c.get("caption_proj_before_connector", False),
        "caption_channels": c.get("caption_channels", 3840),
        "ff_bias": c.get("ff_bias", True),
        "audio_ff_bias": c.get("audio_ff_bias", True),
        "use_prompt_adaln_single": c.get("use_prompt_adaln_single", True),
        "use_keyframes_abs_pos_embedding": c.get("use_keyframes_abs_pos_embedding", False),
        "perturbed_attn": True,  # the same results, and attention can be skipped in guidance
    }


def connectors_config(
    said: Mapping[str, Any], stored: Mapping[str, tuple[int, ...]], caption_channels: int | None, where: Path
) -> dict[str, Any]:
    """Of ``LTX2TextConnectors``.

    Args:
        stored: shapes of the connectors' tensors by published name.
        caption_channels: values of a state of the text encoder; None takes them from the weights or the metadata.

    Raises:
        CheckpointError: incomplete, or made for another text encoder.
    """
    c = _section(said, "transformer", where)
    _refuse_other(c, _TRANSFORMER_IS, where)
    both = bool(c.get("caption_proj_before_connector", False))
    name = f"text_embedding_projection.{'video_' if both else ''}aggregate_embed.weight"
    if name not in stored or len(stored[name]) != 2:
        what = f"{where} holds connectors without the projection of the text ({name})"
        raise CheckpointError(what, "give the file with the text encoder and its projection beside it")
    out, wide = stored[name]
    channels = caption_channels or (c.get("caption_channels") if both else out)
    if not isinstance(channels, int) or channels < 1 or wide % channels:
        what = f"{where} projects {wide} values, which are no whole number of states of {channels}"
        raise CheckpointError(what, "give the text encoder that it was trained with")
    heads, size = c.get("connector_num_attention_heads", 30), c.get("connector_attention_head_dim", 128)
    depth = c.get("connector_num_layers", 2)
    audio_out = stored.get("text_embedding_projection.audio_aggregate_embed.weight", (0,))[0]
    registers = {
        kind: stored.get(f"{kind}_embeddings_connector.learnable_registers", (None,))[0] for kind in ("video", "audio")
    }
    gated = bool(c.get("connector_apply_gated_attention", False))
    return {
        "caption_channels": channels,
        "text_proj_in_factor": wide // channels,
        "video_connector_num_attention_heads": heads,
        "video_connector_attention_head_dim": size,
        "video_connector_num_layers": depth,
        "video_connector_num_learnable_registers": registers["video"],
        "video_gated_attn": gated,
        "audio_connector_num_attention_heads": c.get("audio_connector_num_attention_heads", heads),
        "audio_connector_attention_head_dim": c.get("audio_connector_attention_head_dim", size),
        "audio_connector_num_layers": c.get("audio_connector_num_layers", depth),
        "audio_connector_num_learnable_registers": registers["audio"],
        "audio_gated_attn": gated,
        "connector_rope_base_seq_len": _numbers(c.get("connector_positional_embedding_max_pos", [1]), 1, where)[0],
        "rope_theta": 10_000.0,
        "rope_double_precision": c.get("frequencies_precision", False) == "float64",
        "causal_temporal_positioning": False,
        "rope_type": c.get("rope_type", "split"),
        "per_modality_projections": both,
        "video_hidden_dim": out if both else 4096,
        "audio_hidden_dim": audio_out if both else 2048,
        "proj_bias": both,
    }


def video_vae_config(said: Mapping[str, Any], where: Path) -> dict[str, Any]:
    """Of ``AutoencoderKLLTX2Video``: residual blocks and resampling in turn, as in every published convolutional one.

    Raises:
        CheckpointError: another kind of autoencoder, such as the diffusion decoder of 2.5.
    """
    c = _section(said, "vae", where)
    kind = c.get("_class_name", "CausalVideoAutoencoder")
    if kind != "CausalVideoAutoencoder":
        what = f"{where} holds the video autoencoder {kind}, whose decoder is a diffusion model"
        raise CheckpointError(what, "give the convolutional one (…-video-vae-conv-…), which has the same latents")
    _refuse_other(c, {"dims": 3, "norm_layer": "pixel_norm", "latent_log_var": "uniform", "in_channels": 3}, where)
    layers, types, factors = _blocks(c.get("encoder_blocks"), _DOWN, 2, where)
    channels = [c.get("latent_channels", 128)]
    for factor in factors:
        channels.append(channels[-1] * factor["multiplier"])
    up_layers, up_types, ups = _blocks(c.get("decoder_blocks"), _UP, 1, where)
    inside = [c.get("decoder_base_channels", 128)]
    for up in ups:
        inside.append(inside[-1] * up["multiplier"])
    if len(types) != 4 or len(up_types) not in (3, 4):
        what = f"{where} has {len(types)} and {len(up_types)} levels of resampling, not 4 and 3 or 4"
        raise CheckpointError(what, _REFUSED)
    space = c.get("patch_size", 4) * 2 ** sum("spati" in t for t in types)
    return {
        "in_channels": 3,
        "out_channels": c.get("out_channels", 3),
        "latent_channels": channels[0],
        "block_out_channels": channels[1:],
        "down_block_types": ["LTX2VideoDownBlock3D"] * len(types),
        "layers_per_block": [layer["num_layers"] for layer in layers],
        "spatio_temporal_scaling": [True] * len(types),
        "downsample_type": types,
        "decoder_block_out_channels": inside[1:],
        "decoder_layers_per_block": [layer["num_layers"] for layer in up_layers],
        "decoder_spatio_temporal_scaling": [True] * len(up_types),
        "decoder_inject_noise": [bool(layer.get("inject_noise", False)) for layer in up_layers],
        "upsample_type": up_types[::-1],  # alone of these lists it begins at the latent
        "upsample_residual": [
            bool(up.get("residual", False)) and t == "spatiotemporal" for up, t in zip(ups, up_types, strict=True)
        ],
        "upsample_factor": [up["multiplier"] for up in ups],
        "timestep_conditioning": bool(c.get("timestep_conditioning", True)),
        "patch_size": c.get("patch_size", 4),
        "patch_size_t": 1,
        "resnet_norm_eps": 1e-6,
        "encoder_causal": True,
        "decoder_causal": bool(c.get("causal_decoder", False)),
        # the published code lets the first name, which is the decoder's, go before the encoder's own
        "encoder_spatial_padding_mode": c.get("spatial_padding_mode", c.get("encoder_spatial_padding_mode", "zeros")),
        "decoder_spatial_padding_mode": c.get("spatial_padding_mode", "reflect"),
        "spatial_compression_ratio": space,
        "temporal_compression_ratio": 2 ** sum("temporal" in t for t in types),
    }


def audio_vae_config(said: Mapping[str, Any], where: Path) -> dict[str, Any]:
    """Of ``AutoencoderKLLTX2Audio``.

    Raises:
        CheckpointError: a setting that the class does not have.
    """
    c = _section(said, "audio_vae", where)
    params = _inner(c, "model", "params")
    d, stft, mel = _inner(params, "ddconfig"), _inner(c, "preprocessing", "stft"), _inner(c, "preprocessing", "mel")
    fixed = {"resamp_with_conv": True, "attn_type": "vanilla", "dropout": 0.0, "double_z": True}
    _refuse_other(d, fixed, where)
    # what the published code makes of the sound before it is encoded, and diffusers' class does not know
    _refuse_other(stft, {"filter_length": 1024}, where)
    attended = d.get("attn_resolutions", [8, 16, 32])
    return {
        "base_channels": d.get("ch", 128),
        "output_channels": d.get("out_ch", 2),
        "ch_mult": list(d.get("ch_mult", (1, 2, 4))),
        "num_res_blocks": d.get("num_res_blocks", 2),
        "attn_resolutions": list(attended) if attended else None,
        "in_channels": d.get("in_channels", 2),
        "resolution": d.get("resolution", 256),
        "latent_channels": d.get("z_channels", 8),
        "norm_type": d.get("norm_type", "pixel"),
        "causality_axis": d.get("causality_axis", "height"),
        "dropout": 0.0,
        "mid_block_add_attention": bool(d.get("mid_block_add_attention", True)),
        "sample_rate": params.get("sampling_rate", 16_000),
        "mel_hop_length": stft.get("hop_length", 160),
        "is_causal": bool(stft.get("causal", True)),
        "mel_bins": d.get("mel_bins") or mel.get("n_mel_channels") or _inner(c, "variables").get("mel_bins") or 64,
        "double_z": True,
    }


def vocoder_config(said: Mapping[str, Any], where: Path) -> tuple[bool, dict[str, Any]]:
    """Of ``LTX2VocoderWithBWE`` (True) or ``LTX2Vocoder``.

    Raises:
        CheckpointError: a setting that the class does not have.
    """
    c = _section(said, "vocoder", where)
    if "bwe" not in c:
        _refuse_other(c, {"resblock": "1", "stereo": True, "use_tanh_at_final": True, "use_bias_at_final": True}, where)
        return False, {
            **_generator(c, ""),
            "act_fn": "leaky_relu",
            "antialias": False,
            "final_act_fn": "tanh",
            "final_bias": True,
            "output_sampling_rate": c.get("output_sampling_rate", 24_000),
        }
    first, second = _inner(c, "vocoder"), _inner(c, "bwe")
    config: dict[str, Any] = {}
    for part, prefix in ((first, ""), (second, "bwe_")):
        _refuse_other(part, {"resblock": "AMP1", "stereo": True, "activation": "snakebeta"}, where)
        config |= _generator(part, prefix) | {
            f"{prefix}act_fn": "snakebeta",
            f"{prefix}antialias": True,
            f"{prefix}final_bias": bool(part.get("use_bias_at_final", True)),
        }
    # the first generator ends in tanh or in a clamp, the second is added to it before the clamp
    config["final_act_fn"] = "tanh" if first.get("use_tanh_at_final", True) else "clamp"
    config["bwe_final_act_fn"] = None
    rates = {
        name: second.get(name)
        for name in ("input_sampling_rate", "output_sampling_rate", "hop_length", "n_fft", "num_mels")
    }
    if not all(isinstance(v, int) and v > 0 for v in rates.values()):
        raise CheckpointError(f"{where} has a damaged configuration (vocoder.bwe)", _REFUSED)
    return True, config | {
        "filter_length": rates["n_fft"],
        "window_length": rates["n_fft"],
        "hop_length": rates["hop_length"],
        "num_mel_channels": rates["num_mels"],
        "input_sampling_rate": rates["input_sampling_rate"],
        "output_sampling_rate": rates["output_sampling_rate"],
    }


def _generator(c: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    return {
        f"{prefix}hidden_channels": c.get("upsample_initial_channel", 1024),
        f"{prefix}upsample_kernel_sizes": c.get("upsample_kernel_sizes", [16, 15, 8, 4, 4]),
        f"{prefix}upsample_factors": c.get("upsample_rates", [6, 5, 2, 2, 2]),
        f"{prefix}resnet_kernel_sizes": c.get("resblock_kernel_sizes", [3, 7, 11]),
        f"{prefix}resnet_dilations": c.get("resblock_dilation_sizes", [[1, 3, 5]] * 3),
        f"{prefix}in_channels": 128,
        f"{prefix}out_channels": 2,
    }


def _blocks(
    blocks: Any, kinds: Mapping[str, str], multiplier: int, where: Path
) -> tuple[list[dict[str, Any]], list[str], list[dict[str, Any]]]:
    """Residual blocks, and the resampling between them: its axes and its settings."""
    residual, types, between = [], [], []
    try:
        for number, (name, given) in enumerate(blocks):
            about = {"num_layers": given} if isinstance(given, int) else dict(given)
            if number % 2 == 0 and name == "res_x":
                residual.append({**about, "num_layers": int(about["num_layers"])})
            elif number % 2 and name in kinds:
                types.append(kinds[name])
                between.append({**about, "multiplier": int(about.get("multiplier", multiplier))})
            else:
                raise CheckpointError(f"{where} has the block {name} where none is known", _REFUSED)
        if len(residual) != len(types) + 1:
            raise ValueError
    except (TypeError, ValueError, KeyError) as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(f"{where} has a damaged configuration (blocks of vae)", _REFUSED) from None
    return residual, types, between


def _section(said: Mapping[str, Any], name: str, where: Path) -> Mapping[str, Any]:
    found = said.get(name)
    if not isinstance(found, dict):
        raise CheckpointError(f"{where} holds a {name} and its metadata says nothing of it", _REFUSED)
    return found


def _inner(value: Mapping[str, Any], *names: str) -> Mapping[str, Any]:
    for name in names:
        found = value.get(name)
        value = found if isinstance(found, dict) else {}
    return value


def _numbers(value: Any, count: int, where: Path) -> Sequence[int]:
    if not isinstance(value, list) or len(value) != count or not all(type(v) is int for v in value):
        raise CheckpointError(f"{where} has a damaged configuration ({value!r:.80} are not {count} numbers)", _REFUSED)
    return value


def _refuse_other(said: Mapping[str, Any], fixed: Mapping[str, Any], where: Path) -> None:
    for name, value in fixed.items():
        if name in said and said[name] != value:
            raise CheckpointError(
                f"{where} is built with {name} {said[name]!r:.60}, and only {value!r} is read", _REFUSED
            )
