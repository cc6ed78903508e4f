"""The training loop. It knows steps, phases, checkpoints and logs, and no model."""

from __future__ import annotations

import contextlib
import math
import random
import time
from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field
from torch import nn

from aiprod.base.params import Params
from aiprod.base.progress import say, ticker
from aiprod.data.latents.buckets import BucketSampler
from aiprod.errors import AiprodError
from aiprod.trainer.loop.accelerator import Engine
from aiprod.trainer.loop.checkpoints import Checkpoint, CheckpointStore
from aiprod.trainer.loop.curriculum import CurriculumScheduler
from aiprod.trainer.loop.ema import Ema
from aiprod.trainer.loop.exposure import ExposureLedger
from aiprod.trainer.loop.microbatches import mean_of_parts, own_parts, refuse_uneven
from aiprod.trainer.loop.nan_guard import refuse_no_number
from aiprod.trainer.loop.sharding import load_whole_optimizer, load_whole_weights, whole_optimizer, whole_weights
from aiprod.trainer.loop.strategy import BaseStrategy

_Parts = list[tuple[Any, list[int]]]  # loaded samples and their places in the global batch
_Ready = tuple[dict[str, Any], list[str], _Parts]  # sampler position after it, clip ids, parts of this rank
Log = Callable[[str, int, dict[str, float]], None]  # phase, step, figures


class LoopParams(Params):
    """How the loop runs."""

    max_grad_norm: float = Field(default=1.0, gt=0)
    accumulation: int = Field(default=1, ge=1, le=65_536, description="parts that each rank splits its batch into")
    validate_every_steps: int = Field(default=0, ge=0, description="besides start and end of each phase; 0: not")
    checkpoint_every_s: float = Field(default=30.0, ge=0, description="0: after every step")
    keep_last: int = Field(
        default=2, ge=1, le=10_000, description="checkpoints that are kept, besides the best of the phase"
    )
    ema_decay: float = Field(default=0.99, ge=0, lt=1)
    deliver: Literal["last", "best"] = Field(
        default="last", description="best: the weights of the least held-out loss in the last phase"
    )
    prefetch: int = Field(default=2, ge=1, le=64, description="batches that are read ahead")


@dataclass
class Run:
    """One training run and all of its state."""

    strategy: BaseStrategy
    model: nn.Module
    optimizer: torch.optim.Optimizer
    curriculum: CurriculumScheduler
    samplers: dict[str, BucketSampler]
    store: CheckpointStore
    engine: Engine
    params: LoopParams
    log: Log = lambda phase, step, figures: None
    ledger: ExposureLedger = field(default_factory=ExposureLedger)
    at_phase_end: Callable[[str], dict[str, float]] = lambda phase: {}  # with the averaged weights in the model
    curve: list[dict[str, Any]] = field(default_factory=list)
    heldout: list[dict[str, Any]] = field(default_factory=list)
    best: dict[str, Any] = field(default_factory=dict)  # phase, step and loss of the best held-out measurement
    data_wait_s: float = 0.0
    wall_s: float = 0.0
    _positions: dict[str, dict[str, Any]] = field(default_factory=dict)  # of the samplers, after the last step

    def __post_init__(self) -> None:
        for phase, sampler in self.samplers.items():
            refuse_uneven(phase, sampler.batch, self.engine.world, self.params.accumulation)

    @property
    def data_wait_share(self) -> float:
        """Share of the training time that was spent waiting for data."""
        return round(self.data_wait_s / self.wall_s, 5) if self.wall_s else 0.0

    def train(self) -> Ema:
        """Train to the end of the curriculum, from the newest checkpoint if there is one; the averaged weights."""
        self._model, self._optimizer = self.engine.prepare(self.model, self.optimizer)
        ema = Ema(self.model, self.params.ema_decay)
        self._resume(ema)
        began = saved = time.monotonic()
        if not self.heldout:
            self._validate(ema, "start")
        with ticker("training", self.curriculum.most_steps) as tick:
            tick.advance(self.curriculum.step)
            while not self.curriculum.finished:
                phase, ended = self.curriculum.phase, False
                if self.curriculum.step_in_phase == 0 and self.heldout[-1]["phase"] != phase:
                    self._validate(ema, "start")
                with contextlib.closing(self._batches(phase)) as batches:
                    while not ended:
                        position, ids, parts = next(batches)
                        step, start = self.curriculum.step, time.monotonic()
                        figures = self.engine.mean(self._step(ema, phase, ids, parts))
                        self._positions[phase] = position
                        ended = self.curriculum.advance(figures["loss"])
                        self.curve.append({"step": step, "phase": phase, **figures})
                        self.log(phase, step, {**figures, "step_s": time.monotonic() - start})
                        tick.advance(note=f"{phase} loss {figures['loss']:.3f}")
                        every = self.params.validate_every_steps
                        better = False
                        if ended or (every and (step + 1) % every == 0):
                            better = self._validate(ema, "end" if ended else "middle", phase, step)
                        due = ended or better or time.monotonic() - saved >= self.params.checkpoint_every_s
                        if self.engine.world > 1:  # clocks differ between ranks, and all must save together
                            due = self.engine.gather_objects(due)[0]
                        if due:
                            self._save(ema)
                            saved = time.monotonic()
        self.wall_s += time.monotonic() - began
        self._deliver(ema)
        return ema

    def _step(self, ema: Ema, phase: str, ids: list[str], parts: _Parts) -> dict[str, float]:
        settings, lr = self.curriculum.settings, self.curriculum.lr()
        for group in self.optimizer.param_groups:
            group["lr"] = lr * group.get("lr_factor", 1.0)
            group["weight_decay"] = settings.weight_decay if group.get("decays", True) else 0.0
        self._optimizer.zero_grad(set_to_none=True)
        told: list[tuple[int, dict[str, float]]] = []
        samples = sum(len(slots) for _, slots in parts)
        for number, (batch, slots) in enumerate(parts, 1):
            with self.engine.accumulating(self._model, last=number == len(parts)):
                with self.engine.autocast():
                    result = self.strategy.loss(
                        self._model, batch, step=self.curriculum.step, slots=slots, device=self.engine.device
                    )
                self.engine.backward(result.loss * (len(slots) / samples))
            told.append((len(slots), {"loss": float(result.loss.detach()), **result.figures}))
        total = mean_of_parts(told)
        norm = self.engine.clip(self._model, self.params.max_grad_norm)
        if math.isfinite(norm):
            total["grad_norm"] = norm
        elif self.engine.scales:  # fp16 finds its loss scale by trying: this step is left out
            total["skipped"] = 1.0
        else:
            self._check("gradient norm", norm)
        self._check("loss", total["loss"])
        self._optimizer.step()
        ema.update(self.model)
        self.ledger.add(phase, ids)
        return {**total, "lr": lr}

    def _check(self, what: str, value: float) -> None:
        where = f"step {self.curriculum.step} of phase {self.curriculum.phase!r}"
        refuse_no_number(what, value, where, "lower lr or the phase's lr_scale")

    def _batches(self, phase: str) -> Generator[_Ready, None, None]:
        """Batches without end, some read ahead in a thread."""
        sampler = self.samplers[phase]
        split = own_parts(sampler.batch, self.engine.rank, self.engine.world, self.params.accumulation)

        def read(position: dict[str, Any], ids: list[str]) -> _Ready:
            loaded = [(self.strategy.load(phase, [ids[i] for i in places]), places) for places in split]
            return position, ids, loaded

        last = sampler.state_dict()
        ahead: deque[Future[_Ready]] = deque()
        with ThreadPoolExecutor(1) as reader:

            def draw() -> None:
                _, ids = sampler.next()
                ahead.append(reader.submit(read, sampler.state_dict(), ids))

            try:
                for _ in range(self.params.prefetch):
                    draw()
                while True:
                    before = time.monotonic()
                    ready = ahead.popleft().result()
                    self.data_wait_s += time.monotonic() - before
                    draw()
                    last = ready[0]
                    yield ready
            finally:
                for future in ahead:
                    future.cancel()
                sampler.load_state_dict(last)  # what was only read ahead has not been drawn

    def _validate(self, ema: Ema, when: str, phase: str | None = None, step: int | None = None) -> bool:
        """Measure the averaged weights; whether they are the best of this phase (those of an earlier one are not
        comparable)."""
        phase = phase or self.curriculum.phase
        step = self.curriculum.step if step is None else step
        with ema.applied(self.model), torch.no_grad():
            self.model.eval()
            figures = self.strategy.heldout(self.model, phase, device=self.engine.device)
            made = self.at_phase_end(phase) if when == "end" else {}
            self.model.train()
        self.heldout.append({"step": step, "phase": phase, "when": when, **figures})
        if figures or made:
            self.log(phase, step, {**figures, **made})
        if figures:
            say(f"  {phase} {when}: " + ", ".join(f"{k} {v:.4f}" for k, v in sorted(figures.items())))
        if when == "start" or "heldout/loss" not in figures:
            return False
        self._check("held-out loss", figures["heldout/loss"])
        if self.best.get("phase") == phase and self.best["loss"] <= figures["heldout/loss"]:
            return False
        self.best = {"phase": phase, "step": self.curriculum.step, "loss": figures["heldout/loss"]}
        return True

    def _deliver(self, ema: Ema) -> None:
        """Give ``ema`` the averages of the best checkpoint where these are wanted and not the last."""
        if self.params.deliver == "last" or self.best.get("step") in (None, self.curriculum.step):
            return
        best = self.store.at(self.best["step"])
        if best is None:
            raise AiprodError(f"the best checkpoint (step {self.best['step']}) is gone", "set loop.deliver to last")
        ema.load_state_dict(best.tensors["ema"])
        say(f"  delivering the weights of step {best.step}, whose held-out loss is {self.best['loss']:.4f}")

    def _save(self, ema: Ema) -> None:
        rng = {"torch": torch.get_rng_state(), "python": random.getstate(), "numpy": _numpy_state()}
        everyone = self.engine.gather_objects(rng)
        tensors = {"model": whole_weights(self.model), "ema": ema.state_dict()}  # gathered by every rank
        optimizer = whole_optimizer(self._optimizer)
        if self.engine.rank == 0:
            self.store.save(
                self.curriculum.step,
                tensors=tensors,
                objects={"optimizer": optimizer, "rng": everyone},
                values={
                    "curriculum": self.curriculum.state_dict(),
                    "ledger": self.ledger.state_dict(),
                    "curve": self.curve,
                    "samplers": self._positions,
                    "heldout": self.heldout,
                    "best": self.best,
                    "threads": torch.get_num_threads(),
                    "world": self.engine.world,
                },
                keep=[self.best["step"]] if self.best else [],
            )
        self.engine.wait()

    def _resume(self, ema: Ema) -> None:
        checkpoint: Checkpoint | None = self.store.latest()
        if checkpoint is None:
            return
        load_whole_weights(self.model, checkpoint.tensors["model"])
        ema.load_state_dict(checkpoint.tensors["ema"])
        load_whole_optimizer(self._optimizer, checkpoint.objects["optimizer"])
        values = checkpoint.values
        torch.set_num_threads(values["threads"])  # sums are split by threads: another number gives other last bits
        self.curriculum.load_state_dict(values["curriculum"])
        self.ledger.load_state_dict(values["ledger"])
        for name, position in values["samplers"].items():
            self.samplers[name].load_state_dict(position)
            self._positions[name] = position
        self.curve, self.heldout, self.best = list(values["curve"]), list(values["heldout"]), dict(values["best"])
        states = checkpoint.objects["rng"]
        own = states[self.engine.rank] if self.engine.rank < len(states) else states[0]
        torch.set_rng_state(own["torch"])
        random.setstate(own["python"])
        np.random.set_state(_numpy_tuple(own["numpy"]))
        say(f"  continuing at step {checkpoint.step} ({self.curriculum.phase})")


def _numpy_state() -> dict[str, Any]:
    name, keys, position, has_gauss, gauss = np.random.get_state(legacy=True)  # type: ignore[misc]
    return {
        "name": str(name),
        "keys": torch.from_numpy(np.asarray(keys).astype(np.int64)),
        "position": int(position),
        "has_gauss": int(has_gauss),
        "gauss": float(gauss),
    }


def _numpy_tuple(state: dict[str, Any]) -> tuple[str, Any, int, int, float]:
    keys = state["keys"].numpy().astype(np.uint32)
    return state["name"], keys, state["position"], state["has_gauss"], state["gauss"]
