"""A look at a place before it becomes a source: every film and column is accounted for, and nothing is changed."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from typer.testing import CliRunner

from aiprod.cli import app
from aiprod.data.ingest.ingest import ingest
from aiprod.data.inspection.inspect_source import NOT_KNOWN, Inspection, inspect
from aiprod.data.inspection.plan import HANDED_IN, plan_of
from aiprod.data.inspection.text_report import WIDTH, in_words
from aiprod.data.params import IngestParams
from aiprod.data.sources.registry import load_sources
from aiprod.data.sources.scan import scan
from aiprod.data.sources.sidecar_reading import read_sidecars
from aiprod.errors import AiprodError
from aiprod.rights.declarations import SourcesFile
from aiprod.storage.clip_store import ClipStore
from aiprod.storage.result_cache import Memo
from tests.data.conftest import short_film
from tests.data.test_webdataset import shard

REPOSITORY = Path(__file__).resolve().parents[2]
WHOLE = 1 << 40


@pytest.fixture(autouse=True)
def outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory that is in no project."""
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.delenv("AIPROD_HOME", raising=False)
    (tmp_path / "away").mkdir()
    monkeypatch.chdir(tmp_path / "away")
    return tmp_path / "away"


@pytest.fixture
def films(tmp_path: Path) -> Path:
    """Three films of which a table names two, a copy, a broken film, and other files."""
    folder = tmp_path / "films"
    (folder / "sub").mkdir(parents=True)
    for seed, name in enumerate(("a.mp4", "b.mp4", "sub/c.mp4")):
        short_film(folder / name, seed)
    (folder / "z copy.mp4").write_bytes((folder / "a.mp4").read_bytes())
    (folder / "broken.mp4").write_bytes((folder / "a.mp4").read_bytes()[:2000])
    (folder / "readme.txt").write_text("hello")
    (folder / "SOURCES.csv").write_text(
        "file,licence,attribution,personal_data_basis,consent_ref,width\n"
        "a.mp4,own,Ada,none,,128\nb.mp4,CC-BY-4.0,,consent,,128\nz copy.mp4,own,,none,,\nbroken.mp4,own,,none,,\n"
        "gone.mp4,own,,none,,\n../out.mp4,own,,none,,\n"
    )
    return folder


def looked_at(place: Path | str, read_bytes: int = WHOLE, adapter: str | None = None) -> Inspection:
    return inspect(plan_of(str(place), None, adapter), read_bytes)


def tree(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.read_bytes())
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_every_film_has_its_right_its_reasons_and_what_is_missing(films: Path, outside: Path) -> None:
    before = tree(films)
    found = looked_at(films)
    of = {film.key: film for film in found.films}
    assert set(of) == {"a.mp4", "b.mp4", "broken.mp4", "sub/c.mp4", "z copy.mp4"}
    assert of["a.mp4"].right == "train"
    assert of["a.mp4"].missing == {}
    assert not of["a.mp4"].personal
    assert of["b.mp4"].right == "deny"
    assert set(of["b.mp4"].missing) == {"consent_ref", "attribution"}
    assert of["sub/c.mp4"].right == "deny"
    assert set(of["sub/c.mp4"].missing) == {"licence", "personal_data_basis"}
    assert "a.mp4" in (of["z copy.mp4"].problem or "")
    assert of["broken.mp4"].problem
    assert of["a.mp4"].facts is not None
    assert (of["a.mp4"].facts["width"], of["a.mp4"].facts["audio"]) == (128, "aac")
    assert found.others == {".txt": 1}
    assert found.absent == ["gone.mp4"]
    assert len(found.strays) == 1
    assert {c.name: c.fills for c in found.tables[0].columns}["width"] is None
    assert tree(films) == before
    assert list(outside.iterdir()) == []


def test_the_rights_are_those_of_ingest(films: Path, tmp_path: Path) -> None:
    """What is said before is what happens after: the same films are taken in, with the same right."""
    found = looked_at(films)
    (tmp_path / "dvc.yaml").touch()
    params = IngestParams(sources=["inbox"], folders={"inbox": str(films)}, workers=1)
    sources = SourcesFile(sources={"inbox": HANDED_IN})
    rows, _, _ = ingest(
        scan(params, sources),
        sources,
        params,
        seed=0,
        memo=Memo(tmp_path / "memo", "test"),
        store=ClipStore(tmp_path / "v1"),
    )
    taken = {row.key: row.effective_right for row in rows if row.status == "ok"}
    assert taken == {f.key: f.right for f in found.films if f.right != "deny" and f.problem is None}


def test_what_a_film_says_of_itself_is_heard(films: Path) -> None:
    import av

    with av.open(str(films / "d.mp4"), "w") as target, av.open(str(films / "a.mp4")) as source:
        target.metadata["copyright"] = "CC BY-NC 4.0"
        stream = source.streams.video[0]
        out = target.add_stream_from_template(stream)
        for packet in source.demux(stream):
            if packet.dts is not None:
                packet.stream = out
                target.mux(packet)
    with open(films / "SOURCES.csv", "a") as table:
        table.write("d.mp4,own,,none,,\n")
    assert {f.key: f.right for f in looked_at(films).films}["d.mp4"] == "deny"
    assert {f.key: f.right for f in looked_at(films, 0).films}[
        "d.mp4"
    ] == "train"  # and it is said that it was not read
    assert "not opened" in in_words(looked_at(films, 0))


def test_everything_that_is_wrong_in_a_table_is_told_at_once(films: Path) -> None:
    (films / "SOURCES.csv").write_text(
        "file,licens,do_not_trian,attribution,personal data basis\n"
        "a.mp4,own,0,Ada,nobody\nb.mp4,own,0,A,none,B\n,own,0,x,\nsub/c.mp4,own,0,C,none\n"
    )
    found = looked_at(films)
    table = found.tables[0]
    assert {c.name for c in table.columns if c.problem} == {"licens", "do_not_trian"}
    assert all("did you mean" in (c.problem or "") for c in table.columns if c.problem)
    assert [p.split(":")[0] for p in table.problems] == [f"SOURCES.csv, line {n}" for n in (2, 3, 4)]
    assert table.lines == 1
    assert {film.right for film in found.films} == {NOT_KNOWN}
    assert len(found.films) == 5
    text = in_words(found)
    assert "did you mean `license`" in text.replace("\n      ", " ")


@pytest.mark.parametrize("content", [b"\xff\xfe\x00bad", b"a,b\nc,d\n", b'file,licence\n"a.mp4,own\n', b"", b"{}"])
@pytest.mark.parametrize("name", ["t.csv", "t.jsonl"])
def test_no_table_ends_a_look(films: Path, content: bytes, name: str) -> None:
    """Whatever lies there, the films are listed; where a scan would stop, it is said, and only there."""
    (films / name).write_bytes(content)
    found = looked_at(films, 0)
    assert len(found.films) == 5
    try:
        read_sidecars(films)
        stops = False
    except AiprodError:
        stops = True
    assert bool(found.stops) == stops


def test_it_is_readable_at_80_columns(films: Path) -> None:
    (films / ("x" * 30 + "é.mp4")).write_bytes(b"no film")
    (films / "bad.csv").write_text("file,licens\n" + "a.mp4,own\n" * 3)
    for line in in_words(looked_at(films)).split("\n")[1:]:  # the first is the place, whole
        assert len(line) <= WIDTH, line


def test_the_template_completes_what_no_table_names_and_overwrites_nothing(films: Path) -> None:
    run = CliRunner().invoke
    said = (films / "SOURCES.csv").read_bytes()
    refused = run(app, ["sources", "inspect", str(films), "--template"])
    assert refused.exception is not None
    assert "exists already" in str(refused.exception) + refused.output
    assert (films / "SOURCES.csv").read_bytes() == said
    (films / "SOURCES.csv").rename(films / "rights.csv")
    written = run(app, ["sources", "inspect", str(films), "--template"])
    assert written.exit_code == 0
    assert "--template writes" not in written.output, "what was just done is not what is to be done next"
    assert read_sidecars(films).records.keys() >= {"a.mp4", "sub/c.mp4"}
    with open(films / "SOURCES.csv") as table:
        header, *lines = table.read().splitlines()
    assert [line.split(",")[0] for line in lines] == ["sub/c.mp4"]
    assert header.startswith("file,licence,")
    (films / "SOURCES.csv").write_text(f"{header}\nsub/c.mp4,own,,,,none,\n")
    found = {film.key: film for film in looked_at(films).films}
    assert (found["sub/c.mp4"].right, found["sub/c.mp4"].missing) == ("train", {})


def test_a_spreadsheet_is_no_film_and_what_comes_next_says_to_save_it_as_csv(tmp_path: Path) -> None:
    short_film(tmp_path / "a.mp4", 0)
    (tmp_path / "Filmliste.xlsx").write_bytes(b"PK\x03\x04")
    found = looked_at(tmp_path)
    assert [film.key for film in found.films] == ["a.mp4"]
    words = " ".join(in_words(found).split())
    assert "Filmliste.xlsx: it is a spreadsheet" in words and "- save Filmliste.xlsx as CSV in UTF-8" in words
    assert "“Filmliste.xlsx” may speak of it, and is not read" in words, "and why the film is refused"


def test_a_refused_film_is_told_with_the_line_that_was_meant_for_it_and_the_way_on(tmp_path: Path) -> None:
    for seed, name in enumerate(("Frosch groß.mp4", "b.mp4", "c.mp4", "d.mp4")):
        short_film(tmp_path / name, seed)
    (tmp_path / "Filme.csv").write_text(
        "Dateiname;Titel;Lizenz;Urheber;Personen;Einwilligung;personal_data_basis;Schlagwörter;Bemerkung\n"
        "Frosch gross.mp4;Frosch;CC0;C. Beispiel;nein;;none;Frosch;\n"
        "b.mp4;;eigene;;nein;;none;;\nc.mp4;;LicenseRef-archiv;;nein;;none;;\nd.mp4;;own;;ja;2026-1;consent;;\n"
    )
    found = looked_at(tmp_path)
    assert not any(column.problem for table in found.tables for column in table.columns)
    words = " ".join(in_words(found).split())
    assert "it is called “Frosch gross.mp4” there" in words
    for way in (
        "write a licence as its SPDX identifier",
        "aiprod sources contract inbox FILE",
        "aiprod consent record",
    ):
        assert way in words


def test_json_holds_every_film(films: Path) -> None:
    result = CliRunner().invoke(app, ["sources", "inspect", str(films), "--json"])
    value = json.loads(result.stdout)
    assert len(value["films"]) == 5
    assert value["tables"][0]["columns"][0] == {"name": "file", "fills": "file", "problem": None}


def test_shards_are_listed_by_their_adapter(tmp_path: Path, film_bytes: bytes) -> None:
    folder = tmp_path / "shards"
    folder.mkdir()
    said = b'{"license": "CC0-1.0", "personal_data_basis": "none"}'
    shard(folder / "0.tar", [("x.mp4", film_bytes), ("x.json", said)])
    found = looked_at(folder)
    assert found.adapter == "webdataset"
    assert [(f.key, f.right) for f in found.films] == [("0.tar/x.mp4", "train")]
    assert found.unopened == 1
    with pytest.raises(AiprodError, match="no adapter"):
        looked_at(folder, adapter="webdatset")


def test_a_place_outside_of_a_project_is_judged_as_the_inbox_of_a_new_one() -> None:
    inbox = load_sources(REPOSITORY / "datasets" / "sources.yaml").get("inbox")
    said = {"title", "path", "note"}
    assert HANDED_IN.model_dump(exclude=said) == inbox.model_dump(exclude=said)


def test_the_declaration_is_that_of_the_source_that_lies_there(
    films: Path, outside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (outside / "dvc.yaml").touch()
    (outside / "datasets").mkdir()
    (outside / "params.yaml").write_text(f"ingest:\n  folders:\n    open-film: {films}\n")
    (outside / "datasets" / "sources.yaml").write_bytes((REPOSITORY / "datasets" / "sources.yaml").read_bytes())
    before = tree(outside)
    found = looked_at(films)
    assert found.plan.source_id == "open-film"
    assert {f.key for f in found.films if f.right != "deny"} >= {"a.mp4"}
    youtube = inspect(plan_of(str(films), "youtube", None), WHOLE)
    assert {f.right for f in youtube.films} == {"deny"}
    assert tree(outside) == before


def test_of_a_folder_without_films_it_says_so_and_not_to_copy_them(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    said = CliRunner().invoke(app, ["sources", "inspect", str(tmp_path)]).output
    assert "0 films" in said
    assert "no film is there" in said
    assert "copy the films" not in said


def test_what_is_not_there_is_one_line(tmp_path: Path) -> None:
    for place in (str(tmp_path / "nothing"), "http://127.0.0.1:9/list.txt", "https://u:p@host/films/"):
        with pytest.raises(AiprodError) as caught:
            looked_at(place)
        assert "\n" not in str(caught.value)
        assert "u:p" not in str(caught.value)


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def web(films: Path) -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(films)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


def test_a_web_server_is_listed_and_no_film_is_received(web: str, films: Path, outside: Path) -> None:
    found = looked_at(web)
    here = {film.key: film.right for film in looked_at(films, 0).films if "/" not in film.key}
    assert {f.key: f.right for f in found.films} == here
    assert found.tables[0].lines == 6
    assert found.unopened == len(here)
    assert list(found.unread) == ["sub/"] and "folder" in found.unread["sub/"]  # and it is no film
    result = CliRunner().invoke(app, ["sources", "inspect", web, "--template"])
    assert result.exit_code in (0, 1)
    assert all(path.name == "SOURCES.csv" for path in outside.iterdir())


def test_real_films_and_the_hostile_ones(shared_clips: Path) -> None:
    found = looked_at(shared_clips / "open")
    assert len(found.films) == 25
    assert all(f.right == "train_with_obligations" and f.problem is None for f in found.films)
    assert all(set(f.missing) == {"personal_data_basis"} for f in found.films)
    assert all(f.facts["width"] for f in found.films if f.facts)
    bad = looked_at(shared_clips / "bad")
    problems = {f.key for f in bad.films if f.problem}
    assert problems >= {"mp_zero_bytes.webm", "ax_encrypted_clearkey.mp4", "ax_audio_only.mp4", "oc_zero_bytes.mp4"}
    assert len(bad.films) == 58
