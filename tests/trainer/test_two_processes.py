"""Two processes through Accelerate: same loss as one at the same global batch, same weights on both, exact resume."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.trainer.small_cache import make_run, write_cache

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import sys, torch
from pathlib import Path
from aiprod.trainer.engine import make_engine
from tests.trainer.small_cache import make_run
cache, folder, out, stop = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])
engine = make_engine()
assert engine.world == 2
class Stop(Exception): pass
def log(phase, step, figures):
    if step == stop and "loss" in figures: raise Stop
run = make_run(cache, folder, engine=engine, log=log)
try:
    ema = run.train()
except Stop:
    sys.exit(0)
torch.save({"weights": run.model.state_dict(), "ema": ema.state_dict(), "loss": [r["loss"] for r in run.curve]},
           f"{out}.{engine.rank}")
"""


def _launch(cache: Path, folder: Path, out: Path, stop: int = -1) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    path = f"{ROOT / 'src'}{os.pathsep}{ROOT}"
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "WORLD_SIZE": "2",
                   "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "ACCELERATE_USE_CPU": "true",
                   "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, "-c", PROGRAM, str(cache), str(folder), str(out), str(stop)]
    ranks = [
        subprocess.Popen(command, cwd=ROOT, env={**environment, "RANK": str(r), "LOCAL_RANK": str(r)},
                         stderr=subprocess.PIPE, text=True)
        for r in (0, 1)
    ]
    for process in ranks:
        _, errors = process.communicate(timeout=240)
        assert process.returncode == 0, errors[-2000:]


@pytest.mark.slow
def test_two_processes_train_what_one_trains(tmp_path: Path):
    cache = write_cache(tmp_path / "latents")
    one = make_run(cache, tmp_path / "one")
    one.train()
    _launch(cache, tmp_path / "two", tmp_path / "two.pt")
    ends = [torch.load(f"{tmp_path / 'two.pt'}.{rank}", weights_only=True) for rank in (0, 1)]
    alone = [row["loss"] for row in one.curve]
    assert ends[0]["loss"] == pytest.approx(alone, rel=0.01)
    for name, weight in ends[0]["weights"].items():
        assert torch.equal(weight, ends[1]["weights"][name]), name
    _launch(cache, tmp_path / "stopped", tmp_path / "no.pt", stop=6)
    _launch(cache, tmp_path / "stopped", tmp_path / "again.pt")
    again = torch.load(f"{tmp_path / 'again.pt'}.0", weights_only=True)
    for name, weight in ends[0]["weights"].items():
        assert torch.allclose(weight, again["weights"][name], atol=1e-5), name
