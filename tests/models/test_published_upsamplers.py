"""Latent upsamplers in the published layouts give what diffusers gives, and are written so that it opens them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from aiprod.core.latent_upsampler import LatentUpsampler, LatentUpsamplerConfig
from aiprod.errors import AiprodError
from aiprod.models.checkpoint.folder import folder_digest
from aiprod.models.latent_upsampler import load_upsampler, save_upsampler

SMALL = {"in_channels": 6, "mid_channels": 32, "num_blocks_per_stage": 1}
WAYS: list[dict[str, Any]] = [
    {},
    {"dims": 2},
    {"spatial_upsample": False, "temporal_upsample": True},
    {"temporal_upsample": True},
]


def ltx(**changes: Any) -> Any:
    module = pytest.importorskip("diffusers.pipelines.ltx.modeling_latent_upsampler", reason="needs diffusers")
    torch.manual_seed(1)
    return _uneven(module.LTXLatentUpsamplerModel(**SMALL, **changes))


def ltx2(**changes: Any) -> Any:
    reason = "needs a diffusers with LTX-2's upsampler"
    module = pytest.importorskip("diffusers.pipelines.ltx2.latent_upsampler", reason=reason)
    torch.manual_seed(2)
    return _uneven(module.LTX2LatentUpsamplerModel(**SMALL, **changes))


def _uneven(model: Any) -> Any:
    """Norms that do something."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" in name:
                parameter.add_(torch.randn(parameter.shape) * 0.3)
    return model.eval()


@pytest.mark.parametrize("way", WAYS, ids=str)
@pytest.mark.parametrize("kind", [ltx, ltx2])
def test_a_published_one_gives_what_diffusers_gives(kind, way, tmp_path: Path):
    if kind is ltx2 and way.get("dims") == 2:
        pytest.skip("LTX-2 publishes none of two dimensions")
    theirs = kind(**way)
    theirs.save_pretrained(tmp_path / "theirs")
    ours = load_upsampler(tmp_path / "theirs")
    latent = torch.randn(2, 6, 3, 5, 4)
    with torch.no_grad():
        assert torch.allclose(ours(latent), theirs(latent), atol=1e-4)
    save_upsampler(ours, tmp_path / "again")
    back = type(ltx()).from_pretrained(tmp_path / "again").eval()
    with torch.no_grad():
        assert torch.allclose(back(latent), theirs(latent), atol=1e-4)


def test_ours_is_read_as_it_was_written(tmp_path: Path):
    torch.manual_seed(0)
    model = LatentUpsampler(LatentUpsamplerConfig(in_channels=6, mid_channels=32, temporal_upsample=True))
    digest = save_upsampler(model, tmp_path / "ours")
    assert digest == folder_digest(tmp_path / "ours")
    back = load_upsampler(tmp_path / "ours")
    assert back.config == model.config
    assert all(torch.equal(a, b) for a, b in zip(back.state_dict().values(), model.state_dict().values(), strict=True))


def test_what_does_not_fit_is_one_line(tmp_path: Path):
    torch.manual_seed(0)
    save_upsampler(LatentUpsampler(LatentUpsamplerConfig(in_channels=6, mid_channels=32)), tmp_path / "u")
    place = tmp_path / "u" / "config.json"
    config = json.loads(place.read_text())

    def changed(**values: Any) -> Path:
        (tmp_path / "u" / "digest.json").unlink(missing_ok=True)
        place.write_text(json.dumps({**config, **values}))
        return tmp_path / "u"

    with pytest.raises(AiprodError, match="holds a VideoVAE, not a latent upsampler"):
        load_upsampler(changed(_class_name="VideoVAE"))
    with pytest.raises(AiprodError, match=r"makes latents 1\.5 times as large, and two stages need 2"):
        load_upsampler(
            changed(_class_name="LTX2LatentUpsamplerModel", rational_spatial_scale=1.5, use_rational_resampler=True)
        )
    with pytest.raises(AiprodError, match="does not fit the model"):
        load_upsampler(changed(in_channels=7))
    with pytest.raises(AiprodError, match=r"does not exist|not a checkpoint folder"):
        load_upsampler(tmp_path / "none")
