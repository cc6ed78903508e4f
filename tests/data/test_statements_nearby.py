"""Whatever lies beside a film and may speak of it is understood, or is named and never taken for silence."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aiprod.data.sources.sidecar_reading import read_sidecars
from aiprod.errors import AiprodError
from aiprod.rights.effective_right import effective_right
from tests.rights.test_statements import SOURCE

H = "file,licence\n"
FILM = b"\0\0\0\x18ftypmp42" + b"\0" * 40


def outcome(folder: Path, name: str, content: str | bytes, film: str = "a.mp4") -> tuple[str, str]:
    """``refused`` (the whole scan), ``problem`` (of the film), ``unread``, or the film's right; and the words."""
    (folder / film).write_bytes(FILM)
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    try:
        found = read_sidecars(folder)
    except AiprodError as error:
        return "refused", error.what
    record, problem = found.of(film)
    if problem is not None:
        return "problem", problem
    right = effective_right(SOURCE, record)
    if right.right != "deny" and found.unread:
        return "unread", str(found.unread)
    return right.right, str(right.reasons)


@pytest.mark.parametrize(
    "name", ["a", "а.mp4", "a\u200b.mp4", "https://x.org/v/a.mp4", "file:///x/a.mp4", "/data/a.mp4"]
)
def test_a_name_that_comes_near_is_a_problem_of_its_film(name: str, tmp_path: Path) -> None:
    assert outcome(tmp_path, "t.csv", f"{H}{name},CC-BY-NC-4.0\n")[0] == "problem"


def test_an_address_names_the_film_that_it_encodes(tmp_path: Path) -> None:
    assert outcome(tmp_path, "t.csv", f"{H}b%20c.mp4,CC-BY-NC-4.0\n", film="b c.mp4")[0] == "problem"


def test_a_second_line_of_a_name_that_looks_the_same_is_a_problem(tmp_path: Path) -> None:
    for name in ("A.MP4", "\u0430.mp4", "a\u200b.mp4", "\uff41.mp4"):
        assert outcome(tmp_path, "t.csv", f"{H}a.mp4,CC0-1.0\n{name},CC-BY-NC-4.0\n")[0] == "problem", name
    (tmp_path / "A.MP4").write_bytes(FILM)  # another film, which is here
    assert outcome(tmp_path, "t.csv", f"{H}a.mp4,own\nA.MP4,CC-BY-NC-4.0\n")[0] == "train_with_obligations"


def test_a_name_of_another_film_is_none(tmp_path: Path) -> None:
    for name in ("b.mp4", "a2.mp4", "x/a.mp4", "aa.mp4"):
        assert outcome(tmp_path, "t.csv", f"{H}{name},CC-BY-NC-4.0\n")[0] == "train_with_obligations", name


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.csv", f"{H}*.mp4,CC-BY-NC-4.0\n"),
        ("t.csv", f"{H}./,CC-BY-NC-4.0\n"),
        ("t.csv", f"{H}a.mp4,CC0-1.0\n\n# none of these may be used for AI\n"),
        ("t.csv", (H + "a.mp4,CC-BY-NC-4.0\n").encode("utf-16-le")),
        ("t.csv", "file,licence,withdrawn\na.mp4,CC0-1.0,yes\n"),
        ("t.csv", "file,licence,approved\na.mp4,CC0-1.0,no\n"),
        ("t.csv", "file,licence,valid_until\na.mp4,CC0-1.0,2001-01-01\n"),
        ("t.csv", "file,licence,expires\na.mp4,CC0-1.0,2001-01-01\n"),
    ],
)
def test_a_table_that_cannot_be_followed_is_refused_by_name(name: str, content: str | bytes, tmp_path: Path) -> None:
    assert outcome(tmp_path, name, content)[0] == "refused"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.csv", "file,licence,status\na.mp4,CC0-1.0,Rejected\n"),
        ("t.csv", "file,licence,state\na.mp4,CC0-1.0,do not use!\n"),
        ("l.json", json.dumps({"a.mp4": {"license": "CC-BY-NC-4.0"}})),
        ("l.json", json.dumps({"films": [{"file": "a.mp4", "license": "CC-BY-NC-4.0"}]})),
        ("a.info.json", json.dumps({"webpage_url": "https://www.youtube.com/watch?v=1", "license": "CC BY 4.0"})),
    ],
)
def test_it_denies(name: str, content: str, tmp_path: Path) -> None:
    assert outcome(tmp_path, name, content)[0] == "deny"


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.txt", "All rights reserved\n", "problem"),
        ("a.mp4.txt", "Please do not train on this", "problem"),
        ("a.yaml", "license: CC-BY-NC-4.0\n", "problem"),
        ("LICENSE.txt", "CC BY-NC 4.0", "problem"),
        ("LICENSE", "These are Ann's, ask her", "problem"),
        ("COPYING", "", "problem"),
        ("licence.pdf", b"%PDF-1.4\n\0\1", "problem"),
        ("Rights.md", "# CC BY 4.0\n", "train_with_obligations"),
        (
            "License-CC-BY-4.0",
            "Attribution 4.0 International\n====\n" + "the licence's own words " * 40,
            "train_with_obligations",
        ),
        ("license.json", json.dumps({"license": "CC-BY-NC-4.0"}), "deny"),
        ("license.json", json.dumps({"licence": "CC-BY-4.0", "ok": "no"}), "problem"),
        ("README.md", "These films are not for AI training.", "problem"),
        ("README.md", "Films of bees, made in 2020.", "train_with_obligations"),
        ("a.txt", "a bee on a flower", "train_with_obligations"),
        ("a.nfo", "All rights reserved", "problem"),
        ("a.xml", "<film><license>CC-BY-NC-4.0</license></film>", "problem"),
        ("a.toml", 'license = "CC-BY-NC-4.0"\n', "problem"),
        ("a.description", "All rights reserved", "problem"),
        ("README.rst", "Not for AI training", "problem"),
        ("README.rst", "Films of bees", "train_with_obligations"),
        ("a.c2pa", "no manifest", "deny"),
        ("a.mp4.c2pa", "", "deny"),
        ("NOTICE", "No machine learning", "problem"),
        ("a.mp4.license", "All rights reserved", "problem"),
        ("a.mp4.license", "SPDX-FileCopyrightText: 2020 Ann\n\nSPDX-License-Identifier: CC-BY-NC-4.0\n", "problem"),
        ("a.mp4.license", "SPDX-License-Identifier: CC0-1.0\nnot for AI training\n", "problem"),
        ("a.mp4.license", "<!-- SPDX-License-Identifier: CC0-1.0 OR MIT -->\n", "train_with_obligations"),
        ("a.mp4.license", "SPDX-License-Identifier: CC-BY-4.0 OR Ours", "deny"),
        ("a.license", "SPDX-License-Identifier: CC-BY-NC-4.0", "problem"),
        ("ai.txt", "User-Agent: *\nDisallow: *\n", "deny"),
        ("robots.txt", "User-agent: GPTBot\nDisallow: /\n", "deny"),
        ("robots.txt", "User-agent: *\nDisallow: /admin\n", "train_with_obligations"),
        ("tdmrep.json", json.dumps([{"location": "/*.mp4", "tdm-reservation": 1}]), "deny"),
        ("tdmrep.json", "{", "deny"),
        (".well-known/tdmrep.json", json.dumps([{"location": "/", "tdm-reservation": 1}]), "deny"),
        ("l.json", json.dumps({"images": [{"file_name": "a.mp4", "id": 1, "caption": "bees"}]}), "unread"),
    ],
)
def test_texts_are_named_where_they_speak_against_training(
    name: str, content: str, expected: str, tmp_path: Path
) -> None:
    assert outcome(tmp_path, name, content)[0] == expected


def test_rules_of_a_site_hold_for_the_addresses_that_they_name(tmp_path: Path) -> None:
    (tmp_path / "site/kept").mkdir(parents=True)
    for name in ("a.mp4", "site/b.mp4", "site/kept/c.mp4"):
        (tmp_path / name).write_bytes(FILM)
    (tmp_path / "site/robots.txt").write_text("User-agent: *\nDisallow: /kept/\n")
    found = read_sidecars(tmp_path)
    rights = {
        name: effective_right(SOURCE, found.of(name, SOURCE)[0]).right
        for name in ("a.mp4", "site/b.mp4", "site/kept/c.mp4")
    }
    assert [right == "deny" for right in rights.values()] == [False, False, True]


def test_a_licence_file_holds_in_its_folder_and_below_and_nowhere_else(tmp_path: Path) -> None:
    (tmp_path / "x/deep").mkdir(parents=True)
    (tmp_path / "y").mkdir()
    for name in ("a.mp4", "x/a.mp4", "x/deep/a.mp4", "y/a.mp4"):
        (tmp_path / name).write_bytes(FILM)
    (tmp_path / "x/LICENSE").write_text("CC BY-SA 4.0")
    (tmp_path / "y/COPYING").write_text("all rights reserved")
    found = read_sidecars(tmp_path)
    said = {name: found.of(name, SOURCE) for name in ("a.mp4", "x/a.mp4", "x/deep/a.mp4", "y/a.mp4")}
    assert said["a.mp4"] == (None, None)
    for name in ("x/a.mp4", "x/deep/a.mp4"):
        right = effective_right(SOURCE, said[name][0])
        assert any("share-alike" in obligation for obligation in right.obligations), name
    assert "all rights reserved" in str(said["y/a.mp4"][1])
    assert not found.unused()


def test_a_licence_file_grants_nothing_that_the_source_does_not(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(FILM)
    (tmp_path / "LICENSE").write_text("CC0-1.0")
    strict = SOURCE.model_copy(update={"media_license": "per-file", "files_without_sidecar": "unknown"})
    record, problem = read_sidecars(tmp_path).of("a.mp4", strict)
    assert problem is None and effective_right(strict, record).right == "deny"


@pytest.mark.parametrize("cell", ["no", "NO.", "nein", "x", "✗", "false", "yes"])
@pytest.mark.parametrize("column", ["signed", "Getty", "stock", "gvl", "in_order", "Freedom"])
def test_yes_or_no_in_a_column_that_is_not_known_denies_and_is_quoted(cell: str, column: str, tmp_path: Path) -> None:
    right, words = outcome(tmp_path, "t.csv", f"file,licence,{column}\na.mp4,CC0-1.0,{cell}\n")
    assert right == "deny" and column in words and cell in words


@pytest.mark.parametrize("column", ["ok", "OK?", "usable", "keep", "release", "in use", "safe_for_web", "public", "go"])
@pytest.mark.parametrize("cell", ["no", "0", "", "maybe"])
def test_a_column_that_is_named_like_a_verdict_is_refused_by_name(column: str, cell: str, tmp_path: Path) -> None:
    right, words = outcome(tmp_path, "t.csv", f"file,licence,{column}\na.mp4,CC0-1.0,{cell}\n")
    assert right == "refused" and column in words


@pytest.mark.parametrize(
    "column", ["people", "People visible", "n_persons", "faces", "has_children", "actors", "Gesichter"]
)
def test_a_film_that_is_said_to_show_people_counts_as_personal(column: str, tmp_path: Path) -> None:
    def basis(cells: str, header: str = "file,licence") -> object:
        (tmp_path / "a.mp4").write_bytes(FILM)
        (tmp_path / "t.csv").write_text(f"{header},{column}\na.mp4,CC0-1.0,{cells}\n")
        record, _ = read_sidecars(tmp_path).of("a.mp4")
        assert record is not None
        return record.personal_data_basis

    assert [basis(said) for said in ("yes", "3", "Ann Meyer", "?")] == ["unknown"] * 4
    assert [basis(said) for said in ("no", "0", "", "none")] == [None] * 4
    assert basis("none,yes", "file,licence,personal_data_basis") == "unknown"
    assert basis("consent,yes", "file,licence,personal_data_basis") == "consent"


@pytest.mark.parametrize("columns", ["hdr", "has_audio", "time_lapse", "looped", "width", "camera", "take"])
def test_how_a_film_looks_is_nothing_of_rights(columns: str, tmp_path: Path) -> None:
    cell = "7" if columns in ("width", "take") else "no" if columns != "camera" else "A7S"
    assert outcome(tmp_path, "t.csv", f"file,licence,{columns}\na.mp4,CC0-1.0,{cell}\n")[0] == "train_with_obligations"


def test_yes_and_no_count_in_json_as_well(tmp_path: Path) -> None:
    for value in (False, True, ["no"], {"by Ann": False}):
        (tmp_path / "a.json").write_text(json.dumps({"license": "CC0-1.0", "signed": value}))
        assert outcome(tmp_path, "b.txt", "bees")[0] == "deny", value
