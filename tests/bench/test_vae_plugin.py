"""The autoencoder plug-in takes the benchmark's task at the peers' compression and number of parameters."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import SimpleNamespace

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


@torch.no_grad()
def test_sound_compresses_and_weighs_like_its_peers() -> None:
    module, inputs, _ = vae_plugin.sound("audio-vae", "tiny")
    (x,), _ = inputs("encode", SimpleNamespace(**_TASK, seconds=0.5))
    assert x.shape == (1, 2, 13 * 1920) and module.encode(x).shape == (1, 32, 13) and module(x).shape == x.shape
    assert 2.3e6 < sum(p.numel() for p in module.parameters()) < 4e6, "the peers' class: 2.5 to 4 million"


def test_other_kinds_are_refused() -> None:
    for factory in (vae_plugin.video, vae_plugin.sound):
        with pytest.raises(ValueError, match="not a sampler"):
            factory("sampler", "tiny")
