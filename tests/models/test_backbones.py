"""Public checkpoints give through our call what they give through their own, mixed batches too, and can be trained."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from diffusers import LTX2VideoTransformer3DModel, LTXVideoTransformer3DModel, WanTransformer3DModel

from aiprod.core.components.patchifier import AudioLatentPatchifier, VideoLatentPatchifier
from aiprod.core.perturbations import Perturbation, PerturbationSet, PerturbationType
from aiprod.core.transformer.modality import ModalityInput
from aiprod.core.types import AudioCompression, AudioLatentShape, VideoCompression, VideoLatentShape
from aiprod.errors import AiprodError
from aiprod.models.adapters.backbone import DiffusersBackbone
from aiprod.models.adapters.load_backbone import load_backbone

FPS = 25.0
GRID = (3, 2, 4)
LTX_VAE = VideoCompression(8, 32, 32, 6)
WAN_VAE = VideoCompression(4, 8, 8, 4)
LTX2_AUDIO = AudioCompression(640, 5, 16_000)


def ltx() -> LTXVideoTransformer3DModel:
    torch.manual_seed(0)
    return LTXVideoTransformer3DModel(
        in_channels=6,
        out_channels=6,
        num_attention_heads=2,
        attention_head_dim=16,
        cross_attention_dim=32,
        num_layers=2,
        caption_channels=7,
    ).eval()


def ltx2(perturbed: bool = False) -> LTX2VideoTransformer3DModel:
    torch.manual_seed(0)
    model = LTX2VideoTransformer3DModel(
        in_channels=6,
        out_channels=6,
        num_attention_heads=2,
        attention_head_dim=16,
        cross_attention_dim=32,
        audio_in_channels=5,
        audio_out_channels=5,
        audio_num_attention_heads=2,
        audio_attention_head_dim=8,
        audio_cross_attention_dim=16,
        num_layers=2,
        caption_channels=7,
        perturbed_attn=perturbed,
    ).eval()
    for name, parameter in model.named_parameters():
        if "scale_shift_table" in name:  # drawn small; make every branch count
            torch.nn.init.normal_(parameter)
    return model


def wan() -> WanTransformer3DModel:
    torch.manual_seed(0)
    return WanTransformer3DModel(
        patch_size=(1, 2, 2),
        num_attention_heads=2,
        attention_head_dim=16,
        in_channels=4,
        out_channels=4,
        text_dim=7,
        freq_dim=32,
        ffn_dim=64,
        num_layers=2,
    ).eval()


def opened(model: torch.nn.Module, folder: Path, compression: VideoCompression) -> DiffusersBackbone:
    """Saved in diffusers format and opened again: what a user does with a downloaded folder."""
    model.save_pretrained(folder)
    return load_backbone(folder, compression).eval()


def text(batch: int, seed: int = 5) -> dict[str, torch.Tensor]:
    mask = torch.ones(batch, 4, dtype=torch.bool)
    mask[:, 3] = False
    return {"context": torch.randn(batch, 4, 7, generator=torch.Generator().manual_seed(seed)), "context_mask": mask}


def video(
    batch: int = 2, compression: VideoCompression = LTX_VAE, patch: tuple[int, int, int] = (1, 1, 1)
) -> ModalityInput:
    patchifier = VideoLatentPatchifier(compression, patch)
    sizes = [g * p for g, p in zip(GRID, patch, strict=True)]
    latent = torch.randn(batch, compression.channels, *sizes, generator=torch.Generator().manual_seed(1))
    tokens, positions = patchifier.patchify(latent, FPS)
    return ModalityInput(tokens, torch.full((batch, 1), 0.7), positions, **text(batch))


def audio(batch: int = 2) -> ModalityInput:
    latent = torch.randn(batch, 5, 6, generator=torch.Generator().manual_seed(2))
    tokens, positions = AudioLatentPatchifier(LTX2_AUDIO).patchify(latent)
    return ModalityInput(tokens, torch.full((batch, 1), 0.4), positions, **text(batch, 6))


def rows(given: ModalityInput, index: slice) -> ModalityInput:
    return ModalityInput(*(None if t is None else t[index] for t in given))


def close(a: torch.Tensor | None, b: torch.Tensor | None, tolerance: float = 1e-4) -> None:
    assert a is not None and b is not None
    torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)


@torch.no_grad()
@pytest.mark.parametrize("per_token", [False, True])
def test_ltx_gives_what_it_gives_itself(tmp_path: Path, per_token: bool) -> None:
    model, v = ltx(), video()
    if per_token:
        v = v._replace(timesteps=torch.rand(2, v.latent.shape[1]))
    want = model(
        hidden_states=v.latent,
        encoder_hidden_states=v.context,
        encoder_attention_mask=v.context_mask,
        timestep=1000 * (v.timesteps if per_token else v.timesteps[:, 0]),
        num_frames=3,
        height=2,
        width=4,
        rope_interpolation_scale=(8 / FPS, 32, 32),
        return_dict=False,
    )[0]
    close(opened(model, tmp_path, LTX_VAE)(v, None).video, want)


@torch.no_grad()
def test_ltx2_gives_what_it_gives_itself(tmp_path: Path) -> None:
    """At one noise level for both streams; at two, ours does as the published code (tests/models/published)."""
    model, v, a = ltx2(), video(), audio()
    a = a._replace(timesteps=v.timesteps)
    want = model(
        hidden_states=v.latent,
        audio_hidden_states=a.latent,
        encoder_hidden_states=v.context,
        audio_encoder_hidden_states=a.context,
        timestep=700 * torch.ones(2),
        audio_timestep=700 * torch.ones(2),
        encoder_attention_mask=v.context_mask,
        audio_encoder_attention_mask=a.context_mask,
        num_frames=3,
        height=2,
        width=4,
        fps=FPS,
        audio_num_frames=6,
        return_dict=False,
    )
    got = opened(model, tmp_path, LTX_VAE)(v, a)
    close(got.video, want[0])
    close(got.audio, want[1])


@torch.no_grad()
def test_ltx2_takes_one_text_for_each_stream_side_by_side_or_one_for_both(tmp_path: Path) -> None:
    backbone, v, a = opened(ltx2(), tmp_path, LTX_VAE), video(), audio()
    assert backbone.text_widths == (7, 14) and v.context is not None and a.context is not None
    both = torch.cat([v.context, a.context], dim=-1)
    joint = backbone(v._replace(context=both), a._replace(context=both))
    close(joint.video, backbone(v, a).video, 1e-6)
    close(joint.audio, backbone(v, a).audio, 1e-6)
    with pytest.raises(AiprodError, match="7 or 14: use its own text encoder"):
        backbone(v._replace(context=both[..., :9]), a)


@torch.no_grad()
def test_ltx2_3_takes_what_its_connectors_give(tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = {k: v for k, v in ltx2().config.items() if not k.startswith("_")}
    model = LTX2VideoTransformer3DModel.from_config({**config, "use_prompt_embeddings": False}).eval()
    v, a = (s._replace(context=torch.randn(2, 4, 48), context_mask=None) for s in (video(), audio()))
    v, a = v._replace(context=a.context), a._replace(timesteps=v.timesteps)
    assert v.context is not None
    want = model(
        hidden_states=v.latent,
        audio_hidden_states=a.latent,
        encoder_hidden_states=v.context[..., :32],
        audio_encoder_hidden_states=v.context[..., 32:],
        timestep=700 * torch.ones(2),
        audio_timestep=700 * torch.ones(2),
        sigma=700 * torch.ones(2),
        audio_sigma=700 * torch.ones(2),
        num_frames=3,
        height=2,
        width=4,
        fps=FPS,
        audio_num_frames=6,
        return_dict=False,
    )
    backbone = opened(model, tmp_path, LTX_VAE)
    assert backbone.text_widths == (48,)
    got = backbone(v, a)
    close(got.video, want[0])
    close(got.audio, want[1])


@torch.no_grad()
def test_ltx2_without_its_sound_makes_pictures_alone(tmp_path: Path) -> None:
    whole, v = opened(ltx2(), tmp_path, LTX_VAE), video()
    silent = load_backbone(tmp_path, LTX_VAE, sound=False).eval()
    assert silent.sizes.audio == 0 and silent(v, None).audio is None
    close(silent(v, None).video, whole(v, None).video, 1e-6)
    with pytest.raises(AiprodError, match="has no audio stream"):
        silent(v, audio())


@torch.no_grad()
@pytest.mark.parametrize("per_token", [False, True])
def test_wan_gives_what_it_gives_itself(tmp_path: Path, per_token: bool) -> None:
    model, patch = wan(), (1, 2, 2)
    v = video(compression=WAN_VAE, patch=patch)
    if per_token:
        v = v._replace(timesteps=torch.rand(2, v.latent.shape[1]))
    patchifier = VideoLatentPatchifier(WAN_VAE, patch)
    shape = VideoLatentShape(2, 4, 3, 4, 8)
    assert v.context is not None and v.context_mask is not None
    want = model(
        patchifier.unpatchify(v.latent, shape),
        1000 * (v.timesteps if per_token else v.timesteps[:, 0]),
        v.context * v.context_mask[..., None],
        return_dict=False,
    )[0]
    got = opened(model, tmp_path, WAN_VAE)(v, None).video
    assert got is not None
    close(patchifier.unpatchify(got, shape), want)
    padded = load_backbone(tmp_path, WAN_VAE, text_tokens=9).eval()(v, None).video
    want = model(
        patchifier.unpatchify(v.latent, shape),
        1000 * (v.timesteps if per_token else v.timesteps[:, 0]),
        torch.nn.functional.pad(v.context * v.context_mask[..., None], (0, 0, 0, 5)),
        return_dict=False,
    )[0]
    assert padded is not None
    close(patchifier.unpatchify(padded, shape), want)


@torch.no_grad()
def test_a_silent_clip_is_the_same_alone_and_beside_a_sounding_one(tmp_path: Path) -> None:
    backbone, v, a = opened(ltx2(), tmp_path, LTX_VAE), video(), audio()
    mask = torch.tensor([[False] * 6, [True] * 6])
    both = backbone(v, a._replace(token_mask=mask))
    assert both.video is not None and both.audio is not None
    close(both.video[:1], backbone(rows(v, slice(0, 1)), None).video)
    sounding = backbone(rows(v, slice(1, 2)), rows(a, slice(1, 2)))
    close(both.video[1:], sounding.video)
    close(both.audio[1:], sounding.audio)
    assert (both.audio[0] == 0).all()
    only = backbone(None, a)
    assert only.video is None and only.audio is not None
    # padding never reaches the model
    longer = a._replace(
        latent=torch.nn.functional.pad(a.latent, (0, 0, 0, 2), value=9.0),
        positions=torch.nn.functional.pad(a.positions, (0, 0, 0, 2)),
        token_mask=torch.arange(8).expand(2, -1) < 6,
    )
    close(backbone(v, longer).video, backbone(v, a).video)
    nothing = backbone(v._replace(token_mask=torch.zeros(2, 24, dtype=torch.bool)), None)
    assert nothing.video is not None and (nothing.video == 0).all()


@torch.no_grad()
def test_ltx2_perturbations_reach_the_samples_that_have_them(tmp_path: Path) -> None:
    backbone, v, a = opened(ltx2(perturbed=True), tmp_path, LTX_VAE), video(), audio()
    plain = backbone(v, a)
    isolated = PerturbationSet.isolate(1).samples[0]
    own = PerturbationSet.skip_self_attention(1, [1]).samples[0]
    mixed = backbone(v, a, PerturbationSet(((), isolated)))
    assert plain.video is not None and mixed.video is not None
    close(mixed.video[0], plain.video[0])
    close(mixed.video[1:], backbone(rows(v, slice(1, 2)), None).video)
    mixed = backbone(v, a, PerturbationSet((own, ())))
    assert mixed.video is not None
    close(mixed.video[1], plain.video[1])
    assert not torch.allclose(mixed.video[0], plain.video[0], atol=1e-4)
    deaf = opened(ltx2(), tmp_path / "plain", LTX_VAE)  # diffusers would take no notice; we say so
    with pytest.raises(AiprodError, match="perturbed_attn"):
        deaf(v, a, PerturbationSet((own, ())))
    with pytest.raises(AiprodError, match="skip_audio_to_video"):
        backbone(v, a, PerturbationSet.everywhere(2, Perturbation(PerturbationType.SKIP_AUDIO_TO_VIDEO, (0,))))


@pytest.mark.parametrize(
    ("make", "compression", "patch"), [(ltx, LTX_VAE, (1, 1, 1)), (wan, WAN_VAE, (1, 2, 2))], ids=["ltx", "wan"]
)
def test_video_models_skip_nothing_and_have_no_sound(make, compression, patch, tmp_path: Path) -> None:
    backbone, v = opened(make(), tmp_path, compression), video(compression=compression, patch=patch)
    with torch.no_grad():
        # modality guidance means nothing to a model of one stream, so it changes nothing
        close(backbone(v, None, PerturbationSet.isolate(2)).video, backbone(v, None).video)
    with pytest.raises(AiprodError, match="cannot do skip_video_self_attention"):
        backbone(v, None, PerturbationSet.skip_self_attention(2, [0]))
    with pytest.raises(AiprodError, match="no audio stream"):
        backbone(v, audio())
    with pytest.raises(AiprodError, match="was given none"):
        backbone(None, audio())
    with pytest.raises(AiprodError, match="at least one"):
        backbone(None, None)
    with pytest.raises(AiprodError, match="no text"):
        backbone(v._replace(context=None, context_mask=None), None)
    with pytest.raises(AiprodError, match="takes"):
        backbone(v._replace(latent=v.latent[..., :3]), None)


def test_wan_takes_whole_grids_only(tmp_path: Path) -> None:
    backbone = opened(wan(), tmp_path, WAN_VAE)
    v = video(compression=WAN_VAE, patch=(1, 2, 2))
    missing = torch.ones(2, 24, dtype=torch.bool)
    missing[:, 5] = False
    with pytest.raises(AiprodError, match="do not fill a grid"):
        backbone(v._replace(token_mask=missing), None)
    image_to_video = WanTransformer3DModel(
        patch_size=(1, 2, 2),
        num_attention_heads=2,
        attention_head_dim=16,
        in_channels=9,
        out_channels=4,
        text_dim=7,
        freq_dim=32,
        ffn_dim=64,
        num_layers=1,
    )
    with pytest.raises(AiprodError, match="text-to-video"):
        opened(image_to_video, tmp_path / "i2v", WAN_VAE)


@pytest.mark.parametrize(
    ("make", "compression", "patch"),
    [(ltx, LTX_VAE, (1, 1, 1)), (ltx2, LTX_VAE, (1, 1, 1)), (wan, WAN_VAE, (1, 2, 2))],
    ids=["ltx", "ltx2", "wan"],
)
def test_a_checkpoint_can_be_trained_and_saved_in_its_own_format(make, compression, patch, tmp_path: Path) -> None:
    backbone = opened(make(), tmp_path, compression).train()
    backbone.enable_gradient_checkpointing()
    v = video(compression=compression, patch=patch)
    sound = audio()._replace(token_mask=torch.tensor([[False] * 6, [True] * 6])) if make is ltx2 else None
    optimizer = torch.optim.AdamW(backbone.parameters(), lr=2e-3)
    losses = []
    for _ in range(12):
        out = backbone(v, sound)
        assert out.video is not None
        loss = (out.video - v.latent).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]
    backbone.enable_gradient_checkpointing(False)
    backbone.save_pretrained(tmp_path / "tuned")
    with torch.no_grad():
        again = load_backbone(tmp_path / "tuned", compression).eval()(v, sound).video
        close(again, backbone.eval()(v, sound).video)


def test_audio_positions_follow_the_causal_audio_vae(tmp_path: Path) -> None:
    backbone, model = opened(ltx2(), tmp_path, LTX_VAE), ltx2()
    positions = AudioLatentPatchifier(LTX2_AUDIO).positions(AudioLatentShape(1, 5, 9))
    want = model.audio_rope.prepare_audio_coords(1, 9, device="cpu").mean(-1).transpose(1, 2)
    torch.testing.assert_close(backbone.audio_seconds(positions), want, rtol=1e-5, atol=1e-6)


def test_folders_that_cannot_be_opened_say_why(tmp_path: Path) -> None:
    with pytest.raises(AiprodError, match=r"no config\.json"):
        load_backbone(tmp_path / "nowhere", LTX_VAE)
    folder = tmp_path / "model"
    ltx().save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"num_layers": 3}))
    with pytest.raises(AiprodError, match="missing keys: "):
        load_backbone(folder, LTX_VAE)
    (folder / "config.json").write_text(json.dumps(config | {"_class_name": "FluxTransformer2DModel"}))
    with pytest.raises(AiprodError, match="FluxTransformer2DModel, which has no adapter"):
        load_backbone(folder, LTX_VAE)
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "diffusion_pytorch_model.safetensors").write_bytes(b"not tensors")
    with pytest.raises(AiprodError, match="cannot be loaded"):
        load_backbone(folder, LTX_VAE)


def _cut(folder: Path) -> None:
    weights = folder / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-11])


def _pickled(folder: Path) -> None:
    (folder / "diffusion_pytorch_model.safetensors").unlink()
    torch.save({}, folder / "diffusion_pytorch_model.bin")


def _disguised(folder: Path) -> None:
    torch.save({"a": torch.ones(1)}, folder / "diffusion_pytorch_model.safetensors")


def _mislabelled(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"_class_name": "WanTransformer3DModel"}))


def _wider(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"caption_channels": 9}))


def _senseless(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"num_layers": "two"}))


@pytest.mark.parametrize("damage", [_cut, _pickled, _disguised, _mislabelled, _wider, _senseless])
def test_a_bad_public_checkpoint_is_refused_with_one_line(damage: Callable[[Path], None], tmp_path: Path) -> None:
    ltx().save_pretrained(tmp_path / "m")
    damage(tmp_path / "m")
    with pytest.raises(AiprodError) as error:
        load_backbone(tmp_path / "m", LTX_VAE)
    assert "\n" not in str(error.value) and " → " in str(error.value)
