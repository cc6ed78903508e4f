"""FSDP2 over two processes gives the output and the gradients of one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import sys, torch
from torch import distributed
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from tests.core.test_transformer import audio, model, silent, video
folder, rank = sys.argv[1], int(sys.argv[2])
torch.set_num_threads(1)
distributed.init_process_group("gloo", store=distributed.FileStore(f"{folder}/store", 2), rank=rank, world_size=2)
mesh = init_device_mesh("cpu", (2,))
sharded = model()
for block in sharded.blocks:
    fully_shard(block, mesh=mesh)
fully_shard(sharded, mesh=mesh)
out = sharded(video(), silent(audio()))
(out.video.square().mean() + out.audio.square().mean()).backward()
share = sum(p.to_local().numel() for p in sharded.parameters())
grads = {n: p.grad.full_tensor() for n, p in sharded.named_parameters()}
torch.save({"video": out.video.detach(), "grads": grads, "share": share}, f"{folder}/{rank}.pt")
distributed.destroy_process_group()
"""


@pytest.mark.long
def test_two_processes_shard_the_weights_and_compute_what_one_does(tmp_path: Path) -> None:
    from tests.core.test_transformer import audio, model, silent, video

    paths = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
    environment = os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    command = [sys.executable, "-c", PROGRAM, str(tmp_path)]
    running = [subprocess.Popen([*command, str(rank)], env=environment, cwd=ROOT) for rank in range(2)]
    assert [process.wait(timeout=200) for process in running] == [0, 0]

    alone = model()
    out = alone(video(), silent(audio()))
    assert out.video is not None and out.audio is not None
    (out.video.square().mean() + out.audio.square().mean()).backward()
    whole = sum(p.numel() for p in alone.parameters())
    for rank in range(2):
        found = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        assert 0.3 * whole < found["share"] < 0.7 * whole
        torch.testing.assert_close(found["video"], out.video.detach(), rtol=1e-4, atol=1e-5)
        for name, parameter in alone.named_parameters():
            torch.testing.assert_close(found["grads"][name], parameter.grad, rtol=1e-3, atol=1e-5)
