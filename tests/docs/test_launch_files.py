"""The launch files for Slurm and Kubernetes: they parse, and give workers nothing of the project."""

from __future__ import annotations

import re
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
LAUNCH = ROOT / "docs/launch"
SBATCH = {"job-name", "nodes", "ntasks-per-node", "cpus-per-task", "gpus-per-node", "mem", "time", "output"}
"""Options of sbatch(1) that the file uses."""


@pytest.fixture(scope="module")
def job() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((LAUNCH / "ray_on_kubernetes.yaml").read_text())
    return content


def test_the_slurm_script_parses_and_its_options_are_those_of_sbatch() -> None:
    script = LAUNCH / "ray_on_slurm.sbatch"
    subprocess.run(["bash", "-n", str(script)], check=True)
    lines = script.read_text().splitlines()
    options = [re.fullmatch(r"#SBATCH --([a-z-]+)=\S+", line) for line in lines if line.startswith("#SBATCH")]
    assert None not in options and {option[1] for option in options if option is not None} == SBATCH
    first_command = next(n for n, line in enumerate(lines) if line and not line.startswith("#"))
    assert not any(line.startswith("#SBATCH") for line in lines[first_command:])  # sbatch reads none after a command


def test_the_slurm_script_starts_head_workers_and_dvc_in_order(tmp_path: Path) -> None:
    for name in ("srun", "scontrol", "sleep"):
        tool = tmp_path / name
        tool.write_text(
            f'#!/bin/bash\necho "{name} $*" >> "{tmp_path}/calls"\n'
            'case "$*" in "show hostnames"*) printf "n1\\nn2\\nn3\\n";; *hostname*) echo 10.0.0.1;; esac\n'
        )
        tool.chmod(0o755)
    environment = {
        "PATH": f"{tmp_path}:/usr/bin:/bin",
        "PROJECT": "/p",
        "SLURM_JOB_NODELIST": "n[1-3]",
        "SLURM_JOB_NUM_NODES": "3",
        "SLURM_CPUS_PER_TASK": "8",
    }
    subprocess.run(["bash", str(LAUNCH / "ray_on_slurm.sbatch")], env=environment, check=True)
    until, calls = time.monotonic() + 60, list[str]()
    while len(calls) < 4 and time.monotonic() < until:  # what is started in the background may be last
        calls = [line for line in (tmp_path / "calls").read_text().splitlines() if line.startswith("srun")]
        time.sleep(0.05)
    head, worker, dvc = (next(call for call in calls if part in call) for part in ("--head", "--address=", "dvc repro"))
    assert "--nodelist=n1" in head and "--port=6379" in head and "/p" not in head.replace("/p/.venv/bin/ray", "")
    assert "--nodes=2" in worker and "--exclude=n1" in worker and "--address=10.0.0.1:6379" in worker
    assert "--nodelist=n1" in dvc and "--chdir=/p" in dvc and "RAY_ADDRESS=10.0.0.1:6379" in dvc


def test_the_kuberay_job_gives_the_project_to_its_head_alone(job: dict[str, Any]) -> None:
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    cluster = job["spec"]["rayClusterSpec"]
    head = cluster["headGroupSpec"]["template"]["spec"]
    assert [volume["name"] for volume in head["volumes"]] == ["project"]
    assert "/project" in job["spec"]["entrypoint"]
    for group in cluster["workerGroupSpecs"]:
        pod = group["template"]["spec"]
        assert all("persistentVolumeClaim" not in volume and "secret" not in volume for volume in pod["volumes"])
        for container in pod["containers"]:
            assert "envFrom" not in container and not any("AIPROD" in entry["name"] for entry in container["env"])
            assert container["image"] == head["containers"][0]["image"]


def test_the_kuberay_job_names_the_pinned_ray(job: dict[str, Any]) -> None:
    pinned = re.search(r"^ray==(\S+)$", (ROOT / "constraints.txt").read_text(), re.M)
    assert pinned is not None and job["spec"]["rayClusterSpec"]["rayVersion"] == pinned[1]
