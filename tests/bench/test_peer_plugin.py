"""The benchmark plug-in takes the benchmark's task, has the peers' number of parameters and states its own cost."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

_PATH = Path(__file__).with_name("peer_plugin.py")
_SPEC = importlib.util.spec_from_file_location("peer_plugin", _PATH)
assert _SPEC is not None and _SPEC.loader is not None
peer_plugin = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(peer_plugin)


def task(**changes: object) -> SimpleNamespace:
    settings = {
        "device": "cpu",
        "dtype": torch.float32,
        "seed": 0,
        "batch": 2,
        "grid": (2, 3, 4),
        "audio_tokens": 6,
        "text_tokens": 5,
        "text_dim": 64,
        "video_ch": 32,
        "audio_ch": 32,
        "per_token_timesteps": False,
    }
    return SimpleNamespace(**(settings | changes))


@pytest.mark.parametrize("per_token", [False, True])
def test_it_runs_and_states_its_cost(per_token: bool) -> None:
    spec = task(per_token_timesteps=per_token)
    module, inputs, flops = peer_plugin.transformer("transformer", "tiny")
    arguments, keywords = inputs("forward", spec)

    def attention(q: list[int], k: list[int], *rest: object, **more: object) -> int:
        return 4 * q[0] * q[1] * q[2] * k[2] * q[3]

    kernel = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    with torch.no_grad(), FlopCounterMode(display=False, custom_mapping={kernel: attention}) as counter:
        result = peer_plugin.outputs(module(*arguments, **keywords))
    assert [tuple(t.shape) for t in result] == [(2, 24, 32), (2, 6, 32)]
    assert flops("forward", spec) == counter.get_total_flops()


@pytest.mark.parametrize("size", ["tiny", "small"])
def test_it_has_the_peers_number_of_parameters(size: str) -> None:
    """Of diffusers' LTX-2 transformer with the benchmark's sizes, built without memory."""
    from diffusers import LTX2VideoTransformer3DModel

    video_channels, audio_channels, text = peer_plugin._SIZES[size][-3:]
    video, audio, heads, depth = {"tiny": (128, 64, 4, 4), "small": (384, 192, 6, 8)}[size]
    with torch.device("meta"):
        peer = LTX2VideoTransformer3DModel(
            in_channels=video_channels,
            out_channels=video_channels,
            num_attention_heads=heads,
            attention_head_dim=video // heads,
            cross_attention_dim=video,
            audio_in_channels=audio_channels,
            audio_out_channels=audio_channels,
            audio_num_attention_heads=heads,
            audio_attention_head_dim=audio // heads,
            audio_cross_attention_dim=audio,
            num_layers=depth,
            caption_channels=text,
        )
        ours, _, _ = peer_plugin.transformer("transformer", size)
    count = [sum(p.numel() for p in m.parameters()) for m in (ours, peer)]
    assert count[0] / count[1] == pytest.approx(1, abs=0.02)


def test_other_kinds_are_refused() -> None:
    with pytest.raises(ValueError, match="video-vae"):
        peer_plugin.transformer("video-vae", "tiny")
