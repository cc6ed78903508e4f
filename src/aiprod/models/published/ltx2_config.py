"""The metadata of LTX-2 files as configurations of diffusers' classes; what those cannot express is refused."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aiprod.errors import CheckpointError
from aiprod.models.published.ltx2_audio_config import audio_vae_config
from aiprod.models.published.metadata import REFUSED, numbers, refuse_other, section

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


def transformer_config(metadata: Mapping[str, Any], where: Path) -> dict[str, Any]:
    """Of ``LTX2VideoTransformer3DModel``.

    Raises:
        CheckpointError: a setting that the class does not have.
    """
    c = section(metadata, "transformer", where)
    refuse_other(c, _TRANSFORMER_IS, where)
    audio = (
        audio_vae_config(metadata, where) if "audio_vae" in metadata else {"sample_rate": 16_000, "mel_hop_length": 160}
    )
    span = numbers(c.get("positional_embedding_max_pos", [20, 2048, 2048]), 3, where)
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
        "audio_pos_embed_max_pos": numbers(c.get("audio_positional_embedding_max_pos", [20]), 1, where)[0],
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
    metadata: Mapping[str, Any], stored: Mapping[str, tuple[int, ...]], caption_channels: int | None, where: Path
) -> dict[str, Any]:
    """Of ``LTX2TextConnectors``.

    Args:
        stored: shapes of the connectors' tensors by published name.
        caption_channels: values of a state of the text encoder; None takes them from the weights or the metadata.

    Raises:
        CheckpointError: incomplete, or made for another text encoder.
    """
    c = section(metadata, "transformer", where)
    refuse_other(c, _TRANSFORMER_IS, where)
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
        "connector_rope_base_seq_len": numbers(c.get("connector_positional_embedding_max_pos", [1]), 1, where)[0],
        "rope_theta": 10_000.0,
        "rope_double_precision": c.get("frequencies_precision", False) == "float64",
        "causal_temporal_positioning": False,
        "rope_type": c.get("rope_type", "split"),
        "per_modality_projections": both,
        "video_hidden_dim": out if both else 4096,
        "audio_hidden_dim": audio_out if both else 2048,
        "proj_bias": both,
    }


def video_vae_config(metadata: Mapping[str, Any], where: Path) -> dict[str, Any]:
    """Of ``AutoencoderKLLTX2Video``: residual blocks and resampling in turn, as in every published convolutional one.

    Raises:
        CheckpointError: another kind of autoencoder, such as the diffusion decoder of 2.5.
    """
    c = section(metadata, "vae", where)
    kind = c.get("_class_name", "CausalVideoAutoencoder")
    if kind != "CausalVideoAutoencoder":
        what = f"{where} holds the video autoencoder {kind}, whose decoder is a diffusion model"
        raise CheckpointError(what, "give the convolutional one (…-video-vae-conv-…), which has the same latents")
    refuse_other(c, {"dims": 3, "norm_layer": "pixel_norm", "latent_log_var": "uniform", "in_channels": 3}, where)
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
        raise CheckpointError(what, REFUSED)
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


def _blocks(
    blocks: Any, kinds: Mapping[str, str], multiplier: int, where: Path
) -> tuple[list[dict[str, Any]], list[str], list[dict[str, Any]]]:
    """Residual blocks, and the resampling between them: its axes and its settings."""
    residual, types, between = [], [], []
    try:
        for number, (name, channels) in enumerate(blocks):
            about = {"num_layers": channels} if isinstance(channels, int) else dict(channels)
            if number % 2 == 0 and name == "res_x":
                residual.append({**about, "num_layers": int(about["num_layers"])})
            elif number % 2 and name in kinds:
                types.append(kinds[name])
                between.append({**about, "multiplier": int(about.get("multiplier", multiplier))})
            else:
                raise CheckpointError(f"{where} has the block {name} where none is known", REFUSED)
        if len(residual) != len(types) + 1:
            raise ValueError
    except (TypeError, ValueError, KeyError) as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(f"{where} has a damaged configuration (blocks of vae)", REFUSED) from None
    return residual, types, between
