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
    """Run ``python -m`` with ``command`` and these three files; its exit code, or None where no server answers.

    Raises:
        TimeoutError: it took longer; the process is ended.
    """
    request = json.dumps({"command": command, "folder": folder, "environment": environment}).encode()
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
