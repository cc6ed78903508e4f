"""Data stages take rows of known films over from their last run: whatever is added, changed, copied, damaged or taken
away in between, every output has the bytes that it has where nothing is taken over."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from aiprod.data.rows import FilmRow
from aiprod.storage.manifest.manifest import read_rows
from tests.pipeline.conftest import PARAMS, REPOSITORY, Stage
from tests.pipeline.test_scan_ingest import film

STAGES = ("ingest", "qc_measure", "qc_decide", "caption")
OUTPUTS = ("raw", "processed", "ingest", "qc", "captions")


def more_params() -> str:
    """The sections that these stages read, as the repository has them."""
    whole = (REPOSITORY / "params.yaml").read_text()
    sections = [
        part for part in whole.split("\n\n") if part.lstrip().startswith(("qc_measure:", "qc_decide:", "caption:"))
    ]
    return "\n" + "\n".join(sections)


class Project:
    """An inbox, and the stages as DVC runs them: without the outputs of the run before."""

    def __init__(self, root: Path, stage: Stage) -> None:
        self.root, self.stage, self.inbox = root, stage, root / "datasets/inbox"
        self.films: dict[str, str] = {}
        self.carried = root / ".aiprod/carried"
        (root / "datasets/reviews").mkdir()
        (root / "datasets/reviews/verdicts.jsonl").touch()
        (root / "params.yaml").write_text(PARAMS.format(sources="inbox", more=more_params()))

    def list(self) -> None:
        lines = "".join(f"{name},{said}\n" for name, said in self.films.items())
        (self.inbox / "SOURCES.csv").write_text("file,licence,title,personal_data_basis\n" + lines)

    def add(self, name: str, seed: int, title: str = "", basis: str = "none") -> None:
        film(self.inbox / name, seed)
        self.films[name] = f"CC0-1.0,{title},{basis}"
        self.list()

    def run(self) -> dict[str, bytes]:
        """All outputs of a run."""
        self.stage("scan")
        for name in OUTPUTS:
            shutil.rmtree(self.root / "datasets/v1" / name, ignore_errors=True)
        for name in STAGES:
            self.stage(name)
        data = self.root / "datasets/v1"
        return {str(p.relative_to(data)): p.read_bytes() for p in sorted(data.rglob("*")) if p.is_file()}

    def taken_over(self, name: str) -> int:
        """How many clips or films a stage found known."""
        return int(json.loads((self.root / f".aiprod/counters/{name}.json").read_text())["reused"])

    def same_as_from_nothing(self) -> None:
        again = self.run()
        shutil.rmtree(self.carried)
        anew = self.run()
        assert sorted(again) == sorted(anew)
        assert [name for name in again if again[name] != anew[name]] == []


@pytest.fixture
def project(workspace: Path, stage: Stage) -> Project:
    made = Project(workspace, stage)
    for number in range(3):
        made.add(f"{number}.mp4", number + 1)
    return made


def test_every_output_is_as_from_nothing_whatever_changed(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.run()
    project.add("one more.mp4", 9, "A grey field")
    project.same_as_from_nothing()
    assert project.taken_over("caption") == 4
    project.films["0.mp4"] = "CC0-1.0,Another title,none"  # its rows change, and nobody else's
    project.list()
    project.same_as_from_nothing()
    shutil.copy(project.inbox / "1.mp4", project.inbox / "a copy.mp4")  # the known film has a duplicate now
    project.films["a copy.mp4"] = "CC0-1.0,,none"
    project.list()
    project.same_as_from_nothing()
    project.films["a copy.mp4"] = "all rights reserved,,none"  # and now neither may be trained on
    project.list()
    project.same_as_from_nothing()
    monkeypatch.chdir(project.root)
    films = {row.key: row for row in read_rows("datasets/v1/ingest/films", FilmRow)}
    assert films["1.mp4"].status == "refused", films["1.mp4"]
    (project.inbox / "2.mp4").unlink()
    del project.films["2.mp4"]
    project.list()
    project.same_as_from_nothing()
    params = project.root / "params.yaml"
    params.write_text(params.read_text().replace("seed: 0", "seed: 5", 1))
    project.same_as_from_nothing()


def test_a_copy_in_another_wrapping_is_found_among_known_films(project: Project) -> None:
    import av

    project.run()
    with av.open(str(project.inbox / "1.mp4")) as read, av.open(str(project.inbox / "wrapped.mkv"), "w") as written:
        stream = read.streams.video[0]
        copy = written.add_stream_from_template(stream)
        for packet in read.demux(stream):
            if packet.dts is not None:
                packet.stream = copy
                written.mux(packet)
    project.films["wrapped.mkv"] = "CC0-1.0,,none"
    project.list()
    project.same_as_from_nothing()


def test_nothing_of_a_film_with_personal_data_is_kept(project: Project) -> None:
    project.add("Erika.mp4", 20, "Erika waves", "legitimate_interests")
    project.add("plain name.mp4", 21, "Nobody waves")
    outputs = project.run()
    kept = b"".join(path.read_bytes() for path in sorted(project.carried.iterdir()))
    assert b"plain name.mp4" in kept and b"Nobody waves" in kept, "text can be searched for"
    assert b"Erika" not in kept
    private = {name.split("/")[1].split(".")[0] for name in outputs if name.startswith("raw/f0")}
    assert len(private) == 1 and not any(film_id.encode() in kept for film_id in private)
    project.films["plain name.mp4"] = "CC0-1.0,Nobody waves,legitimate_interests"  # it was said to hold none
    project.list()
    project.run()
    kept = b"".join(path.read_bytes() for path in sorted(project.carried.iterdir()))
    assert b"plain name.mp4" not in kept and b"Nobody waves" not in kept
    project.same_as_from_nothing()


@pytest.mark.parametrize("kind", ["ingest", "qc_measure"])
def test_a_kept_file_that_changed_is_not_taken_over(project: Project, kind: str) -> None:
    before = project.run()
    for path in sorted((project.root / ".aiprod/memo" / kind).rglob("*.*")):
        if path.suffix in (".mp4", ".jpg"):
            data = bytearray(path.read_bytes())
            data[len(data) // 2] ^= 1
            os.chmod(path, 0o644)
            path.write_bytes(data)
            break
    else:
        pytest.fail("no file is kept")
    after = project.run()
    assert [name for name in before if before[name] != after.get(name)] == []
