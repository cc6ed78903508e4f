"""LTX-2 as published is read whole, and gives what the published code gives."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from aiprod.core.components.patchifier import AudioLatentPatchifier, VideoLatentPatchifier
from aiprod.core.transformer.modality import ModalityInput
from aiprod.core.types import AudioCompression, VideoCompression
from aiprod.errors import CheckpointError
from aiprod.models.adapters.ltx2 import LTX2Backbone
from aiprod.models.adapters.mel_audio import MelAudioVAE
from aiprod.models.published.ltx2 import ltx2_parts
from aiprod.models.published.parts import Part, make
from aiprod.models.published.weights import open_weights
from tests.models.published.deterministic import values
from tests.models.published.files import agree, ltx2_metadata, ltx2_tensors, reference, save_ltx2

WHOLE = ("transformer", "connectors", "vae", "audio_vae", "vocoder")


def made(part: Part) -> Any:
    part.check()
    model = make(part.class_name, dict(part.config))
    model.load_state_dict({name: part.tensor(name) for name in part.keys}, strict=True)
    return model.eval().requires_grad_(False)


@pytest.fixture(scope="module", params=["2.0", "2.3"])
def version(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def models(version: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    file = save_ltx2(tmp_path_factory.mktemp("ltx2") / "ltx-2.safetensors", version)
    parts, unread = ltx2_parts(open_weights(file))
    assert tuple(part.name for part in parts) == WHOLE and not unread
    return {part.name: made(part) for part in parts}


def modality(kind: str, width: int, tokens: torch.Tensor, positions: torch.Tensor, sigma: float) -> ModalityInput:
    text = values("in.text" if kind == "video" else "in.audio_text", (1, 5, width), 1.0)
    return ModalityInput(tokens, torch.full((1, 1), sigma), positions, text, torch.ones(1, 5, dtype=torch.bool))


def ask(backbone: LTX2Backbone, version: str) -> Any:
    """The model on the inputs of the reference, through our own positions."""
    widths = (24, 24) if version == "2.0" else (32, 16)
    _, grid = VideoLatentPatchifier(VideoCompression(8, 32, 32, 8), (1, 1, 1)).patchify(
        torch.zeros(1, 8, 3, 2, 4), 25.0
    )
    _, line = AudioLatentPatchifier(AudioCompression(960, 16, 24_000)).patchify(torch.zeros(1, 16, 6))
    text = backbone.text_widths[-1]
    video = modality("video", widths[0], values("in.video", (1, 24, 8), 1.0), grid, 0.7)
    audio = modality("audio", widths[1], values("in.audio", (1, 6, 16), 1.0), line, 0.4)
    if widths[0] != text:  # each stream reads its own part of a feature
        video, audio = (
            m._replace(context=torch.cat([video.context, audio.context], dim=-1))
            for m in (video, audio)  # type: ignore[list-item]
        )
    return backbone(video, audio)


@torch.no_grad()
def test_the_transformer_gives_what_the_published_code_gives(version: str, models: dict[str, Any]) -> None:
    out = ask(LTX2Backbone(models["transformer"]), version)
    agree("ltx2", version, "transformer.video", out.video)
    agree("ltx2", version, "transformer.audio", out.audio)


@torch.no_grad()
def test_the_transformer_of_2_5_does_too(tmp_path: Path) -> None:
    """Its feed-forward layers have no bias, and it marks keyframes."""
    parts, _ = ltx2_parts(open_weights(save_ltx2(tmp_path / "a.safetensors", "2.5")))
    assert [part.name for part in parts] == ["transformer"]
    out = ask(LTX2Backbone(made(parts[0])), "2.5")
    agree("ltx2", "2.5", "transformer.video", out.video)
    agree("ltx2", "2.5", "transformer.audio", out.audio)


@torch.no_grad()
def test_the_connectors_read_the_text_as_published(version: str, models: dict[str, Any]) -> None:
    states = torch.stack([values(f"in.state{i}", (1, 128, 24), 1.0) for i in range(3)], dim=-1)
    mask = torch.zeros(1, 128, dtype=torch.int64)
    mask[:, -5:] = 1
    video, audio, _ = models["connectors"](states, mask, padding_side="left")
    agree("ltx2", version, "connectors.video", video)
    agree("ltx2", version, "connectors.audio", audio)


@torch.no_grad()
def test_pictures_are_encoded_and_decoded_as_published(version: str, models: dict[str, Any]) -> None:
    vae = models["vae"]
    mean, std = (t.view(1, -1, 1, 1, 1) for t in (vae.latents_mean, vae.latents_std))
    encoded = vae.encode(values("in.clip", (1, 3, 9, 64, 96), 1.0)).latent_dist.mean
    agree("ltx2", version, "vae.encode", (encoded - mean) / std)
    agree("ltx2", version, "vae.decode", vae.decode(values("in.latent", (1, 8, 2, 2, 3), 1.0) * std + mean).sample)


@torch.no_grad()
def test_sound_is_encoded_and_decoded_as_published(version: str, models: dict[str, Any]) -> None:
    """Through our protocol: waveform → mel → latents, and latents → mel → vocoder."""
    vae = MelAudioVAE(models["audio_vae"], models["vocoder"])
    rate = {"2.0": 24_000, "2.3": 48_000}[version]
    assert (vae.compression.sample_rate, vae.compression.latents_per_s) == (rate, 25)
    hop = vae.compression.hop
    latents = values("in.audio_latent", (1, 1, 6, 16), 1.0).transpose(2, 3).flatten(1, 2)
    sound = vae.decode(vae.denormalize(latents))
    published = reference("ltx2")[version]["outputs"]["vocoder.shape"][2]
    assert sound.shape == (1, 2, 6 * hop) and published == 6 * hop - 3 * hop // 4
    agree("ltx2", version, "vocoder", sound[:, :, :published])
    assert not sound[:, :, published:].any(), "what no latent holds is silent"
    # the published code is given sound at the autoencoder's own rate, so ours is given a vocoder of that rate
    vae.compression = AudioCompression(640, 16, 16_000)
    wave = values("in.wave", (1, 2, 3840), 0.5) * torch.linspace(0.1, 1, 3840)
    encoded = vae.normalize(vae.encode(wave).mode())
    assert encoded.shape == (1, 16, 6)
    agree("ltx2", version, "audio_vae.encode", encoded.unflatten(1, (1, 16)).transpose(2, 3), 3e-4)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("extra", r"not known.*model\.diffusion_model\.keyframe_router\.weight"),
        ("less", r"missing.*transformer_blocks\.0\.attn1\.to_q\.weight"),
        ("shape", r"another shape.*proj_out\.weight \(stored \[8, 31\]"),
        ("top", r"tensors that are not known: speech_head\.weight"),
        ("config", "no config in its metadata"),
        ("other", "built with positional_embedding_type 'learned'"),
        ("decoder", "CausalDiffusionVAE, whose decoder is a diffusion model"),
    ],
)
def test_what_is_not_understood_is_refused_by_name(tmp_path: Path, change: str, named: str) -> None:
    tensors, metadata = ltx2_tensors("2.0"), ltx2_metadata("2.0")
    config = json.loads(metadata["config"])
    dit = "model.diffusion_model."
    if change == "extra":
        tensors[f"{dit}keyframe_router.weight"] = torch.zeros(2, 2)
    elif change == "less":
        del tensors[f"{dit}transformer_blocks.0.attn1.to_q.weight"]
    elif change == "shape":
        tensors[f"{dit}proj_out.weight"] = torch.zeros(8, 31)
    elif change == "top":
        tensors["speech_head.weight"] = torch.zeros(2, 2)
    elif change == "other":
        config["transformer"]["positional_embedding_type"] = "learned"
    elif change == "decoder":
        config["vae"]["_class_name"] = "CausalDiffusionVAE"
    told = {} if change == "config" else {"config": json.dumps(config)}
    save_file(tensors, tmp_path / "a.safetensors", metadata=told)
    with pytest.raises(CheckpointError, match=named):
        for part in ltx2_parts(open_weights(tmp_path / "a.safetensors"))[0]:
            part.check()
