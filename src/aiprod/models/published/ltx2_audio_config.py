"""The metadata of LTX-2 files on sound, as configurations of diffusers' mel autoencoder and vocoder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aiprod.errors import CheckpointError
from aiprod.models.published.metadata import REFUSED, inner, refuse_other, section


def audio_vae_config(metadata: Mapping[str, Any], where: Path) -> dict[str, Any]:
    """Of ``AutoencoderKLLTX2Audio``.

    Raises:
        CheckpointError: a setting that the class does not have.
    """
    c = section(metadata, "audio_vae", where)
    params = inner(c, "model", "params")
    d, stft, mel = inner(params, "ddconfig"), inner(c, "preprocessing", "stft"), inner(c, "preprocessing", "mel")
    fixed = {"resamp_with_conv": True, "attn_type": "vanilla", "dropout": 0.0, "double_z": True}
    refuse_other(d, fixed, where)
    # what the published code makes of the sound before it is encoded, and diffusers' class does not know
    refuse_other(stft, {"filter_length": 1024}, where)
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
        "mel_bins": d.get("mel_bins") or mel.get("n_mel_channels") or inner(c, "variables").get("mel_bins") or 64,
        "double_z": True,
    }


def vocoder_config(metadata: Mapping[str, Any], where: Path) -> tuple[bool, dict[str, Any]]:
    """Of ``LTX2VocoderWithBWE`` (True) or ``LTX2Vocoder``.

    Raises:
        CheckpointError: a setting that the class does not have.
    """
    c = section(metadata, "vocoder", where)
    if "bwe" not in c:
        refuse_other(c, {"resblock": "1", "stereo": True, "use_tanh_at_final": True, "use_bias_at_final": True}, where)
        return False, {
            **_generator(c, ""),
            "act_fn": "leaky_relu",
            "antialias": False,
            "final_act_fn": "tanh",
            "final_bias": True,
            "output_sampling_rate": c.get("output_sampling_rate", 24_000),
        }
    first, second = inner(c, "vocoder"), inner(c, "bwe")
    config: dict[str, Any] = {}
    for part, prefix in ((first, ""), (second, "bwe_")):
        refuse_other(part, {"resblock": "AMP1", "stereo": True, "activation": "snakebeta"}, where)
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
        raise CheckpointError(f"{where} has a damaged configuration (vocoder.bwe)", REFUSED)
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
