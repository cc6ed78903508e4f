"""Films in a bucket or on a web server: listed light, streamed whole, gone on with after a break."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from aiprod.base.files import sha256_file
from aiprod.data.ingest.ingest import ingest
from aiprod.data.inspection.inspect_source import inspect
from aiprod.data.inspection.plan import plan_of
from aiprod.data.params import IngestParams
from aiprod.data.sources.remote import RemoteFile, listed
from aiprod.data.sources.remote_reading import fetch, sidecar_folder
from aiprod.data.sources.scan import Offer, scan
from aiprod.errors import AiprodError
from aiprod.media.errors import MediaError
from aiprod.rights.declarations import SourcesFile
from aiprod.storage.clip_store import ClipStore
from aiprod.storage.result_cache import Memo
from tests.data.s3 import s3_server
from tests.data.web_server import Server
from tests.qc.films import texture, write

SOURCES = SourcesFile.model_validate(
    {
        "sources": {
            "away": {
                "title": "Films elsewhere",
                "adapter": "folder",
                "media_license": "per-file",
                "annotation_license": "CC0-1.0",
                "acquisition_terms": "public-download",
                "media_host": "self",
                "personal_data_basis": "none",
                "consent": "not_needed",
                "policy_approval": "approved",
                "confidence": "high",
            }
        }
    }
)


def taken_in(stated: str, tmp_path: Path) -> tuple[Any, Any, Any]:
    """Scan and ingest a remote source."""
    params = IngestParams(sources=["away"], folders={"away": stated}, workers=1)
    memo, store = Memo(tmp_path / "memo", ""), ClipStore(tmp_path / "v1")
    return ingest(scan(params, SOURCES), SOURCES, params, seed=0, memo=memo, store=store)


def check_whole(stated: str, films: Path, tmp_path: Path) -> None:
    rows, clips, counters = taken_in(stated, tmp_path)
    assert [(r.key, r.status, r.reasons) for r in rows] == [("a.mp4", "ok", []), ("sub/b c.mp4", "ok", [])]
    assert [r.content_sha256 for r in rows] == [sha256_file(films / r.key) for r in rows]
    assert len(clips) == 2 and counters.processed == 2
    again, _, counters = taken_in(stated, tmp_path)
    assert again == rows and (counters.processed, counters.reused) == (0, 2)


@pytest.mark.parametrize("ranges", [True, False])
def test_films_of_a_web_list_are_taken_in_once(
    web: str, films: Path, tmp_path: Path, state_home: Path, ranges: bool
) -> None:
    Server.ranges = ranges  # the fixture puts it back
    params = IngestParams(sources=["away"], folders={"away": web})
    scan(params, SOURCES)
    assert not [path for path, wanted in Server.asked if path.endswith(".mp4") and wanted is None], "scan reads no film"
    check_whole(web, films, tmp_path)
    assert not list((state_home / "cache/remote").glob("*.part"))


def test_an_index_page_is_a_list(web: str, films: Path, state_home: Path) -> None:
    found = {f.key: f.problem for f in listed(web.removesuffix("list.txt"))}
    assert {key for key, problem in found.items() if problem is None} == {"a.mp4", "RIGHTS.csv", "list.txt"}
    assert "folder, which is not looked into" in (found["sub/"] or "")


@pytest.mark.parametrize("ranges", [True, False])
def test_a_transfer_that_broke_off_is_gone_on_with(web: str, films: Path, tmp_path: Path, ranges: bool) -> None:
    Server.ranges = ranges
    [file] = [f for f in listed(web) if f.key == "a.mp4"]
    digest = file.digest(web.rpartition("/")[0])
    part, target = tmp_path / "x.part", tmp_path / "x.mp4"
    part.write_bytes((films / "a.mp4").read_bytes()[:1000])  # what an earlier run left
    Server.asked.clear()
    Server.break_after = None if ranges else 700
    if not ranges:
        with pytest.raises(MediaError):
            fetch(web, "a.mp4", digest, part, target)
        assert not target.exists()
        Server.break_after = None
    fetch(web, "a.mp4", digest, part, target)
    assert target.read_bytes() == (films / "a.mp4").read_bytes() and not part.exists()
    if ranges:
        assert all(
            wanted and wanted.startswith("bytes=1000-") for path, wanted in Server.asked if wanted != "bytes=0-0"
        )


def test_a_film_that_changed_since_the_scan_is_not_taken_for_the_old_one(web: str, films: Path, tmp_path: Path) -> None:
    [file] = [f for f in listed(web) if f.key == "a.mp4"]
    write(films / "a.mp4", (texture(160, 120, 9) for _ in range(24)))
    with pytest.raises(MediaError, match="changed"):
        fetch(web, "a.mp4", file.digest(web.rpartition("/")[0]), tmp_path / "p", tmp_path / "t")


def offered(stated: str) -> dict[str, Offer]:
    return {
        offer.key: offer for offer in scan(IngestParams(sources=["away"], folders={"away": stated}), SOURCES).offers
    }


def test_an_object_that_cannot_be_had_costs_its_own_row(
    web: str, films: Path, tmp_path: Path, state_home: Path
) -> None:
    (films / "list.txt").write_text("a.mp4\nsub/b c.mp4\nRIGHTS.csv\nshut.mp4\ngone.mp4\nbusy.mp4\n")
    Server.refused |= {"/shut.mp4": 403, "/busy.mp4": 503}
    found = offered(web)
    assert {key for key, offer in found.items() if offer.problem is None} == {"a.mp4", "sub/b c.mp4"}
    assert found["shut.mp4"].problem == "unreadable: it refuses access (403)"
    assert found["gone.mp4"].problem == "unreadable: it does not exist"
    assert (found["busy.mp4"].problem or "").startswith("unreadable: it cannot be read (503")
    rows, clips, _ = taken_in(web, tmp_path)
    assert [row.status for row in rows if row.effective_right != "deny"] == ["ok", "ok"] and len(clips) == 2
    assert {row.key for row in rows} == set(found)


def test_a_sidecar_that_cannot_be_had_costs_its_film_and_such_a_table_is_named(
    web: str, films: Path, state_home: Path
) -> None:
    (films / "a.json").write_text('{"license": "CC-BY-NC-4.0"}')
    with (films / "list.txt").open("a") as file:
        file.write("a.json\n")
    Server.refused["/a.json"] = 403
    found = offered(web)
    assert found["a.mp4"].problem == "sidecar: a.json: it refuses access (403)", "it may have said no"
    assert found["sub/b c.mp4"].problem is None
    Server.refused["/RIGHTS.csv"] = 404
    with pytest.raises(AiprodError, match=r"RIGHTS\.csv: it does not exist"):
        offered(web)


@pytest.mark.parametrize("ranges", [True, False])
def test_a_film_named_like_a_document_is_told_by_its_first_bytes(
    web: str, films: Path, state_home: Path, ranges: bool
) -> None:
    Server.ranges = ranges
    write(films / "film.html", (texture(640, 480, n) for n in range(48)))
    shutil.copy(films / "a.mp4", films / "film.json")
    (films / "index.html").write_text("<p>films")
    with (films / "list.txt").open("a") as file:
        file.write("film.html\nfilm.json\nindex.html\nlist.txt\n")
    found = offered(web)
    assert set(found) == {"a.mp4", "sub/b c.mp4", "film.html", "film.json"}
    assert not any(offer.problem for offer in found.values())


def test_keys_of_a_bucket_that_no_folder_can_hold_cost_their_own_row() -> None:
    files = [RemoteFile(key, 1, "") for key in ("a", "a/b", "../c", "d" * 300, "e.mp4")]
    with sidecar_folder("s3://films/in", files) as (folder, unread):
        assert set(unread) == {"a/b", "../c", "d" * 300}
        assert not [words for words in unread.values() if str(folder) in words]


def test_what_is_not_there_is_one_line(web: str, films: Path) -> None:
    with pytest.raises(AiprodError, match="does not exist"):
        listed(web.replace("list.txt", "nothing.txt"))
    with pytest.raises(AiprodError, match="cannot be read") as caught:
        listed("http://127.0.0.1:9/list.txt")
    assert "\n" not in str(caught.value)
    (films / "list.txt").write_text("../secret.mp4\n")
    with pytest.raises(AiprodError, match="outside"):
        listed(web)


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_films_of_a_bucket(films: Path, tmp_path: Path, state_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against a real S3 server on loopback: whole, by prefix; a wrong key and a missing bucket are one line."""
    with s3_server(tmp_path / "s3", monkeypatch) as put:
        put(films, "films/in")
        check_whole("s3://films/in", films, tmp_path)
        before = inspect(plan_of("s3://films/in", None, None), 0)
        here = inspect(plan_of(str(films), None, None), 0)
        assert {f.key: f.right for f in before.films} == {f.key: f.right for f in here.films}
        assert [(t.name, t.lines) for t in before.tables] == [(t.name, t.lines) for t in here.tables]
        with pytest.raises(AiprodError, match="does not exist"):
            listed("s3://nothing/in")
        with pytest.raises(AiprodError, match="does not exist"):
            listed("s3://films/elsewhere")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
        with pytest.raises(AiprodError, match="refuses") as caught:
            listed("s3://films/in")
        assert "\n" not in str(caught.value)
