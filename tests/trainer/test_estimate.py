"""What a training step is said to take before it is made, against steps that are made: peaks, and what is kept for the
backward pass."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import typer
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode
from typer.testing import CliRunner, Result

from aiprod.base.files import write_json
from aiprod.base.params import validate
from aiprod.commands.model_estimate import _sections
from aiprod.commands.model_estimate import estimate as estimate_command
from aiprod.core.components.patchifier import AudioLatentPatchifier, VideoLatentPatchifier
from aiprod.core.transformer.config import AVTransformerConfig
from aiprod.core.transformer.modality import ModalityInput
from aiprod.core.transformer.model import AVTransformer
from aiprod.errors import AiprodError
from aiprod.models.artifacts import CLASS_NAME
from aiprod.trainer.diffusion import estimate
from aiprod.trainer.diffusion.cards import CARDS, card_of
from aiprod.trainer.diffusion.estimate import TOLERANCE, StepInputs, estimate_step
from aiprod.trainer.diffusion.model_setup import transformer_config
from aiprod.trainer.diffusion.params import TrainDiffusionParams
from aiprod.trainer.diffusion.tasks import losses_of
from aiprod.trainer.loop.accelerator import SingleEngine
from aiprod.trainer.loop.block_swap import swap_blocks
from aiprod.trainer.loop.ema import Ema
from aiprod.trainer.loop.optimizers import make_optimizer

CPU = torch.device("cpu")
REPOSITORY = Path(__file__).parents[2]
CONFIG = AVTransformerConfig.demo(depth=2, depthwise_conv=True, place_features=True)
LORA = {"init": "given", "lora": {"rank": 4, "quantize": "int8"}}
CHECKPOINTED = {"gradient_checkpointing": True}
CASES = {
    "plain": {},
    "checkpointed": CHECKPOINTED,
    "swapped": {**CHECKPOINTED, "swap_blocks": 1},
    "int8 under adapters": LORA,
    "int8, swapped": {**LORA, **CHECKPOINTED, "swap_blocks": 1},
    "bf16": {"precision": "bf16"},
    "muon": {"optimizer": {"name": "muon"}},
    "8-bit states": {"optimizer": {"name": "adamw8bit"}},
}


def batch(samples: int = 2, grid: tuple[int, int, int] = (2, 6, 8), sound: int = 16, text: int = 9) -> StepInputs:
    places = torch.cartesian_prod(*(torch.arange(float(n)) for n in grid))[None].repeat(samples, 1, 1)

    def stream(channels: int, positions: Tensor) -> ModalityInput:
        count = positions.shape[1]
        drawn = torch.randn(samples, count, channels), torch.rand(samples, 1)
        told = torch.randn(samples, text, CONFIG.text_dim), torch.ones(samples, text, dtype=torch.bool)
        return ModalityInput(*drawn, positions, *told)

    inputs = [stream(CONFIG.video_channels, places), stream(CONFIG.audio_channels, torch.rand(samples, sound, 1))]
    whole = [torch.ones(one.latent.shape[:2], dtype=torch.bool) for one in inputs]
    return StepInputs(
        inputs, [(one.latent.clone(), one.latent.clone(), mask) for one, mask in zip(inputs, whole, strict=True)]
    )


def real_steps(params: TrainDiffusionParams) -> tuple[int, int]:
    """The peak of two steps and a validation as torch's allocator tells it, and what autograd kept at the second."""
    engine, kept, saved = SingleEngine(params.precision, CPU), set(), []

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in kept:
            kept.add(storage.data_ptr())
            saved.append(storage.nbytes())
        return tensor

    with torch.autograd.profiler.profile(profile_memory=True) as profiled:
        given, model = batch(), AVTransformer(CONFIG)
        model.enable_gradient_checkpointing(params.gradient_checkpointing)
        estimate._freeze(model, params, 0)
        swap_blocks(model.blocks, params.swap_blocks, CPU)
        optimizer, ema = make_optimizer(model, params.optimizer), Ema(model, params.loop.ema_decay)
        for _ in range(2):
            optimizer.zero_grad()
            saved.clear()
            held = [*model.parameters(), *model.buffers(), *tree_leaves((given.inputs, given.targets))]
            kept = {t.untyped_storage().data_ptr() for t in held if isinstance(t, Tensor)}
            with engine.autocast(), torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
                losses = losses_of(model, given.inputs, given.targets)
                total = sum(one.mean() for one in losses)
            total.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            ema.update(model)
            del losses, total
        with ema.applied(model), torch.no_grad():
            losses_of(model.eval(), given.inputs, given.targets)
    now = most = 0
    for event in profiled.kineto_results.events():  # as they are: to make its own of them takes longer than the steps
        if event.name() == "[memory]":
            now += event.nbytes()
            most = max(most, now)
    return most, sum(saved)


@pytest.mark.filterwarnings("ignore:Failed to load CPU gemm_4bit_forward")  # of bitsandbytes, about another kernel
@pytest.mark.parametrize("name", CASES)
def test_the_peak_of_real_steps_is_as_estimated(name: str) -> None:
    params = validate(TrainDiffusionParams, CASES[name], "train_diffusion")
    said = estimate_step(lambda: AVTransformer(CONFIG), params, batch(), batch())
    most, saved = real_steps(params)
    assert said.peak == pytest.approx(most, rel=TOLERANCE)
    if not params.gradient_checkpointing:  # whose blocks keep what enters them where no hook sees it
        assert said.saved == pytest.approx(saved, rel=0.01)
    assert said.device_peak <= said.peak and (said.device_peak < said.peak) == bool(params.swap_blocks)


def test_less_memory_is_said_to_be_less() -> None:
    peaks = {}
    for name in ("plain", "checkpointed", "swapped"):
        params = validate(TrainDiffusionParams, CASES[name], "train_diffusion")
        peaks[name] = estimate_step(lambda: AVTransformer(CONFIG), params, batch(8)).device_peak
    assert peaks["swapped"] < peaks["checkpointed"] < peaks["plain"]


@pytest.mark.parametrize("convolved", [False, True])
def test_operations_are_those_that_torch_counts(convolved: bool) -> None:
    """But attention, of whose kernel for CPUs its counter knows nothing. On a CPU the gradient of depthwise kernels is
    sums of products, which neither counts."""
    config = AVTransformerConfig.demo(depth=1, depthwise_conv=convolved)
    given, model = batch(), AVTransformer(config)
    said = estimate_step(lambda: AVTransformer(config), TrainDiffusionParams(), given)
    with FlopCounterMode(display=False) as counter:
        sum(one.mean() for one in losses_of(model, given.inputs, given.targets)).backward()
    aten = torch.ops.aten
    counts = counter.get_flop_counts()["Global"]
    products = sum(counts.get(name, 0) for name in (aten.mm, aten.addmm, aten.bmm))
    convolutions = counts.get(aten.convolution, 0)  # forward, and for the gradient of what they see
    attention = 0
    video, audio, text = 2 * 6 * 8, 16, 9
    for queries, keys, width in (
        (video, video, 128), (video, text, 128), (video, audio, 64),
        (audio, audio, 64), (audio, text, 64), (audio, video, 64),
    ):  # fmt: skip
        attention += 2 * 2 * 2 * queries * keys * width
    assert said.flops == pytest.approx(products + convolutions + 3.5 * attention, rel=1e-9)


def test_questions_where_tensors_lie_are_no_operations(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fake tensors are asked where they lie by an operation of its own, more often than they are computed with."""
    counted, flops = [], estimate._flops

    def noted(func: Any, *arguments: Any) -> int:
        counted.append(func.namespace)
        return flops(func, *arguments)

    monkeypatch.setattr(estimate, "_flops", noted)
    config = AVTransformerConfig.demo(depth=1)
    estimate_step(lambda: AVTransformer(config), TrainDiffusionParams(), batch())
    assert counted.count("aten") > 500 and "prim" not in counted


def test_a_card_is_no_faster_than_what_its_maker_says() -> None:
    step = estimate_step(lambda: AVTransformer(CONFIG), TrainDiffusionParams(), batch())
    for card in CARDS.values():
        assert card.seconds(step) >= step.flops / card.single
    assert card_of("RTX-4090") is CARDS["rtx4090"]
    half = estimate_step(lambda: AVTransformer(CONFIG), TrainDiffusionParams(precision="bf16"), batch())
    assert card_of("h200").seconds(half) < card_of("h200").seconds(step)


def test_the_command_tells_each_phase_and_whether_a_card_holds_it() -> None:
    """For a parameter file with changes; a key that is not there is refused by name."""
    phase = "{height: 32, width: 48, frames: 5, fps: 12, batch: 2, lr_scale: 1, weight_decay: 0, duration: {steps: 1}}"
    small = [f"curriculum.phases={{only: {phase}}}", "train_diffusion.transformer.changes={depth: 1}"]
    said = asked(*small, "train_diffusion.task.heldout_clips=0")
    assert said.exit_code == 0, said.output
    lines = {line.split("│")[1].strip(): line.split("│")[2].strip() for line in said.output.splitlines() if "│" in line}
    assert lines["samples at a time"] == "2"
    assert lines["tokens: video + audio"].startswith("12 + ")  # 2 latent frames of 2 x 3 tokens
    assert "Fits this card (1.0 GiB)" in said.output
    wrong = asked("train_diffusion.swop.blocks=1")
    assert isinstance(wrong.exception, AiprodError) and "there is no 'swop'" in str(wrong.exception)
    for value in ("2024-13-01", "[", "[" * 2000):  # what the parser itself raises for a month 13 is no error of YAML's
        wrong = asked(f"lr={value}")
        assert isinstance(wrong.exception, AiprodError) and "the value" in str(wrong.exception), value[:9]


def test_a_folder_takes_what_the_parameters_that_it_was_made_by_take(tmp_path: Path) -> None:
    phase = "{height: 32, width: 48, frames: 5, fps: 12, batch: 2, lr_scale: 1, weight_decay: 0, duration: {steps: 1}}"
    small = [f"curriculum.phases={{only: {phase}}}", "train_diffusion.task.heldout_clips=0"]
    read = _sections(REPOSITORY / "params.yaml", small)
    pictures, heard = read["train_video_vae"].model.compression, read["train_audio_vae"].model.compression
    section = read["train_diffusion"].transformer
    video, audio = VideoLatentPatchifier(pictures, section.video_patch), AudioLatentPatchifier(heard)
    config = transformer_config(section, video, audio, read["train_text_encoder"].model.width)
    described = {"_class_name": CLASS_NAME, **config.model_dump(mode="json")}
    folder = tmp_path / "diffusion" / "transformer"
    folder.mkdir(parents=True)
    whole, bare = [str(tmp_path), "--params", str(REPOSITORY / "params.yaml")], [str(REPOSITORY / "params.yaml")]
    missing = asked(*small, of=whole)
    assert isinstance(missing.exception, AiprodError) and "holds no transformer" in str(missing.exception)

    write_json(folder / "config.json", described)
    said = asked(*small, of=whole)
    assert said.exit_code == 0, said.output
    assert said.output == asked(*small, of=bare).output

    write_json(folder.parent / "training.json", {"video_patch": [1, 1, 1]})
    wrong = asked(*small, of=whole)
    assert isinstance(wrong.exception, AiprodError) and "video tokens of" in str(wrong.exception)

    (tmp_path / "diffusion" / "transformer_2").mkdir()
    write_json(tmp_path / "diffusion" / "transformer_2" / "config.json", described)
    two = asked(*small, of=[str(tmp_path / "diffusion"), *whole[1:]])
    assert isinstance(two.exception, AiprodError) and "two experts" in str(two.exception)


def asked(*changes: str, of: Sequence[str] = (str(REPOSITORY / "params.yaml"),)) -> Result:
    words = [*of, "--memory-gib", "1", "--no-cpu", "--text-tokens", "5"]
    app = typer.Typer()
    app.command()(estimate_command)
    return CliRunner().invoke(app, [*words, *(word for change in changes for word in ("-S", change))])
