"""The question to the server of warm Python: on the standard library alone, since a script imports it at each start."""

from __future__ import annotations

import json
import socket


def ask(
    address: str,
    command: list[str],
    folder: str,
    environment: dict[str, str],
    *,
    files: list[int],
    timeout_s: float | None = None,
) -> int | None:
    """Run ``python -m`` with ``command``, or ``python -c``; its exit code, or None where no server answers.

    Args:
        files: its standard input, output and error, and what else it has open, which keeps its number.

    Raises:
        TimeoutError: it took longer; the process is ended.
    """
    asked = {"command": command, "folder": folder, "environment": environment, "files": [0, 1, 2, *files[3:]]}
    request = json.dumps(asked).encode()
    with socket.socket(socket.AF_UNIX) as server:
        server.settimeout(timeout_s)
        try:
            server.connect(address)
        except OSError:
            return None
        socket.send_fds(server, [len(request).to_bytes(4, "big")], files)
        server.sendall(request)
        answer = server.recv(4)
    return int.from_bytes(answer, "big", signed=True) if answer else None
