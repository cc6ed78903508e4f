"""A real S3 server on loopback, where one can be started."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_START = Path(__file__).resolve().parents[2].parent / "shared" / "tools" / "s3_server.sh"


@contextmanager
def s3_server(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Path, str], None]]:
    """Start a server and set the environment for it; gives a function that puts a folder's files under a prefix."""
    if not _START.is_file() or shutil.which("radosgw") is None:
        pytest.skip("there is no S3 server to start here")
    port = 17000 + os.getpid() % 2000
    started = subprocess.run(
        ["bash", str(_START), str(folder), str(port), str(port + 2000)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    try:
        if started.returncode != 0:
            pytest.skip(f"the S3 server does not start here: {started.stderr[-200:]}")
        for name, value in (
            ("AWS_ACCESS_KEY_ID", "AKTEST"),
            ("AWS_SECRET_ACCESS_KEY", "SKTEST"),
            ("AWS_DEFAULT_REGION", "us-east-1"),
            ("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}"),
            ("AWS_EC2_METADATA_DISABLED", "true"),
        ):
            monkeypatch.setenv(name, value)
        yield _put
    finally:
        for pid in folder.glob("run/*.pid"):
            with_pid = pid.read_text().strip()
            if with_pid.isdigit():
                subprocess.run(["kill", with_pid], check=False)


def _put(files: Path, prefix: str) -> None:
    import s3fs

    bucket = s3fs.S3FileSystem(skip_instance_cache=True)
    bucket.mkdir(prefix.split("/", maxsplit=1)[0])
    for path in (p for p in files.rglob("*") if p.is_file()):
        bucket.put(str(path), f"{prefix}/{path.relative_to(files).as_posix()}")
