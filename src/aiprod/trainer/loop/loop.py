"""The training loop. It knows steps, phases, checkpoints and logs, and no model."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from pydantic import Field
from torch import nn

from aiprod.base.params import Params
from aiprod.base.progress import log, ticker
from aiprod.errors import AiprodError
from aiprod.trainer.loop.accelerator import Engine
from aiprod.trainer.loop.checkpoints import Checkpoint, CheckpointStore
from aiprod.trainer.loop.context import Log, no_log
from aiprod.trainer.loop.ema import Ema
from aiprod.trainer.loop.exposure import ExposureLedger
from aiprod.trainer.loop.levels import Levels
from aiprod.trainer.loop.microbatches import mean_of_parts, own_parts, refuse_uneven
from aiprod.trainer.loop.nan_guard import refuse_no_number
from aiprod.trainer.loop.phases import PhaseScheduler
from aiprod.trainer.loop.reader import Batch, BatchReader
from aiprod.trainer.loop.rng import rng_state, set_rng_state
from aiprod.trainer.loop.samplers import BatchSampler
from aiprod.trainer.loop.sharding import (
    checkpoint_weights,
    full_optimizer_state,
    load_full_optimizer_state,
    load_full_state_dict,
)
from aiprod.trainer.loop.strategy import BaseStrategy


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
        default="last", description="best: the weights with the lowest held-out loss in the last phase"
    )
    prefetch: int = Field(default=2, ge=1, le=64, description="batches that are read ahead")


@dataclass
class TrainingRun:
    """One training run and all of its state."""

    strategy: BaseStrategy
    model: nn.Module
    optimizer: torch.optim.Optimizer
    phases: PhaseScheduler
    samplers: Mapping[str, BatchSampler]  # by phase
    store: CheckpointStore
    engine: Engine
    params: LoopParams
    log: Log = no_log
    ledger: ExposureLedger = field(default_factory=ExposureLedger)
    at_phase_end: Callable[[str], dict[str, float]] = lambda phase: {}  # with the averaged weights in the model
    curve: list[dict[str, Any]] = field(default_factory=list)
    heldout: list[dict[str, Any]] = field(default_factory=list)
    best: dict[str, Any] = field(default_factory=dict)  # phase, step and loss of the best held-out measurement
    levels: Levels | None = None
    wall_s: float = 0.0
    trained_s: float = 0.0  # of all steps up to here, also those that were made before a checkpoint
    _positions: dict[str, dict[str, Any]] = field(default_factory=dict)  # of the samplers, after the last step

    def __post_init__(self) -> None:
        for name, sampler in self.samplers.items():
            setting = self.phases.phases[name].setting
            refuse_uneven(setting, sampler.batch, self.engine.world, self.params.accumulation)
        self._reader = BatchReader(self.strategy, self.params.prefetch)

    @property
    def data_wait_share(self) -> float:
        """Share of the training time that was spent waiting for data."""
        return round(self.data_wait_s / self.wall_s, 5) if self.wall_s else 0.0

    @property
    def data_wait_s(self) -> float:
        """Time that was spent waiting for data."""
        return self._reader.waited_s

    @property
    def _between_levels(self) -> bool:
        return self.levels is not None and self.levels.begins(self.phases)

    def train(self) -> Ema:
        """Train to the end of the last phase, from the newest checkpoint if there is one; the averaged weights."""
        if self.levels is not None:
            if self.engine.rank == 0:
                self.store.adopt(self.levels.levels)
            self.engine.wait()
        checkpoint = self.store.latest()
        if checkpoint is None:
            self.strategy.start(self.model)
        self.model.train()
        self._model, self._optimizer = self.engine.prepare(self.model, self.optimizer)
        self.strategy.prepare(self.engine)
        ema = Ema(self.model, self.params.ema_decay)
        if checkpoint is not None:
            self._restore(checkpoint, ema)
        began = self._saved = time.monotonic()
        if not self.heldout:
            self._validate(ema, "start")
        with ticker("training", self.phases.most_steps) as tick:
            tick.advance(self.phases.step)
            while not self.phases.finished:
                name = self.phases.name
                if self.phases.step_in_phase == 0 and self.heldout[-1]["phase"] != name:
                    self._validate(ema, "start")
                sampler = self.samplers[name]
                split = own_parts(sampler.batch, self.engine.rank, self.engine.world, self.params.accumulation)
                with contextlib.closing(self._reader.batches(name, sampler, split)) as batches:
                    ended = False
                    while not ended:
                        ended = self._advance(ema, name, next(batches))
                        tick.advance(note=f"{name} loss {self.curve[-1]['loss']:.4g}")
        self.wall_s += time.monotonic() - began
        self._deliver(ema)
        return ema

    def _advance(self, ema: Ema, name: str, batch: Batch) -> bool:
        """One step and what belongs to it; whether it ended the phase."""
        step, start = self.phases.step, time.monotonic()
        figures = self.engine.mean(self._step(ema, batch))
        self._positions[name] = batch.position
        ended = self.phases.advance(figures["loss"])
        self.trained_s += time.monotonic() - start
        self.curve.append({"step": step, "phase": name, **figures})
        self.log(name, step, {**figures, "step_s": time.monotonic() - start})
        every = self.params.validate_every_steps
        better = False
        if ended or (every and (step + 1) % every == 0):
            better = self._validate(ema, "end" if ended else "middle", name, step)
        due = (
            ended or better or self._between_levels or time.monotonic() - self._saved >= self.params.checkpoint_every_s
        )
        if self.engine.world > 1:  # clocks differ between ranks, and all must save together
            due = self.engine.gather_objects(due)[0]
        if due:
            self._save(ema)
            self._saved = time.monotonic()
        return ended

    def _step(self, ema: Ema, batch: Batch) -> dict[str, float]:
        name, step, lr = self.phases.name, self.phases.step, self.phases.lr()
        for group in self.optimizer.param_groups:
            group["lr"] = lr * group.get("lr_factor", 1.0)
            group["weight_decay"] = self.phases.current.weight_decay if group.get("decays", True) else 0.0
        self._optimizer.zero_grad(set_to_none=True)
        parts: list[tuple[int, dict[str, float]]] = []
        samples = sum(len(slots) for _, slots in batch.parts)
        for number, (part, slots) in enumerate(batch.parts, 1):
            with self.engine.accumulating(self._model, last=number == len(batch.parts)):
                with self.engine.autocast():
                    result = self.strategy.loss(self._model, part, step=step, slots=slots, device=self.engine.device)
                share = len(slots) / samples
                self.engine.backward(result.loss if share == 1 else result.loss * share)
            parts.append((len(slots), {"loss": float(result.loss.detach()), **result.figures}))
        total = mean_of_parts(parts)
        norm = self.engine.clip(self._model, self.params.max_grad_norm)
        if math.isfinite(norm):
            total["grad_norm"] = norm
        elif self.engine.scales:  # fp16 finds its loss scale by trying: this step is left out
            total["skipped"] = 1.0
        else:
            self._check("gradient norm", norm)
        self._check("loss", total["loss"])
        self._optimizer.step()
        total |= self.strategy.after_update(step)
        ema.update(self.model)
        self.ledger.add(name, batch.clip_ids)
        return {**total, "lr": lr}

    def _check(self, what: str, value: float) -> None:
        where = f"step {self.phases.step} of phase {self.phases.name!r}"
        refuse_no_number(what, value, where, f"lower lr or {self.phases.current.setting}.lr_scale")

    def _validate(self, ema: Ema, when: str, name: str | None = None, step: int | None = None) -> bool:
        """Measure the averaged weights; whether they are the best of this phase (those of an earlier one are not
        comparable)."""
        name = name or self.phases.name
        step = self.phases.step if step is None else step
        with ema.applied(self.model), torch.no_grad():
            self.model.eval()
            figures = self.strategy.heldout(self.model, name, device=self.engine.device)
            sampled = self.at_phase_end(name) if when == "end" else {}
            self.model.train()
        self.heldout.append({"step": step, "phase": name, "when": when, **figures})
        if figures or sampled:
            self.log(name, step, {**figures, **sampled})
        if figures:
            log(f"  {name} {when}: " + ", ".join(f"{k} {v:.4f}" for k, v in sorted(figures.items())))
        if when == "start" or "heldout/loss" not in figures:
            return False
        self._check("held-out loss", figures["heldout/loss"])
        if self.best.get("phase") == name and self.best["loss"] <= figures["heldout/loss"]:
            return False
        self.best = {"phase": name, "step": self.phases.step, "loss": figures["heldout/loss"]}
        return True

    def _deliver(self, ema: Ema) -> None:
        """Go back to the best checkpoint where that is wanted and not the last."""
        if self.params.deliver == "last" or self.best.get("step") in (None, self.phases.step):
            return
        best = self.store.at(self.best["step"])
        if best is None:
            raise AiprodError(f"the best checkpoint (step {self.best['step']}) is gone", "set loop.deliver to last")
        load_full_state_dict(self.model, best.tensors["model"])
        ema.load_state_dict(best.tensors["ema"])
        log(f"  delivering the weights of step {best.step}, whose held-out loss is {self.best['loss']:.4f}")

    def _save(self, ema: Ema) -> None:
        everyone = self.engine.gather_objects(rng_state())
        tensors = {"model": checkpoint_weights(self.model), "ema": ema.state_dict()}  # gathered by every rank
        optimizer = full_optimizer_state(self._optimizer)
        if self.engine.rank == 0:
            self.store.save(
                self.phases.step,
                tensors=tensors,
                objects={"optimizer": optimizer, "rng": everyone, "strategy": self.strategy.state_dict()},
                values={
                    "phases": self.phases.state_dict(),
                    "ledger": self.ledger.state_dict(),
                    "curve": self.curve,
                    "samplers": self._positions,
                    "heldout": self.heldout,
                    "best": self.best,
                    "threads": torch.get_num_threads(),
                    "world": self.engine.world,
                    "trained_s": round(self.trained_s, 3),
                    **({"level": self.levels.values(self.phases)} if self.levels is not None else {}),
                },
                boundary=self._between_levels,
                keep=[self.best["step"]] if self.best else [],
            )
        self.engine.wait()

    def _restore(self, checkpoint: Checkpoint, ema: Ema) -> None:
        load_full_state_dict(self.model, checkpoint.tensors["model"])
        ema.load_state_dict(checkpoint.tensors["ema"])
        load_full_optimizer_state(self._optimizer, checkpoint.objects["optimizer"])
        self.strategy.load_state_dict(checkpoint.objects["strategy"])
        values = checkpoint.values
        torch.set_num_threads(values["threads"])  # sums are split by threads: another number gives other last bits
        self.phases.load_state_dict(values["phases"])
        self.trained_s = float(values.get("trained_s", 0.0))
        self.ledger.load_state_dict(values["ledger"])
        for name, position in values["samplers"].items():
            self.samplers[name].load_state_dict(position)
            self._positions[name] = position
        self.curve, self.heldout, self.best = list(values["curve"]), list(values["heldout"]), dict(values["best"])
        states = checkpoint.objects["rng"]
        set_rng_state(states[self.engine.rank] if self.engine.rank < len(states) else states[0])
        log(f"  continuing at step {checkpoint.step} ({self.phases.name})")
