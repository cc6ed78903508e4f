"""WebDataset shards: films and what is said of them, from whole, odd, damaged and hostile archives, here and away."""

from __future__ import annotations

import io
import json
import tarfile
import threading
from collections.abc import Iterator
from functools import partial
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aiprod.base.files import sha256_file
from aiprod.data.ingest.ingest import ingest
from aiprod.data.params import IngestParams
from aiprod.data.sources.base import Offer
from aiprod.data.sources.scan import Offers, scan
from aiprod.data.sources.tar_index import TarEndError, TarError, members
from aiprod.errors import AiprodError
from aiprod.rights.declarations import SourcesFile
from aiprod.storage.clip_store import ClipStore
from aiprod.storage.result_cache import Memo
from tests.data.web_server import Server
from tests.qc.films import texture, write

SOURCES = SourcesFile.model_validate(
    {
        "sources": {
            "shards": {
                "title": "Shards",
                "adapter": "webdataset",
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
FREE = b'{"license": "CC0-1.0"}'
MP4 = b"\0\0\0\x18ftypmp42" + b"\0" * 40  # enough to be told for a film, and for nothing else


def shard(path: Path, entries: list[tuple[str, bytes]], **how: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w", **how) as tar:
        for name, data in entries:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def scanned(place: Path | str) -> Offers:
    return scan(IngestParams(sources=["shards"], folders={"shards": str(place)}), SOURCES)


def offered(place: Path | str) -> dict[str, Offer]:
    return {offer.key: offer for offer in scanned(place).offers}


def taken_in(place: Path | str, folder: Path) -> Any:
    params = IngestParams(sources=["shards"], folders={"shards": str(place)}, workers=1)
    memo, store = Memo(folder / "memo", ""), ClipStore(folder / "v1")
    return ingest(scanned(place), SOURCES, params, seed=0, memo=memo, store=store)


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    root = tmp_path_factory.mktemp("films")
    return [write(root / f"{n}.mp4", (texture(160, 120, n + f // 6) for f in range(24))) for n in range(2)]


@pytest.fixture
def folder(films: list[Path], tmp_path: Path, state_home: Path) -> Path:
    """One shard of two films, of which one is free, and one is free by its JSON and not by a table."""
    root = tmp_path / "www"
    parts = [
        (f"clips/00{n}.{kind}", data)
        for n, film in enumerate(films)
        for kind, data in (("mp4", film.read_bytes()), ("json", FREE), ("txt", b"a moving texture"))
    ]
    shard(root / "0000.tar", parts)
    (root / "RIGHTS.csv").write_text("file,licence\n0000.tar/clips/001.mp4,CC-BY-NC-4.0\n")
    return root


@pytest.fixture
def web(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(Server, "ranges", True)
    monkeypatch.setattr(Server, "asked", [])
    (folder / "list.txt").write_text("0000.tar\nRIGHTS.csv\n")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Server, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/list.txt"
    server.shutdown()
    server.server_close()


def check_taken_in(place: Path | str, films: list[Path], folder: Path) -> None:
    rows, clips, counters = taken_in(place, folder)
    expected = {"0000.tar/clips/000.mp4": "ok", "0000.tar/clips/001.mp4": "refused"}
    assert {row.key: row.status for row in rows} == expected
    [ok] = [row for row in rows if row.status == "ok"]
    assert ok.content_sha256 == sha256_file(films[0]) and len(clips) == 1 and counters.processed == 1
    again, _, counters = taken_in(place, folder)
    assert again == rows and counters.reused == 1


def test_films_of_a_shard_are_taken_in_and_the_narrower_word_rules(
    folder: Path, films: list[Path], tmp_path: Path
) -> None:
    found = offered(folder)
    first, second = found["0000.tar/clips/000.mp4"], found["0000.tar/clips/001.mp4"]
    assert first.sha256 == sha256_file(films[0]) and first.sidecar is not None and second.sidecar is not None
    assert (first.sidecar.media_license, first.sidecar.description) == ("CC0-1.0", "a moving texture")
    assert "CC-BY-NC-4.0" in (second.sidecar.media_license or "")
    before = sorted(path for path in folder.rglob("*"))
    check_taken_in(folder, films, tmp_path)
    assert sorted(path for path in folder.rglob("*")) == before


@pytest.mark.parametrize("ranges", [True, False])
def test_shards_on_a_web_server(web: str, films: list[Path], tmp_path: Path, ranges: bool) -> None:
    Server.ranges = ranges
    check_taken_in(web, films, tmp_path)
    assert not ranges or all(wanted for path, wanted in Server.asked if path.endswith(".tar"))


def test_a_shard_that_was_replaced_on_its_server_is_not_taken_for_the_old_one(web: str, folder: Path) -> None:
    before = offered(web)
    shard(folder / "0000.tar", [("clips/000.mp4", MP4 * 2), ("clips/000.json", FREE)])
    after = offered(web)
    assert before["0000.tar/clips/000.mp4"].sha256 != after["0000.tar/clips/000.mp4"].sha256


def test_a_refused_film_of_a_shard_is_refused_in_another_wrapping(
    folder: Path, films: list[Path], tmp_path: Path
) -> None:
    shard(folder / "0001.tar", [("again.mp4", films[1].read_bytes()), ("again.json", FREE)])
    rows, _, _ = taken_in(folder, tmp_path)
    assert {row.key for row in rows if row.status == "ok"} == {"0000.tar/clips/000.mp4"}


def test_what_is_said_of_a_sample_counts_or_is_a_doubt(tmp_path: Path, state_home: Path) -> None:
    shard(
        tmp_path / "a.tar",
        [
            ("nc.mp4", MP4),
            ("nc.meta.json", b'{"license": "CC-BY-NC-4.0"}'),
            ("nc.json", FREE),
            ("text.mp4", MP4),
            ("text.json", FREE),
            ("text.txt", b"No AI training"),
            ("broken.mp4", MP4),
            ("broken.json", b"{"),
            ("other.mp4", MP4),
            ("other.json", b'{"key": "nc", "license": "CC0-1.0"}'),
            ("own.mp4", MP4),
            ("own.json", b'{"key": "own", "width": 3, "license": "CC0-1.0"}'),
            ("Case.mp4", MP4),
            ("case.json", FREE),
            ("v.1.mp4", MP4),
            ("v.json", b'{"license": "CC-BY-NC-4.0"}'),
        ],
    )
    shard(tmp_path / "b.tar", [("x.mp4", MP4), ("x.json", FREE)])
    (tmp_path / "b.json").write_text('{"license": "CC-BY-ND-4.0"}')
    found = offered(tmp_path)
    licences = {key: offer.sidecar.media_license if offer.sidecar else None for key, offer in found.items()}
    assert "NC" in (licences["a.tar/nc.mp4"] or "") and "NC" in (licences["a.tar/v.1.mp4"] or "")
    assert "ND" in (licences["b.tar/x.mp4"] or ""), "a shard's own JSON speaks of all of its films"
    said = found["a.tar/text.mp4"].sidecar
    assert said is not None and said.objections
    problems = {key for key, offer in found.items() if (offer.problem or "").startswith("sidecar:")}
    assert problems == {"a.tar/broken.mp4", "a.tar/other.mp4", "a.tar/Case.mp4"}


def test_a_table_within_a_shard_counts_and_one_that_cannot_be_read_stops_its_films(
    tmp_path: Path, state_home: Path
) -> None:
    shard(tmp_path / "a.tar", [("x.mp4", MP4), ("RIGHTS.csv", b"file,licence\nx.mp4,CC-BY-NC-4.0\n")])
    shard(tmp_path / "b.tar", [("x.mp4", MP4), ("x.json", FREE), ("RIGHTS.csv", b"name,licence\nx.mp4,own\n")])
    found = offered(tmp_path)
    said = found["a.tar/x.mp4"].sidecar
    assert said is not None and said.media_license == "CC-BY-NC-4.0"
    assert "of which films it speaks" in (found["b.tar/x.mp4"].problem or "")


def test_hostile_members_have_a_row_and_touch_nothing(tmp_path: Path, state_home: Path) -> None:
    root = tmp_path / "in" / "deep"
    root.mkdir(parents=True)
    with tarfile.open(root / "a.tar", "w") as tar:
        for name in ("../../out.mp4", "/etc/out.mp4", "etc/out.mp4", "twice.mp4", "./twice.mp4", "._x.mp4", "good.mp4"):
            info = tarfile.TarInfo(name)
            info.size = len(MP4)
            tar.addfile(info, io.BytesIO(MP4))
        for name, kind in (("soft", tarfile.SYMTYPE), ("hard", tarfile.LNKTYPE), ("pipe", tarfile.FIFOTYPE)):
            info = tarfile.TarInfo(f"{name}.mp4")
            info.type, info.linkname = kind, "/etc/passwd"
            tar.addfile(info)
    found = {key: offer.problem or "" for key, offer in offered(root).items()}
    assert {key for key, problem in found.items() if not problem} == {"a.tar/good.mp4", "a.tar/etc/out.mp4"}
    assert "leads out" in found["a.tar/(..)/(..)/out.mp4"] and "leads out" in found["a.tar/(root)/etc/out.mp4"]
    assert "more than once" in found["a.tar/twice.mp4"]
    assert all("it is a" in found[f"a.tar/{name}.mp4"] for name in ("soft", "hard", "pipe"))
    assert {path.name for path in tmp_path.rglob("*") if path.is_file()} >= {"a.tar"}
    assert not list(tmp_path.rglob("out.mp4"))


def test_what_is_no_shard_or_cannot_be_read_has_a_row(tmp_path: Path, state_home: Path) -> None:
    whole = shard(tmp_path / "whole.tar", [("a.mp4", MP4), ("a.json", FREE), ("b.mp4", MP4 * 40), ("b.json", FREE)])
    (tmp_path / "cut.tar").write_bytes(whole.read_bytes()[: 4 * 512 + 512 + 1000])
    (tmp_path / "short.tar").write_bytes(whole.read_bytes()[: 4 * 512])
    (tmp_path / "text.tar").write_text("hello")
    (tmp_path / "packed.tar").write_bytes(b"\x1f\x8b" + b"\0" * 600)
    (tmp_path / "loose.mp4").write_bytes(MP4)
    (tmp_path / "x.tar.gz").write_bytes(b"\x1f\x8b")
    (tmp_path / "empty.tar").touch()
    result = scanned(tmp_path)
    found = {offer.key: offer.problem or "" for offer in result.offers}
    assert found["cut.tar/a.mp4"] == "" and "cut short" in found["cut.tar/b.mp4"] and "cut short" in found["cut.tar"]
    assert found["short.tar/a.mp4"].startswith("sidecar:"), "the shard may have said no where it was cut off"
    assert "unpack" in found["packed.tar"] and "unpack" in found["x.tar.gz"] and "not a shard" in found["loose.mp4"]
    assert "not a tar" in found["text.tar"] and "empty" in found["empty.tar"]
    assert any("end mark" in line for line in result.unread)


def test_a_header_that_says_it_is_huge_is_not_read(tmp_path: Path) -> None:
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.XHDTYPE, 1 << 40

    class Counted(io.BytesIO):
        most = 0

        def read(self, size: int | None = -1) -> bytes:
            Counted.most = max(Counted.most, size or 0)
            return super().read(size)

    with pytest.raises(TarError, match="are read at most"):
        list(members(Counted(info.tobuf(tarfile.GNU_FORMAT))))
    assert Counted.most <= 512


NAMES = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), min_size=1, max_size=150).filter(
    lambda name: not name.endswith("/")
)


@given(
    entries=st.lists(st.tuples(NAMES, st.binary(max_size=1200)), min_size=1, max_size=5),
    form=st.sampled_from([tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]),
)
@settings(max_examples=120, deadline=None)
def test_members_are_where_the_standard_library_finds_them(entries: list[tuple[str, bytes]], form: int) -> None:
    out = io.BytesIO()
    try:
        with tarfile.open(fileobj=out, mode="w", format=form, encoding="utf-8") as tar:
            for name, data in entries:
                info = tarfile.TarInfo(name)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    except ValueError:  # a name that ustar cannot hold
        return
    with tarfile.open(fileobj=io.BytesIO(out.getvalue()), encoding="utf-8") as tar:
        expected = [(info.name, info.offset_data, info.size) for info in tar if not info.isdir()]
    found = list(members(io.BytesIO(out.getvalue()), len(out.getvalue())))
    assert [(m.name, m.offset, m.size) for m in found] == expected and not any(m.problem for m in found)


@given(data=st.data())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_archive_is_too_broken(data: st.DataObject) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name in ("é" * 90 + ".mp4", "b.json"):
            info = tarfile.TarInfo(name)
            info.size = 700
            tar.addfile(info, io.BytesIO(b"x" * 700))
    whole = bytearray(out.getvalue())
    for _ in range(data.draw(st.integers(1, 6))):
        whole[data.draw(st.integers(0, 4000))] = data.draw(st.integers(0, 255))
    cut = bytes(whole[: data.draw(st.integers(0, len(whole)))])
    found = []
    try:
        for member in members(io.BytesIO(cut), len(cut)):
            found.append(member)
    except TarEndError:
        pass
    except TarError as error:
        assert "\n" not in str(error)
    assert all(m.size >= 0 and (m.problem or m.offset + m.size <= len(cut)) for m in found) and len(found) < 40


def test_an_adapter_that_is_misspelt_names_the_nearest(tmp_path: Path) -> None:
    from aiprod.data.sources.registry import load_sources

    path = tmp_path / "sources.yaml"
    path.write_text("sources:\n  mine:\n    title: Mine\n    adapter: webdatset\n")
    with pytest.raises(AiprodError, match=r"sources\.mine\.adapter: there is no adapter 'webdatset'") as caught:
        load_sources(path)
    assert "'webdataset'" in str(caught.value)


def test_offers_of_shards_are_read_again(folder: Path) -> None:
    found = scanned(folder)
    document = json.loads(json.dumps(found.document()))
    assert {tuple(entry["span"]) for entry in document["offers"]} == {offer.span for offer in found.offers}
