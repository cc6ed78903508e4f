"""Starts a stage once per rank, so that a parameter is all it takes to train on several devices."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time

import torch
from pydantic import Field

from aiprod.base.params import Params
from aiprod.errors import USER_ERROR, AiprodError
from aiprod.trainer.loop.accelerator import Sharding
from aiprod.trainer.loop.threads import cores


class LaunchParams(Params):
    """How many processes train together. For several machines start the stage by ``accelerate launch -m`` yourself."""

    processes: int = Field(default=1, ge=0, le=1024, description="ranks on this machine; 0: one per GPU")
    cpu_processes: int = Field(
        default=0,
        ge=0,
        le=1024,
        description="ranks without a GPU, at most one per core; 0: the same as `processes`",
    )
    sharding: Sharding = Field(default="ddp", description="fsdp2 splits weights and optimizer state over the ranks")


def launched(module: str, params: LaunchParams) -> bool:
    """Whether other processes did the work: start ``python -m module`` once per rank and wait for all.

    False where one process is asked for, and in a process that is such a rank, or was started by ``accelerate launch``.
    As soon as one rank fails the others are ended.

    Raises:
        AiprodError: a rank was killed.
        SystemExit: a rank failed and has said why.
    """
    count = params.processes or max(1, torch.cuda.device_count())
    if params.cpu_processes and not torch.cuda.is_available():
        count = min(params.cpu_processes, cores())
    if count == 1 or "WORLD_SIZE" in os.environ:
        return False
    if torch.cuda.is_available() and count > torch.cuda.device_count():
        raise AiprodError(
            f"train_diffusion.launch.processes is {count} and there are {torch.cuda.device_count()} GPUs",
            "set it to 0 for one process a GPU",
        )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {**os.environ, "WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    if not torch.cuda.is_available():
        shared["ACCELERATE_USE_CPU"] = "true"
    # What libraries say about speed on every run: nothing that the person who watches could act on.
    shared.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    kept = [entry for entry in [shared.get("PYTHONWARNINGS", "")] if entry]
    shared["PYTHONWARNINGS"] = ",".join([*kept, "ignore:OMP_NUM_THREADS/MKL_NUM_THREADS unset"])
    with contextlib.ExitStack() as files:
        # All ranks say the same; those of the others are kept for the case that one of them fails.
        outputs = [files.enter_context(tempfile.TemporaryFile()) for _ in range(1, count)]
        ranks = [
            subprocess.Popen(
                [sys.executable, "-m", module],
                env={**shared, "RANK": str(n), "LOCAL_RANK": str(n)},
                stderr=outputs[n - 1] if n else None,
            )
            for n in range(count)
        ]
        first = None  # the rank that failed, before the others are ended for it
        try:
            while first is None and any(rank.poll() is None for rank in ranks):
                time.sleep(0.2)
                first = next((n for n, rank in enumerate(ranks) if rank.poll()), None)
            if first and ranks[first].returncode == USER_ERROR:  # every rank meets it, and one line is enough
                with contextlib.suppress(subprocess.TimeoutExpired):
                    first = 0 if ranks[0].wait(timeout=2.0) == USER_ERROR else first
        finally:
            for rank in ranks:
                rank.terminate()
            for rank in ranks:
                rank.wait()
        if first is None:
            first = next((n for n, rank in enumerate(ranks) if rank.returncode), None)
        if first:
            outputs[first - 1].seek(0)
            sys.stderr.write(outputs[first - 1].read().decode(errors="replace"))
    failed = 0 if first is None else ranks[first].returncode
    if failed < 0:
        raise AiprodError(f"a rank was ended by signal {-failed}", "run `dvc repro` to resume from the last checkpoint")
    if failed:
        raise SystemExit(failed)
    return True
