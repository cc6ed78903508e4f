"""What makers publish becomes a pipeline folder that our loaders and diffusers open, whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from aiprod.cli import app
from aiprod.core.types import VideoCompression
from aiprod.errors import AiprodError, CheckpointError
from aiprod.models.adapters.autoencoders import load_audio_vae, load_video_vae, save_vae
from aiprod.models.adapters.load_backbone import load_backbone
from aiprod.models.adapters.load_text_encoder import load_text_encoder
from aiprod.models.checkpoint.lora import fuse_lora
from aiprod.models.checkpoint.lora_file import LoraLayer, write_lora
from aiprod.models.published.import_pipeline import import_pipeline
from aiprod.models.published.recognise import recognise, sources_in
from tests.models.published.deterministic import values
from tests.models.published.files import ltx2_metadata, save_ltx2, save_split, scaled_fp8, shards, wan_tensors
from tests.models.t5_folders import make_encoder, save_spiece
from tests.models.test_gemma import SIZES, save

DIT = "model.diffusion_model."
PROJECTION = "text_embedding_projection."


def gemma(folder: Path) -> Path:
    """A Gemma 3 with 3 states of 24 values, as the connectors of the reference read them."""
    changed = dict(SIZES)
    SIZES.update(hidden_size=24, head_dim=12)
    try:
        return save(folder, "gemma3")
    finally:
        SIZES.update(changed)


def packed(path: Path, folder: Path, projection: dict[str, torch.Tensor]) -> Path:
    """A Gemma, its tokenizer and the projection of its states in one file, as LTX-2.5's text encoder is published."""
    tensors = load_file(folder / "model.safetensors")
    files = {"tokenizer_json": "tokenizer.json", "hf_asset__tokenizer_config.json": "tokenizer_config.json"}
    for name, file in files.items():
        tensors[name] = torch.frombuffer(bytearray((folder / file).read_bytes()), dtype=torch.uint8)
    save_file({**tensors, **projection}, path, metadata={"gemma_config": (folder / "config.json").read_text()})
    return path


@torch.no_grad()
def test_one_file_of_ltx2_becomes_a_pipeline(tmp_path: Path) -> None:
    file, text, target = save_ltx2(tmp_path / "ltx-2.safetensors"), gemma(tmp_path / "gemma"), tmp_path / "given"
    lines: list[str] = []
    import_pipeline([file], target, text_encoder=text, report=lines.append, shard_bytes=100_000)
    assert len(list((target / "vae").glob("*-of-*.safetensors"))) > 1, "large parts are in shards"
    video = load_video_vae(target / "vae")
    assert video.compression == VideoCompression(8, 32, 32, 8)
    sound = load_audio_vae(target / "audio_vae")
    assert (sound.compression.channels, sound.compression.sample_rate) == (16, 24_000)
    encoder = load_text_encoder(target)
    assert encoder.encode(["a red disc"]).hidden.shape[2] == encoder.width == 48
    backbone = load_backbone(target / "transformer", video.compression)
    assert encoder.width in backbone.text_widths and backbone.sizes.audio == sound.compression.channels
    pipeline = diffusers.LTX2Pipeline.from_pretrained(target, local_files_only=True)
    assert type(pipeline.vocoder).__name__ == "LTX2Vocoder" and pipeline.scheduler.config.shift_terminal == 0.1
    transformer, vocoder = pipeline.transformer.state_dict(), pipeline.vocoder.state_dict()
    assert torch.equal(transformer["proj_in.weight"], values(f"{DIT}patchify_proj.weight", (32, 8)))
    assert torch.equal(vocoder["conv_in.weight"], values("vocoder.conv_pre.weight", (32, 128, 7)))
    record = json.loads((target / "imported.json").read_text())
    assert record["sources"][0]["name"] == file.name and record["says"] == {"model_version": "2.0.0"}
    assert str(tmp_path) not in (target / "imported.json").read_text()
    assert any(line.startswith("audio_vae: AutoencoderKLLTX2Audio") for line in lines)


@torch.no_grad()
def test_the_sound_of_ltx2_is_copied_with_its_vocoder(tmp_path: Path) -> None:
    """The stage of the audio autoencoder copies what is given; what was copied gives the same."""
    import_pipeline(
        [save_ltx2(tmp_path / "a.safetensors", "2.3")], tmp_path / "given", text_encoder=gemma(tmp_path / "g")
    )
    first = load_audio_vae(tmp_path / "given/audio_vae")
    digest = save_vae(first, tmp_path / "copy")
    again = load_audio_vae(tmp_path / "copy")
    wave = values("in.wave", (1, 2, 3 * first.compression.hop), 0.3)
    assert torch.equal(again.encode(wave).mode(), first.encode(wave).mode())
    latents = values("in.latents", (1, 16, 3), 1.0)
    assert torch.equal(again.decode(latents), first.decode(latents))
    assert save_vae(again, tmp_path / "third") == digest
    (tmp_path / "given/vocoder/config.json").unlink()
    with pytest.raises(CheckpointError, match="without its vocoder"):
        load_audio_vae(tmp_path / "given/audio_vae")


@pytest.mark.parametrize("bare", [True, pytest.param(False, marks=pytest.mark.long)])
def test_parts_in_files_of_their_own_become_the_same_pipeline(tmp_path: Path, bare: bool) -> None:
    """The tree of LTX-2.5: the connectors lie with the transformer, their projection with the text encoder."""
    whole = save_ltx2(tmp_path / "whole.safetensors", "2.3")
    text = gemma(tmp_path / "gemma")
    tree = save_split(tmp_path / "tree", bare=bare)
    projection = {n: t for n, t in load_file(whole).items() if n.startswith(PROJECTION)}
    (tree / "text_encoders").mkdir()
    packed(tree / "text_encoders/gemma-with-proj.safetensors", text, projection)
    assert [recognise(f).problems for f in sources_in(tree)] == [[]] * 4
    import_pipeline([tree], tmp_path / "a")
    import_pipeline([whole], tmp_path / "b", text_encoder=text)
    for name in ("transformer", "connectors", "vae", "audio_vae", "vocoder"):
        for file in ("config.json", "diffusion_pytorch_model.safetensors"):
            assert (tmp_path / "a" / name / file).read_bytes() == (tmp_path / "b" / name / file).read_bytes(), name
    one, other = (load_text_encoder(tmp_path / place).encode(["two blue squares"]) for place in ("a", "b"))
    assert torch.equal(one.hidden, other.hidden)


def wan_files(folder: Path) -> list[Path]:
    """Both experts, autoencoder and UMT5, as ComfyUI has them."""
    folder.mkdir()
    low = {n: t * 1.5 for n, t in wan_tensors("transformer").items()}
    parts = {
        "wan2.2_t2v_high_noise.safetensors": wan_tensors("transformer"),
        "wan2.2_t2v_low_noise.safetensors": low,
        "wan_2.1_vae.safetensors": wan_tensors("vae2.1"),
    }
    encoder = make_encoder("umt5", 24)
    save_spiece(folder / "spiece.model")
    pieces = torch.frombuffer(bytearray((folder / "spiece.model").read_bytes()), dtype=torch.uint8)
    (folder / "spiece.model").unlink()
    held = {n: t.clone() for n, t in encoder.state_dict().items() if n != "encoder.embed_tokens.weight"}
    parts["umt5.safetensors"] = {**held, "spiece_model": pieces}
    for name, tensors in parts.items():
        save_file({n: t.contiguous() for n, t in tensors.items()}, folder / name)
    return sorted(folder.iterdir())


def test_both_experts_of_wan_become_a_pipeline(tmp_path: Path) -> None:
    import_pipeline(wan_files(tmp_path / "files"), tmp_path / "given")
    index = json.loads((tmp_path / "given/model_index.json").read_text())
    assert index["boundary_ratio"] == 0.875 and index["transformer_2"] == ["diffusers", "WanTransformer3DModel"]
    high, low = (
        diffusers.WanTransformer3DModel.from_pretrained(tmp_path / "given" / n)
        for n in ("transformer", "transformer_2")
    )
    assert torch.equal(low.proj_out.weight, 1.5 * high.proj_out.weight)
    assert load_video_vae(tmp_path / "given/vae").compression == VideoCompression(4, 8, 8, 16)
    assert load_text_encoder(tmp_path / "given").encode(["a red disc"]).hidden.shape[2] == 24
    assert (
        diffusers.WanPipeline.from_pretrained(tmp_path / "given", local_files_only=True).config.boundary_ratio == 0.875
    )


def test_fp8_and_shards_become_plain_weights(tmp_path: Path) -> None:
    plain = wan_tensors("transformer")
    folder = shards(tmp_path / "wan2.1", scaled_fp8(plain, "comfyui"))
    import_pipeline([folder], tmp_path / "given")
    import_pipeline([folder], tmp_path / "wide", dtype="fp32")
    kept = load_file(tmp_path / "given/transformer/diffusion_pytorch_model.safetensors")
    wide = load_file(tmp_path / "wide/transformer/diffusion_pytorch_model.safetensors")
    assert kept["blocks.0.attn1.to_q.weight"].dtype == torch.bfloat16 and kept["proj_out.bias"].dtype == torch.float32
    assert {t.dtype for t in wide.values()} == {torch.float32}
    q = plain["blocks.0.self_attn.q.weight"]
    assert float((kept["blocks.0.attn1.to_q.weight"].float() - q).abs().max()) < float(q.abs().max()) / 14


def test_a_lora_is_added_as_it_is_imported(tmp_path: Path) -> None:
    save_file(wan_tensors("transformer"), tmp_path / "wan.safetensors")
    import_pipeline([tmp_path / "wan.safetensors"], tmp_path / "plain")
    base = load_file(tmp_path / "plain/transformer/diffusion_pytorch_model.safetensors")
    layer = LoraLayer(torch.randn(2, 128), torch.randn(128, 2), 1.0)
    lora = tmp_path / "style.safetensors"
    write_lora({"blocks.1.attn2.to_v": layer}, lora, "kohya", base)
    import_pipeline([tmp_path / "wan.safetensors"], tmp_path / "with", loras=[(lora, 0.7)])
    made = load_file(tmp_path / "with/transformer/diffusion_pytorch_model.safetensors")
    wanted = fuse_lora(base, lora, 0.7)
    assert all(torch.equal(made[n], wanted[n]) for n in base)
    assert not torch.equal(made["blocks.1.attn2.to_v.weight"], base["blocks.1.attn2.to_v.weight"])


def spoiled(tmp_path: Path, change: str) -> tuple[list[Path], dict[str, Any]]:
    files = wan_files(tmp_path / "files")
    umt5, high, low, vae = files
    if change == "one expert":
        return [high, vae], {}
    if change == "low alone":
        return [low, vae], {}
    if change == "unnamed":
        return [high.rename(tmp_path / "files/a.safetensors"), low.rename(tmp_path / "files/b.safetensors")], {}
    if change == "twice":
        return [vae, vae], {}
    if change == "tokenizer":
        held = {n: t for n, t in load_file(umt5).items() if n != "spiece_model"}
        save_file(held, umt5)
        return [umt5], {}
    if change == "unknown":
        save_file({"some.thing": torch.zeros(2), "some.other": torch.zeros(2)}, tmp_path / "x.safetensors")
        return [tmp_path / "x.safetensors"], {}
    if change == "connectors":
        return [save_split(tmp_path / "tree")], {}
    if change == "other gemma":
        return [save_ltx2(tmp_path / "l.safetensors", "2.3")], {"text_encoder": save(tmp_path / "gemma", "gemma3")}
    return [vae], {"loras": [(high, 1.0)]}


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("one expert", "expert of high noise alone"),
        ("low alone", "expert of low noise alone"),
        ("unnamed", "both hold a transformer"),
        ("twice", "both hold a vae"),
        ("tokenizer", "holds no tokenizer"),
        ("unknown", r"not understood: it holds some\.(thing|other)"),
        ("connectors", "their projection of the text lies with the text encoder"),
        ("other gemma", "no whole number of states of 32"),
        ("lora", "no transformer to be added to"),
    ],
)
def test_nothing_is_written_of_what_does_not_fit(tmp_path: Path, change: str, named: str) -> None:
    sources, more = spoiled(tmp_path, change)
    with pytest.raises(CheckpointError, match=named):
        import_pipeline(sources, tmp_path / "given", **more)
    assert not (tmp_path / "given").exists() and not list(tmp_path.glob(".given*"))


def test_a_text_encoder_with_other_tensors_is_refused(tmp_path: Path) -> None:
    text = gemma(tmp_path / "gemma")
    file = packed(tmp_path / "t.safetensors", text, {"speech_tower.weight": torch.zeros(2)})
    with pytest.raises(CheckpointError, match=r"not known: .*speech_tower\.weight"):
        import_pipeline([file], tmp_path / "given")
    config = json.loads((text / "config.json").read_text())
    tensors = load_file(file)
    tensors["hf_asset__../evil.json"] = tensors.pop("hf_asset__tokenizer_config.json")
    save_file(tensors, file, metadata={"gemma_config": json.dumps(config)})
    with pytest.raises(CheckpointError, match="names that are not read"):
        import_pipeline([file], tmp_path / "given")


def test_a_folder_in_use_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "given").mkdir()
    (tmp_path / "given/mine.txt").write_text("x")
    save_file(wan_tensors("vae2.1"), tmp_path / "v.safetensors")
    with pytest.raises(AiprodError, match="holds files other than a pipeline"):
        import_pipeline([tmp_path / "v.safetensors"], tmp_path / "given")
    assert (tmp_path / "given/mine.txt").read_text() == "x"


def aiprod(*arguments: object) -> tuple[int, str]:
    """Exit code and words of the command; an error of ours is what ``main`` makes of it."""
    done = CliRunner().invoke(app, [str(a) for a in arguments])
    if isinstance(done.exception, AiprodError):
        return 2, str(done.exception)
    return done.exit_code, done.output


def test_the_command_says_what_a_file_is(tmp_path: Path) -> None:
    code, said = aiprod("model", "inspect", save_ltx2(tmp_path / "a.safetensors", "2.3"))
    assert code == 0 and "LTX-2 in one file" in said and "version: 2.3.0" in said
    assert "vocoder: LTX2VocoderWithBWE, 435 tensors" in said and "values in F32" in said
    save_file({"speech.weight": torch.zeros(2)}, tmp_path / "b.safetensors", metadata=ltx2_metadata("2.0"))
    code, said = aiprod("model", "inspect", tmp_path / "b.safetensors")
    assert code == 1 and "refused: " in said and "speech.weight" in said
    code, said = aiprod("model", "inspect", tmp_path / "none.safetensors")
    assert code == 2 and "does not exist" in said


def test_a_lora_is_converted_by_the_command(tmp_path: Path) -> None:
    save_file(wan_tensors("transformer"), tmp_path / "wan.safetensors")
    given = tmp_path / "given"
    code, said = aiprod("model", "import", tmp_path / "wan.safetensors", "--to", given)
    assert code == 0 and "transformer: WanTransformer3DModel" in said
    base = load_file(given / "transformer/diffusion_pytorch_model.safetensors")
    layer = LoraLayer(torch.randn(2, 128), torch.randn(128, 2), 1.0)
    write_lora({"blocks.0.attn1.to_out.0": layer}, tmp_path / "lora", "peft", base)
    out = tmp_path / "out.safetensors"
    code, said = aiprod("model", "lora", tmp_path / "lora", "--style", "comfyui", "--model", given, "--to", out)
    assert code == 0 and "1 layers, peft keys as comfyui" in said
    assert set(load_file(out)) == {
        f"diffusion_model.blocks.0.self_attn.o.{n}" for n in ("lora_A.weight", "lora_B.weight", "alpha")
    }
    assert aiprod("model", "inspect", out)[1].startswith(f"{out}: a LoRA with comfyui keys")
    code, said = aiprod("model", "import", tmp_path / "wan.safetensors", "--to", tmp_path / "b", "--lora", f"{out}:0.5")
    assert code == 0
    assert aiprod("model", "lora", out, "--style", "zip", "--model", given, "--to", tmp_path / "x")[0] == 2
    assert aiprod("model", "import", out, "--to", tmp_path / "c")[0] == 2, "a LoRA alone is no checkpoint"


def test_transformers_reads_the_text_encoder_that_was_in_one_file(tmp_path: Path) -> None:
    import_pipeline([wan_files(tmp_path / "files")[0]], tmp_path / "given")
    model, report = transformers.UMT5EncoderModel.from_pretrained(
        tmp_path / "given/text_encoder", output_loading_info=True
    )
    assert not report["missing_keys"] and not report["unexpected_keys"]
    assert torch.equal(model.state_dict()["shared.weight"], make_encoder("umt5", 24).state_dict()["shared.weight"])
