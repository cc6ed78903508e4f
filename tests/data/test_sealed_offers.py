"""The list of offers and what scan remembers: films that may show persons are encrypted there, all else is plain."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aiprod.base.files import sha256_file, write_json
from aiprod.base.state import state
from aiprod.data.ingest.film_state import judged, mark_erased
from aiprod.data.params import IngestParams
from aiprod.data.sources.scan import Offers, load_offers, scan
from aiprod.errors import AiprodError
from aiprod.rights.declarations import SourcesFile
from aiprod.storage.crypto import tombstones
from aiprod.storage.crypto.film_encryption import Vault
from tests.private_traces import needles_of, traces

FACTS = {
    "adapter": "folder",
    "media_license": "per-file",
    "annotation_license": "own",
    "title": "Films",
    "acquisition_terms": "provided-by-operator",
    "policy_approval": "approved",
    "confidence": "high",
}
NAME = "Erika-Mustermann-am-See.mp4"


class Project:
    """Two folder sources; of the first nothing is stated, the second holds no persons."""

    def __init__(self, root: Path) -> None:
        self.root, self.list = root, root / "datasets/v1/offers.json"
        (root / "dvc.yaml").touch()
        for name in ("people", "drawn"):
            (root / name).mkdir()
        (root / "people" / NAME).write_bytes(bytes(range(256)) * 40)
        (root / "drawn/circle.mp4").write_bytes(b"circle" * 100)
        self.sources = SourcesFile.model_validate(
            {
                "sources": {
                    "people": {**FACTS, "path": "people", "consent": "missing"},
                    "drawn": {**FACTS, "path": "drawn", "personal_data_basis": "none", "consent": "not_needed"},
                }
            }
        )

    def scanned(self, *names: str) -> Offers:
        """What the stage scan does."""
        offers = scan(IngestParams(sources=list(names) or ["people", "drawn"]), self.sources)
        write_json(self.list, offers.document())
        return offers

    @property
    def remembered(self) -> Path:
        """What scan keeps of files."""
        return state().root / "cache/scan/digests.json"

    def nothing_shows(self, *words: str) -> None:
        """No trace of Erika's film outside of its folder."""
        data = (self.root / "people" / NAME).read_bytes()
        found = traces(self.root, needles_of(data, [NAME, "Erika", *words]), but=[self.root / "people"])
        assert found == []


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    for name in ("AIPROD_HOME", "DVC_ROOT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return Project(tmp_path)


def test_a_film_of_which_nothing_is_stated_shows_nowhere_and_comes_back_whole(project: Project) -> None:
    offers = project.scanned()
    project.nothing_shows()
    assert load_offers(project.list).offers == offers.offers
    assert [o.film_id is None for o in offers.offers] == [True, False]
    assert "circle.mp4" in project.list.read_text(), "what is stated to show nobody is plain"


@pytest.mark.parametrize("line", ["no_such_licence,", "own,", "own,consent", "CC-BY-NC-4.0,legitimate_interests"])
def test_refused_or_not_it_is_hidden_unless_it_is_stated_to_show_nobody(line: str, project: Project) -> None:
    table = project.root / "people/t.csv"
    table.write_text(
        f"file,licence,personal_data_basis,title,url\n{NAME},{line},Kennwort,https://example.org/Kennwort\n"
    )
    project.scanned()
    project.nothing_shows("Kennwort")
    [one] = load_offers(project.list).offers[1:]
    assert one.sidecar is not None and one.sidecar.title == "Kennwort"


def test_equal_offers_give_equal_bytes_and_another_title_gives_others(project: Project) -> None:
    table = project.root / "people/t.csv"
    table.write_text(f"file,title\n{NAME},One\n")
    project.scanned()
    before = project.list.read_bytes(), project.remembered.read_bytes()
    project.scanned()
    assert (project.list.read_bytes(), project.remembered.read_bytes()) == before
    digest = load_offers(project.list).digest()
    table.write_text(f"file,title\n{NAME},Two\n")
    project.scanned()
    assert project.list.read_bytes() != before[0] and load_offers(project.list).digest() != digest


def test_a_file_is_read_once_also_when_what_is_known_of_it_is_encrypted(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.scanned()
    monkeypatch.setattr("aiprod.data.sources.folder.look", _never)
    assert len(project.scanned().offers) == 2


def _never(path: Path) -> tuple[str, str | None]:
    raise AssertionError(f"{path} was read again")


def test_what_an_earlier_version_left_in_the_clear_goes(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    film = project.root / "people" / NAME
    facts = film.stat()
    old = {
        str(film): [facts.st_size, facts.st_mtime_ns, facts.st_ino, sha256_file(film), None],
        str(project.root / "people/Erika-gone.mp4"): [1, 2, 3, "ab" * 32, None],
    }
    write_json(project.remembered, old)
    monkeypatch.setattr("aiprod.data.sources.folder.look", _never)
    project.scanned("people")
    project.nothing_shows("ab" * 32)


@pytest.mark.parametrize(
    "content",
    [
        "[]",
        "{",
        '{"format": 2, "sealed": [], "plain": 3}',
        '{"a": {"b": []}}',
        '"x"',
        '{"format": 2, "sealed": {"x": ["f0aaaaaaaaaaaaaaaa", "zz"]}, "plain": {"a": 1}}',
    ],
)
def test_no_memory_is_too_broken(content: str, project: Project) -> None:
    project.remembered.parent.mkdir(parents=True)
    project.remembered.write_text(content)
    assert len(project.scanned().offers) == 2


def test_the_same_bytes_are_hidden_in_every_source(project: Project) -> None:
    (project.root / "drawn/nobody-in-it.mp4").write_bytes((project.root / "people" / NAME).read_bytes())
    offers = project.scanned()
    assert [(o.key, o.film_id is None) for o in offers.offers] == [
        ("circle.mp4", True),
        ("nobody-in-it.mp4", False),
        (NAME, False),
    ]
    shown = project.list.read_text() + project.remembered.read_text()
    assert "nobody-in-it" not in shown and sha256_file(project.root / "people" / NAME) not in shown


def test_a_table_that_names_a_film_which_is_not_there_hides_the_name(project: Project) -> None:
    (project.root / "people/t.csv").write_text("file,title\nErika-geht.mp4,Erika\n../Erika-fort.mp4,x\n")
    offers = project.scanned()
    assert offers.mute_sidecars == ["people/Erika-geht.mp4"], "it is said on the terminal"
    written = json.loads(project.list.read_text())
    assert (written["mute_sidecars"], written["stray_lines"]) == (["people: 1"], ["people: 1"])
    assert load_offers(project.list).digest() == offers.digest()
    project.nothing_shows()


def test_what_is_left_of_an_erased_film_is_its_tombstone(project: Project) -> None:
    offers = project.scanned()
    vault, film = Vault(), str(offers.offers[1].film_id)
    mark = vault.keys.commitment("content", offers.offers[1].sha256)
    tombstones.add([tombstones.Tombstone(film_id=film, source_id="people", clips=0, content=mark)])
    vault.keys.destroy(film)
    left = load_offers(project.list)
    assert [o.key for o in left.offers] == ["circle.mp4"]
    assert [(e.film_id, e.source_id) for e in left.erased] == [(film, "people")]
    again = project.scanned()
    assert (again.offers, again.erased) == (left.offers, left.erased), "it is not taken in again, whatever lies there"
    assert Vault().keys.secret(film) is None
    project.nothing_shows()
    assert "people" not in project.remembered.read_text()


def test_an_erased_film_in_another_wrapping_comes_to_rest(project: Project) -> None:
    offer = project.scanned().offers[1]
    vault = Vault()
    stone = tombstones.Tombstone(
        film_id="f0aaaaaaaaaaaaaaaa",
        source_id="people",
        clips=1,
        content="other bytes",
        packets=vault.keys.commitment("packets", "the same"),
    )
    tombstones.add([stone])
    source = project.sources.get("people")
    film = judged(offer, source, None, Vault())
    film.packets_alone = "the same"
    mark_erased([film])
    assert film.erased and film.private
    assert [o.key for o in load_offers(project.list).offers] == ["circle.mp4"]
    seen = []
    for _ in range(2):
        project.scanned()
        seen.append(project.list.read_bytes())
    assert seen[0] == seen[1] and Vault().keys.secret(str(offer.film_id)) is None
    assert {e.film_id for e in load_offers(project.list).erased} == {stone.film_id, offer.film_id}


def test_without_its_key_an_offer_is_one_line_and_the_next_scan_goes_on(project: Project) -> None:
    offers = project.scanned()
    Vault().keys.destroy(str(offers.offers[1].film_id))
    with pytest.raises(AiprodError, match="there is no key"):
        load_offers(project.list)
    assert project.scanned().offers == offers.offers
    for content in ("[]", '{"offers": 3}', '{"offers": [{"sealed": "!"}]}', '{"offers": [7]}', '{"offers": [{}]}'):
        project.list.write_text(content)
        with pytest.raises(AiprodError):
            load_offers(project.list)


def test_where_nobody_is_shown_no_key_is_made(project: Project) -> None:
    project.scanned("drawn")
    project.scanned("drawn")
    assert not list((project.root / ".aiprod").rglob("*.key"))
    assert json.loads(project.remembered.read_text())["sealed"] == {}
