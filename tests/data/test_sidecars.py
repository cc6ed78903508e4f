"""What lies beside films: found under every name that means them, hidden where it is hidden, never lost in silence."""

from __future__ import annotations

import csv
import json
import unicodedata
from pathlib import Path

import pytest

from aiprod.base.params import load_params
from aiprod.data.params import IngestParams
from aiprod.data.sources.remote import RemoteFile, _objects
from aiprod.data.sources.remote_reading import sidecar_folder
from aiprod.data.sources.scan import Offers, scan
from aiprod.data.sources.sidecar_reading import read_sidecars
from aiprod.errors import AiprodError
from aiprod.rights.declarations import SourcesFile, layers
from aiprod.rights.effective_right import effective_right
from tests.data.inbox import SOURCES

NFC, NFD = (unicodedata.normalize(form, "café.mp4") for form in ("NFC", "NFD"))


def scanned() -> Offers:
    return scan(IngestParams(sources=["inbox"]), SOURCES)


def denied(offers: Offers) -> set[str]:
    """Films that would not be trained on: refused, or not taken in for a problem."""
    source = SOURCES.get("inbox")
    return {o.key for o in offers.offers if o.problem or effective_right(source, o.sidecar).right == "deny"}


@pytest.mark.parametrize("table", ["SOURCES.csv", "SOURCES.CSV", "s.Tsv", "metadata.jsonl"])
@pytest.mark.parametrize(
    ("film", "named"),
    [
        (NFC, NFD),
        (NFD, NFC),
        (NFC, f"./{NFC}"),
        ("sub/a.mp4", "sub//a.mp4"),
        ("sub/a.mp4", "sub\\a.mp4"),
        ("sub/a.mp4", "./sub/./x/../a.mp4"),
        ("a.MP4", "a.mp4"),
        ("A.mp4", "a.mp4"),
        (" a.mp4", "a.mp4"),
    ],
)
def test_a_reservation_is_heard_however_the_film_is_named(inbox: Path, film: str, named: str, table: str) -> None:
    (inbox / film).parent.mkdir(exist_ok=True)
    (inbox / film).write_bytes(b"film")
    cut = "\t" if table == "s.Tsv" else ","
    text = f"file{cut}do_not_train\n{named}{cut}1\n"
    if table.endswith("jsonl"):
        text = json.dumps({"file_name": named, "do_not_train": True}) + "\n"
    (inbox / table).write_text(text)
    offers = scanned()
    assert denied(offers) == {film}
    assert not offers.mute_sidecars


@pytest.mark.parametrize(
    ("film", "named"),
    [
        ("a b.mp4", "a\u00a0b.mp4"),
        ("a - b.mp4", "a – b.mp4"),
        ("a-b.mp4", "a\u2010b.mp4"),
        ("a-b.mp4", "a\u2212b.mp4"),
        ("it's.mp4", "it’s.mp4"),
        ('say "x".mp4', "say “x”.mp4"),
        ("a...mp4", "a….mp4"),
        ("straße.mp4", "strasse.mp4"),
        ("a&b.mp4", "a&amp;b.mp4"),
        ("a b.mp4", "a%2520b.mp4"),
        ("a b.mp4", "a+b.mp4"),
        ("a b.mp4", "a_b.mp4"),
        ("a  b.mp4", "a b.mp4"),
        ("a .mp4", "a.mp4"),
        ("a.mp4", "'a.mp4'"),
        ("a.mp4", "<a.mp4>"),
        ("a.mp4", "a.mp4;"),
        ("a.mov", "a.mp4"),
        ("a.mp4", "C:\\films\\a.mp4"),
    ],
)
def test_a_name_that_editors_or_folders_changed_is_no_permission(inbox: Path, film: str, named: str) -> None:
    (inbox / film).parent.mkdir(exist_ok=True)
    for name in (film, "y/b.mp4"):
        (inbox / name).parent.mkdir(exist_ok=True)
        (inbox / name).write_bytes(name.encode())
    lines = [["file", "do_not_train"], [named, "1"], ["z/b.mp4", "1"]]
    with (inbox / "SOURCES.csv").open("w", newline="", encoding="utf-8") as table:
        csv.writer(table).writerows(lines)
    assert denied(scanned()) == {film}, "and no film of another folder"
    [offer] = [offer for offer in scanned().offers if offer.key == film]
    assert str(offer.problem).startswith("sidecar: it ")


@pytest.mark.parametrize("name", ["a.JSON", "a.mp4.Json", "A.json", "a.json", "list.json", "one.json", "a.xmp"])
def test_a_json_or_xmp_of_any_name_that_means_the_film_is_heard(inbox: Path, name: str) -> None:
    (inbox / "a.mp4").write_bytes(b"film")
    text = {
        "list.json": '[{"file": "a.mp4", "do_not_train": 1}]',
        "one.json": '{"file_name": "a.mp4", "tdm-reservation": 1}',
        "a.xmp": "<x:xmpmeta xmlns:x='adobe:ns:meta/' xmlns:xmpRights='r' xmpRights:UsageTerms='ask Ada'/>",
    }.get(name, '{"Do Not Train": "yes"}')
    (inbox / name).write_text(text)
    assert denied(scanned()) == {"a.mp4"}


def test_a_json_does_not_replace_the_line_of_a_table(inbox: Path) -> None:
    (inbox / "a.mp4").write_bytes(b"film")
    (inbox / "a.json").write_text('{"license": "own"}')
    said = {"do_not_train": "1", "licence": "CC-BY-NC-4.0", "personal_data_basis": "legitimate_interests"}
    for column, cell in said.items():
        (inbox / "SOURCES.csv").write_text(f"file,{column}\na.mp4,{cell}\n")
        [offer] = scanned().offers
        assert column == "personal_data_basis" or denied(scanned()) == {"a.mp4"}
        stated = layers(SOURCES.get("inbox"), offer.sidecar)["personal_data_basis"]
        assert stated == (cell if column == "personal_data_basis" else "none")


def test_hidden_tables_are_hidden_wherever_they_lie(inbox: Path) -> None:
    (inbox / "a.mp4").write_bytes(b"film")
    (inbox / ".git").mkdir()
    for name in ("._SOURCES.csv", ".#SOURCES.csv", ".a.json", ".git/x.csv", ".~lock.SOURCES.csv"):
        (inbox / name).write_bytes(b"\x00\x05\x16\x07 no table")
    offers = scanned()
    assert [offer.key for offer in offers.offers] == ["a.mp4"] and not offers.unread and not denied(offers)


def test_what_is_not_used_is_named(inbox: Path) -> None:
    (inbox / "a.mp4").write_bytes(b"film")
    (inbox / "package.json").write_text('{"name": "x"}')
    (inbox / "broken.json").write_text("{")
    (inbox / "rights.xlsx").write_bytes(b"PK\3\4")
    offers = scanned()
    assert [line.partition(":")[0] for line in offers.unread] == ["inbox/broken.json", "inbox/package.json"]
    problems = {o.key: o.problem for o in offers.offers if o.problem}
    assert problems.pop("rights.xlsx") == (
        "unreadable: it is a spreadsheet, of which nothing is read; save it as CSV in UTF-8"
    )
    assert set(problems) == {"a.mp4"} and "“rights.xlsx” may speak of it" in str(problems["a.mp4"])
    (inbox / "SOURCES.csv").write_text("file,licence\na.mp4,own\n")
    offers = scanned()
    assert [o.key for o in offers.offers if o.problem] == ["rights.xlsx"], "a line of its own speaks of it"
    kept = Offers.model_validate(offers.document())
    assert kept.unread == ["inbox: 2"] and "package" not in str(offers.document()), "names are for people alone"


def test_two_tables_that_speak_of_one_film_are_named(inbox: Path) -> None:
    (inbox / NFC).write_bytes(b"film")
    (inbox / "a.csv").write_text(f"file,licence\n{NFC},own\n")
    (inbox / "b.CSV").write_text(f"file,licence\n./{NFD},CC-BY-NC-4.0\n")
    with pytest.raises(AiprodError, match=r"two tables speak of .*a\.csv and b\.CSV"):
        read_sidecars(inbox)


class Bucket:
    """As s3fs lists one."""

    def __init__(self, *keys: str) -> None:
        self.keys = keys

    def ls(self, _: str, detail: bool) -> list[str]:
        return []

    def find(self, prefix: str, detail: bool) -> dict[str, dict[str, object]]:
        return {f"{prefix}/{key}": {"type": "file", "size": 1, "ETag": "x"} for key in self.keys}


def test_keys_of_a_bucket_keep_their_slashes_and_are_compared_without() -> None:
    found = _objects(Bucket("/a.mp4", "b//c.mp4", NFD), "s3://films/in")
    assert {file.key for file in found} == {"/a.mp4", "b//c.mp4", NFD}, "an object is fetched by the key it has"
    files = [RemoteFile("b//c.mp4", 1, ""), RemoteFile("t.csv", 0, "", None)]
    with sidecar_folder("s3://films/in", files[:1]) as (folder, unread):
        (folder / "t.csv").write_text("file,do_not_train\nb/c.mp4,1\n")
        record, _ = read_sidecars(folder, unread).of("b//c.mp4")
        assert record is not None and record.tdm_reservation
    place = sidecar_folder("s3://films/in", [RemoteFile("../t.csv", 1, "")])
    with pytest.raises(AiprodError, match="name that no file in a folder can have"), place:
        pass


def test_addresses_with_a_password_are_refused_without_repeating_it(tmp_path: Path) -> None:
    for place in (
        *("http://user:hunter2@host/films/", "s3://AK:hunter2@bucket/x", "https://host/list.txt?sig=hunter2"),
        *(
            "https://host/x/#access_token=hunter2",
            "https://host/x?a=1;Api-Key=hunter2",
            "https://host/?X-Goog-Credential=hunter2",
        ),
        *(
            "https://host/x/?client_secret=hunter2",
            "https://host/x/?e=5&sharedkey=hunter2&v=1",
            "https://host/x?PASSWD=hunter2",
        ),
    ):
        (tmp_path / "params.yaml").write_text(f"ingest:\n  folders:\n    x: '{place}'\n")
        with pytest.raises(AiprodError, match=r"~/\.netrc") as caught:
            load_params(IngestParams, "ingest", tmp_path / "params.yaml")
        assert "hunter2" not in str(caught.value) and "\n" not in str(caught.value)
        declared = SOURCES.get("inbox").model_copy(update={"path": place})
        with pytest.raises(AiprodError, match=r"~/\.netrc") as caught:
            scan(IngestParams(sources=["inbox"]), SourcesFile(sources={"inbox": declared}))
        assert "hunter2" not in str(caught.value)


NO = "CC-BY-NC-4.0"
FILM = b"\0\0\0\x18ftypisom" + bytes(400)
SPOKEN = {  # file beside a.mp4 → its content; each says no, or may
    "utf32.csv": f"file,licence\na.mp4,{NO}\n".encode("utf-32"),
    "wide.csv": f"file,licence\na.mp4,{NO}\n".encode("utf-16-be"),
    "packed.csv.gz": b"\x1f\x8b",
    "pipes.psv": f"file|licence\na.mp4|{NO}\n".encode(),
    "sheet.xlsx": b"PK\x03\x04",
    "excel.csv": f'file,licence\n="a.mp4",{NO}\n'.encode(),
    "range.csv": f"file,licence\na.mp4-z.mp4,{NO}\n".encode(),
    "list.csv": f'file,licence\n"a.mp4, b.mp4",{NO}\n'.encode(),
    "all.csv": f"file,licence\nall films,{NO}\n".encode(),
    "territory.csv": b"file,licence,territory\na.mp4,own,DE only\n",
    "SOURCES": f"file,licence\na.mp4,{NO}\nno AI training\n".encode(),
    "Rechte.txt": b"Nur privat",
    "NO_AI": b"",
    "DO_NOT_TRAIN.txt": b"",
}


@pytest.mark.parametrize("name", SPOKEN)
def test_what_lies_beside_a_film_and_may_say_no_denies(name: str, tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(FILM)
    (tmp_path / name).write_bytes(SPOKEN[name])
    try:
        record, problem = read_sidecars(tmp_path).of("a.mp4")
    except AiprodError as error:
        assert name in str(error)
        return
    assert problem is not None or (record is not None and (record.media_license == NO or record.objections))


@pytest.mark.parametrize(
    ("key", "denied"),
    [
        ("NO AI/a.mp4", True),
        ("do not train/sub/a.mp4", True),
        ("bees (no AI training).mp4", True),
        ("bees_©_Getty.mp4", True),
        ("rejected/a.mp4", True),
        ("CC-BY-NC/a.mp4", True),
        ("rejected.mp4", False),
        ("no dogs/notice board.mp4", False),
        ("private garden/nature reserve.mp4", False),
    ],
)
def test_names_of_films_and_folders_that_say_no_are_heard(key: str, denied: bool, tmp_path: Path) -> None:
    (tmp_path / key).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / key).write_bytes(FILM)
    _, problem = read_sidecars(tmp_path).of(key)
    assert (problem is not None) == denied, problem
