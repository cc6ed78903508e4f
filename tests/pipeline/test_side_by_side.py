"""The first run of a clone: two lanes of stages at once, and the same lock as one after another."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from pipeline import side_by_side

COPY = "python -c \"import shutil; shutil.copy('{}', '{}')\""


def test_the_lanes_share_nothing_and_follow_their_dependencies() -> None:
    stages = yaml.safe_load(Path("dvc.yaml").read_text())["stages"]
    found = side_by_side.lanes()
    names = [name for lane in found.values() for name in lane]
    assert len(names) == len(set(names)) == len(set(names) & set(stages))
    made = {name: set(side_by_side._paths(stage, "outs", "metrics", "plots")) for name, stage in stages.items()}

    def needs(name: str) -> set[str]:
        deps = [Path(d) for d in side_by_side._paths(stages[name], "deps")]
        return {o for o, outs in made.items() if any(Path(p) in (d, *d.parents) for p in outs for d in deps)}

    for lane in found.values():
        for place, name in enumerate(lane):
            assert needs(name) <= {"scan", *lane[:place]}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A DVC project of five stages: a → b1 → b2, a → c1, and one that needs b2 and c1."""
    monkeypatch.chdir(tmp_path)
    deps = {"a": "seed", "b1": "a", "b2": "b1", "c1": "a"}
    stages = {n: {"cmd": COPY.format(d, n), "deps": [d], "outs": [n]} for n, d in deps.items()}
    stages["end"] = {"cmd": COPY.format("b2", "end"), "deps": ["b2", "c1"], "outs": ["end"]}
    Path("seed").write_text("1\n")
    Path("dvc.yaml").write_text(yaml.safe_dump({"stages": stages}))
    subprocess.run(["dvc", "init", "--no-scm", "-q"], check=True)
    monkeypatch.setattr(side_by_side, "FIRST", "a")
    monkeypatch.setattr(side_by_side, "LANES", {"film": ("b2",), "voice": ("c1",)})
    return tmp_path


@pytest.mark.slow
def test_what_both_lanes_made_is_locked(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert side_by_side.main() == 0
    assert set(yaml.safe_load((project / "dvc.lock").read_text())["stages"]) == {"a", "b1", "b2", "c1"}
    lines = capfd.readouterr().out.splitlines()
    assert any(line.startswith("film  | ") and "b2" in line for line in lines)
    assert any(line.startswith("voice | ") and "c1" in line for line in lines)
    rest = subprocess.run(["dvc", "repro"], capture_output=True, text=True, check=True).stdout
    assert "Running stage 'end'" in rest
    assert rest.count("Running stage") == 1


@pytest.mark.slow
def test_a_lane_that_fails_does_not_stop_the_other(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    stages = yaml.safe_load((project / "dvc.yaml").read_text())
    stages["stages"]["c1"]["cmd"] = "python -c \"raise SystemExit('no voice')\""
    (project / "dvc.yaml").write_text(yaml.safe_dump(stages))
    assert side_by_side.main() != 0
    assert set(yaml.safe_load((project / "dvc.lock").read_text())["stages"]) == {"a", "b1", "b2"}
    assert "voice | no voice" in capfd.readouterr().out


def test_commands_run_at_once(tmp_path: Path) -> None:
    """Each waits for the other's file, so that one after another would never end."""
    wait = (
        "import pathlib, sys, time; mine, other = map(pathlib.Path, sys.argv[1:]); mine.touch()\n"
        "while not other.exists(): time.sleep(0.01)"
    )
    one, two = str(tmp_path / "one"), str(tmp_path / "two")
    ways = {"one": (one, two), "two": (two, one)}
    assert side_by_side.run_lanes({name: [sys.executable, "-c", wait, *way] for name, way in ways.items()}) == 0


def test_a_stage_in_two_lanes_is_refused(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(side_by_side, "LANES", {"film": ("b2",), "voice": ("b1",)})
    with pytest.raises(ValueError, match="b1 would run twice"):
        side_by_side.lanes()
