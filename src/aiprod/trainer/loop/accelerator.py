"""What runs a step: one device by default, several ranks through Accelerate when launched by it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any, Literal, Protocol

import torch
from torch import Tensor, nn

from aiprod.errors import AiprodError
from aiprod.trainer.loop.sharding import full_tensor, shard

Precision = Literal["no", "fp16", "bf16"]
Sharding = Literal["ddp", "fsdp2"]


class Engine(Protocol):
    """The part of training that knows devices and ranks."""

    rank: int
    world: int
    device: torch.device
    scales: bool  # fp16: the loss is scaled, and a step whose gradients overflow is left out

    def prepare(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> tuple[nn.Module, Any]:
        """Wrap model and optimizer for this engine."""

    def autocast(self) -> contextlib.AbstractContextManager[Any]:
        """Mixed precision for the forward pass."""

    def accumulating(self, model: nn.Module, *, last: bool) -> contextlib.AbstractContextManager[Any]:
        """Round forward and backward pass of one part of a batch: gradients may wait for the last to be averaged."""

    def backward(self, loss: Tensor) -> None:
        """Gradients of ``loss``, averaged over ranks."""

    def clip(self, model: nn.Module, most: float) -> float:
        """Clip the gradient norm to ``most`` and return what it was."""

    def average(self, module: nn.Module) -> None:
        """Average the gradients of a module that :meth:`prepare` did not wrap."""

    def mean(self, figures: dict[str, float]) -> dict[str, float]:
        """Figures averaged over ranks; a figure that a rank lacks is averaged over those that have it."""

    def unwrap(self, model: nn.Module) -> nn.Module:
        """The model itself."""

    def gather_objects(self, value: Any) -> list[Any]:
        """One value of each rank, in order."""

    def wait(self) -> None:
        """Until every rank is here."""


class SingleEngine:
    """One process, one device. fp16 is for GPUs (it needs loss scaling); bf16 works on CPU too."""

    rank, world = 0, 1

    def __init__(self, precision: Precision = "no", device: torch.device | None = None) -> None:
        self.device = device or default_device()
        self._type = {"no": None, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]
        self._scaler = torch.amp.GradScaler(self.device.type, enabled=precision == "fp16")
        self.scales = self._scaler.is_enabled()
        self._optimizer: torch.optim.Optimizer | None = None

    def prepare(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> tuple[nn.Module, Any]:
        """Move the model to the device."""
        self._optimizer = optimizer
        return model.to(self.device), _Scaled(optimizer, self._scaler) if self._scaler.is_enabled() else optimizer

    @contextlib.contextmanager
    def autocast(self) -> Iterator[None]:
        """Mixed precision, if any."""
        if self._type is None:
            yield
        else:
            with torch.autocast(self.device.type, dtype=self._type):
                yield

    def accumulating(self, model: nn.Module, *, last: bool) -> contextlib.AbstractContextManager[Any]:
        """Nobody to exchange with."""
        return contextlib.nullcontext()

    def backward(self, loss: Tensor) -> None:
        """Scaled where fp16 asks for it."""
        self._scaler.scale(loss).backward()

    def clip(self, model: nn.Module, most: float) -> float:
        """Clip after undoing the loss scale."""
        if self._optimizer is not None and self._scaler.is_enabled():
            self._scaler.unscale_(self._optimizer)
        return float(nn.utils.clip_grad_norm_(model.parameters(), most))

    def average(self, module: nn.Module) -> None:
        """Unchanged on one process."""

    def mean(self, figures: dict[str, float]) -> dict[str, float]:
        """As they are."""
        return figures

    def unwrap(self, model: nn.Module) -> nn.Module:
        """As it is."""
        return model

    def gather_objects(self, value: Any) -> list[Any]:
        """A list of one."""
        return [value]

    def wait(self) -> None:
        """No-op on one process."""


class _WithScaler:
    """An optimizer whose saved state holds the loss scale of fp16 as well, which a resumed run would else seek anew."""

    def __init__(self, optimizer: Any, scaler: torch.amp.GradScaler) -> None:
        self._optimizer, self._scaler = optimizer, scaler

    def __getattr__(self, name: str) -> Any:
        return getattr(self._optimizer, name)

    def state_dict(self) -> dict[str, Any]:
        return {"optimizer": self._optimizer.state_dict(), "scaler": self._scaler.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._optimizer.load_state_dict(state["optimizer"])
        self._scaler.load_state_dict(state["scaler"])


class _Scaled(_WithScaler):
    """Its step goes through the loss scaler too (it skips steps with infinite gradients)."""

    def step(self) -> None:
        self._scaler.step(self._optimizer)
        self._scaler.update()


class AccelerateEngine:
    """Several ranks, as ``accelerate launch`` or torchrun started them: whole copies of the model, or split ones.

    Args:
        sharding: ``fsdp2`` splits parameters, gradients and optimizer state over the ranks.
    """

    def __init__(self, precision: Precision = "no", sharding: Sharding = "ddp") -> None:
        from accelerate import Accelerator, DistributedDataParallelKwargs

        # A batch without sound leaves the audio stream without gradients, which DDP must be told to expect.
        kwargs = DistributedDataParallelKwargs(find_unused_parameters=True)
        cpu = not torch.cuda.is_available()
        try:
            self._accelerator = Accelerator(mixed_precision=precision, cpu=cpu, kwargs_handlers=[kwargs])
        except ValueError as error:
            raise AiprodError(f"precision {precision}: {error}", "use bf16, or no") from None
        self.scales = self._accelerator.scaler is not None
        self.rank, self.world = self._accelerator.process_index, self._accelerator.num_processes
        self.device = self._accelerator.device
        self._sharding = sharding

    def prepare(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> tuple[nn.Module, Any]:
        """Wrap both, or split both in place."""
        if self._sharding == "fsdp2":
            shard(model, optimizer, self.device)
            wrapped, prepared = model, self._accelerator.prepare(optimizer)
        else:
            wrapped, prepared = self._accelerator.prepare(model, optimizer)
        scaler = self._accelerator.scaler
        return wrapped, prepared if scaler is None else _WithScaler(prepared, scaler)

    def autocast(self) -> contextlib.AbstractContextManager[Any]:
        """Accelerate's."""
        return self._accelerator.autocast()  # type: ignore[no-any-return]

    def accumulating(self, model: nn.Module, *, last: bool) -> contextlib.AbstractContextManager[Any]:
        """DDP averages once per step; split parameters do so at every part, for their whole gradients may not fit."""
        if last or self._sharding == "fsdp2":
            return contextlib.nullcontext()
        return self._accelerator.no_sync(model)  # type: ignore[no-any-return]

    def backward(self, loss: Tensor) -> None:
        """Averaged over ranks by the wrapper."""
        self._accelerator.backward(loss)

    def clip(self, model: nn.Module, most: float) -> float:
        """The norm over all shards."""
        norm = self._accelerator.clip_grad_norm_(model.parameters(), most)
        return float(full_tensor(norm)) if norm is not None else 0.0

    def average(self, module: nn.Module) -> None:
        """Through the process group, one parameter after another: such modules are small."""
        for parameter in module.parameters():
            if parameter.grad is not None:
                parameter.grad = self._accelerator.reduce(parameter.grad, reduction="mean")

    def mean(self, figures: dict[str, float]) -> dict[str, float]:
        """Averaged over the ranks that have each figure."""
        everyone = self.gather_objects(figures)
        names = sorted({name for one in everyone for name in one})
        values_of = {name: [one[name] for one in everyone if name in one] for name in names}
        return {name: sum(values) / len(values) for name, values in values_of.items()}

    def unwrap(self, model: nn.Module) -> nn.Module:
        """Without DDP or FSDP round it."""
        unwrapped: nn.Module = self._accelerator.unwrap_model(model)
        return unwrapped

    def gather_objects(self, value: Any) -> list[Any]:
        """Through the process group."""
        from accelerate.utils import gather_object

        gathered: list[Any] = gather_object([value])
        return gathered

    def wait(self) -> None:
        """Barrier."""
        self._accelerator.wait_for_everyone()


def make_engine(precision: Precision = "no", sharding: Sharding = "ddp") -> Engine:
    """Accelerate where ``accelerate launch`` (or torchrun) started several ranks, one device otherwise."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        return AccelerateEngine(precision, sharding)
    return SingleEngine(precision)


def default_device() -> torch.device:
    """The GPU where there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def is_main_process() -> bool:
    """Whether this is rank 0, the one that writes and logs."""
    return int(os.environ.get("RANK", "0")) == 0
