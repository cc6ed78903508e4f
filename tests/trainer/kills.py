"""Trains in child processes that die by SIGKILL at places drawn by a seed, until one gets through.

Run as a program of its own: the children are forked from a process that has imported torch and trained nothing, so each
is a real process that costs no import.
"""

from __future__ import annotations

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

from aiprod.base.errors import AiprodError
from aiprod.trainer.loop import Run
from tests.trainer.small_cache import make_run

STEPS = {"low": 30, "high": 30}
WITHIN = ("in the forward pass", "after the update", "in a write", "before a rename", "in the pruning", "at any time")
BETWEEN = ("before the end of a phase is saved", "after the end of a phase is saved")


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def after(calls: int, function: Callable[..., Any], last: Callable[..., Any]) -> Callable[..., Any]:
    """``function``, whose call number ``calls`` goes to ``last``."""
    left = [calls]

    def counted(*arguments: Any, **named: Any) -> Any:
        left[0] -= 1
        return (last if left[0] == 0 else function)(*arguments, **named)

    return counted


def half_a_write(path: Path, data: bytes) -> None:
    with open(path, "wb") as file:
        file.write(data[: len(data) // 2])
        file.flush()
        die()


def plan(run: Run, where: str, rng: random.Random) -> None:
    """Make this process die at ``where``."""
    if where == "in the forward pass":
        left = [rng.randint(1, 150)]

        def hook(*_: Any) -> None:
            left[0] -= 1
            if not left[0]:
                die()

        torch.nn.modules.module.register_module_forward_hook(hook)
    elif where == "after the update":
        run.optimizer.step = after(rng.randint(1, 2), run.optimizer.step, lambda *a, **k: die())  # type: ignore[method-assign]
    elif where == "in a write":
        Path.write_bytes = after(rng.randint(1, 12), Path.write_bytes, half_a_write)  # type: ignore[method-assign]
    elif where == "before a rename":
        os.replace = after(rng.randint(1, 14), os.replace, lambda *a, **k: die())
    elif where == "in the pruning":
        shutil.rmtree = after(rng.randint(1, 6), shutil.rmtree, lambda *a, **k: die())
    elif where in BETWEEN:
        ended, save, advance = [False], run._save, run.curriculum.advance

        def noticed(loss: float) -> bool:
            ended[0] = advance(loss)
            return ended[0]

        def saved(*arguments: Any) -> None:
            if ended[0] and where == BETWEEN[0]:
                die()
            save(*arguments)
            if ended[0]:
                die()

        run.curriculum.advance, run._save = noticed, saved  # type: ignore[method-assign]


def child(cache: Path, folder: Path, out: Path, where: str, rng: random.Random) -> int:
    """Fork a process that trains; its exit status as ``os.waitpid`` gives it."""
    process = os.fork()
    if process == 0:
        run = make_run(cache, folder, steps=dict(STEPS))
        if where == "with a full disk":
            resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, resource.RLIM_INFINITY))
        plan(run, where, rng)
        try:
            ema = run.train()
            torch.save({"weights": run.model.state_dict(), "ema": ema.state_dict()}, out)
        except AiprodError as error:
            print(error, flush=True)
            os._exit(2)
        os._exit(0)
    if where == "at any time":
        time.sleep(rng.uniform(0.05, 0.4))
        os.kill(process, signal.SIGKILL)
    return os.waitpid(process, 0)[1]


def main(cache: Path, folder: Path, out: Path, kills: int, seed: int) -> None:
    """Kill ``kills`` times, then let it finish; prints where each child died."""
    torch.set_num_threads(1)
    rng = random.Random(seed)
    between = {kills // 2: BETWEEN[0], kills // 2 + 1: BETWEEN[1]} if kills > 3 else {kills - 1: rng.choice(BETWEEN)}
    for number in range(kills):
        where = between.get(number) or rng.choice(WITHIN)
        status = child(cache, folder, out, where, rng)
        steps = sorted(int(p.name[5:]) for p in folder.glob("step_*"))
        print(f"{number}: {where}, checkpoints {steps}", flush=True)
        assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL, status
    assert child(cache, folder, out, "nowhere", rng) == 0


if __name__ == "__main__":
    if sys.argv[4] == "full":
        arguments = [Path(a) for a in sys.argv[1:4]]
        print(child(*arguments, "after the end of a phase is saved", random.Random(0)))
        sys.exit(os.waitstatus_to_exitcode(child(*arguments, "with a full disk", random.Random(0))))
    main(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5]))
