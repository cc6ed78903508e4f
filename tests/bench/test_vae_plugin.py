"""The autoencoder plug-in takes the benchmark's task at the peers' compression and number of parameters."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

_SPEC = importlib.util.spec_from_file_location("vae_plugin", Path(__file__).with_name("vae_plugin.py"))
assert _SPEC is not None and _SPEC.loader is not None
vae_plugin = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(vae_plugin)

_TASK = {"device": "cpu", "dtype": torch.float32, "seed": 0, "batch": 1}


@torch.no_grad()
def test_video_compresses_and_weighs_like_its_peers() -> None:
    spec = SimpleNamespace(**_TASK, frames=9, height=64, width=32)
    module, inputs, _ = vae_plugin.video("video-vae", "tiny")
    (x,), _ = inputs("encode", spec)
    z = module.encode(x)
    assert x.shape == (1, 3, 9, 64, 32) and z.shape == (1, 32, 2, 2, 1) and module(x).shape == x.shape
    spec.latent_shape = tuple(z.shape)
    assert inputs("decode", spec)[0][0].shape == z.shape
    assert 2.5e6 < sum(p.numel() for p in module.parameters()) < 4e6, "the peers' class: 2.5 to 3.7 million"


_CLASSES = {
    "ltx-vae": "AutoencoderKLLTXVideo",
    "ltx2-vae": "AutoencoderKLLTX2Video",
    "wan-vae": "AutoencoderKLWan",
    "cogvideox-vae": "AutoencoderKLCogVideoX",
}
_LTX_SMALL = (32, 64, 128, 128)
_PEERS: dict[str, dict[str, dict[str, Any]]] = {
    "tiny": {
        "ltx-vae": {
            "latent_channels": 32,
            "block_out_channels": (16, 32, 64, 64),
            "layers_per_block": (2, 1, 1, 1, 2),
            "decoder_block_out_channels": (16, 32, 64, 64),
            "decoder_layers_per_block": (2, 1, 1, 1, 2),
        },
        "ltx2-vae": {
            "latent_channels": 32,
            "block_out_channels": (16, 32, 64, 128),
            "decoder_block_out_channels": (16, 32, 64),
            "layers_per_block": (2, 2, 2, 1, 1),
            "decoder_layers_per_block": (1, 1, 1, 1),
        },
        "wan-vae": {"base_dim": 16},
        "cogvideox-vae": {"block_out_channels": (16, 32, 32, 64), "layers_per_block": 2, "norm_num_groups": 8},
    },
    "small": {
        "ltx-vae": {
            "latent_channels": 128,
            "block_out_channels": _LTX_SMALL,
            "layers_per_block": (2, 1, 1, 1, 1),
            "decoder_block_out_channels": _LTX_SMALL,
            "decoder_layers_per_block": (2, 1, 1, 1, 1),
        },
        "ltx2-vae": {
            "latent_channels": 128,
            "block_out_channels": (32, 64, 128, 256),
            "decoder_block_out_channels": (32, 64, 128),
            "layers_per_block": (2, 2, 2, 1, 1),
            "decoder_layers_per_block": (1, 1, 1, 1),
        },
        "wan-vae": {"base_dim": 28},
        "cogvideox-vae": {"block_out_channels": (32, 64, 64, 128), "layers_per_block": 2, "norm_num_groups": 16},
    },
}


@pytest.mark.parametrize("size", _PEERS)
@pytest.mark.parametrize("name", _CLASSES)
def test_each_match_has_its_peers_compression_and_parameters(name: str, size: str) -> None:
    """In the encoder and in the decoder, of diffusers' classes at the benchmark's sizes, built without memory."""
    import diffusers

    factory = getattr(vae_plugin, f"like_{name.removesuffix('-vae')}")
    with torch.device("meta"):
        peer = getattr(diffusers, _CLASSES[name])(**_PEERS[size][name])
        ours = factory("video-vae", size)[0].vae
    for part in ("encoder", "decoder"):
        mine, theirs = (sum(p.numel() for p in getattr(m, part).parameters()) for m in (ours, peer))
        assert mine / theirs == pytest.approx(1, abs=0.015)
    assert ours.compression.time * ours.compression.height == {"l": 8 * 32, "w": 4 * 8, "c": 4 * 8}[name[0]]
    channels = peer.config.get("latent_channels") or peer.config["z_dim"]
    assert ours.config.latent_channels == channels


@torch.no_grad()
def test_sound_compresses_and_weighs_like_its_peers() -> None:
    module, inputs, _ = vae_plugin.sound("audio-vae", "tiny")
    (x,), _ = inputs("encode", SimpleNamespace(**_TASK, seconds=0.5))
    assert x.shape == (1, 2, 13 * 1920) and module.encode(x).shape == (1, 32, 13) and module(x).shape == x.shape
    assert 2.3e6 < sum(p.numel() for p in module.parameters()) < 4e6, "the peers' class: 2.5 to 4 million"


def test_other_kinds_are_refused() -> None:
    for factory in (vae_plugin.video, vae_plugin.sound, vae_plugin.like_wan):
        with pytest.raises(ValueError, match="not a sampler"):
            factory("sampler", "tiny")
