"""A cluster whose machines see nothing of the project: five stages, the same bytes, though one of them is killed."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from aiprod.errors import AiprodError
from aiprod.executors import ray
from aiprod.storage.crypto.film_encryption import Vault
from tests.captions.llava import save_llava
from tests.data.five_stages import REPOSITORY, fill_inbox, five_stages
from tests.inference.conftest import models  # noqa: F401 - a fixture
from tests.projects import enter_project

_STORE = 80 << 20
_START = f"""
import sys, time
from ray._private.node import Node
from ray._private.parameter import RayParams

about = dict(gcs_address=sys.argv[1], redis_address=sys.argv[1], node_ip_address="127.0.0.1", num_cpus=1, num_gpus=0)
about |= dict(include_log_monitor=False, node_manager_port=0, min_worker_port=0, max_worker_port=0)
node = Node(RayParams(**about, object_store_memory={_STORE}), head=False, shutdown_at_exit=True, spawn_reaper=True)
time.sleep(1e6)
"""
"""As ``ray.cluster_utils`` starts one: the command `ray start` does not stay on the loopback address."""


class Node:
    """A machine of the cluster: Ray's processes in a mount namespace where the project and this package are empty."""

    def __init__(self, address: str, hidden: list[Path], home: Path) -> None:
        home.mkdir()
        self.home, self._hidden, self._address = home, hidden, address
        self.start()

    def start(self) -> None:
        """Begin, or come back after a kill, with what was left on the disk."""
        mounts = " && ".join(f"mount -t tmpfs none {path}" for path in self._hidden)
        start = [sys.executable, "-c", _START, self._address]
        environment = {**os.environ, "HOME": str(self.home), "TMPDIR": str(self.home)}
        for name in ("PYTHONPATH", "RAY_ADDRESS", "AIPROD_HOME"):
            environment.pop(name, None)
        log = open(self.home.with_suffix(".log"), "a")  # noqa: SIM115 - as long as the process
        self._process = subprocess.Popen(
            ["unshare", "-m", "sh", "-c", f'{mounts} && exec "$@"', "node", *start],
            cwd=self.home,
            env=environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )

    def kill(self) -> None:
        """As a power cut: every process of it at once."""
        with contextlib.suppress(psutil.Error):
            mine = psutil.Process(self._process.pid)
            for process in [mine, *mine.children(recursive=True)]:
                with contextlib.suppress(psutil.Error):
                    process.send_signal(signal.SIGKILL)
        self._process.wait()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[list[Node], Path]]:
    """A head that computes nothing and sees the project, as the machine that runs DVC; two nodes that do not."""
    if subprocess.run(["unshare", "-m", "true"], check=False, capture_output=True).returncode != 0:
        pytest.skip("mount namespaces are not permitted here, so nothing can be hidden from a node")
    os.environ["RAY_ADDRESS"] = "127.0.0.1"  # read when Ray is loaded, to stay on this address
    try:
        ray._ray()
    except AiprodError as error:
        pytest.fail(str(error))
    from ray.cluster_utils import Cluster

    head = {"num_cpus": 0, "object_store_memory": _STORE, "node_ip_address": "127.0.0.1", "include_dashboard": False}
    made = Cluster(initialize_head=True, head_node_args=head)
    os.environ["RAY_ADDRESS"] = made.address
    root = tmp_path_factory.mktemp("cluster")
    project = root / "project"
    project.mkdir()
    nodes = [Node(made.address, [project, REPOSITORY / "src"], root / f"node{number}") for number in range(2)]
    yield nodes, project
    for node in nodes:
        node.kill()
    made.shutdown()
    del os.environ["RAY_ADDRESS"]


@pytest.mark.long
def test_five_stages_on_nodes_that_see_nothing_leave_the_same_bytes_though_one_is_killed(
    cluster: tuple[list[Node], Path],
    tmp_path: Path,
    make_film: Callable[..., Path],
    models: Path,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    nodes, project = cluster
    enter_project(project, monkeypatch, state=project / "state")
    vlm, kept = save_llava(tmp_path / "llava"), project / "ray.memo" / "ingest"
    fill_inbox(make_film, films=5)
    here = five_stages(project / "local", "local", models, vlm)
    killed: list[Node] = []

    def kill() -> None:
        until = time.monotonic() + 600
        while time.monotonic() < until:
            busy = [node for node in nodes if any(node.home.glob("aiprod-workers-*/*/work/tmp*/memo/*"))]
            if busy and kept.is_dir() and any(kept.glob("*/*/result.json")):
                busy[0].kill()
                killed.append(busy[0])
                busy[0].start()
                return
            time.sleep(0.02)

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    there = five_stages(project / "ray", "ray", models, vlm)
    killer.join(timeout=1)
    assert len(killed) == 1, "a node was to die in the middle"
    assert there.keys() == here.keys()
    assert [name for name in here if here[name] != there[name]] == []
    [film] = Vault().keys.subjects()
    key, clear = Vault().key_of(film), (project / "datasets/inbox/1.mp4").read_bytes()
    for node in nodes:
        assert not list(node.home.glob("aiprod-workers-*/*")), "a worker that ended, or the next one, left something"
        for path in node.home.rglob("*"):
            if path.is_file() and not path.is_symlink():
                data = path.read_bytes()
                assert key not in data and clear[len(clear) // 2 :][:64] not in data, path
