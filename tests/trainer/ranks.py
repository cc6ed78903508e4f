"""Runs functions on two ranks that are forked from one process, so that they cost one import and no launcher.

``python -m tests.trainer.ranks module:function ARGUMENT…`` gives both ranks the same arguments. As under a launcher, a
rank that fails ends the other, and the exit status says so.
"""

from __future__ import annotations

import importlib
import os
import signal
import socket
import subprocess
import sys
import traceback
from pathlib import Path

import accelerate
import torch

WORLD = 2
ROOT = Path(__file__).resolve().parents[2]


def on_two_ranks(function: str, *arguments: str, timeout_s: float = 400.0) -> subprocess.CompletedProcess[str]:
    """Call ``module:function`` on both ranks of a new process group, on the CPU."""
    environment = {
        **os.environ,
        "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}",
        "OMP_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "",
        "ACCELERATE_USE_CPU": "true",
    }
    command = [sys.executable, "-m", "tests.trainer.ranks", function, *arguments]
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=timeout_s
    )


def main(function: str, *arguments: str) -> int:
    """Fork, wait for both, and end the one that is left when the other fails."""
    module, name = function.split(":")
    called = getattr(importlib.import_module(module), name)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {
        "WORLD_SIZE": str(WORLD),
        "LOCAL_WORLD_SIZE": str(WORLD),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }
    ranks = []
    for rank in range(WORLD):
        process = os.fork()
        if process == 0:
            os.environ |= {**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)}
            code = 1
            try:
                called(*arguments)
                code = 0
            except BaseException:
                traceback.print_exc()
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
        ranks.append(process)
    failed = 0
    while ranks:
        ended, status = os.waitpid(-1, 0)
        ranks.remove(ended)
        if status and not failed:
            failed = os.waitstatus_to_exitcode(status)
            for rank in ranks:
                os.kill(rank, signal.SIGKILL)
    return failed


if __name__ == "__main__":
    assert accelerate and not torch.distributed.is_initialized()  # imported before the fork, once for both
    sys.exit(abs(main(*sys.argv[1:])))
