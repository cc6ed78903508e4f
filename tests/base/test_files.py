"""Files appear whole or not at all, and no path leads out of its folder."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiprod.base.canonical_json import canonical_json
from aiprod.base.files import (
    atomic_folder,
    atomic_path,
    contained,
    digest_folder,
    digest_of,
    link_or_copy,
    read_json,
    write_json,
    write_text,
)
from aiprod.base.opening import read_utf8
from aiprod.errors import AiprodError

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.text()
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


def test_a_failed_write_leaves_the_old_content_and_no_litter(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    write_text(target, "old")
    with pytest.raises(ValueError, match="boom"), atomic_path(target) as temporary:
        temporary.write_text("half")
        raise ValueError("boom")
    assert target.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_a_failed_folder_leaves_the_old_folder(tmp_path: Path) -> None:
    target = tmp_path / "out"
    with atomic_folder(target) as folder:
        (folder / "x").write_text("1")
    with pytest.raises(RuntimeError), atomic_folder(target) as folder:
        (folder / "x").write_text("2")
        raise RuntimeError
    assert (target / "x").read_text() == "1"
    assert [p.name for p in tmp_path.iterdir()] == ["out"]
    with atomic_folder(target) as folder:
        (folder / "y").write_text("3")
    assert [p.name for p in target.iterdir()] == ["y"]


def test_a_full_disk_is_one_clear_line_and_keeps_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    write_text(target, "old")
    with pytest.raises(AiprodError, match="no space left") as caught, atomic_path(target):
        raise OSError(28, "No space left on device")
    assert "\n" not in str(caught.value)
    assert target.read_text() == "old"


@pytest.mark.skipif(sys.platform != "linux", reason="signals")
def test_killed_in_the_middle_of_a_write_the_old_file_stays(tmp_path: Path) -> None:
    target = tmp_path / "a.json"
    write_json(target, {"old": True})
    program = textwrap.dedent("""
        import os, signal, sys
        from aiprod.base.files import atomic_path
        with atomic_path(sys.argv[1]) as temporary:
            temporary.write_text('{"new"')
            os.kill(os.getpid(), signal.SIGKILL)
    """)
    done = subprocess.run([sys.executable, "-c", program, str(target)], check=False)
    assert done.returncode == -9
    assert read_json(target) == {"old": True}


@pytest.mark.parametrize("name", ["../x", "a/../../x", "/etc/passwd", "a/../../../x"])
def test_a_path_that_leads_out_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(AiprodError, match="leads out"):
        contained(tmp_path / "root", name)


def test_a_link_that_leads_out_is_refused(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "out").symlink_to(tmp_path)
    with pytest.raises(AiprodError):
        contained(tmp_path / "root", "out/secret")
    assert contained(tmp_path / "root", "in/side") == (tmp_path / "root" / "in" / "side").resolve()


@given(json_values)
def test_digest_does_not_depend_on_key_order(value: object) -> None:
    if isinstance(value, dict):
        assert digest_of(dict(reversed(list(value.items())))) == digest_of(value)
    assert b"\n" not in canonical_json("a\nb")


def test_digest_of_a_folder_sees_names_and_contents(tmp_path: Path) -> None:
    write_text(tmp_path / "f" / "a", "1")
    first = digest_folder(tmp_path / "f")
    write_text(tmp_path / "f" / "a", "2")
    second = digest_folder(tmp_path / "f")
    os.rename(tmp_path / "f" / "a", tmp_path / "f" / "b")
    assert len({first, second, digest_folder(tmp_path / "f")}) == 3


def test_link_or_copy_replaces_the_target(tmp_path: Path) -> None:
    write_text(tmp_path / "a", "new")
    write_text(tmp_path / "b", "old")
    link_or_copy(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b").read_text() == "new"


@pytest.mark.parametrize("content", [None, "{", "\udcff".encode("utf-8", "surrogateescape")])
def test_unreadable_json_is_one_line_with_a_hint(tmp_path: Path, content: str | bytes | None) -> None:
    path = tmp_path / "x.json"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        path.write_text(content)
    with pytest.raises(AiprodError, match="dvc repro") as caught:
        read_json(path)
    assert "\n" not in str(caught.value)


def test_a_text_of_ours_in_another_encoding_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "log.pub"
    path.write_bytes("clé".encode("cp1252"))
    with pytest.raises(AiprodError, match=r"log.pub is damaged: it is not UTF-8 → restore"):
        read_utf8(path)
    path.write_text("clé", encoding="utf-8")
    assert read_utf8(path) == "clé"


def test_no_advice_loses_what_cannot_be_made_again(tmp_path: Path) -> None:
    """Keys and certificates are JSON too: whoever deletes a damaged one loses what a backup may still hold."""
    path = tmp_path / "backup.json"
    with pytest.raises(AiprodError, match="does not exist → give a backup"):
        read_json(path, "give a backup")
    path.write_bytes(b"\xff{")
    with pytest.raises(AiprodError, match="not valid JSON") as caught:
        read_json(path)
    assert "delete" not in caught.value.hint and "restore" in caught.value.hint


def test_a_file_that_cannot_be_written_is_named_and_not_its_temporary_one(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"long") as caught, atomic_path(tmp_path / ("n" * 300)):
        pass
    assert caught.value.filename == str(tmp_path / ("n" * 300))
