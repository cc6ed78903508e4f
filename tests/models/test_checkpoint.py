"""A checkpoint comes back exactly, or is refused with one line that says why; nothing loads partly."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from aiprod.core.vae.audio import AudioVAE
from aiprod.core.vae.config import AudioVAEConfig, VideoVAEConfig
from aiprod.core.vae.video import VideoVAE
from aiprod.errors import AiprodError, CheckpointError
from aiprod.models.adapters.autoencoders import load_audio_vae, load_video_vae, save_vae
from aiprod.models.checkpoint.folder import (
    check_folder,
    folder_digest,
    open_checkpoint,
    read_safetensors,
    save_checkpoint,
    write_digest,
)
from aiprod.models.checkpoint.load import load_checkpoint, strict_load
from aiprod.models.checkpoint.lora import fuse_lora
from aiprod.models.checkpoint.state_dict_adapter import KeyRenames

pytestmark = pytest.mark.bitwise


class Net(nn.Module):
    """A linear layer with a computed buffer."""

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        self.linear = nn.Linear(config["inputs"], 3)
        self.register_buffer("table", torch.arange(3.0), persistent=False)

    def reset_buffers(self, device: str | torch.device) -> None:
        self.table = torch.arange(3.0, device=device)


def saved(folder: Path, seed: int = 0) -> Net:
    torch.manual_seed(seed)
    net = Net({"inputs": 4})
    save_checkpoint(folder, {"inputs": 4}, net.state_dict(), "Net")
    return net


def load(folder: Path, **options: Any) -> Net:
    return load_checkpoint(folder, Net, "Net", **options)


def one_line(error: pytest.ExceptionInfo[CheckpointError]) -> str:
    assert "\n" not in str(error.value)
    return str(error.value)


def test_what_was_saved_comes_back_bit_for_bit_and_in_eval_mode(tmp_path: Path) -> None:
    net = saved(tmp_path / "m")
    back = load(tmp_path / "m")
    assert not back.training
    assert all(torch.equal(a, b) for a, b in zip(net.state_dict().values(), back.state_dict().values(), strict=True))
    assert torch.equal(back.table, torch.arange(3.0)), "computed buffers are computed again"
    assert load(tmp_path / "m", dtype=torch.bfloat16).linear.weight.dtype == torch.bfloat16


def test_saving_twice_gives_the_same_bytes_and_digest(tmp_path: Path) -> None:
    saved(tmp_path / "a")
    saved(tmp_path / "b")
    assert folder_digest(tmp_path / "a") == folder_digest(tmp_path / "b") == open_checkpoint(tmp_path / "a").digest
    saved(tmp_path / "a", seed=1)  # replaces the old one
    assert folder_digest(tmp_path / "a") != folder_digest(tmp_path / "b")
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


@pytest.mark.parametrize("limit", [1, 30, 60, 10**9])
def test_weights_split_over_files_are_one_model(tmp_path: Path, limit: int) -> None:
    net = Net({"inputs": 4})
    save_checkpoint(tmp_path / "m", {"inputs": 4}, net.state_dict(), "Net", max_shard_bytes=limit)
    assert torch.equal(load(tmp_path / "m").linear.weight, net.linear.weight)
    assert len(list((tmp_path / "m").glob("*.safetensors"))) == (2 if limit <= 30 else 1)


def test_a_lost_shard_is_named(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "m", {"inputs": 4}, Net({"inputs": 4}).state_dict(), "Net", max_shard_bytes=1)
    (tmp_path / "m" / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(CheckpointError) as error:
        load(tmp_path / "m")
    assert "model-00002-of-00002" in one_line(error)


def flip_a_byte(folder: Path) -> None:
    path = folder / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))


def cut_short(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-5])
    write_digest(folder)  # even where the digest was made over the damaged file


def rename_class(folder: Path) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "_class_name": "Other"}))
    write_digest(folder)


class Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return (open, ("/tmp/aiprod-test-bomb", "w"))


def hide_a_pickle(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(pickle.dumps(Bomb()))
    write_digest(folder)


def hide_a_torch_file(folder: Path) -> None:
    torch.save({"linear.weight": torch.ones(3, 4)}, folder / "model.safetensors")
    write_digest(folder)


def only_a_pickle(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    torch.save({}, folder / "pytorch_model.bin")


def break_config(folder: Path) -> None:
    (folder / "config.json").write_text("{not json")


def list_config(folder: Path) -> None:
    (folder / "config.json").write_text("[]")


def wrong_config(folder: Path) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({"_class_name": "Net", "inputs": -4}))
    write_digest(folder)


def no_digest(folder: Path) -> None:
    (folder / "digest.json").unlink()


def forged_digest(folder: Path) -> None:
    path = folder / "digest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "digest": "0" * 64}))


def missing_key(folder: Path) -> None:
    save_file({"linear.weight": torch.ones(3, 4)}, folder / "model.safetensors")
    write_digest(folder)


def unexpected_key(folder: Path) -> None:
    save_file(
        {"linear.weight": torch.ones(3, 4), "linear.bias": torch.ones(3), "more": torch.ones(1)},
        folder / "model.safetensors",
    )
    write_digest(folder)


def wrong_shape(folder: Path) -> None:
    save_file({"linear.weight": torch.ones(3, 5), "linear.bias": torch.ones(3)}, folder / "model.safetensors")
    write_digest(folder)


def escaping_index(folder: Path) -> None:
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": "../secret.safetensors"}}))


def endless_name(folder: Path) -> None:
    name = "長" * 100  # 300 bytes, more than a file system takes
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": name}}))


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (flip_a_byte, "changed since it was saved"),
        (cut_short, "damaged"),
        (rename_class, "holds a Other, not a Net"),
        (hide_a_pickle, "pickle"),
        (hide_a_torch_file, "pickle"),
        (only_a_pickle, "pytorch_model.bin"),
        (break_config, "not JSON"),
        (list_config, "not a JSON object"),
        (wrong_config, "does not describe"),
        (no_digest, "no digest.json"),
        (forged_digest, "contradicts itself"),
        (missing_key, "missing linear.bias"),
        (unexpected_key, "unexpected more"),
        (wrong_shape, "stored [3, 5], expected [3, 4]"),
        (escaping_index, "names no files next to it"),
        (endless_name, "names no files next to it"),
    ],
)
def test_a_bad_checkpoint_is_refused_with_one_line(tmp_path: Path, damage: Any, words: str) -> None:
    saved(tmp_path / "m")
    damage(tmp_path / "m")
    with pytest.raises(CheckpointError) as error:
        load(tmp_path / "m")
    assert words in one_line(error)
    assert " → " in str(error.value), "the fix is said"


def test_a_pickle_is_never_run() -> None:
    assert not Path("/tmp/aiprod-test-bomb").exists()


def test_a_missing_folder_and_a_missing_file_are_said(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="is not a checkpoint folder"):
        load(tmp_path / "nothing")
    saved(tmp_path / "m")
    (tmp_path / "m" / "config.json").unlink()
    with pytest.raises(CheckpointError, match="does not exist"):
        load(tmp_path / "m")
    (tmp_path / "n").mkdir()
    (tmp_path / "n" / "config.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"lacks model\.safetensors"):
        open_checkpoint(tmp_path / "n")


def test_nothing_is_overwritten_that_is_no_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "thesis.txt").write_text("years of work")
    with pytest.raises(CheckpointError, match="holds files other"):
        saved(tmp_path / "m")
    assert (tmp_path / "m" / "thesis.txt").read_text() == "years of work"


def test_a_full_disk_leaves_the_old_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    net = saved(tmp_path / "m")

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("aiprod.models.checkpoint.folder.save_file", full)
    with pytest.raises(AiprodError, match="no space left"):
        saved(tmp_path / "m", seed=1)
    assert torch.equal(load(tmp_path / "m").linear.weight, net.linear.weight)
    assert [p.name for p in tmp_path.iterdir()] == ["m"]


def test_strict_load_changes_nothing_when_it_refuses() -> None:
    net = Net({"inputs": 4})
    before = {k: v.clone() for k, v in net.state_dict().items()}
    with pytest.raises(CheckpointError, match="wrong shape"):
        strict_load(net, {"linear.weight": torch.ones(3, 4), "linear.bias": torch.ones(7)}, "here")
    assert all(torch.equal(before[k], v) for k, v in net.state_dict().items())


def test_a_computed_buffer_that_nobody_computes_is_an_error() -> None:
    class Careless(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("table", torch.ones(2), persistent=False)

    with torch.device("meta"):
        net = Careless()
    with pytest.raises(CheckpointError, match="table"):
        strict_load(net, {}, "here")


def test_key_renames_are_data(tmp_path: Path) -> None:
    foreign = {"fc.w": torch.ones(3, 4), "fc.bias": torch.zeros(3), "optimizer.step": torch.ones(1)}
    save_checkpoint(tmp_path / "m", {"inputs": 4}, foreign, "Net")
    renames = KeyRenames((("^fc\\.", "linear."), ("\\.w$", ".weight")), drop=("^optimizer",))
    back = load(tmp_path / "m", renames=renames)
    assert torch.equal(back.linear.weight, foreign["fc.w"])
    with pytest.raises(CheckpointError, match="both into linear"):
        KeyRenames(((".*", "linear"),)).apply(foreign)


@pytest.mark.parametrize("shape", [(6, 4), (6, 4, 3), (6, 4, 3, 3)])
def test_fused_lora_equals_the_adapted_layer(tmp_path: Path, shape: tuple[int, ...]) -> None:
    """y = W x + s·(alpha/r)·B A x, computed here in float64 from the two small matrices."""
    torch.manual_seed(0)
    weight, down, up = torch.randn(shape), torch.randn(2, *shape[1:]), torch.randn(6, 2, *[1] * (len(shape) - 2))
    file = tmp_path / "lora.safetensors"
    save_file(
        {
            "base_model.model.block.lora_A.weight": down,
            "base_model.model.block.lora_B.weight": up,
            "base_model.model.block.alpha": torch.tensor(8.0),
        },
        file,
    )
    fused = fuse_lora({"block.weight": weight}, file, strength=0.5)["block.weight"]
    x = torch.randn(5, weight[0].numel(), dtype=torch.float64)
    by_hand = x @ weight.flatten(1).double().T + 0.5 * 4.0 * (x @ down.flatten(1).double().T) @ up.flatten(1).double().T
    assert torch.allclose(x @ fused.flatten(1).double().T, by_hand, atol=1e-4)


def test_a_peft_adapter_fuses_to_what_peft_computes(tmp_path: Path) -> None:
    from peft import LoraConfig, get_peft_model

    net = saved(tmp_path / "m")
    adapted = get_peft_model(Net({"inputs": 4}), LoraConfig(r=2, lora_alpha=6, target_modules=["linear"]))
    adapted.base_model.model.linear.base_layer.load_state_dict(net.linear.state_dict())
    nn.init.normal_(adapted.base_model.model.linear.lora_B["default"].weight)
    adapted.save_pretrained(str(tmp_path / "adapter"))
    fused = load(tmp_path / "m", loras=[(tmp_path / "adapter", 1.0)])
    x = torch.randn(7, 4)
    assert torch.allclose(fused.linear(x), adapted.base_model.model.linear(x), atol=1e-5)


def test_a_lora_of_another_model_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "lora.safetensors"
    a, b = torch.ones(1, 4), torch.ones(3, 1)
    cases: list[tuple[dict[str, Tensor], str]] = [
        ({"x.lora_A.weight": a}, "A and B pairs"),
        ({}, "A and B pairs"),
        ({"x.lora_A.weight": a, "x.lora_B.weight": b, "y": a.clone()}, "A and B pairs"),
        ({"x.lora_A.weight": a, "x.lora_B.weight": b}, "has no weight"),
        ({"linear.lora_A.weight": torch.ones(1, 9), "linear.lora_B.weight": b}, "does not fit"),
    ]
    for tensors, words in cases:
        save_file(tensors or {"z": a}, file)
        with pytest.raises(CheckpointError, match=words):
            fuse_lora({"linear.weight": torch.ones(3, 4)}, file)


def test_folders_of_other_programs_are_checked_where_they_can_be(tmp_path: Path) -> None:
    saved(tmp_path / "m")
    (tmp_path / "m" / "digest.json").unlink()
    assert check_folder(tmp_path / "m") == folder_digest(tmp_path / "m")
    assert load(tmp_path / "m", require_digest=False)
    (tmp_path / "m" / "training").mkdir()  # folders below are not part of the model
    assert check_folder(tmp_path / "m") == folder_digest(tmp_path / "m")


@pytest.mark.parametrize(
    "vae",
    [
        VideoVAE(VideoVAEConfig(widths=(8,), encoder_depths=(1,), decoder_depths=(1,), latent_channels=3)),
        AudioVAE(AudioVAEConfig(widths=(4, 6, 8), latent_channels=3)),
        VideoVAE(
            VideoVAEConfig(
                widths=(8,),
                encoder_depths=(0,),
                decoder_depths=(0,),
                latent_channels=3,
                bottleneck="fsq",
                fsq_levels=(5, 5, 3),
            )
        ),
        VideoVAE(
            VideoVAEConfig(
                widths=(8,),
                encoder_depths=(0,),
                decoder_depths=(0,),
                latent_channels=3,
                bottleneck="vq",
                codebook_size=16,
            )
        ),
    ],
)
def test_autoencoders_come_back_whole(tmp_path: Path, vae: VideoVAE | AudioVAE) -> None:
    save_vae(vae, tmp_path / "m")
    back = (load_video_vae if isinstance(vae, VideoVAE) else load_audio_vae)(tmp_path / "m")
    x = torch.rand(1, 3, 5, 16, 16) if isinstance(vae, VideoVAE) else torch.rand(1, 2, 3840)
    vae.eval()
    with torch.no_grad():
        assert torch.equal(back.encode(x).mode(), vae.encode(x).mode())
        z = vae.encode(x).mode()
        assert torch.equal(back.decode(z), vae.decode(z))


def test_a_header_whose_length_begins_like_a_pickle_is_read(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    for length in range(1, 300):
        save_file({"w" * length: torch.ones(2)}, path)
        if path.read_bytes()[:1] == b"\x80":
            break
    assert path.read_bytes()[:1] == b"\x80"
    assert torch.equal(read_safetensors(path)["w" * length], torch.ones(2))
