"""Runs Python modules as children of one process that has the heavy libraries imported already.

A script of its own, which imports nothing of this project: the code that runs is that of the folder it runs in.
``tests/warm/client.py`` starts one for all workers of a test session; it ends with the last of them.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import gc
import importlib
import json
import multiprocessing
import os
import random
import runpy
import selectors
import shutil
import signal
import socket
import sys
import threading
import types
from pathlib import Path
from typing import Any, NoReturn

# What stages and DVC import; a library that is missing here, or a module that moved, only costs its users time.
LIBRARIES = (
    "numpy",
    "scipy.ndimage",
    "scipy.signal",
    "scipy.optimize",
    "scipy.stats",
    "cv2",
    "av",
    "pyarrow.parquet",
    "pandas",
    "pydantic",
    "ruamel.yaml",
    "psutil",
    "rich.progress",
    "jinja2",
    "safetensors.torch",
    "filelock",
    "cryptography.hazmat.primitives.ciphers.aead",
    "cryptography.hazmat.primitives.kdf.hkdf",
    "license_expression",
    "rfc8785",
    "torch",
    "torch._dynamo",
    "torch.optim",
    "torch.utils.data",
    "torchaudio",
    "matplotlib.figure",
    "matplotlib.backends.backend_agg",
    "transformers",
    "transformers.modeling_utils",
    "tokenizers",
    "mlflow",
    "mlflow.store.tracking.sqlalchemy_store",
    "mlflow.store.model_registry.sqlalchemy_store",
    "mlflow.system_metrics.system_metrics_monitor",
    "mlflow.store.db.utils",
    "dvc.cli",
    "dvc.cli.parser",
    "dvc.repo",
    "dvc.repo.reproduce",
    "dvc.repo.status",
    "dvc.repo.checkout",
    "dvc.repo.experiments",
    "dvc.repo.graph",
    "dvc.repo.index",
    "dvc.repo.plots",
    "dvc.data_cloud",
    "dvc.dirs",
    "dvc.api",
    "networkx",
)

_UNASKED_S = 60.0
_FILES_MAX = 16


def main(address: str, *more: str) -> None:
    """Import the libraries and ``more``, then run what is asked for until nobody holds a lease."""
    sys.path.pop(0)  # this script's folder, which `python -m` would not have there
    for name in (*LIBRARIES, *more):
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    others = [path.read_text().strip() for path in Path("/proc/self/task").glob("*/comm")]
    others = [name for name in others if name != "jemalloc_bg_thd"]  # Arrow's allocator, which knows how to fork
    assert len(others) <= 1, f"importing started threads, and a process with threads must not fork: {others}"
    gc.collect()
    gc.freeze()  # children share these pages, which a collection would copy
    gc.set_threshold(10_000)
    run = Server(address).wait()
    if run is not None:  # in a child
        become(*run, str(Path(address).parent / "bin" / "python"))


class Server:
    """Answers at a socket: leases, which keep it alive, and modules to run."""

    def __init__(self, address: str) -> None:
        self._ready = selectors.DefaultSelector()
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(f"{address}.new")
        self._socket.listen(64)
        os.rename(f"{address}.new", address)
        self._address = address
        self._leases: set[socket.socket] = set()
        self._running: dict[int, socket.socket] = {}  # process → who waits for it
        self._ended, self._end = os.pipe()
        os.set_blocking(self._end, False)
        signal.set_wakeup_fd(self._end)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._ready.register(self._socket, selectors.EVENT_READ)
        self._ready.register(self._ended, selectors.EVENT_READ)

    def wait(self) -> tuple[dict[str, Any], list[int]] | None:
        """What to become, in a child; None when the last lease has ended."""
        while True:
            ready = self._ready.select(None if self._leases else _UNASKED_S)
            if not ready:  # who started this server was ended before it could ask
                self._tidy_up()
                return None
            for key, _ in ready:
                if key.fileobj is self._socket:
                    run = self._answer(self._socket.accept()[0])
                    if run is not None:
                        return run
                elif key.fileobj == self._ended:
                    os.read(self._ended, 4096)
                    self._reap()
                else:
                    self._gone(key.fileobj)  # type: ignore[arg-type]
                    if not self._leases:
                        self._tidy_up()
                        return None

    def _answer(self, caller: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
        head, given, _, _ = socket.recv_fds(caller, 4, _FILES_MAX)
        size = int.from_bytes(head, "big")
        if not size:
            caller.sendall(b"\1")
            self._leases.add(caller)
            self._ready.register(caller, selectors.EVENT_READ)
            return None
        with caller.makefile("rb") as file:
            request = json.loads(file.read(size))
        process = os.fork()
        if process == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.setpgid(0, 0)
            for open_here in (self._ready, self._socket, caller, *self._leases, *self._running.values()):
                open_here.close()
            os.close(self._ended)
            os.close(self._end)
            return request, given
        for number in given:
            os.close(number)
        self._running[process] = caller
        self._ready.register(caller, selectors.EVENT_READ)
        return None

    def _tidy_up(self) -> None:
        """End what still runs and remove the folder; who connects meanwhile is told by the end of this process."""
        for process in self._running:
            kill(process, signal.SIGKILL)
        shutil.rmtree(Path(self._address).parent, ignore_errors=True)

    def _gone(self, caller: socket.socket) -> None:
        self._ready.unregister(caller)
        caller.close()
        self._leases.discard(caller)
        for process, waiting in self._running.items():
            if waiting is caller:
                kill(process, signal.SIGTERM)

    def _reap(self) -> None:
        for process, caller in list(self._running.items()):
            done, status = os.waitpid(process, os.WNOHANG)
            if done:
                del self._running[process]
                if caller.fileno() >= 0:
                    self._ready.unregister(caller)
                    with contextlib.suppress(OSError):
                        caller.sendall(os.waitstatus_to_exitcode(status).to_bytes(4, "big", signed=True))
                    caller.close()


def kill(process: int, number: signal.Signals) -> None:
    """Signal a child and what it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process, number)


def become(request: dict[str, Any], given: list[int], python: str) -> None:
    """Run ``python -m`` here, in a child, as a new interpreter would, and end this process where it ends.

    Args:
        python: what ``multiprocessing`` starts its own server with, which workers are forked from (``python -c``): it
            would import again what is here.
    """
    numbers: list[int] = request["files"]
    beyond = 1 + max(*numbers, *given)
    apart = [fcntl.fcntl(file, fcntl.F_DUPFD, beyond) for file in given]  # where none is another's number
    for file in given:
        os.close(file)
    for number, file in zip(numbers, apart, strict=True):
        os.dup2(file, number)
        os.close(file)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.path[:0] = [os.getcwd(), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    random.seed()
    sys.modules["numpy"].random.seed()
    if any(name.startswith("COVERAGE_PROCESS") for name in os.environ):
        import coverage

        coverage.process_startup()
    with contextlib.suppress(ImportError):
        import sitecustomize  # noqa: F401 - of PYTHONPATH
    module, *arguments = request["command"]
    if module == "-u":  # a worker of pytest-xdist: its tests look for processes below it, not below the server
        module, *arguments = arguments
    else:
        multiprocessing.set_executable(python)
    sys.argv = [module, *arguments]
    code: object = None
    try:
        if module == "-c":
            sys.modules["__main__"] = types.ModuleType("__main__")  # what `multiprocessing` would import in workers
            exec(arguments[0], vars(sys.modules["__main__"]))
        else:
            runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as stop:
        code = stop.code
    end(code)


def end(code: object) -> NoReturn:
    """End as ``sys.exit(code)`` does, without taking the interpreter apart.

    That would touch every object of every library, and so copy each page that is shared with the server: most of the
    cost of a short command.
    """
    if code is not None and not isinstance(code, int):
        print(code, file=sys.stderr)
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]  # waits for threads, as the interpreter does before it ends
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit((code or 0) & 0xFF)


if __name__ == "__main__":
    main(*sys.argv[1:])
