"""Trains in child processes that die by SIGKILL at places drawn by a seed, until one gets through.

Run as a program of its own: the children are forked from a process that has imported torch and trained nothing, so each
is a real process that costs no import.
"""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from aiprod.errors import AiprodError
from aiprod.trainer.loop import loop
from aiprod.trainer.loop.ema import Ema
from tests.trainer.small_cache import make_run
from tests.trainer.small_text import make_text_run
from tests.trainer.small_vaes import make_vae_run

STEPS = {"low": 30, "high": 30}
WITHIN = ("in the forward pass", "after the update", "in a write", "before a rename", "in the pruning", "at any time")
BETWEEN = ("before the end of a phase is saved", "after the end of a phase is saved")


class Subject:
    """Something that trains: builds itself, tells where its phases end, and gives its weights when it is done."""

    between: tuple[str, ...] = BETWEEN

    def __init__(self, source: str, folder: Path) -> None:
        self.run = make_run(Path(source), folder, steps=dict(STEPS))
        self.store = self.run.store

    def train(self) -> dict[str, Any]:
        """Every tensor that training leaves."""
        ema = self.run.train()
        return {"weights": self.run.model.state_dict(), "ema": ema.state_dict()}

    def die_between(self, where: str) -> None:
        """Die where a phase ends, before or after that is saved."""
        run, ended = self.run, [False]
        save, advance = run._save, run.phases.advance

        def noticed(loss: float) -> bool:
            ended[0] = advance(loss)
            return ended[0]

        def saved(*arguments: Any) -> None:
            if ended[0] and where == BETWEEN[0]:
                die()
            save(*arguments)
            if ended[0]:
                die()

        run.phases.advance, run._save = noticed, saved  # type: ignore[method-assign]


class VaeSubject(Subject):
    """An autoencoder. What comes nearest to a phase is the step at which the discriminator joins."""

    between = ("when the discriminator joins", "after the discriminator's first step")

    def __init__(self, source: str, folder: Path) -> None:
        self.run = make_vae_run(source, folder)
        self.store = self.run.store

    def die_between(self, where: str) -> None:
        if self.run.strategy.discriminator is None:
            die_in(lambda: self.run, "_save", 3)
            return
        strategy, config = self.run.strategy, self.run.strategy.config  # type: ignore[attr-defined]
        update = strategy.after_update

        def updated(step: int) -> dict[str, float]:
            if step < config.adversarial_from * config.steps:
                return update(step)
            if where == self.between[1]:
                update(step)
            die()
            raise AssertionError

        strategy.after_update = updated  # type: ignore[method-assign]


class TextSubject(Subject):
    """A text encoder, which has nothing like a phase."""

    between = ("in its third save", "in its third save")

    def __init__(self, source: str, folder: Path) -> None:
        self.run = make_text_run(folder)
        self.store = self.run.store

    def die_between(self, where: str) -> None:
        die_in(lambda: self.run, "_save", 3)


def make(source: str, folder: Path) -> Subject:
    """The diffusion trainer on a latent cache, or the other kind that ``source`` names."""
    if Path(source).exists():
        return Subject(source, folder)
    return TextSubject(source, folder) if source == "text_encoder" else VaeSubject(source, folder)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def after(calls: int, function: Callable[..., Any], last: Callable[..., Any]) -> Callable[..., Any]:
    """``function``, whose call number ``calls`` goes to ``last``."""
    left = [calls]

    def counted(*arguments: Any, **named: Any) -> Any:
        left[0] -= 1
        return (last if left[0] == 0 else function)(*arguments, **named)

    return counted


def die_in(owner: Callable[[], Any], name: str, calls: int) -> None:
    """Die in call number ``calls`` of a function."""
    setattr(owner(), name, after(calls, getattr(owner(), name), lambda *a, **k: die()))


def half_a_write(path: Path, data: bytes) -> None:
    with open(path, "wb") as file:
        file.write(data[: len(data) // 2])
        file.flush()
        die()


def plan(subject: Subject, where: str, rng: random.Random) -> None:
    """Make this process die at ``where``."""
    if where == "in the forward pass":
        left = [rng.randint(1, 150)]

        def hook(*_: Any) -> None:
            left[0] -= 1
            if not left[0]:
                die()

        torch.nn.modules.module.register_module_forward_hook(hook)
    elif where == "after the update":  # the averages follow the weights and come before any save
        calls = rng.randint(1, 2)
        loop.Ema = type("Dying", (Ema,), {"update": after(calls, Ema.update, lambda *a: die())})  # type: ignore[misc]
    elif where == "in a write":
        Path.write_bytes = after(rng.randint(1, 12), Path.write_bytes, half_a_write)  # type: ignore[method-assign]
    elif where == "before a rename":
        die_in(lambda: os, "replace", rng.randint(1, 14))
    elif where == "in the pruning":
        die_in(lambda: shutil, "rmtree", rng.randint(1, 6))
    elif where in subject.between:
        subject.die_between(where)


def child(source: str, folder: Path, out: Path, where: str, rng: random.Random) -> int:
    """Fork a process that trains; its exit status as ``os.waitpid`` gives it."""
    process = os.fork()
    if process == 0:
        subject = make(source, folder)
        if where == "with a full disk":
            resource.setrlimit(resource.RLIMIT_FSIZE, (12_000, resource.RLIM_INFINITY))
        plan(subject, where, rng)
        try:
            torch.save(subject.train(), out)
        except AiprodError as error:
            print(error, flush=True)
            os._exit(2)
        os._exit(0)
    if where == "at any time":  # after a step or two, so that a quick machine is killed as often
        before, more, late = _newest(folder), rng.randint(1, 2), rng.uniform(0.0, 0.02)
        while _newest(folder) < before + more:
            done, status = os.waitpid(process, os.WNOHANG)
            if done:
                return status
            time.sleep(0.001)
        time.sleep(late)
        os.kill(process, signal.SIGKILL)
    return os.waitpid(process, 0)[1]


def _newest(folder: Path) -> int:
    """The step of the newest checkpoint; 0 where there is none."""
    return max((int(p.name[5:]) for p in folder.glob("step_*") if p.name[5:].isdigit()), default=0)


def killed(source: str, folder: Path, out: Path, kills: int, seed: int) -> int:
    """Kill ``kills`` times, then let it finish; prints where each child died."""
    rng = random.Random(seed)
    ends = make(source, folder / "unused").between
    between = {kills // 2: ends[0], kills // 2 + 1: ends[1]} if kills > 3 else {kills - 1: rng.choice(ends)}
    for number in range(kills):
        where = between.get(number) or rng.choice(WITHIN)
        status = child(source, folder, out, where, rng)
        steps = sorted(int(p.name[5:]) for p in folder.glob("step_*"))
        print(f"{number}: {where}, checkpoints {steps}", flush=True)
        assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL, status
    return os.waitstatus_to_exitcode(child(source, folder, out, "nowhere", rng))


def filled(source: str, folder: Path, out: Path) -> int:
    """Kill between phases, then go on where the disk is full; the exit status of that."""
    where = make(source, folder / "unused").between[1]
    print(child(source, folder, out, where, random.Random(0)), flush=True)
    return os.waitstatus_to_exitcode(child(source, folder, out, "with a full disk", random.Random(0)))


if __name__ == "__main__":  # one program for many runs, because importing takes longer than training
    torch.set_num_threads(1)
    for place, (kind, kills, seed) in json.loads(sys.argv[1]).items():
        root = Path(place)
        source = sys.argv[2] if kind == "diffusion" else kind
        try:
            where = (source, root / "ck", root / "end.pt")
            print(f"== {killed(*where, kills, seed) if kills else filled(*where)}", flush=True)
        except AssertionError as error:
            print(f"== {error!r}", flush=True)
