"""What a training step of the transformer takes, before there is any weight: memory by part, and operations.

The model is built and a step is made on fake tensors, which have sizes and no content, by the code that trains; what is
alive is added up at every operation. So checkpointing, swapped blocks, adapters, 8-bit weights and mixed precision
count as they are, for our transformer and for those of diffusers. torch's own ``MemTracker`` (2.11) says a fifth too
much where blocks are checkpointed.
"""

from __future__ import annotations

import contextlib
import weakref
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.flop_counter import flop_registry, sdpa_backward_flop_count, sdpa_flop_count
from torch.utils.weak import WeakIdKeyDictionary

from aiprod.core.transformer.local_mixing import token_grid
from aiprod.core.transformer.modality import ModalityInput
from aiprod.models.load_transformer import Transformer
from aiprod.trainer.diffusion.flow import batch_loss
from aiprod.trainer.diffusion.lora import add_lora
from aiprod.trainer.diffusion.params import TrainDiffusionParams
from aiprod.trainer.diffusion.tasks import Target, losses_of
from aiprod.trainer.loop.block_swap import swap_blocks
from aiprod.trainer.loop.ema import Ema
from aiprod.trainer.loop.int8_weights import quantise_frozen
from aiprod.trainer.loop.muon import Muon
from aiprod.trainer.loop.optimizers import OptimizerParams, make_optimizer

TOLERANCE = 0.1
"""How far the peak of a real step may be from the estimate; tests hold steps on a CPU to it."""
_SMALLEST_8BIT, _BLOCK_8BIT = 4096, 256  # of bitsandbytes: values of a tensor, and values that share a factor
_TYPES = {"bf16": torch.bfloat16, "fp16": torch.bfloat16}  # as many bytes; fp16 is for GPUs
_CPU = torch.device("cpu")


@dataclass(frozen=True)
class Operation:
    """One kind of operation of a step.

    Attributes:
        flops: of matrix products, convolutions and attention; a multiply-add is two.
        moved: bytes read and written.
        half: whether it computes in 16 bits.
    """

    flops: int
    moved: int
    half: bool


@dataclass(frozen=True)
class StepInputs:
    """What a step is given: inputs of both streams and what outputs are compared with."""

    inputs: Sequence[ModalityInput | None]
    targets: Sequence[Target | None]


@dataclass(frozen=True)
class StepEstimate:
    """A training step of one process. Sizes are bytes.

    Attributes:
        weights, gradients, optimizer, averages: parameters and buffers, and what belongs to the trained ones.
        saved: what the backward pass needs: alive after the forward pass, beyond weights, optimizer and averages.
        peak: most that is alive at a time, in the step and while averaged weights are validated.
        device_peak: the same without what swapped blocks keep in CPU memory.
        parameters, trained: numbers of values.
        operations: of the whole step with all its parts, with how often each occurs.
        swapped: weights that are copied to the device in a step.
    """

    weights: int
    gradients: int
    optimizer: int
    averages: int
    saved: int
    peak: int
    device_peak: int
    parameters: int
    trained: int
    operations: Counter[Operation]
    swapped: int

    @property
    def flops(self) -> int:
        """Of the whole step."""
        return sum(one.flops * times for one, times in self.operations.items())


def estimate_step(
    build: Any, params: TrainDiffusionParams, batch: StepInputs, heldout: StepInputs | None = None, seed: int = 0
) -> StepEstimate:
    """A training step under these settings.

    Args:
        build: called without arguments under fake tensors; returns the :data:`Transformer`.
        batch: real tensors of one part of a batch of one process.
        heldout: of a validation; None: none.

    Raises:
        AiprodError: more blocks are swapped than there are.
    """
    grids = [_grid(stream) for stream in batch.inputs]
    held_grids = [_grid(stream) for stream in heldout.inputs] if heldout is not None else []
    # Operations that diffusers' models run on plain tensors of their own are taken as fake ones too.
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    with torch.device("meta"):  # peft moves its layers, which fake tensors do not allow
        model = build()
        _freeze(model, params, seed)
    model.enable_gradient_checkpointing(params.gradient_checkpointing)
    with mode, _Count() as count:
        _on_cpu(model.train())
        swap = swap_blocks(model.blocks, params.swap_blocks, _CPU)
        trained = [p for p in model.parameters() if p.requires_grad]
        if swap is not None:
            _keep_at_home(swap.blocks, count)
        optimizer, state = _optimizer(model, params.optimizer, count, swap.blocks if swap is not None else ())
        ema = Ema(model, params.loop.ema_decay)
        if swap is not None:
            home = {id(p) for block in swap.blocks for p in block.parameters()}
            for name, parameter in model.named_parameters():
                if id(parameter) in home and name in ema._average:
                    count.leave(ema._average[name])
        weights = _bytes([*model.parameters(), *model.buffers()])
        averages = sum(a.nbytes for a in ema._average.values())
        batch_on_device = _faked(mode, batch, grids)
        given_bytes = _bytes(
            t for t in tree_leaves((batch_on_device.inputs, batch_on_device.targets)) if isinstance(t, Tensor)
        )
        standing = weights + state + averages + given_bytes
        count.begin()
        kind = _TYPES.get(params.precision)
        with torch.autocast("cpu", dtype=kind or torch.bfloat16, enabled=kind is not None):
            losses = losses_of(model, batch_on_device.inputs, batch_on_device.targets)
            total = sum((batch_loss(one, torch.ones(len(one))) for one in losses if one is not None), torch.zeros(()))
        saved = count.now - standing
        total.backward()
        del total, losses
        for name, times in count.operations.items():
            count.operations[name] = times * params.loop.accumulation
        nn.utils.clip_grad_norm_(trained, params.loop.max_grad_norm)
        if params.optimizer.name != "adamw8bit":  # whose step needs real tensors, and next to no memory
            optimizer.step()
        ema.update(model)
        operations = Counter(count.operations)
        if heldout is not None:
            heldout_batch = _faked(mode, heldout, held_grids)
            with ema.applied(model), torch.no_grad():
                losses_of(model.eval(), heldout_batch.inputs, heldout_batch.targets)
    return StepEstimate(
        weights=weights,
        gradients=_bytes(trained),
        optimizer=state,
        averages=averages,
        saved=saved,
        peak=count.most,
        device_peak=count.most_on_device,
        parameters=sum(p.numel() for p in model.parameters()),
        trained=sum(p.numel() for p in trained),
        operations=operations,
        swapped=params.loop.accumulation * 2 * sum(_bytes(block.parameters()) for block in swap.blocks) if swap else 0,
    )


class _Count(TorchDispatchMode):
    """Bytes of tensors that were made inside it and are still alive, and the operations since :meth:`begin`."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.most = self.away = self.most_on_device = 0
        self.operations: Counter[Operation] = Counter()
        self._sizes = WeakIdKeyDictionary()

    def begin(self) -> None:
        """Forget the peak and the operations so far."""
        self.operations.clear()
        self.most, self.most_on_device = self.now, self.now - self.away

    def leave(self, tensor: Tensor) -> None:
        """This tensor lies in CPU memory, wherever the model computes."""
        storage = tensor.untyped_storage()
        size = self._sizes.get(storage)
        if size:
            self.away += size
            weakref.finalize(storage, self._back, size)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """As the operation does. That a tensor is asked where it lies moves nothing, though it comes by here."""
        if func is torch.ops.prim.device.default:
            asked = args[0]
            within = not isinstance(asked, FakeTensor) or asked.fake_mode.in_kernel_invocation
            return func(asked) if within else asked.fake_device
        output = func(*args, **(kwargs or {}))
        results = [t for t in tree_leaves(output) if isinstance(t, Tensor)]
        for tensor in results:
            self._count(tensor.untyped_storage())
        self.most = max(self.most, self.now)
        self.most_on_device = max(self.most_on_device, self.now - self.away)
        if not _is_view(func):
            inputs = [t for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor)]
            moved = _bytes(inputs) + _bytes(results)
            half = any(t.dtype in (torch.bfloat16, torch.float16) for t in results)
            self.operations[Operation(_flops(func, args, kwargs or {}, output), moved, half)] += 1
        return output

    def _count(self, storage: torch.UntypedStorage) -> None:
        if storage in self._sizes:
            return
        size = storage.nbytes()
        self._sizes[storage] = size
        weakref.finalize(storage, self._free, size)
        self.now += size

    def _free(self, size: int) -> None:
        self.now -= size

    def _back(self, size: int) -> None:
        self.away -= size


def _is_view(func: Any) -> bool:
    returned = func._schema.returns
    return bool(returned) and all(r.alias_info is not None and not r.alias_info.is_write for r in returned)


def _flops(func: Any, args: Any, kwargs: Any, output: Any) -> int:
    packet, aten = func._overloadpacket, torch.ops.aten
    if packet is aten._scaled_dot_product_flash_attention_for_cpu:  # which torch's own counter does not know
        return int(sdpa_flop_count(*(t.shape for t in args[:3])))
    if packet is aten._scaled_dot_product_flash_attention_for_cpu_backward:
        return int(sdpa_backward_flop_count(*(t.shape for t in args[:4])))
    if packet is aten.convolution_backward and args[9] > 1:  # which torch's counter takes for one without groups
        return int(2 * args[0].numel() * args[2][0].numel() * (args[10][0] + args[10][1]))
    known = flop_registry.get(packet)
    return 0 if known is None else int(known(*args, **kwargs, out_val=output))


def _freeze(model: Transformer, params: TrainDiffusionParams, seed: int) -> None:
    """As :func:`~aiprod.trainer.diffusion.model_setup.make_subject` does."""
    model.requires_grad_(True)
    if params.lora is not None:
        add_lora(model, params.lora, seed)
        if params.lora.quantize:
            quantise_frozen(model.blocks)


def _on_cpu(model: nn.Module) -> None:
    """Put fake tensors in the place of those of the meta device; a tensor that two names have stays one."""
    copies: dict[int, Tensor] = {}
    for module in model.modules():
        for tensors in (module._parameters, module._buffers):
            for name, tensor in tensors.items():
                if tensor is None:
                    continue
                if id(tensor) not in copies:
                    new = torch.empty_like(tensor, device=_CPU)
                    parameter = isinstance(tensor, nn.Parameter)
                    copies[id(tensor)] = nn.Parameter(new, tensor.requires_grad) if parameter else new
                tensors[name] = copies[id(tensor)]  # type: ignore[assignment]


def _keep_at_home(blocks: Iterable[nn.Module], count: _Count) -> None:
    """Weights of swapped blocks, and their gradients as soon as these are there, lie in CPU memory."""

    def arrived(parameter: Tensor) -> None:
        assert parameter.grad is not None
        count.leave(parameter.grad)

    for block in blocks:
        for tensor in (*block.parameters(), *block.buffers()):
            count.leave(tensor)
            if tensor.requires_grad:
                tensor.register_post_accumulate_grad_hook(arrived)


def _optimizer(
    model: nn.Module, params: OptimizerParams, count: _Count, swapped: Iterable[nn.Module]
) -> tuple[torch.optim.Optimizer, int]:
    """The optimizer with its states, as after a first step, and their bytes."""
    eight_bit = params.name == "adamw8bit"
    optimizer = make_optimizer(model, params.model_copy(update={"name": "adamw"}) if eight_bit else params)
    home = {id(p) for block in swapped for p in block.parameters()}
    total = 0
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            if eight_bit:
                state = _eight_bit(parameter)
            elif isinstance(optimizer, Muon):
                names = ("momentum",) if group["orthogonal"] else ("first", "second")
                state = {name: torch.zeros_like(parameter) for name in names}
            else:
                state = {name: torch.zeros_like(parameter) for name in ("exp_avg", "exp_avg_sq")}
            total += sum(t.nbytes for t in state.values())
            if id(parameter) in home:
                for tensor in state.values():
                    count.leave(tensor)
            optimizer.state[parameter] = {"step": torch.zeros(()), **state}
    return optimizer, total


def _eight_bit(parameter: Tensor) -> dict[str, Tensor]:
    """Two moments as bitsandbytes keeps them: bytes with a factor for each stretch, or float32 for a small tensor."""
    values = parameter.numel()
    if values < _SMALLEST_8BIT:
        return {name: torch.zeros(values) for name in ("first", "second")}
    factors = torch.zeros(2, -(-values // _BLOCK_8BIT))
    return {
        "first": torch.zeros(values, dtype=torch.uint8),
        "second": torch.zeros(values, dtype=torch.uint8),
        "f": factors,
    }


def _grid(stream: ModalityInput | None) -> tuple[int, int, int] | None:
    """Of video, while its positions can still be read."""
    if stream is None or stream.positions.shape[-1] != 3:
        return None
    with contextlib.suppress(Exception):
        return token_grid(stream.positions, stream.token_mask, stream.own)
    return None


def _faked(mode: FakeTensorMode, batch: StepInputs, grids: Sequence[tuple[int, int, int] | None]) -> StepInputs:
    def fake(value: Any) -> Any:
        # a copy, so that it is made by an operation and counted
        return mode.from_tensor(value).clone() if isinstance(value, Tensor) else value

    inputs = [
        None if stream is None else ModalityInput(*(fake(v) for v in stream))._replace(grid=grid)
        for stream, grid in zip(batch.inputs, grids, strict=True)
    ]
    return StepInputs(inputs, [None if t is None else tree_map(fake, t) for t in batch.targets])


def _bytes(tensors: Iterable[Tensor] | Iterator[Tensor]) -> int:
    return sum(t.numel() * t.element_size() for t in tensors)
