"""What failed for no reason of the film's is tried again by the next `dvc repro`, and leaves no trace in any row."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from aiprod.base.files import digest_folder, write_json
from aiprod.base.stage import Counters
from aiprod.data import retries
from aiprod.data.params import IngestParams
from aiprod.data.rows import ClipRow, FilmRow
from aiprod.data.sources.scan import Offers, load_offers, scan
from aiprod.qc.measure.stage import measure_all
from aiprod.qc.params import QcMeasureParams
from aiprod.rights.declarations import SourceDeclaration, SourcesFile
from aiprod.storage.clip_store import ClipStore
from aiprod.storage.result_cache import Memo
from tests.data.inbox_project import Project

MakeFilm = Callable[..., Path]
SOURCES = SourcesFile(
    sources={"inbox": SourceDeclaration(title="Inbox", adapter="folder", path="datasets/inbox", media_license="own")}
)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state_home: Path, make_film: MakeFilm) -> Project:
    made = Project(tmp_path / "project")
    monkeypatch.chdir(made.root)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    make_film(made.inbox / "a.mp4", 1)
    return made


def dies(job: object) -> None:
    """A worker that the machine takes away, whatever it is at."""
    signal.raise_signal(signal.SIGKILL)


def failing(project: Project) -> tuple[dict[str, FilmRow], list[ClipRow], Counters]:
    """Ingest on such a machine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("aiprod.data.ingest.ingest.ingest_film", dies)
        return project.run(workers=1)


def offered() -> Offers:
    """What the stage scan would write, on which ingest depends."""
    return scan(IngestParams(sources=["inbox"]), SOURCES)


def test_a_film_that_failed_once_is_taken_in_by_the_next_run_and_has_the_same_rows(project: Project) -> None:
    seen = [offered().document()]
    films, _, _ = failing(project)
    assert films["a.mp4"].status == "error" and "the worker died" in films["a.mp4"].reasons[0]
    seen.append(offered().document())
    assert seen[1] != seen[0], "DVC would not run ingest again"
    write_json(project.root / "offers.json", seen[0])
    assert offered().digest() == load_offers(project.root / "offers.json").digest(), "nothing else is offered"
    films, clips, counters = project.run(workers=1)
    assert films["a.mp4"].status == "ok" and counters.processed == 1
    assert offered().document() == seen[1], "of the first offers DVC has kept the rows with the fault"
    again_films, again_clips, _ = project.run(workers=1, store="other", memo="new")
    assert (films, clips) == (again_films, again_clips)
    assert digest_folder(project.root / "datasets/v1") == digest_folder(project.root / "datasets/other")


def test_a_film_that_fails_each_time_comes_to_rest(project: Project) -> None:
    seen = []
    for _ in range(retries.MOST_TRIES + 1):
        failing(project)
        seen.append(offered().document())
    assert seen[-1] == seen[-2] and len({str(document) for document in seen}) == retries.MOST_TRIES - 1


def test_a_film_that_cannot_be_had_is_tried_as_often_as_it_takes(state_home: Path) -> None:
    counted = []
    for _ in range(retries.MOST_TRIES + 3):
        assert retries.try_again("ingest", {"dies": False, "server": True}) in (1, 2)
        counted.append(retries.times()["ingest"])
    assert counted == sorted(set(counted))
    assert retries.try_again("ingest", {}) == 0
    assert retries.times()["ingest"] == counted[-1], "a count never goes back"


def test_what_is_the_films_own_fault_is_not_tried_again(project: Project) -> None:
    (project.inbox / "broken.mp4").write_bytes((project.inbox / "a.mp4").read_bytes()[:4000])
    before = offered().document()
    films, _, _ = project.run(workers=1)
    assert films["broken.mp4"].status == "error"
    assert offered().document() == before and retries.times() == {}


def test_a_clip_that_could_not_be_measured_changes_what_measuring_depends_on_and_no_row(project: Project) -> None:
    films, clips, _ = project.run(workers=1)
    raw = project.root / "datasets/v1/raw"
    before = digest_folder(raw), (films, clips)

    def measured() -> list[str]:
        rows, _ = measure_all(
            list(films.values()),
            clips,
            QcMeasureParams(workers=1),
            memo=Memo(project.root / "measured", ""),
            store=ClipStore(project.root / "datasets/v1"),
            thumbs=project.root / "thumbs",
        )
        return [row.status for row in rows]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("aiprod.qc.measure.stage.measure_job", dies)
        assert measured() == ["unfinished"]
    films, clips, _ = project.run(workers=1)
    assert digest_folder(raw) != before[0], "DVC would not run qc_measure again"
    assert (films, clips) == before[1]
    after = digest_folder(raw)
    assert measured() == ["ok"]
    project.run(workers=1)
    assert digest_folder(raw) == after
