"""Both forms in which DVC records a folder say the same, and a lost push is noticed."""

from __future__ import annotations

import contextlib
import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from aiprod.commands.health import examine
from aiprod.repo.dvc_lock import Lock, verify
from aiprod.repo.history import _outs
from aiprod.repo.recorded_digests import listing_digest, recorded_digest
from aiprod.tracking.state import LockedState


@pytest.fixture(scope="module")
def forms(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any], dict[str, Any]]:
    """A folder that DVC itself recorded, and its lock before and after a push to a remote with ``version_aware``.

    DVC writes the second form with the arguments that its ``push`` gives; only the versions are made up here.
    """
    from dvc.repo import Repo
    from dvc.stage.serialize import to_single_stage_lockfile

    root = tmp_path_factory.mktemp("dvc")
    for name, text in {"a.txt": "one", "deeper/b.txt": "two", "ä ü.txt": "three"}.items():
        (root / "models/x" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "models/x" / name).write_text(text)
    (root / "plain.txt").write_text("file")
    (root / "params.yaml").write_text("{}\n")
    stage = {"cmd": "true", "deps": ["plain.txt"], "outs": ["models/x"]}
    (root / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"train": stage}}))
    with contextlib.chdir(root):  # DVC finds stages from where one stands
        repo = Repo.init(".", no_scm=True)
        repo.commit("train", force=True)
        [found] = repo.stage.collect("train")
        before = yaml.safe_load((root / "dvc.lock").read_text())
        after = copy.deepcopy(before)
        after["stages"]["train"] = json.loads(json.dumps(to_single_stage_lockfile(found, with_files=True)))
    [out] = after["stages"]["train"]["outs"]
    for number, file in enumerate(out["files"]):
        file["cloud"] = {"store": {"etag": f"e{number}", "version_id": f"v{number}"}}
    repo.close()
    return root, before, after


def _write(root: Path, lock: dict[str, Any]) -> None:
    (root / "dvc.lock").write_text(yaml.safe_dump(lock, allow_unicode=True))


def test_dvc_writes_the_other_form_as_it_is_read_here(forms) -> None:
    _, before, after = forms
    [old], [new] = before["stages"]["train"]["outs"], after["stages"]["train"]["outs"]
    assert old["md5"].endswith(".dir") and "files" not in old and "md5" not in new and len(new["files"]) == 3
    assert recorded_digest(new) == recorded_digest(old) == old["md5"], "as DVC computes it"


def test_a_push_changes_nothing_that_we_say_of_the_folder(forms, monkeypatch) -> None:
    root, before, after = forms
    monkeypatch.setattr("aiprod.repo.dvc_lock.main_repository_of", lambda _: root)
    said = []
    for lock in (before, after):
        _write(root, lock)
        found = Lock(root)
        expected, wrong = found.expectations("models/x")
        assert wrong == [] and verify(root, expected) == []
        said.append(
            (
                found.outs,
                [(e.path, e.md5) for e in expected],
                found.md5_of("models/x/deeper/b.txt"),
                found.owner("models/x/a.txt"),
                LockedState.read(root / "dvc.lock").digest,
                _outs((root / "dvc.lock").read_text()),
            )
        )
    assert said[0] == said[1]
    assert said[0][2] is not None


def test_the_list_is_enough_where_the_cache_holds_nothing(forms, tmp_path: Path) -> None:
    """As in a clone that pulled from the bucket: there is no list of the folder in DVC's cache."""
    root, _, after = forms
    for name in ("a.txt", "deeper/b.txt", "ä ü.txt"):
        (tmp_path / "models/x" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "models/x" / name).write_bytes((root / "models/x" / name).read_bytes())
    _write(tmp_path, after)
    (tmp_path / "models/x/a.txt").write_text("changed")
    (tmp_path / "models/x/new.txt").write_text("new")
    expected, foreign = Lock(tmp_path).expectations("models/x")
    assert [str(m) for m in foreign] == ["models/x/new.txt: is not recorded in dvc.lock"]
    assert [m.path for m in verify(tmp_path, expected)] == ["models/x/a.txt"]


def test_two_models_are_two_states_for_tracking(forms, tmp_path: Path) -> None:
    _, _, after = forms
    other = copy.deepcopy(after)
    other["stages"]["train"]["outs"][0]["files"][0]["md5"] = "0" * 32
    digests = set()
    for number, lock in enumerate((after, other)):
        (tmp_path / str(number)).mkdir()
        _write(tmp_path / str(number), lock)
        digests.add(LockedState.read(tmp_path / str(number) / "dvc.lock").digest)
    assert len(digests) == 2


def test_a_lost_push_is_told_apart_by_what_lies_here_and_warned_of(forms, tmp_path: Path, monkeypatch) -> None:
    """The bucket did not exist: DVC left ``files: []``, and `dvc status -c` calls that in sync."""
    _, _, after = forms
    lost = copy.deepcopy(after)
    lost["stages"]["train"]["outs"][0]["files"] = []
    digests = set()
    for number in range(2):
        root = tmp_path / str(number)
        (root / "models/x").mkdir(parents=True)
        (root / "models/x/weights").write_text(str(number))
        _write(root, lost)
        digests.add(LockedState.read(root / "dvc.lock").digest)
    assert len(digests) == 2
    lock = Lock(root)
    assert lost["stages"]["train"]["outs"][0]["path"] in lock.lost
    [_, wrong] = lock.expectations("models/x")
    assert "list of files empty" in str(wrong[0])
    monkeypatch.chdir(root)
    (root / "dvc.yaml").write_text("stages: {}\n")
    [warned] = [f for f in examine(root, quick=True) if f.name == "dvc.lock"]
    assert warned.state == "warn" and "models/x" in warned.text and "version_aware" in warned.text
    _write(root, after)
    assert not [f for f in examine(root, quick=True) if f.name == "dvc.lock"]


@given(st.dictionaries(st.text(min_size=1), st.text("0123456789abcdef", min_size=32, max_size=32), min_size=1))
def test_the_order_of_the_list_does_not_matter_and_every_change_does(files: dict[str, str]) -> None:
    listed = [{"relpath": name, "md5": md5} for name, md5 in files.items()]
    digest = recorded_digest({"path": "x", "files": listed})
    assert digest == recorded_digest({"path": "x", "files": listed[::-1]}) == listing_digest(files)
    name = next(iter(files))
    assert digest != listing_digest({**files, name: "g" * 32})
    assert digest != listing_digest({**files, name + "x" * 9: "0" * 32})
