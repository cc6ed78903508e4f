"""A disk that is full while films are taken in or measured: one line, no row blames a film, and a later run goes on."""

from __future__ import annotations

import contextlib
import resource
from collections.abc import Callable, Iterator
from multiprocessing import forkserver
from pathlib import Path

import pytest

from aiprod.base.files import digest_folder
from aiprod.errors import AiprodError
from aiprod.qc.measure.stage import measure_all
from aiprod.qc.params import QcMeasureParams
from aiprod.storage.clip_store import ClipStore
from aiprod.storage.result_cache import Memo
from tests.data.inbox_project import Project

MakeFilm = Callable[..., Path]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state_home: Path) -> Project:
    made = Project(tmp_path / "project")
    monkeypatch.chdir(made.root)
    return made


@contextlib.contextmanager
def no_file_over(size: int) -> Iterator[None]:
    """Writing beyond ``size`` bytes fails (EFBIG), here and in processes that are started meanwhile.

    Workers have the limits that their fork server was started with, so each side of the limit has a server of its own.
    """
    forkserver._forkserver._stop()  # type: ignore[attr-defined]
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        forkserver._forkserver._stop()  # type: ignore[attr-defined]
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_stops_the_run_and_the_next_one_goes_on(project: Project, make_film: MakeFilm) -> None:
    small, large = (make_film(project.inbox / f"{n}.mp4", n, seconds) for n, seconds in ((1, 0.5), (2, 1.5)))
    between = (small.stat().st_size + large.stat().st_size) // 2
    with no_file_over(between), pytest.raises(AiprodError, match="no space left") as caught:
        project.run(workers=1)
    assert caught.value.hint == "free some space and run again"
    films, clips, counters = project.run(workers=1)
    assert {film.status for film in films.values()} == {"ok"} and len(clips) == 2
    assert (counters.processed, counters.reused, counters.failed) == (1, 1, 0)  # the first was kept
    project.run(store="other", memo="new", workers=1)
    assert digest_folder(project.root / "datasets/v1") == digest_folder(project.root / "datasets/other")

    memo, store, thumbs = Memo(project.root / "measured", ""), ClipStore(project.root / "datasets/v1"), Path("thumbs")
    params = QcMeasureParams(workers=1)

    def measure() -> object:
        return measure_all(list(films.values()), clips, params, memo=memo, store=store, thumbs=thumbs)[0]

    with no_file_over(100), pytest.raises(AiprodError, match="no space left"):
        measure()
    rows = measure()
    assert [row.status for row in rows] == ["ok", "ok"]  # type: ignore[attr-defined]
