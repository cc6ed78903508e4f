"""What many tests begin with: an empty project that is the working directory, and git in it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

# What of the developer's own environment would reach into a project of a test.
_OUTER = ("AIPROD_HOME", "DVC_ROOT", "DVC_STAGE", "DVC_EXP_NAME", "DVC_EXP_BASELINE_REV")


def enter_project(root: Path, monkeypatch: pytest.MonkeyPatch, *, state: Path | None = None) -> Path:
    """Make an empty project, with nothing in the environment from outside, and make it the working directory.

    Args:
        state: its folder of state; None: where a project without settings has it.
    """
    for name in _OUTER:
        monkeypatch.delenv(name, raising=False)
    if state is not None:
        monkeypatch.setenv("AIPROD_HOME", str(state))
    root.mkdir(parents=True, exist_ok=True)
    (root / "dvc.yaml").write_text("stages: {}\n")
    monkeypatch.chdir(root)
    return root


def git(*words: str, cwd: Path | str = ".") -> str:
    """What git says, as an author of its own."""
    command = ["git", "-c", "user.name=a", "-c", "user.email=a@b", *words]
    return subprocess.run(command, cwd=cwd, check=True, capture_output=True, text=True).stdout.strip()


def commit_all(*paths: str, cwd: Path | str = ".", message: str = "x") -> None:
    """A new repository with one commit of these paths."""
    git("init", "-q", cwd=cwd)
    git("add", *paths, cwd=cwd)
    git("commit", "-qm", message, cwd=cwd)
