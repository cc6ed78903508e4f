"""The training loop. It knows steps, phases, checkpoints and logs, and no model."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from pydantic import Field
from torch import nn

from aiprod.base.params import Params
from aiprod.base.progress import say, ticker
from aiprod.data.buckets import BucketSampler
from aiprod.trainer.checkpoints import Checkpoint, CheckpointStore
from aiprod.trainer.curriculum import CurriculumScheduler
from aiprod.trainer.ema import Ema
from aiprod.trainer.engine import Engine
from aiprod.trainer.exposure import ExposureLedger
from aiprod.trainer.strategy import BaseStrategy

_Parts = list[tuple[Any, list[int]]]  # loaded samples and their places in the global batch
_Ready = tuple[dict[str, Any], list[str], _Parts]  # sampler position after it, clip ids, parts of this rank
Log = Callable[[str, int, dict[str, float]], None]  # phase, step, figures


class LoopParams(Params):
    """How the loop runs."""

    max_grad_norm: float = Field(default=1.0, gt=0)
    accumulation: int = Field(default=1, ge=1, description="parts that each rank splits its batch into")
    validate_every_steps: int = Field(default=0, ge=0, description="besides start and end of each phase; 0: not")
    checkpoint_every_s: float = Field(default=30.0, ge=0, description="0: after every step")
    keep_last: int = Field(default=2, ge=1)
    ema_decay: float = Field(default=0.99, ge=0, lt=1)


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
    curve: list[dict[str, Any]] = field(default_factory=list)
    heldout: list[dict[str, Any]] = field(default_factory=list)
    data_wait_s: float = 0.0
    wall_s: float = 0.0
    _positions: dict[str, dict[str, Any]] = field(default_factory=dict)  # of the samplers, after the last step

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
                        step = self.curriculum.step
                        figures = self.engine.mean(self._step(ema, phase, ids, parts))
                        self._positions[phase] = position
                        ended = self.curriculum.advance(figures["loss"])
                        self.curve.append({"step": step, "phase": phase, **figures})
                        self.log(phase, step, figures)
                        tick.advance(note=f"{phase} loss {figures['loss']:.3f}")
                        every = self.params.validate_every_steps
                        if ended or (every and (step + 1) % every == 0):
                            self._validate(ema, "end" if ended else "middle", phase, step)
                        due = ended or time.monotonic() - saved >= self.params.checkpoint_every_s
                        if self.engine.world > 1:  # clocks differ between ranks, and all must save together
                            due = self.engine.gather_objects(due)[0]
                        if due:
                            self._save(ema)
                            saved = time.monotonic()
        self.wall_s += time.monotonic() - began
        return ema

    def _step(self, ema: Ema, phase: str, ids: list[str], parts: _Parts) -> dict[str, float]:
        settings, lr = self.curriculum.settings, self.curriculum.lr()
        for group in self.optimizer.param_groups:
            group["lr"] = lr * group.get("lr_factor", 1.0)
            group["weight_decay"] = settings.weight_decay if group.get("decays", True) else 0.0
        self._optimizer.zero_grad(set_to_none=True)
        total: dict[str, float] = {}
        for batch, slots in parts:
            with self.engine.autocast():
                result = self.strategy.loss(
                    self._model, batch, step=self.curriculum.step, slots=slots, device=self.engine.device
                )
            self.engine.backward(result.loss / len(parts))
            for name, value in {"loss": float(result.loss.detach()), **result.figures}.items():
                total[name] = total.get(name, 0.0) + value / len(parts)
        total["grad_norm"] = self.engine.clip(self._model, self.params.max_grad_norm)
        self._optimizer.step()
        ema.update(self.model)
        self.ledger.add(phase, ids)
        return {**total, "lr": lr}

    def _batches(self, phase: str) -> Generator[_Ready, None, None]:
        """Batches without end, read one ahead in a thread."""
        sampler = self.samplers[phase]
        mine = range(
            self.engine.rank * sampler.batch // self.engine.world,
            (self.engine.rank + 1) * sampler.batch // self.engine.world,
        )
        split = [list(p) for p in np.array_split(list(mine), self.params.accumulation) if len(p)]

        def read() -> _Ready:
            _, ids = sampler.next()
            position = sampler.state_dict()
            loaded = [(self.strategy.load(phase, [ids[i] for i in p]), [int(i) for i in p]) for p in split]
            return position, ids, loaded

        last = sampler.state_dict()
        with ThreadPoolExecutor(1) as reader:
            ahead = reader.submit(read)
            try:
                while True:
                    before = time.monotonic()
                    ready = ahead.result()
                    self.data_wait_s += time.monotonic() - before
                    ahead = reader.submit(read)
                    last = ready[0]
                    yield ready
            finally:
                ahead.cancel()
                ahead.exception() if not ahead.cancelled() else None
                sampler.load_state_dict(last)  # what was only read ahead has not been drawn

    def _validate(self, ema: Ema, when: str, phase: str | None = None, step: int | None = None) -> None:
        phase = phase or self.curriculum.phase
        step = self.curriculum.step if step is None else step
        with ema.applied(self.model), torch.no_grad():
            self.model.eval()
            figures = self.strategy.heldout(self.model, phase, device=self.engine.device)
            self.model.train()
        self.heldout.append({"step": step, "phase": phase, "when": when, **figures})
        if figures:
            self.log(phase, step, figures)
            say(f"  {phase} {when}: " + ", ".join(f"{k} {v:.4f}" for k, v in sorted(figures.items())))

    def _save(self, ema: Ema) -> None:
        rng = {"torch": torch.get_rng_state(), "python": random.getstate(), "numpy": _numpy_state()}
        everyone = self.engine.gather_objects(rng)
        if self.engine.rank == 0:
            self.store.save(
                self.curriculum.step,
                tensors={"model": self.model.state_dict(), "ema": ema.state_dict()},
                objects={"optimizer": self._optimizer.state_dict(), "rng": everyone},
                values={
                    "curriculum": self.curriculum.state_dict(),
                    "ledger": self.ledger.state_dict(),
                    "curve": self.curve,
                    "samplers": self._positions,
                    "heldout": self.heldout,
                    "threads": torch.get_num_threads(),
                    "world": self.engine.world,
                },
            )
        self.engine.wait()

    def _resume(self, ema: Ema) -> None:
        checkpoint: Checkpoint | None = self.store.latest()
        if checkpoint is None:
            return
        self.model.load_state_dict(checkpoint.tensors["model"])
        ema.load_state_dict(checkpoint.tensors["ema"])
        self._optimizer.load_state_dict(checkpoint.objects["optimizer"])
        values = checkpoint.values
        torch.set_num_threads(values["threads"])  # sums are split by threads: another number gives other last bits
        self.curriculum.load_state_dict(values["curriculum"])
        self.ledger.load_state_dict(values["ledger"])
        for name, position in values["samplers"].items():
            self.samplers[name].load_state_dict(position)
            self._positions[name] = position
        self.curve, self.heldout = list(values["curve"]), list(values["heldout"])
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
