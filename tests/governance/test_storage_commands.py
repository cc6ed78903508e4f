"""`aiprod dataset shards` and `aiprod keys`, from the list of what is there to a lost key that comes back."""

from __future__ import annotations

import base64
import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from aiprod.base.state import state
from aiprod.cli import app
from aiprod.storage.clip_store import content
from aiprod.storage.crypto.key_store import KeyStore
from tests.base.test_shards import clip_id, filled

REPOSITORY = Path(__file__).resolve().parents[2]
FILMS = [f"f0{letter * 16}" for letter in "abc"]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a state of its own, roles as they are shipped, and small shards asked for."""
    root = tmp_path / "project"
    (root / "datasets/v1").mkdir(parents=True)
    (root / "dvc.yaml").write_text("stages: {}\n")
    (root / "params.yaml").write_text(json.dumps({"shards": {"above": 0, "max_mib": 1 / 64}}))
    shutil.copy(REPOSITORY / "datasets/roles.yaml", root / "datasets/roles.yaml")
    monkeypatch.chdir(root)
    monkeypatch.setenv("AIPROD_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("AIPROD_MASTER_KEY", raising=False)
    return root


def run(*words: str, status: int = 0) -> str:
    result = CliRunner().invoke(app, list(words))
    assert result.exit_code == status, f"{words}: {result.output} {result.exception!r}"
    return result.output


@pytest.mark.parametrize("kind", ["raw", "qc/measure/thumbs", "latents"])
def test_files_are_packed_found_verified_and_unpacked_again(project: Path, kind: str) -> None:
    folder = project / "datasets/v1" / kind
    kind = folder.name
    made = filled(folder, 60)
    assert run("dataset", "shards", "list") == f"{kind}: one file for each object\n"

    planned = run("dataset", "shards", "migrate", "--dry-run")
    assert planned.startswith(f"{kind}: 60 objects → ") and sorted(made) == sorted(
        p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()
    ), "a dry run moves nothing"
    done = run("dataset", "shards", "migrate")
    assert done.startswith(planned.rstrip()), "what was planned was done"
    assert "dvc commit -f" in done

    about = json.loads(run("dataset", "shards", "list", "--json"))[kind]
    assert about["objects"] == 60 and about["bytes"] == sum(map(len, made.values()))
    assert f"{kind}: 60 objects of " in run("dataset", "shards", "list")
    named = run("dataset", "shards", "list", "--members")
    assert all(f"{kind}/{name} " in named for name in made)
    assert {name: content(folder / name) for name in made} == made, "readers get what they got"

    name = next(iter(made))
    (entry,) = json.loads(run("dataset", "shards", "find", Path(name).stem, "--json"))
    with next(folder.rglob(entry["shard"])).open("rb") as file:
        file.seek(entry["offset"])
        assert file.read(entry["size"]) == made[name], "the offset is that of the object's first byte"
    assert f"{kind}/{name}: {entry['shard']}, {entry['size']} bytes from {entry['offset']}" in run(
        "dataset", "shards", "find", Path(name).stem
    )
    assert CliRunner().invoke(app, ["dataset", "shards", "find", clip_id(10_000)]).exit_code != 0

    (project / "params.yaml").write_text("shards: {}\n")
    assert f"{kind}: 60 objects → one file for each object\n" in run("dataset", "shards", "migrate")
    assert {name: (folder / name).read_bytes() for name in made} == made


def test_verify_names_the_damaged_object_and_says_so_by_its_status(project: Path) -> None:
    folder = project / "datasets/v1/raw"
    made = filled(folder, 40)
    run("dataset", "shards", "migrate")
    assert "fault" not in run("dataset", "shards", "verify")
    name = max(made, key=lambda name: len(made[name]))
    (entry,) = json.loads(run("dataset", "shards", "find", Path(name).stem, "--json"))
    with next(folder.rglob(entry["shard"])).open("r+b") as file:
        file.seek(entry["offset"] + 10)
        (byte,) = file.read(1)
        file.seek(entry["offset"] + 10)
        file.write(bytes([byte ^ 1]))
    told = run("dataset", "shards", "verify", status=1)
    assert name in told and "fault" in told.splitlines()[-1]


def test_a_lost_key_comes_back_from_its_backup_and_a_rotation_ends_that(project: Path, tmp_path: Path) -> None:
    secrets = {film: KeyStore().ensure(film) for film in FILMS}
    told = run("keys", "status")
    assert f"films with a key: {len(FILMS)}, erased: 0" in told and "no backup under this master key" in told

    saved = tmp_path / "keys.json"
    assert f"{len(FILMS)} of films" in run("keys", "backup", str(saved), "--as", "operator")
    assert "backup of " in run("keys", "status") and "no backup" not in run("keys", "status")
    KeyStore().destroy(FILMS[0])
    assert KeyStore().secret(FILMS[0]) is None
    assert run("keys", "restore", str(saved), "--as", "operator").startswith("1 key restored")
    assert {film: KeyStore().secret(film) for film in FILMS} == secrets

    assert "wrapped by the new master key" in run("keys", "rotate", "--as", "operator")
    assert {film: KeyStore().secret(film) for film in FILMS} == secrets
    assert "of no use under this master key" in run("keys", "status")


def test_a_new_master_key_from_outside_has_to_be_put_in_place(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = (base64.b64encode(bytes([number]) * 32).decode() for number in (1, 2))
    monkeypatch.setenv("AIPROD_MASTER_KEY", old)
    secrets = {film: KeyStore().ensure(film) for film in FILMS}
    monkeypatch.setenv("AIPROD_NEW_MASTER_KEY", new)
    assert "put the new master key in place" in run("keys", "rotate", "--as", "operator")
    monkeypatch.delenv("AIPROD_NEW_MASTER_KEY")
    assert "cannot be read" in run("keys", "status", status=1), "the environment still holds the old one"
    monkeypatch.setenv("AIPROD_MASTER_KEY", new)
    assert {film: KeyStore().secret(film) for film in FILMS} == secrets


@pytest.mark.parametrize("words", [("backup", "keys.json"), ("restore", "keys.json"), ("rotate",)])
def test_only_a_role_that_may_touches_keys(project: Path, words: tuple[str, ...]) -> None:
    KeyStore().ensure(FILMS[0])
    before = {p: p.read_bytes() for p in state().root.rglob("*.key") if p.is_file()}
    assert CliRunner().invoke(app, ["keys", *words, "--as", "a stranger"]).exit_code != 0
    assert not (project / "keys.json").exists()
    assert {p: p.read_bytes() for p in state().root.rglob("*.key") if p.is_file()} == before
