"""A ``version_aware`` remote on a real S3 server with versions: what DVC writes at a push is read as what it was."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from aiprod.commands.health import examine
from aiprod.repo.dvc_lock import Lock, verify
from aiprod.tracking.state import LockedState
from tests.end_to_end.stores import S3_KEYS, versioned_bucket

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

MODELS = ("models/one", "models/two")


def run(root: Path, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """A command in a small DVC repository of its own."""
    environment = {**os.environ, **S3_KEYS, "DVC_NO_ANALYTICS": "1"}
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False, timeout=300)
    assert not check or done.returncode == 0, f"{command}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done


def dvc(root: Path, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    return run(root, sys.executable, "-m", "dvc", *arguments, check=check)


def project(root: Path, address: str, bucket: str) -> Path:
    """Two models of several files, recorded by DVC, with the bucket as remote."""
    for model in MODELS:
        for name, text in {"config.json": f'{{"name": "{model}"}}', "deeper/ä ü.bin": f"weights of {model}"}.items():
            (root / model / name).parent.mkdir(parents=True, exist_ok=True)
            (root / model / name).write_text(text)
    (root / "params.yaml").write_text("{}\n")
    stages = {path.replace("/", "_"): {"cmd": "true", "outs": [path]} for path in MODELS}
    (root / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}))
    run(root, "git", "init", "-q")
    dvc(root, "init", "-q")
    for name, value in (("user.name", "a"), ("user.email", "a@example.org")):
        run(root, "git", "config", name, value)
    dvc(root, "commit", "-q", "-f")
    dvc(root, "remote", "add", "-d", "store", f"s3://{bucket}/dvc")
    dvc(root, "remote", "modify", "store", "endpointurl", address)
    dvc(root, "remote", "modify", "store", "version_aware", "true")
    run(root, "git", "add", "-A")
    run(root, "git", "commit", "-qm", "recorded")
    return root


def said(root: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[object, ...]:
    """What is said of the models by the lock."""
    monkeypatch.setattr("aiprod.repo.dvc_lock.main_repository_of", lambda _: root)
    lock = Lock(root)
    answers = []
    for model in MODELS:
        expected, wrong = lock.expectations(model)
        answers.append(([(e.path, e.md5) for e in expected], wrong, verify(root, expected)))
    return lock.outs, answers, LockedState.read(root / "dvc.lock").digest


def test_push_pull_and_two_models(s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = project(tmp_path / "project", s3, versioned_bucket(s3))
    before = said(root, monkeypatch)
    dvc(root, "push")
    written = yaml.safe_load((root / "dvc.lock").read_text())["stages"]
    outs = [out for stage in written.values() for out in stage["outs"]]
    assert len(outs) == 2 and all("md5" not in out and len(out["files"]) == 2 for out in outs), outs
    assert all(file["cloud"]["store"]["version_id"] for out in outs for file in out["files"])
    assert said(root, monkeypatch) == before
    with contextlib.chdir(root):
        assert not [f for f in examine(root, quick=True) if f.name == "dvc.lock" and f.state != "ok"]
    run(root, "git", "commit", "-qam", "pushed")

    clone = tmp_path / "clone"
    run(tmp_path, "git", "clone", "-q", str(root), str(clone))
    dvc(clone, "pull")
    assert said(clone, monkeypatch) == before
    assert (clone / MODELS[1] / "deeper/ä ü.bin").read_text() == f"weights of {MODELS[1]}"
    assert json.loads(dvc(clone, "data", "status", "--json").stdout or "{}").get("uncommitted", {}) == {}

    (root / MODELS[0] / "config.json").write_text('{"name": "another"}')  # another model is another state
    dvc(root, "commit", "-q", "-f")
    other = said(root, monkeypatch)
    assert other[2] != before[2]
    dvc(root, "push")
    assert said(root, monkeypatch) == other

    run(root, "git", "checkout", "-q", "HEAD")
    shutil.rmtree(clone / "models")  # the version of before is still there
    shutil.rmtree(clone / ".dvc/cache", ignore_errors=True)
    dvc(clone, "pull")
    assert said(clone, monkeypatch) == before


def test_a_bucket_that_does_not_exist_is_warned_of(s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = project(tmp_path / "project", s3, "there-is-none")
    before = said(root, monkeypatch)
    dvc(root, "push", check=False)
    after = yaml.safe_load((root / "dvc.lock").read_text())["stages"]
    lost = [out["path"] for stage in after.values() for out in stage["outs"] if out.get("files") == []]
    with contextlib.chdir(root):
        warned = [f for f in examine(root, quick=True) if f.name == "dvc.lock"]
    assert lost and [f.state for f in warned] == ["warn"] and any(path in warned[0].text for path in lost), warned

    dvc(root, "remote", "modify", "store", "url", f"s3://{versioned_bucket(s3)}/dvc")  # as the warning advises
    dvc(root, "commit", "-q", "-f")
    dvc(root, "push")
    assert said(root, monkeypatch) == before
    with contextlib.chdir(root):
        assert not [f for f in examine(root, quick=True) if f.name == "dvc.lock"]
