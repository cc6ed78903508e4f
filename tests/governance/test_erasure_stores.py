"""What an erasure searches of unusual stores: several remotes, a shared cache, git's own files, further work trees."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from aiprod.errors import AiprodError
from aiprod.governance.erasure import scan
from aiprod.governance.erasure.search_patterns import Needles
from aiprod.repo import dvc
from tests.projects import commit_all, git

WORD = b"Erika Mustermann"
NEEDLES = Needles(names={WORD})


class Bucket:
    """A remote of three objects, each with the word."""

    def __init__(self, refused: dict[str, Exception], there: bool = True) -> None:
        self.refused, self.there = refused, there

    def exists(self, _path: str) -> bool:
        return self.there

    def find(self, base: str, *, detail: bool) -> dict[str, dict[str, int]]:
        assert detail
        return {f"{base}/files/md5/{n}": {"size": 9} for n in ("aa/1", "bb/2", "cc/3")}

    def open(self, path: str, _mode: str) -> Any:
        for name, error in self.refused.items():
            if path.endswith(name):
                raise error
        return io.BytesIO(WORD)


def searched(monkeypatch: pytest.MonkeyPatch, **buckets: Bucket) -> dict[str, scan.Count]:
    def connect(bucket: Bucket) -> Callable[[], tuple[Bucket, str]]:
        return lambda: (bucket, "b/files/md5")

    @contextmanager
    def known(_repository: Path) -> Iterator[dict[str, Callable[[], tuple[Bucket, str]]]]:
        yield {name: connect(bucket) for name, bucket in buckets.items()}

    monkeypatch.setattr(dvc, "remotes", known)
    return scan.remotes(NEEDLES, Path(), lambda *_: False)


class Stalling(Bucket):
    """Says nothing at one question until the test is over."""

    over = threading.Event()

    def __init__(self, at: str) -> None:
        super().__init__({})
        self.at = at

    def exists(self, path: str) -> bool:
        self._stall("exists")
        return super().exists(path)

    def find(self, base: str, *, detail: bool) -> dict[str, dict[str, int]]:
        self._stall("find")
        return super().find(base, detail=detail)

    def open(self, path: str, mode: str) -> Any:
        self._stall(path[-1])
        return super().open(path, mode)

    def _stall(self, question: str) -> None:
        if question == self.at:
            self.over.wait()


def test_a_remote_that_does_not_answer_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan, "PATIENCE_S", 1.0)
    monkeypatch.setattr(scan, "_LISTING", 1)
    stalling = {"first": Stalling("exists"), "list": Stalling("find"), "second": Stalling("2")}
    try:
        found = searched(monkeypatch, **stalling, whole=Bucket({}))
    finally:
        Stalling.over.set()
    assert {name: count.names for name, count in found.items()} == {
        "remote first": 0,
        "remote list": 0,
        "remote second": 1,
        "remote whole": 3,
    }
    for name in stalling:
        assert "no whole answer within 1 s" in found[f"remote {name}"].skipped


def test_what_links_lead_to_is_searched_once_and_none_is_passed_over(tmp_path: Path) -> None:
    root, away, other = tmp_path / "store", tmp_path / "disk", tmp_path / "left out"
    for folder in (root / "sub", away / "deep", other):
        folder.mkdir(parents=True)
        (folder / "words.txt").write_bytes(WORD)
    (root / "files").symlink_to(away)
    (root / "again").symlink_to(away)
    (away / "deep/loop").symlink_to(away)
    (root / "inside").symlink_to(root / "sub")
    (root / "one").symlink_to(away / "deep/words.txt")
    (root / "other").symlink_to(other)
    (root / "dangling").symlink_to(tmp_path / "nothing")
    (root / "itself").symlink_to(root / "itself")
    found = scan.folder(NEEDLES, root, [other])
    places = sorted(place.split(" ")[0] for place in found.where)
    assert len(places) == found.names == 3, found  # the one under a link of its own is the same file by another name
    assert "sub/words.txt" in places and "other/words.txt" not in places


def _stumbled() -> Exception:
    """As s3fs does over a time-out, which has no arguments."""
    try:
        try:
            try:
                raise TimeoutError("read timeout on endpoint")
            except TimeoutError as error:
                raise TimeoutError from error
        except TimeoutError as error:
            _ = error.args[0]
    except IndexError as error:
        return error
    raise AssertionError


def _wordless() -> Exception:
    """As s3fs does over a server that refuses without a message."""
    try:
        try:
            raise RuntimeError("AccessDenied when calling GetObject")
        except RuntimeError as error:
            raise PermissionError(None) from error
    except PermissionError as error:
        return error


def test_what_was_found_before_a_remote_failed_is_told_and_the_next_is_searched(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = searched(
        monkeypatch,
        denied=Bucket({"2": PermissionError("Forbidden")}),
        stalled=Bucket({"2": TimeoutError("\nread timed out")}),
        stumbled=Bucket({"1": _stumbled()}),
        wordless=Bucket({"1": _wordless()}),
        gone=Bucket({}, there=False),
        whole=Bucket({}),
    )
    assert {name: count.names for name, count in found.items()} == {
        "remote denied": 2,
        "remote stalled": 1,
        "remote stumbled": 0,
        "remote wordless": 2,
        "remote gone": 0,
        "remote whole": 3,
    }
    assert found["remote denied"].skipped == "1 object cannot be read (Forbidden)"
    assert found["remote stalled"].skipped == "cannot be read (read timed out)"
    assert found["remote wordless"].skipped == "1 object cannot be read (AccessDenied when calling GetObject)"
    assert found["remote stumbled"].skipped == "cannot be read (read timeout on endpoint)"
    assert "not mounted" in found["remote gone"].skipped and not found["remote whole"].skipped


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    root = tmp_path / "repository"
    root.mkdir()
    (root / "a.txt").write_text("a")
    commit_all("a.txt", cwd=root)
    return root


def test_git_keeps_names_outside_of_its_objects(repository: Path) -> None:
    assert scan.git_history(NEEDLES, repository).hits == 0
    lfs = repository / ".git/lfs/objects/aa/bb"
    lfs.parent.mkdir(parents=True)
    lfs.write_bytes(WORD)
    git("update-ref", "-m", f"moved by {WORD.decode()}", "refs/heads/other", "HEAD", "--create-reflog", cwd=repository)
    git("branch", "-f", WORD.decode().replace(" ", "-"), cwd=repository)
    names = Needles(names={WORD, WORD.replace(b" ", b"-")})
    places = " ".join(scan.git_history(names, repository).where)
    assert "lfs/objects" in places and "logs/refs/heads/other" in places and "refs/heads/Erika-Mustermann" in places


def test_objects_that_are_lost_or_damaged_are_no_clean_history(repository: Path) -> None:
    [blob] = [p for p in (repository / ".git/objects").rglob("??*") if p.is_file()][:1]
    blob.chmod(0o600)
    blob.write_bytes(b"no object of git")
    assert "cannot be read" in scan.git_history(NEEDLES, repository).skipped
    assert "no git repository" in scan.git_history(NEEDLES, repository.parent).skipped


def test_further_work_trees_are_searched(repository: Path) -> None:
    tree = repository.parent / "tree"
    git("worktree", "add", "-q", str(tree), "-b", "other", cwd=repository)
    git("worktree", "add", "-q", str(repository / "inner"), "-b", "inner", cwd=repository)
    (tree / "notes.txt").write_bytes(WORD)
    found = scan.work_trees(NEEDLES, repository, [])
    assert {name: count.names for name, count in found.items()} == {"further work tree 1": 1}
    assert [place.startswith(f"{tree}/notes.txt") for place in found["further work tree 1"].where] == [True]
    assert len(scan.work_trees(NEEDLES, tree, [])) == 2, "the repository itself, and the one within it"


@pytest.mark.parametrize("level", ["system", "user", "shared", "local"])
def test_the_cache_is_where_any_configuration_of_dvc_puts_it(
    level: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DVC_SYSTEM_CONFIG_DIR", str(tmp_path / "system"))
    monkeypatch.setenv("DVC_GLOBAL_CONFIG_DIR", str(tmp_path / "user"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    root = tmp_path / "repository"
    files = {"system": tmp_path / "system/config", "user": tmp_path / "user/config"}
    files |= {"shared": root / ".dvc/config", "local": root / ".dvc/config.local"}
    for file in files.values():
        file.parent.mkdir(parents=True, exist_ok=True)
    assert dvc.cache_root(root) == root / ".dvc/cache"
    for place, means in (("/srv/cache", "/srv/cache"), ("~/c", f"{tmp_path}/home/c"), ("../c", None)):
        files[level].write_text(f"[cache]\n    dir = {place}\n")
        expected = Path(means) if means else (files[level].parent / place).resolve()
        assert dvc.cache_root(root) == expected
    from dvc.config import Config

    assert Path(Config(str(root / ".dvc"), validate=False)["cache"]["dir"]) == expected


def test_a_configuration_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc/config").write_text("[cache\ndir = x\n")
    with pytest.raises(AiprodError, match="cannot be read"):
        dvc.cache_root(tmp_path)
    with pytest.raises(AiprodError, match="does not open"), dvc.remotes(tmp_path):
        pass
