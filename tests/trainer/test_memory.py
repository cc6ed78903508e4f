"""Less memory changes nothing but memory: swapped blocks to the bit, frozen weights in 8 bits within a stated
tolerance; both resume after a kill as they went on."""

from __future__ import annotations

import gc
import weakref

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from aiprod.base.params import validate
from aiprod.core.transformer.config import AVTransformerConfig
from aiprod.core.transformer.modality import ModalityInput
from aiprod.core.transformer.model import AVTransformer
from aiprod.errors import AiprodError
from aiprod.trainer.diffusion.lora import LoraParams, add_lora, lora_weights
from aiprod.trainer.diffusion.params import TrainDiffusionParams
from aiprod.trainer.loop.block_swap import swap_blocks
from aiprod.trainer.loop.int8_weights import Int8Linear, quantise_frozen, quantised
from aiprod.trainer.loop.optimizers import OptimizerParams, make_optimizer
from tests.trainer.small_cache import SELDOM, make_run, small_model, write_cache

pytestmark = pytest.mark.bitwise
CPU = torch.device("cpu")


class Killed(Exception):
    pass


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return write_cache(tmp_path_factory.mktemp("latents"))


def trained(cache, folder, prepare, *, kill: int | None = None, optimizer: str = "adamw", **loop):
    """A run of 5 steps whose model ``prepare`` changed first; with ``kill``, killed after that step and resumed."""

    def made(log=None):
        saved = SELDOM if log is None else {}
        run = make_run(cache, folder, steps={"low": 3, "high": 2}, log=log, loop={**saved, **loop})
        prepare(run.model)
        run.optimizer = make_optimizer(run.model, OptimizerParams(name=optimizer))
        return run

    if kill is not None:

        def log(phase, step, figures):
            if step == kill and "loss" in figures:
                raise Killed

        with pytest.raises(Killed):
            made(log).train()
        torch.manual_seed(999)
    run = made()
    run.train()
    return run


def same(a, b) -> bool:
    ends = [run.model.state_dict() for run in (a, b)]
    return [row["loss"] for row in a.curve] == [row["loss"] for row in b.curve] and all(
        torch.equal(ends[0][name], ends[1][name]) for name in ends[0] | ends[1]
    )


def swapping(count: int, lora: LoraParams | None = None):
    def prepare(model):
        model.enable_gradient_checkpointing()
        if lora:
            add_lora(model, lora, seed=0)
            if lora.quantize:
                quantise_frozen(model.blocks)
        swap_blocks(model.blocks, count, CPU)

    return prepare


@pytest.mark.parametrize("optimizer", ["adamw", "muon", "adamw8bit"])
def test_swapped_blocks_train_to_the_same_bits(cache, tmp_path, optimizer):
    plain = trained(cache, tmp_path / "plain", lambda model: None, optimizer=optimizer, accumulation=2)
    swapped = trained(cache, tmp_path / "swapped", swapping(2), optimizer=optimizer, accumulation=2)
    assert same(plain, swapped)
    assert [name for name, _ in swapped.model.named_parameters()] == [n for n, _ in small_model().named_parameters()]


@pytest.mark.parametrize("lora", [None, LoraParams(rank=2), LoraParams(rank=2, quantize="int8")])
def test_a_killed_run_with_swapped_blocks_goes_on_to_the_same_bits(cache, tmp_path, lora):
    whole = trained(cache, tmp_path / "whole", swapping(1, lora))
    assert same(whole, trained(cache, tmp_path / "cut", swapping(1, lora), kill=2))


def deep_model(depth: int = 6) -> AVTransformer:
    torch.manual_seed(0)
    sizes = {"video_width": 24, "audio_width": 12, "cross_width": 12, "video_heads": 2, "audio_heads": 2}
    model = AVTransformer(AVTransformerConfig.demo(**sizes, cross_heads=2, text_dim=8, depth=depth))
    model.enable_gradient_checkpointing()
    return model


def streams(device: str = "cpu") -> tuple[ModalityInput, ModalityInput]:
    def stream(tokens: int, axes: int) -> ModalityInput:
        drawn = [torch.rand(2, tokens, n, device=device) for n in (16, axes, 8)]
        return ModalityInput(drawn[0], torch.rand(2, 1, device=device), drawn[1], drawn[2])

    return stream(7, 3), stream(5, 1)


def step(model: nn.Module, given) -> None:
    out = model(*given)
    (out.video.square().mean() + out.audio.square().mean()).backward()


def test_no_more_than_two_swapped_blocks_are_on_the_device_at_once():
    """The one that computes and the one that comes next, also in the backward pass, and none when both are over."""
    gc.collect()
    gc.freeze()  # what other tests left is passed over at each fetch
    model = deep_model()
    swap = swap_blocks(model.blocks, 6, CPU)
    alive, most = weakref.WeakSet(), []
    copy = swap._copy

    def counted(weights):
        made = copy(weights)
        gc.collect()
        alive.update(t.untyped_storage() for t in made.tensors.values())
        most.append(sum(s.nbytes() for s in alive))
        return made

    swap._copy = counted
    step(model, streams())
    gc.collect()
    block = sum(p.nbytes for p in model.blocks[0].parameters())
    assert max(most) <= 2 * block and not len(alive)
    assert len(most) == 2 * 6, "each block is fetched once forwards and once backwards, and never in vain"


def test_a_swapped_block_computes_where_it_is_told_to_and_its_weights_stay_on_the_cpu(monkeypatch):
    """With fake tensors, which have every device and no memory, and refuse what mixes two."""
    monkeypatch.setattr(torch.cuda, "Stream", lambda device: None)
    with FakeTensorMode(allow_non_fake_inputs=True):
        with torch.device("cuda"):
            model = deep_model(3)
        for number in (0, 2):
            model.blocks[number] = deep_model(1).blocks[0]
        with pytest.raises(RuntimeError, match="device"), torch.no_grad():
            model(*streams("cuda"))
        swap = swap_blocks(model.blocks, 2, torch.device("cuda"))
        assert swap.blocks == [model.blocks[0], model.blocks[2]], "spread over the depth"
        with torch.no_grad():
            assert model(*streams("cuda")).video.device.type == "cuda"
        assert {p.device.type for block in swap.blocks for p in block.parameters()} == {"cpu"}


def test_moving_a_model_changes_the_type_of_swapped_blocks_and_not_their_place(monkeypatch):
    model = deep_model(2)
    swap = swap_blocks(model.blocks, 1, CPU)
    homes = []
    monkeypatch.setattr(swap, "_at_home", lambda tensor: homes.append(tensor.dtype) or tensor)
    model.to(torch.float64)
    assert len(homes) == len(list(swap.blocks[0].parameters())) and set(homes) == {torch.float64}
    assert {p.dtype for p in model.parameters()} == {torch.float64}


def test_weights_that_changed_while_they_were_on_their_way_are_fetched_again():
    model = deep_model(3)
    swap = swap_blocks(model.blocks, 3, CPU)
    given = streams()
    with torch.no_grad():
        swap._fetch(0)  # the second block is on its way
        for parameter in model.parameters():
            parameter.mul_(1.01)
        seen = swap._fetch(1)
        assert torch.equal(seen["block.video.expand.weight"], model.blocks[1].video.expand.weight)
        plain = deep_model(3)
        plain.load_state_dict(model.state_dict())
        assert torch.equal(model(*given).video, plain(*given).video)


def test_more_swapped_blocks_than_there_are_and_settings_that_free_nothing_are_refused():
    with pytest.raises(AiprodError, match="swap_blocks is 7, and the model has 6 blocks → give at most 6"):
        swap_blocks(deep_model().blocks, 7, CPU)
    for bad, told in (
        ({"swap_blocks": 1}, "swap_blocks is 1 without gradient_checkpointing.*set gradient_checkpointing to true"),
        ({"swap_blocks": 1, "gradient_checkpointing": True, "compile": True}, "beside compile: true.*set one of them"),
    ):
        with pytest.raises(AiprodError, match=told):
            validate(TrainDiffusionParams, bad, "train_diffusion")


def test_a_row_in_eight_bits_is_off_by_half_a_step_at_most():
    torch.manual_seed(0)
    linear = nn.Linear(300, 200)
    with torch.no_grad():
        linear.weight[3] = 0
        linear.weight[5] *= 1e4
    values, scale = quantised(linear.weight)
    error = (values.float() * scale - linear.weight).abs()
    assert values.dtype == torch.int8
    assert bool((error <= linear.weight.abs().amax(1, keepdim=True) / 254 * 1.001 + 1e-30).all())
    x, small = torch.randn(50, 300, requires_grad=True), Int8Linear(linear)
    made, wanted = small(x), linear(x).detach()
    assert float((made.detach() - wanted).norm() / wanted.norm()) < 0.01
    (ours,) = torch.autograd.grad(made.sum(), x)
    (theirs,) = torch.autograd.grad((x @ (values.float() * scale).T).sum(), x)
    torch.testing.assert_close(ours, theirs)
    held = sum(t.nbytes for t in small.state_dict().values())
    assert held < 0.27 * sum(t.nbytes for t in linear.state_dict().values())


def test_eight_bits_are_as_near_as_those_of_bitsandbytes():
    """The peer rounds inputs too. Both against float32, on weights and inputs with outliers, as transformers have."""
    bitsandbytes = pytest.importorskip("bitsandbytes")
    torch.manual_seed(1)
    linear, x = nn.Linear(256, 256), torch.randn(64, 256)
    x[:, 7] *= 20
    peer = bitsandbytes.nn.Linear8bitLt(256, 256, has_fp16_weights=False)
    peer.load_state_dict(linear.state_dict())
    peer = peer.to("cpu")
    with torch.no_grad():
        wanted = linear(x)
        ours, theirs = (float((made(x) - wanted).norm() / wanted.norm()) for made in (Int8Linear(linear), peer))
    assert 0 < ours < theirs


def test_adapters_on_eight_bits_learn_what_adapters_on_float32_learn(cache, tmp_path):
    """Losses within 2 % of each other, on weights of which the blocks' matrices take a quarter."""
    runs = {}
    for name in (None, "int8"):
        lora = LoraParams(rank=2, quantize=name)
        runs[name] = trained(cache, tmp_path / str(name), swapping(0, lora))
    plain, small = runs[None], runs["int8"]
    for one, other in zip(plain.curve, small.curve, strict=True):
        assert other["loss"] == pytest.approx(one["loss"], rel=0.02) and other["loss"] != one["loss"]
    frozen = [
        m for b in small.model.blocks for m in b.modules() if isinstance(m, nn.Linear) and not m.weight.requires_grad
    ]
    assert not frozen
    assert sum(p.numel() for p in plain.model.parameters()) == sum(p.numel() for p in small.model.parameters())


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_blocks_that_are_computed_again_train_to_the_same_bits(cache, tmp_path, optimizer):
    plain = trained(cache, tmp_path / "plain", lambda model: None, optimizer=optimizer)
    checkpointed = trained(cache, tmp_path / "again", swapping(0), optimizer=optimizer)
    assert same(plain, checkpointed)


def test_every_adapter_of_a_block_learns(cache, tmp_path):
    """With and without the other stream: what an adapter is put in place of has to go through it."""
    run = trained(cache, tmp_path, swapping(0, LoraParams(rank=2)))
    ups = {n: w for n, w in lora_weights(run.model.state_dict()).items() if "lora_B" in n}
    assert [name for name, up in ups.items() if not up.abs().sum()] == []
