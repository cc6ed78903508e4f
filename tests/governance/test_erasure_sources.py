"""What of a film lies in its source: the file wherever it is, lines of tables in any encoding, what lies beside it."""

from __future__ import annotations

import csv
import io
import os
import shutil
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer import Typer
from typer.testing import CliRunner

from aiprod.base.names import film_name
from aiprod.commands import erase as command
from aiprod.governance.erasure import procedure, tables
from aiprod.governance.erasure.erase import plan, search
from aiprod.governance.erasure.procedure import carry_out
from aiprod.governance.erasure.resolve import ErasureRequest
from aiprod.storage.crypto.film_encryption import Vault
from tests.governance.erasable import NAME, Project

ODD = "Große Überfahrt é.mp4"  # may be written composed or not
CELLS = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=12)


@pytest.fixture(autouse=True)
def _no_remotes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(procedure.scan, "remotes", lambda *_: {})  # there is none, and opening DVC takes long


def erase(project: Project) -> procedure.Done:
    vault = Vault()
    return carry_out(plan(project.root, ErasureRequest(project.clip(NAME)), vault), vault, actor="o", role="legal")


def inbox(project: Project) -> dict[str, bytes]:
    root = project.root / "datasets" / "inbox"
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16", "utf-8-sig", "mac_roman"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_table_keeps_every_other_byte_whatever_its_encoding(encoding: str, delimiter: str) -> None:
    lines = [["file", "title"], [ODD, 'a, "b"\nc'], ["else.mp4", "Ö, nor\nmal"], [f"./{ODD}", "x"], ["", "é"]]
    out = io.StringIO(newline="")
    csv.writer(out, delimiter=delimiter, lineterminator="\r\n").writerows(lines)
    rest = io.StringIO(newline="")
    csv.writer(rest, delimiter=delimiter, lineterminator="\r\n").writerows([lines[0], lines[2], lines[4]])
    left, dropped = tables.without(out.getvalue().encode(encoding), ".csv", lambda cell: film_name(cell) == ODD)
    assert (left, dropped) == (rest.getvalue().encode(encoding), 2)


@given(
    rows=st.lists(st.tuples(st.sampled_from([NAME, f" ./{NAME}", "else.mp4", ""]), CELLS, CELLS), max_size=6),
    delimiter=st.sampled_from(",;\t"),
    end=st.sampled_from(["\n", "\r\n"]),
)
@settings(max_examples=150, deadline=None)
def test_exactly_the_films_lines_go(rows: list[tuple[str, str, str]], delimiter: str, end: str) -> None:
    def written(lines: list[tuple[str, str, str]]) -> bytes:
        out = io.StringIO(newline="")
        table = csv.writer(out, delimiter=delimiter, lineterminator=end, quoting=csv.QUOTE_ALL)
        table.writerows([("file", "title", "notes"), *lines])
        return out.getvalue().encode()

    left, dropped = tables.without(written(rows), ".csv", lambda cell: film_name(cell) == NAME)
    kept = [row for row in rows if film_name(row[0]) != NAME]
    assert (left, dropped) == (written(kept), len(rows) - len(kept))


@given(data=st.binary(max_size=200), suffix=st.sampled_from(tables.SUFFIXES))
@settings(max_examples=150, deadline=None)
def test_no_table_is_too_broken(data: bytes, suffix: str) -> None:
    assert tables.without(data, suffix, lambda _: False) == (data, 0)
    left, dropped = tables.without(data, suffix, lambda cell: "a" in cell)
    assert len(left) <= len(data) and (dropped > 0 or left == data)


def test_a_table_that_is_no_utf_8_stops_no_erasure_and_loses_the_line(project: Project) -> None:
    folder = project.root / "datasets/inbox"
    (folder / "more.csv").write_bytes(f"file,title\n{NAME},Müller\nelse.mp4,Größe\n".encode("latin-1"))
    (folder / "cut.csv").write_bytes(b'file,title\nx.mp4,"\xff\x00 open')
    done = erase(project)
    assert inbox(project)["more.csv"] == "file,title\nelse.mp4,Größe\n".encode("latin-1")
    assert inbox(project)["cut.csv"] == b'file,title\nx.mp4,"\xff\x00 open'
    assert done.body["deleted"]["sidecar_lines"] == 2 and not done.where


@pytest.mark.parametrize("where", ["", "sub", "sub/deeper"])
@pytest.mark.parametrize("line", ["./{}", "{}", " {} ", "./{}#NFD"])
def test_a_film_in_a_folder_of_the_source_and_its_line_in_a_table_above_go(
    where: str,
    line: str,
    project: Project,
) -> None:
    root = project.root / "datasets/inbox"
    place = root / where / ODD
    place.parent.mkdir(parents=True, exist_ok=True)
    (root / NAME).rename(place)
    key = place.relative_to(root).as_posix()
    said, _, form = line.partition("#")
    cell = said.format(unicodedata.normalize(form or "NFC", key))  # type: ignore[arg-type]
    (root / "SOURCES.csv").write_text(f"file,licence\n{cell},own\nelse.mp4,own\nplain.mp4,own\n")
    project.offers()  # scan knows it under its new name
    done = erase(project)
    assert set(inbox(project)) == {"SOURCES.csv", "else.mp4", "plain.mp4"}
    assert inbox(project)["SOURCES.csv"] == b"file,licence\nelse.mp4,own\nplain.mp4,own\n"
    assert not (root / "sub").exists(), "a folder may be called like whom it shows"
    assert not done.where


def test_what_lies_beside_it_goes_or_is_named_and_what_is_others_stays(project: Project) -> None:
    root = project.root / "datasets/inbox"
    stem = NAME.removesuffix(".mp4")
    gone = [
        f"{stem}.srt",
        f"{stem}.de.vtt",
        f"{stem}.JPG",
        f"{NAME}.json",
        f"{stem}.json",
        f"{stem}.nfo",
        f"{stem.upper()}.txt",
    ]
    stay = ["else.srt", f"{stem}s-friend.txt", "other.json", "plain.mp4.json"]
    for name in gone + stay:
        (root / name).write_text("words")
    (root / f"{stem}.mkv").write_bytes(b"\x1a\x45\xdf\xa3" + bytes(100))
    (root / f"{stem}.mkv.json").write_text("{}")
    done = erase(project)
    left = set(inbox(project))
    unclear = {name for name in gone if name != f"{NAME}.json"} | {f"{stem}.mkv.json"}
    assert left == {"SOURCES.csv", "else.mp4", "plain.mp4", f"{stem}.mkv", *stay, *unclear}
    assert sum("two films" in why for why in done.left.values()) == len(gone)
    assert any(name.endswith(f"{stem}.mkv") for name in done.left)


def test_what_lies_beside_it_goes(project: Project) -> None:
    root = project.root / "datasets/inbox"
    stem = NAME.removesuffix(".mp4")
    for name in (f"{stem}.srt", f"{stem}.de.vtt", f"{stem}.JPG", f"{NAME}.json", f"{stem}.nfo"):
        (root / name).write_text("words")
    (root / "metadata.jsonl").write_text(f'{{"file_name": "{NAME}"}}\n{{"file_name": "else.mp4"}}\nbroken\n')
    done = erase(project)
    assert set(inbox(project)) == {"SOURCES.csv", "metadata.jsonl", "else.mp4", "plain.mp4"}
    assert inbox(project)["metadata.jsonl"] == b'{"file_name": "else.mp4"}\nbroken\n'
    assert done.body["deleted"]["files_about_it"] == 5 and done.left == {} and not done.where


def test_further_names_of_the_same_file_are_named(project: Project, tmp_path: Path) -> None:
    """Hard links of the film, and what a table or a file beside it is a link to: deleting here leaves them."""
    root, away = project.root / "datasets/inbox", tmp_path / "elsewhere"
    away.mkdir()
    os.link(root / NAME, away / "anything.mp4")
    os.link(root / NAME, root / "again.mp4")
    (root / "SOURCES.csv").rename(away / "rights.csv")
    (root / "SOURCES.csv").symlink_to(away / "rights.csv")
    (away / "words.srt").write_text("words")
    (root / NAME).with_suffix(".srt").symlink_to(away / "words.srt")
    done = erase(project)
    assert NAME not in (root / "SOURCES.csv").read_text() and set(inbox(project)) == {
        "SOURCES.csv",
        "else.mp4",
        "plain.mp4",
    }
    said = {Path(place).name: why for place, why in done.left.items()}
    assert set(said) == {NAME, "rights.csv", "words.srt"} or set(said) == {"again.mp4", "rights.csv", "words.srt"}
    assert any("1 hard link elsewhere" in why for why in said.values()) and "links to it" in said["rights.csv"]


def test_what_the_film_in_a_source_is_a_link_to_goes_within_the_repository(project: Project, tmp_path: Path) -> None:
    root, store = project.root / "datasets/inbox", project.root / "store"
    for folder in (store, tmp_path / "away", project.root / ".dvc/cache"):
        folder.mkdir(parents=True)
    (root / NAME).rename(store / "x.mp4")
    (root / NAME).symlink_to(store / "x.mp4")
    for number, place in enumerate((tmp_path / "away/y.mp4", project.root / ".dvc/cache/z")):
        shutil.copy(store / "x.mp4", place)
        (root / f"{number}.mp4").symlink_to(place)
    done = erase(project)
    assert set(inbox(project)) == {"SOURCES.csv", "else.mp4", "plain.mp4"} and not store.exists()
    assert {Path(place).name: why for place, why in done.left.items()} == dict.fromkeys(
        ("y.mp4", "z"), "the film in its source is a link to it"
    )


def test_where_a_source_was_before_is_looked_through_too(project: Project, tmp_path: Path) -> None:
    away = tmp_path / "films"
    away.mkdir()
    shutil.copy(project.root / "datasets/inbox" / NAME, away)
    (project.root / "params.yaml").write_text(f"ingest:\n  folders:\n    inbox: {away}\n")
    done = erase(project)
    assert set(inbox(project)) == {"SOURCES.csv", "else.mp4", "plain.mp4"}
    assert NAME.encode() not in inbox(project)["SOURCES.csv"]
    assert {Path(place).parent: why for place, why in done.left.items()} == {away: "it is outside the repository"}


def test_another_film_under_the_name_stays_and_is_named(project: Project) -> None:
    root = project.root / "datasets/inbox"
    (root / NAME).write_bytes(b"another film")
    before = inbox(project)
    done = erase(project)
    assert inbox(project) == before
    assert any(NAME in place and "another film" in why for place, why in done.left.items())


def test_names_that_are_no_text_anywhere_stop_nothing(project: Project) -> None:
    root = project.root
    odd = root / "datasets/inbox" / os.fsdecode(b"d\xe9")
    for folder in (root, root / "datasets/inbox", root / ".aiprod/memo", odd):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / os.fsdecode(b"caf\xe9 \n\x1b.bin")).write_bytes(project.bytes[NAME][5000:6000])
    (odd / os.fsdecode(b"Erika\xff.mp4")).write_bytes(project.bytes[NAME])
    app = Typer(pretty_exceptions_enable=False)
    command.register(app)
    said = CliRunner().invoke(app, [project.clip(NAME), "--dry-run"])
    assert said.exit_code == 0 and r"caf\xe9 \n\x1b.bin" in said.output, said.output
    said.output.encode()
    done = erase(project)
    assert not (odd / os.fsdecode(b"Erika\xff.mp4")).exists()
    assert done.where, "pieces of it lie in files that nobody can know of; they are named"
    assert all(r"caf\xe9" in place for places in done.where.values() for place in places)


def test_what_cannot_be_searched_is_named_and_the_rest_is_searched(
    project: Project,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scandir = os.scandir

    def refused(path: object) -> object:
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)  # type: ignore[call-overload]

    (project.root / "locked").mkdir()
    monkeypatch.setattr(os, "scandir", refused)
    found = search(plan(project.root, ErasureRequest(project.clip(NAME)), Vault()))["working tree"]
    assert "locked cannot be read (Permission denied)" in found.skipped and found.names == 2


def test_resume_needs_the_role_and_says_when_there_is_nothing(project: Project) -> None:
    app = Typer(pretty_exceptions_enable=False)
    command.register(app)
    assert "may not erase" in str(CliRunner().invoke(app, ["resume", "--as", "nobody"]).exception)
    said = CliRunner().invoke(app, ["resume", "--as", "operator"])
    assert said.exit_code == 0 and "no erasure is unfinished" in said.output


def test_a_film_that_is_a_link_names_what_it_leads_to(project: Project, tmp_path: Path) -> None:
    real = tmp_path / "archive" / "x.mp4"
    real.parent.mkdir()
    (project.root / "datasets/inbox" / NAME).rename(real)
    (project.root / "datasets/inbox" / NAME).symlink_to(real)
    done = erase(project)
    assert not (project.root / "datasets/inbox" / NAME).is_symlink() and real.is_file()
    assert any(place.endswith("archive/x.mp4") for place in done.left)
