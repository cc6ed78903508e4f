"""``python -m`` without waiting for imports, for tests in which a module runs in a process but its start is not tested.

Stages, DVC and the command line spend more time on importing PyTorch, MLflow and DVC than on a test's few films and
steps. A server that has imported them forks a process for each command (``tests/warm/server.py``). What runs is still
a process of its own with its own folder, environment and code; tests of signals, of two ranks and of the same bytes
in two interpreters start new ones. Workers of pytest-xdist are forked from the same server.
"""

from __future__ import annotations

import functools
import os
import shlex
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from filelock import FileLock

from tests.warm.ask import ask

SOCKET = "AIPROD_TEST_WARM"  # in the environment of commands: the address of the server
_START_S = 300.0
_SERVER = Path(__file__).with_name("server.py")
# What the tests themselves import, beyond what stages do: a quarter of a worker's start.
PEERS = (
    "bitsandbytes",
    "diffusers.guiders",
    "diffusers.hooks",
    "diffusers.models.autoencoders",
    "diffusers.models.transformers",
    "diffusers.pipelines.ltx2",
    "diffusers.schedulers",
    "mlcroissant",
    "model_signing",
    "openai",
    "opentimelineio",
    "peft",
    "scenedetect",
    "torchvision",
    "transformers.cli.serve",
)
_OWN = {"PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "AIPROD_HOME"}

# Stands in PATH as `python`, for DVC to run stages with, and for `multiprocessing` to start the server that workers are
# forked from: a stage's takes a second or two of imports otherwise.
_PYTHON = """#!{python} -IS
import os, sys
sys.path.append({folder!r})
real, warm = {python!r}, {address!r}
address = os.environ.get({name!r})
command, files = None, [0, 1, 2]
if address and sys.argv[1:2] == ["-m"]:
    command = sys.argv[2:]
elif sys.argv[-1].startswith("from multiprocessing.forkserver import main; main("):  # given its files by number
    address, command = warm, sys.argv[-2:]
    files += map(int, sys.argv[-1].partition("main(")[2].split(", ")[:2])
elif sys.argv[1:3] == ["-u", "-c"] and "sys.stdin.readline()" in sys.argv[3]:  # a worker of pytest-xdist
    address, command = warm, sys.argv[1:]
if command:
    from ask import ask
    code = ask(address, command, os.getcwd(), dict(os.environ), files=files)
    if code is not None and code < 0:
        os.kill(os.getpid(), -code)
    if code is not None:
        sys.exit(code)
os.execv(real, [real, *sys.argv[1:]])
"""


def run(
    command: Sequence[str], folder: Path, environment: Mapping[str, str], timeout_s: float = 900.0
) -> subprocess.CompletedProcess[str]:
    """Run ``python -m`` with the words of ``command``; what it prints is in the answer."""
    address, _ = server()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err, open(os.devnull, "rb") as empty:
        files = [empty.fileno(), out.fileno(), err.fileno()]
        code = ask(address, list(command), str(folder), dict(environment), files=files, timeout_s=timeout_s)
        assert code is not None, "the server of tests/warm has ended"
        said = []
        for file in (out, err):
            file.seek(0)
            said.append(file.read().decode())
    return subprocess.CompletedProcess(["python", "-m", *command], code, *said)


def environment(given: Mapping[str, str]) -> dict[str, str]:
    """``given`` with a ``python`` first in its path whose ``-m`` runs in the server."""
    address, bin_folder = server()
    return {**given, SOCKET: address, "PATH": f"{bin_folder}{os.pathsep}{given.get('PATH', '')}"}


def server() -> tuple[str, str]:
    """Address of the session's server, which is started if need be, and the folder with its ``python``.

    All workers of pytest-xdist share one. It ends when the last process that asked here does.
    """
    return _server(os.environ.get("PYTEST_XDIST_TESTRUNUID") or str(os.getpid()))


def python_of_workers(session: str) -> str:
    """The interpreter for the workers of a session of pytest-xdist, as its ``python=`` is written.

    They begin with all libraries imported, once for all, by the server that their tests use, too.
    """
    return shlex.quote(f"{_server(session, *PEERS)[1]}/python")


@functools.cache
def _server(session: str, *more: str) -> tuple[str, str]:
    folder = Path(tempfile.gettempdir()) / f"aiprod-warm-{os.getuid()}-{session[:12]}"
    address = str(folder / "socket")
    with FileLock(f"{folder.parent}/aiprod-warm-{os.getuid()}.lock", timeout=2 * _START_S):
        lease = _lease(address)
        if lease is None:
            _start(folder, address, more)
            lease = _lease(address)
        assert lease is not None, (folder / "log").read_text()
    _LEASES.append(lease)
    return address, str(folder / "bin")


_LEASES: list[socket.socket] = []  # held open until this process ends


def _lease(address: str) -> socket.socket | None:
    held = socket.socket(socket.AF_UNIX)
    try:
        held.connect(address)
        held.sendall(bytes(4))
        if held.recv(1):
            return held
    except OSError:
        pass
    held.close()
    return None


def _start(folder: Path, address: str, more: Sequence[str]) -> None:
    bin_folder = folder / "bin"
    bin_folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    python = bin_folder / "python"
    python.write_text(_PYTHON.format(python=sys.executable, folder=str(_SERVER.parent), name=SOCKET, address=address))
    python.chmod(0o755)
    kept = {name: value for name, value in os.environ.items() if name not in _OWN and not name.startswith("COV")}
    quiet = {"OMP_NUM_THREADS": "1", "DVC_NO_ANALYTICS": "1", "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "1"}
    with (folder / "log").open("w") as log:
        started = subprocess.Popen(
            [sys.executable, str(_SERVER), address, *more],
            env={**kept, **quiet},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    until = time.monotonic() + _START_S
    while not Path(address).exists() and started.poll() is None and time.monotonic() < until:
        time.sleep(0.05)
