"""The real stage on two processes trains what it trains on one: by `launch.processes: 2` and by `accelerate launch`."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.end_to_end.workspace import Workspace, make_workspace, small

pytestmark = [pytest.mark.long, pytest.mark.timeout(1500)]


def _losses(project: Workspace) -> list[tuple[str, float, float]]:
    """Phase, loss and gradient norm of each step."""
    with (project.root / "reports/diffusion/curve.csv").open() as file:
        return [(row["phase"], float(row["loss"]), float(row["grad_norm"])) for row in csv.DictReader(file)]


def _accelerate(project: Workspace, stage: str) -> subprocess.CompletedProcess[str]:
    """A stage as docs/training.md starts it over several machines, here on the CPUs of this one."""
    on_cpus = {"ACCELERATE_USE_CPU": "true", "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "accelerate.commands.launch",
            "--multi_gpu",
            "--num_processes",
            "2",
            "--num_machines",
            "1",
            "--mixed_precision",
            "no",
            "--dynamo_backend",
            "no",
            "--main_process_port",
            "0",
            "-m",
            f"pipeline.{stage}",
        ],
        cwd=project.root,
        env={**project.environment, **on_cpus},
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return done


def test_two_processes_train_what_one_trains(tmp_path: Path) -> None:
    project = small(make_workspace(tmp_path / "project"))
    project.set_params(train_diffusion__threads=1, curriculum__phases__low__duration__steps=6)
    project.dvc("repro", "train_diffusion")
    alone, model = _losses(project), project.root / "models/diffusion"
    heldout = json.loads((project.root / "reports/diffusion/metrics.json").read_text())["heldout"]["trained"]
    ledger = json.loads((model / "exposure.json").read_text())["clips"]
    assert len(alone) == 10
    for sharding in ("ddp", "fsdp2"):
        shutil.rmtree(project.root / ".aiprod/training/train_diffusion")  # else its checkpoint is taken up
        project.set_params(train_diffusion__launch__processes=2, train_diffusion__launch__sharding=sharding)
        said = project.dvc("repro", "train_diffusion").stderr
        together = _losses(project)
        for one, two in zip(alone, together, strict=True):
            assert one[0] == two[0]
            assert two[1:] == pytest.approx(one[1:], rel=0.01), sharding
        found = json.loads((project.root / "reports/diffusion/metrics.json").read_text())["heldout"]["trained"]
        assert found == pytest.approx(heldout, rel=0.01)
        assert json.loads((model / "exposure.json").read_text())["clips"] == ledger, "each clip is counted once"
        assert said.count("phase low: ") == 1, "one rank speaks"
    project.set_params(train_diffusion__launch__processes=1)
    shutil.rmtree(project.root / ".aiprod/training/train_diffusion")
    said = _accelerate(project, "train_diffusion").stderr
    for one, two in zip(alone, _losses(project), strict=True):
        assert two == (one[0], pytest.approx(one[1], rel=0.01), pytest.approx(one[2], rel=0.01))
    assert json.loads((model / "exposure.json").read_text())["clips"] == ledger, "each clip is counted once"
    assert said.count("phase low: ") == 1, "one rank speaks"
    before = json.loads((project.root / "reports/video_vae/metrics.json").read_text())
    shutil.rmtree(project.root / ".aiprod/training/train_video_vae")
    _accelerate(project, "train_video_vae")
    after = json.loads((project.root / "reports/video_vae/metrics.json").read_text())
    assert after["steps"] == before["steps"] > 0
    assert after["psnr_db"] == pytest.approx(before["psnr_db"], abs=0.1)
