"""A real S3 server on loopback, for tests that push to one."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.data.web_server import films, web  # noqa: F401 - fixtures
from tests.end_to_end.workspace import ROOT


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a bucket on a real S3 server (Ceph) on loopback."""
    beside = [folder / "shared/tools/s3_server.sh" for folder in ROOT.parents]
    script = next((path for path in beside if path.is_file()), None)
    if script is None or not all(shutil.which(name) for name in ("ceph-mon", "ceph-osd", "radosgw")):
        pytest.skip("needs the script of the S3 server beside this checkout, and ceph-mon, ceph-osd and radosgw")
    ports = []
    for _ in range(2):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            ports.append(probe.getsockname()[1])
    folder = Path("/tmp") / f"s3-{os.getpid()}"  # a socket's path must be short
    try:
        command = ["bash", str(script), str(folder), *map(str, ports)]
        subprocess.run(command, check=True, capture_output=True, timeout=200)
        yield f"http://127.0.0.1:{ports[0]}"
    finally:
        for pid in folder.glob("run/*.pid"):
            with open(pid) as file:
                os.kill(int(file.read()), signal.SIGTERM)
        shutil.rmtree(folder, ignore_errors=True)
