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
        lost = 0
        while head := process.stdout.readline().split():
            if len(head) != 3:  # `NAME missing`
                lost += 1
                continue
            name, size = head[0], head[2]
            yield name.decode(), process.stdout.read(int(size) + 1)
    if process.returncode != 0 or lost:
        raise ValueError(f"{lost or 'some'} objects of git cannot be read")


def common_folder(repository: Path) -> Path | None:
    """Git's own folder, which all work trees of a repository share; None where there is no repository or no git."""
    folder = git_text(repository, "rev-parse", "--git-common-dir")
    return (repository / folder).resolve() if folder else None


def other_work_trees(repository: Path) -> list[Path]:
    """The further work trees of a repository (``git worktree``) that are there."""
    lines = git_text(repository, "worktree", "list", "--porcelain").splitlines()
    trees = [Path(line.removeprefix("worktree ")) for line in lines if line.startswith("worktree ")]
    here = git_text(repository, "rev-parse", "--show-toplevel")
    return [tree for tree in trees if str(tree) != here and tree.is_dir()]


def _run(root: Path | str, *words: str) -> subprocess.CompletedProcess[bytes] | None:
    try:
        return subprocess.run(["git", *words], cwd=root, capture_output=True, check=False, timeout=_TIMEOUT_S)
    except (OSError, subprocess.TimeoutExpired):
        return None
