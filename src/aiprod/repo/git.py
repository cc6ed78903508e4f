"""Every call of the program ``git``."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

_TIMEOUT_S = 600.0  # a command that waits for a password or a lock does not hold a stage for ever


def git(root: Path | str, *words: str) -> bytes | None:
    """What a git command prints; None where it fails (no git, no repository, no such revision or file)."""
    done = _run(root, *words)
    return done.stdout if done is not None and done.returncode == 0 else None


def git_text(root: Path | str, *words: str) -> str:
    """What a git command prints as text, without blanks around it; empty where it fails."""
    return (git(root, *words) or b"").decode("utf-8", "replace").strip()


def head_commit(root: Path | str = ".") -> str | None:
    """The commit of the workspace; None outside git or before the first commit."""
    return git_text(root, "rev-parse", "--verify", "-q", "HEAD") or None


def differs_from_head(path: Path) -> bool:
    """Whether git has committed another content of a file; False outside a repository."""
    done = _run(path.parent, "diff", "--quiet", "HEAD", "--", path.name)
    return done is not None and done.returncode == 1


def every_object(repository: Path) -> Iterator[tuple[str, bytes]]:
    """Name and content of every object that git has, reachable or not: files, lists of names, messages.

    Raises:
        OSError: git is not installed.
        ValueError: the objects are damaged.
    """
    command = ["git", "cat-file", "--batch-all-objects", "--batch", "--unordered"]
    with subprocess.Popen(command, cwd=repository, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        while len(head := process.stdout.readline().split()) == 3:
            name, size = head[0], head[2]
            yield name.decode(), process.stdout.read(int(size) + 1)


def _run(root: Path | str, *words: str) -> subprocess.CompletedProcess[bytes] | None:
    try:
        return subprocess.run(["git", *words], cwd=root, capture_output=True, check=False, timeout=_TIMEOUT_S)
    except (OSError, subprocess.TimeoutExpired):
        return None
