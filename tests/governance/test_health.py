"""The doctor: each planted fault is named with its fix, and a healthy workspace has none."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from typer import Typer
from typer.testing import CliRunner

from aiprod.base import state_cache
from aiprod.base.state import state
from aiprod.commands import doctor as command
from aiprod.commands import health, param_files
from aiprod.commands.health import Diagnosis, examine
from aiprod.errors import AiprodError
from aiprod.storage.crypto.key_store import KeyStore
from tests.conftest import REPOSITORY


@pytest.fixture
def healthy(finished: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("MLFLOW_TRACKING_URI", "AWS_ACCESS_KEY_ID", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(finished.parent))
    disk_with(10**12, monkeypatch)
    git("init", "-q")
    git("config", "user.email", "a@example.org")
    git("config", "user.name", "A")
    git("add", "dvc.yaml")
    git("commit", "-qm", "First")
    return finished


def disk_with(free: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health.shutil, "disk_usage", lambda _: type("Usage", (), {"free": free})())


def git(*words: str) -> None:
    subprocess.run(["git", *words], check=True)


def named(findings: list[Diagnosis], name: str) -> Diagnosis:
    return next(f for f in findings if f.name == name)


def test_a_healthy_workspace_has_nothing_bad(healthy: Path) -> None:
    found = examine(healthy)
    assert [f for f in found if f.state == "bad"] == []
    assert "libx264" in named(found, "codecs").text


def test_a_repository_without_commits(finished: Path) -> None:
    git("init", "-q")
    found = named(examine(finished, quick=True), "git")
    assert found.state == "bad" and "no commits" in found.text and "git commit" in found.hint


def test_broken_settings_and_sources(healthy: Path) -> None:
    (healthy / "params.yaml").write_text("a: [1\n")
    (healthy / "datasets/sources.yaml").write_text("sources:\n  x:\n    title: X\n    titel: typo\n")
    found = examine(healthy, quick=True)
    assert named(found, "params.yaml").state == "bad"
    assert "did you mean 'title'" in named(found, "sources").hint


def test_a_source_that_does_not_exist(healthy: Path) -> None:
    (healthy / "params.yaml").write_text(
        "ingest:\n  sources: [open-film, nosuch, inbox]\n  folders: {open-film: gone/away}\n"
    )
    found = examine(healthy, quick=True)
    assert "gone/away does not exist" in named(found, "source open-film").text
    assert "not declared" in named(found, "source nosuch").text
    assert named(found, "source inbox").state == "bad"


def test_files_that_were_found_good_are_not_read_again_and_what_lies_outside_of_them_is(
    healthy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (healthy / "clips").mkdir()
    settings = "ingest:\n  sources: [open-film]\n  folders: {open-film: clips}\n"
    (healthy / "params.yaml").write_text(settings)
    read: list[Path] = []
    parse = health.read_yaml
    monkeypatch.setattr(health, "read_yaml", lambda path: (read.append(path), parse(path))[1])

    def states() -> set[str]:
        read.clear()
        return {found.state for found in examine(healthy, quick=True) if found.name != "git identity"}

    assert "bad" not in states() and read
    assert "bad" not in states() and not read
    (healthy / "clips").rmdir()
    assert "bad" in states() and not read, "a folder that is gone"
    (healthy / "clips").mkdir()
    for name in ("dvc.yaml", "params.yaml", "datasets/sources.yaml", "dvc.lock"):
        before = (healthy / name).read_bytes()
        (healthy / name).write_bytes(b"a: [1\n")
        assert "bad" in states() and "bad" in states(), f"a damaged {name}, twice"
        (healthy / name).write_bytes(before)
        assert "bad" not in states()


def test_remotes_and_trackers_that_do_not_answer(healthy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (healthy / ".dvc/config").write_text(
        "[core]\n    remote = store\n['remote \"store\"']\n    url = s3://b/p\n    endpointurl = http://127.0.0.1:9\n"
        "['remote \"plain\"']\n    url = s3://b/q\n"
    )
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    found = examine(healthy)
    assert "does not answer" in named(found, "remote store").text
    assert "no credentials" in named(found, "remote plain").text
    assert named(found, "tracking").state == "bad"


def test_a_key_that_others_can_read(healthy: Path) -> None:
    key = state().keys / "signing.pem"
    key.write_text("secret")
    key.chmod(0o644)
    assert "chmod 600" in named(examine(healthy), "keys").hint


def test_the_key_of_a_film_of_people_is_nothing_to_worry_about(healthy: Path) -> None:
    """Its folder was once named as readable by others, with a command that would have locked its owner out."""
    KeyStore().ensure("f0abcdefghijklmnop")
    folder = state().keys / "data"
    assert named(examine(healthy), "keys").state == "ok" and not folder.stat().st_mode & 0o077
    folder.chmod(0o755)  # as earlier versions made it
    assert named(examine(healthy), "keys").state == "ok"


def test_a_full_disk(healthy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk_with(10**6, monkeypatch)
    assert named(examine(healthy, quick=True), "disk").state == "bad"


def test_a_check_that_fails_is_a_finding(healthy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def explode(_: Path) -> object:
        raise RuntimeError("boom")

    monkeypatch.setattr(health, "_git", explode)
    assert any(f.name == "explode" and "boom" in f.text for f in examine(healthy, quick=True))


def test_the_command_speaks_only_of_trouble_before_a_run(healthy: Path) -> None:
    app = Typer()
    command.register(app)
    app.command()(lambda: None)
    whole = (REPOSITORY / "params.yaml").read_text().replace("  - demo\n  - inbox\n", "  - demo\n")
    (healthy / "params.yaml").write_text(whole)
    quiet = CliRunner().invoke(app, ["doctor", "--before-run"])
    assert (quiet.exit_code, quiet.output) == (0, "")
    (healthy / "params.yaml").write_text(whole.replace("preset: veryfast", "preset: fastest"))
    wrong = CliRunner().invoke(app, ["doctor", "--before-run"])
    assert wrong.exit_code == 2 and "ingest.normalise.preset" in wrong.output and "'faster'" in wrong.output
    (healthy / "params.yaml").unlink()
    loud = CliRunner().invoke(app, ["doctor", "--before-run"])
    assert loud.exit_code == 2 and "params.yaml" in loud.output and "Traceback" not in loud.output
    assert CliRunner().invoke(app, ["doctor"]).exit_code == 1


def test_parameters_that_were_found_good_are_not_checked_again(healthy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checked: list[Path] = []
    monkeypatch.setattr(param_files, "check_file", checked.append)
    path = healthy / "params.yaml"

    def times(again: bool = False) -> int:
        checked.clear()
        assert command._wrong_values(path, again=again) == []
        return len(checked)

    assert [times(), times(), times(again=True), times()] == [1, 0, 1, 0]
    path.write_text(path.read_text() + "# other bytes\n")
    assert [times(), times()] == [1, 0]
    package = healthy / "package"
    (package / "base").mkdir(parents=True)
    (package / "models.py").write_text("a = 1\n")
    monkeypatch.setattr(state_cache, "__file__", str(package / "base/state_cache.py"))
    assert [times(), times()] == [1, 0], "other code"
    (package / "models.py").write_text("a = 1\nb = 2\n")
    assert [times(), times()] == [1, 0], "changed code"

    def refuse(_: Path) -> None:
        raise AiprodError("wrong", "mend it")

    monkeypatch.setattr(param_files, "check_file", refuse)
    path.write_text(path.read_text() + "# wrong\n")
    found = [command._wrong_values(path, again=False) for _ in range(2)]
    assert [[f.state for f in each] for each in found] == [["bad"], ["bad"]], "what is wrong stays wrong"
