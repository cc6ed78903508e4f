"""Odd files in a source: each costs its own row, with its reason; none stops the scan or is left out in silence."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest

from aiprod.base.files import write_json
from aiprod.data.params import IngestParams
from aiprod.data.sources.scan import Offer, Offers, load_offers, scan
from aiprod.errors import AiprodError
from aiprod.rights.declarations import SourceDeclaration, SourcesFile
from tests.data.inbox_project import Project

SOURCES = SourcesFile(
    sources={"inbox": SourceDeclaration(title="Inbox", adapter="folder", path="datasets/inbox", media_license="own")}
)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state_home: Path) -> Project:
    made = Project(tmp_path / "project")
    monkeypatch.chdir(made.root)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    (made.inbox / "good.mp4").write_bytes(b"good")
    return made


def scanned(tmp_path: Path) -> tuple[dict[str, Offer], Offers]:
    """What is offered, after it went through its file as it does between stages; the good film is among it."""
    offers = scan(IngestParams(sources=["inbox"]), SOURCES)
    write_json(tmp_path / "offers.json", offers.document())
    assert load_offers(tmp_path / "offers.json").offers == offers.offers
    found = {offer.key: offer for offer in offers.offers}
    assert len(found) == len(offers.offers) and found["good.mp4"].problem is None
    return found, offers


def pipe(path: Path) -> None:
    os.mkfifo(path)


def listener(path: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)  # an address of this kind has at most 108 bytes
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(path.name)
    os.chdir(here)


ODD: dict[str, tuple[Callable[[Path], Any], str]] = {
    "a pipe": (pipe, "a pipe"),
    "a socket": (listener, "a socket"),
    "a link to a device without end": (lambda path: path.symlink_to("/dev/zero"), "a device"),
    "a link to nothing": (lambda path: path.symlink_to("nowhere"), "No such file"),
    "a link to itself": (lambda path: path.symlink_to(path), "symbolic links"),
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", ["odd.mp4", "odd.txt"])
@pytest.mark.parametrize("kind", ODD)
def test_what_is_no_file_is_a_row(project: Project, tmp_path: Path, kind: str, name: str) -> None:
    make, words = ODD[kind]
    make(project.inbox / name)
    found, _ = scanned(tmp_path)
    assert (found[name].problem or "").startswith("unreadable: ") and words in (found[name].problem or "")


def test_a_name_that_is_no_text_is_a_row_of_its_own(project: Project, tmp_path: Path) -> None:
    folder = os.fsencode(project.inbox)
    names = [
        b"caf\xe9.mp4",
        b"caf\xe8.mp4",
        rb"caf\xe9.mp4",
        b"a\nb.mp4",
        b"\xff/in it.mp4",
        b"\\xff\xfe.mp4",
        b"\xff\\xfe.mp4",
    ]
    os.mkdir(folder + b"/\xff")
    for name in names:
        with open(folder + b"/" + name, "wb") as file:
            file.write(name)
    found, _ = scanned(tmp_path)
    assert len(found) == len(names) + 1
    assert {key for key, offer in found.items() if offer.problem is None} == {"good.mp4", r"caf\xe9.mp4", "a\nb.mp4"}
    assert "UTF-8" in (found[r"./caf\xe8.mp4"].problem or "")


def test_a_linked_folder_is_a_row_and_not_followed(project: Project, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "a.mp4").write_bytes(b"a")
    (project.inbox / "linked").symlink_to(tmp_path / "elsewhere")
    (project.inbox / "round").symlink_to(project.inbox)
    found, _ = scanned(tmp_path)
    assert set(found) == {"good.mp4", "linked", "round"}
    assert "not followed" in (found["linked"].problem or "")


def refuse(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Make one folder unreadable, also for root."""
    real = os.scandir

    def scandir(path: Any = ".") -> Any:
        if Path(path) == folder:
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)


def test_a_folder_that_cannot_be_read_is_a_row(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project.inbox / "closed").mkdir()
    (project.inbox / "closed" / "a.mp4").write_bytes(b"a")
    refuse(monkeypatch, project.inbox / "closed")
    found, _ = scanned(tmp_path)
    assert found["closed"].problem == "unreadable: it cannot be read (Permission denied)"
    refuse(monkeypatch, project.inbox)
    with pytest.raises(AiprodError, match="cannot be read"):
        scan(IngestParams(sources=["inbox"]), SOURCES)


@pytest.mark.parametrize("sidecar", ["[" * 100_000, '{"title": "\\ud800"}', "{", "[1]", '{"n": ' + "1" * 9999 + "}"])
@pytest.mark.parametrize("name", ["a.json", "a.mp4.json"])
def test_a_sidecar_that_cannot_be_believed_costs_its_film(
    project: Project, tmp_path: Path, sidecar: str, name: str
) -> None:
    (project.inbox / "a.mp4").write_bytes(b"a")
    (project.inbox / name).write_text(sidecar)
    found, _ = scanned(tmp_path)
    assert (found["a.mp4"].problem or "").startswith(f"sidecar: {name}"), "it may have said that it may not be used"


@pytest.mark.timeout(60)
def test_a_sidecar_that_is_a_pipe_costs_its_film_and_such_a_table_is_named(project: Project, tmp_path: Path) -> None:
    (project.inbox / "a.mp4").write_bytes(b"a")
    pipe(project.inbox / "a.json")
    found, _ = scanned(tmp_path)
    assert "a pipe" in (found["a.mp4"].problem or "")
    pipe(project.inbox / "rights.csv")
    with pytest.raises(AiprodError, match=r"rights\.csv: it is a pipe"):
        scan(IngestParams(sources=["inbox"]), SOURCES)


def test_a_line_of_a_table_that_points_elsewhere_is_said_and_the_others_hold(project: Project, tmp_path: Path) -> None:
    (project.inbox / "sub").mkdir()
    (project.inbox / "sub" / "t.csv").write_text(
        "file,title\n/etc/passwd,x\n../../../x.mp4,x\n../good.mp4,Up\n" + f"{project.inbox}/gone.mp4,x\n"
    )
    found, offers = scanned(tmp_path)
    assert offers.stray_lines == ["inbox/sub/t.csv, line 2", "inbox/sub/t.csv, line 3"]
    assert offers.mute_sidecars == ["inbox/gone.mp4"]
    side = found["good.mp4"].sidecar
    assert side is not None and side.title == "Up"
    assert str(tmp_path) not in json.dumps(offers.document()) and "passwd" not in json.dumps(offers.document())


def test_a_film_named_like_a_document_is_a_film_and_no_sidecar(
    project: Project, tmp_path: Path, film_bytes: bytes
) -> None:
    names = {"film.txt", "film.json", "film.csv", "film.html", "film.PDF"}
    for name in names:
        (project.inbox / name).write_bytes(film_bytes)
    (project.inbox / "notes.txt").write_text("notes")
    (project.inbox / "page.html").write_text("<p>")
    found, _ = scanned(tmp_path)
    assert set(found) == names | {"good.mp4"} and not any(offer.problem for offer in found.values())


@pytest.mark.parametrize("data", ["no", ["no"], {"entries": "no"}, {"entries": ["no"]}, None, 3])
def test_a_manifest_of_another_form_does_not_stop_the_scan(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, film_bytes: bytes, data: object
) -> None:
    """What the signed statement in a film holds is up to whoever signed it; one that says nothing is none."""
    store = {"manifests": {"m": {"assertions": [{"label": "c2pa.training-mining", "data": data}]}}}
    (project.inbox / "signed.mp4").write_bytes(film_bytes + b"\0\0\0\x10freec2pajumb")
    reader = MagicMock()
    reader.return_value.__enter__.return_value.json.return_value = json.dumps(store)
    monkeypatch.setattr("c2pa.Reader", reader)
    found, _ = scanned(tmp_path)
    assert reader.called and found["signed.mp4"].problem is None
    assert found["signed.mp4"].reservation == (None if data is None else "a C2PA manifest that cannot be read")
