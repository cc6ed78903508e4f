"""Copies of tables, marks, subtitles, office documents and whatever else lies beside films and speaks of rights."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import pytest

from aiprod.data.sources.remote import listed
from aiprod.data.sources.remote_reading import sidecar_folder
from aiprod.data.sources.sidecar_reading import read_sidecars
from aiprod.rights.columns import OF_OWNERS
from tests.data.test_statements_nearby import FILM, H, outcome
from tests.data.test_web_lists import serving

DENIES = ("problem", "deny")


def office(**parts: str) -> bytes:
    """A document as word processors and spreadsheets pack it."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, xml in parts.items():
            packed.writestr(name.replace("__", "/") + ".xml", xml)
    return content.getvalue()


SHARED = "<sst><si><t>a.mp4</t></si><si><t>All rights</t><t> reserved</t></si></sst>"
MERGED = (
    '<table:table-row><table:table-cell table:number-rows-spanned="9"><text:p>CC-BY-NC-4.0</text:p></table:table-cell>'
)
SUBTITLE = "1\n00:00:00,000 --> 00:00:02,000\nAll rights reserved.\n"


@pytest.mark.parametrize(
    "name", ["SOURCES.csv.bak", "SOURCES.csv~", "SOURCES.tsv.orig", "#SOURCES.csv#", "S.csv.1", "S.csv.old"]
)
def test_what_a_copy_of_a_table_forbids_counts_and_what_it_permits_does_not(name: str, tmp_path: Path) -> None:
    cut = "\t" if ".tsv" in name else ","
    lines = {"licence": ("CC-BY-NC-4.0", "CC-BY-4.0"), "do_not_train": ("1", "0")}
    for column, (forbids, permits) in lines.items():
        assert outcome(tmp_path, name, f"file{cut}{column}\na.mp4{cut}{forbids}\n")[0] == "problem"
        assert outcome(tmp_path, name, f"file{cut}{column}\nb.mp4{cut}{forbids}\n")[0] == "train_with_obligations"
        assert outcome(tmp_path, name, f"file{cut}{column}\na.mp4{cut}{permits}\n")[0] == "train_with_obligations"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.json.bak", '{"do_not_train": 1}'),
        ("LICENSE.bak", "All rights reserved"),
        ("LICENSE.old", "ask Ada"),
        ("SOURCES.dat", H + "a.mp4,CC-BY-NC-4.0\n"),
        ("a.dat", "license: ask us\n"),
        *((name, "") for name in ("a.mp4.noai", "a.noai", ".noai", ".no-ai", "a.mp4.donottrain", "no_ai.png")),
        *((name, SUBTITLE) for name in ("a.srt", "a.en.srt", "a.vtt", "a.ass", "a.sbv", "a.ttml", "a.lrc", "a.sub")),
        *(
            (f"a.{end}", "license = CC-BY-NC-4.0")
            for end in ("properties", "conf", "env", "meta", "rights", "lic", "log")
        ),
        ("a.jsonld", '{"license": "CC-BY-NC-4.0"}'),
        ("a.xml", "<film><rights>ask ada</rights></film>"),
        ("a.rtf", r"{\rtf1 All rights reserved}"),
        ("README.md", "# Bees\n\n## License\n\nAsk us.\n"),
        ("README.md", "License: proprietary"),
        ("README.md", "All rights reserved".encode("utf-16")),
        ("notes.txt", "All rights reserved".encode("utf-16-le")),
        ("CITATION.cff", "license: CC-BY-NC-4.0\n"),
        ("croissant.json", json.dumps({"@type": "sc:Dataset", "license": "https://spdx.org/licenses/CC-BY-NC-4.0"})),
        ("ro-crate-metadata.json", json.dumps({"@graph": [{"@id": "a.mp4", "license": "CC-BY-NC-4.0"}]})),
        ("dataset_infos.json", json.dumps({"default": {"license": "ours"}})),
        ("rights.xlsx", office(xl__workbook="<x/>", xl__sharedStrings=SHARED)),
        ("rights.ods", office(content=MERGED)),
        ("notes.docx", office(word__document="<w:p><w:t>No AI</w:t><w:t> training</w:t></w:p>")),
        ("old.xlsx.bak", office(xl__workbook="<x/>", xl__sharedStrings=SHARED)),
        ("a.url", "[InternetShortcut]\nURL=https://www.youtube.com/watch?v=1\n"),
        ("a.webloc", "<plist><string>https://youtu.be/1</string></plist>"),
    ],
)
def test_it_denies(name: str, content: str | bytes, tmp_path: Path) -> None:
    assert outcome(tmp_path, name, content)[0] in DENIES


def test_a_spreadsheet_that_forbids_counts_also_where_a_line_speaks_of_the_film(tmp_path: Path) -> None:
    (tmp_path / "SOURCES.csv").write_text(H + "a.mp4,CC0-1.0\n")
    assert outcome(tmp_path, "r.xlsx", office(xl__sharedStrings="<si><t>Bees</t></si>"))[0] == "train_with_obligations"
    assert outcome(tmp_path, "r.xlsx", office(xl__sharedStrings=SHARED))[0] == "problem"
    assert outcome(tmp_path, "r.xlsx", b"PK\3\4 damaged")[0] == "train_with_obligations"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.srt", "1\n00:00:00,000 --> 00:00:02,000\nHello, who are you?\n"),
        ("a.vtt", "WEBVTT\n\nNOTE made by Ada\n"),
        ("README.md", "# Bees\n\n## License\n\nThis dataset is licensed under CC BY 4.0. Please cite us.\n"),
        ("README.md", "Rights: Ada Example\nLicense: see LICENSE.txt\n"),
        ("notes.docx", office(word__document="<w:p><w:t>Bees</w:t></w:p>")),
        ("thumb.jpg", b"\xff\xd8\xff\xe0 All rights reserved"),
        ("tool.py", "# Copyright Ada\nprint(1)\n"),
        (".nomedia", ""),
        ("a.url", "[InternetShortcut]\nURL=https://example.org/a\n"),
        ("b.srt", "1\n00:00:00,000 --> 00:00:02,000\nHello\n"),
    ],
)
def test_it_says_nothing_of_rights(name: str, content: str | bytes, tmp_path: Path) -> None:
    assert outcome(tmp_path, name, content)[0] == "train_with_obligations"


@pytest.mark.parametrize("column", sorted(OF_OWNERS))
def test_a_column_for_the_owner_is_heard(column: str, tmp_path: Path) -> None:
    def right(licence: str, owner: str) -> str:
        return outcome(tmp_path, "t.csv", f"file,licence,{column}\na.mp4,{licence},{owner}\n")[0]

    assert [right("own", owner) for owner in ("unknown", "?", "not us", "client", "third party", "Disney", "ZDF")] == [
        "deny"
    ] * 7
    assert right("own", "Ada Example") == "train_with_obligations"
    assert right("CC-BY-4.0", "ZDF") == "train_with_obligations", "a broadcaster may license what it made"
    assert right("own", "Bees Television Society") == "train_with_obligations"


def test_a_film_that_is_named_like_a_mark_says_it_of_itself_alone(tmp_path: Path) -> None:
    (tmp_path / "no ai.mp4").write_bytes(FILM)
    assert outcome(tmp_path, "b.txt", "bees")[0] == "train_with_obligations"
    assert outcome(tmp_path, "b.txt", "bees", film="no ai.mp4")[0] == "problem"


def test_a_licence_that_a_merged_cell_left_to_the_lines_below_is_not_lost(tmp_path: Path) -> None:
    """Spreadsheets save merged cells so: the value in the first line, nothing in the others."""
    for name in ("b.mp4", "c.mp4"):
        (tmp_path / name).write_bytes(FILM)
    merged = "file,licence,title\nb.mp4,CC-BY-NC-4.0,Bees\na.mp4,,Bees\nc.mp4,,Bees\n"
    for film in ("a.mp4", "c.mp4"):
        right, words = outcome(tmp_path, "t.csv", merged, film=film)
        assert right == "problem" and "line 2" in words and "merged" in words
    assert outcome(tmp_path, "t.csv", "file,licence\na.mp4,\nb.mp4,CC-BY-NC-4.0\n")[0] == "train_with_obligations"
    assert outcome(tmp_path, "t.csv", "file,licence,title\na.mp4,,Bees\nb.mp4,,Bees\n")[0] == "train_with_obligations"


def test_on_a_web_server_as_in_a_folder(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(FILM)
    said = {"a.en.srt": SUBTITLE, "S.csv.bak": H + "a.mp4,CC-BY-NC-4.0\n", "a.dat": "licence: ask us", "a.mp4.noai": ""}
    for name, content in said.items():
        (tmp_path / name).write_text(content)
        with serving(tmp_path) as root:
            files = listed(f"{root}/")
            with sidecar_folder(f"{root}/", files) as (folder, unread):
                problem = read_sidecars(folder, unread).of("a.mp4")[1]
        assert problem is not None and name in problem
        (tmp_path / name).unlink()
