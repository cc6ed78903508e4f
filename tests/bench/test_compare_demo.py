"""What both demos have runs one after the other, and each in its own order."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tests.bench import compare, compare_demo
from tests.bench.compare import Cost


@given(st.lists(st.integers(0, 20), unique=True, min_size=1), st.lists(st.integers(0, 20), unique=True, min_size=1))
def test_every_stage_runs_once_in_each_sides_own_order(ours: list[int], theirs: list[int]) -> None:
    lists = [[str(n) for n in ours], [str(n) for n in theirs]]
    ran = list(compare_demo.in_turn(*lists))
    assert [[stage for side, stage in ran if side == which] for which in (0, 1)] == lists


def test_stages_come_after_what_they_read(tmp_path: Path) -> None:
    declared = {
        "film": {"deps": ["models/voice/weights", "clips"], "outs": ["film.mp4"]},
        "train": {"deps": ["clips"], "outs": [{"models/voice": {"persist": True}}], "metrics": ["metrics.json"]},
        "take": {"deps": ["inbox"], "outs": ["clips"]},
    }
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump({"stages": declared}))
    assert compare_demo.stages(tmp_path / "dvc.yaml") == ["take", "train", "film"]


def test_a_copy_has_what_is_not_committed_and_no_outputs(tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    who = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org"]
    for name in ("kept", "changed", "removed"):
        (checkout / name).write_text(name)
    (checkout / ".gitignore").write_text("/models/\n")
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "x"]):
        subprocess.run([*who, *words], cwd=checkout, check=True)
    (checkout / "changed").write_text("now")
    (checkout / "removed").unlink()
    (checkout / "new").write_text("new")
    (checkout / "models").mkdir()
    (checkout / "models" / "weights").write_text("0")
    made = compare_demo.copy(checkout, tmp_path / "copy")
    found = {path.name: path.read_text() for path in made.iterdir() if path.is_file() and path.name != ".gitignore"}
    assert found == {"kept": "kept", "changed": "now", "new": "new"} and not (made / "models").exists()


def test_sums_are_of_the_stages_of_both_and_of_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = {"take": (2.0, 4.0), "voice": (3.0, None), "old": (None, 1.0)}

    def pretended(checkouts: object, folder: Path, run: object) -> tuple[list[str], list[str]]:
        for name, sides in seconds.items():
            for side, took in enumerate(sides):
                if took is not None:
                    run(side, (f"demo: {name}", [str(took)], folder), {})  # type: ignore[operator]
        return ["take", "voice"], ["old", "take"]

    monkeypatch.setattr(compare_demo, "demo", pretended)
    monkeypatch.setattr(compare, "run", lambda command, *_: Cost(float(command[0]), 1.0, 10.0))
    costs = compare._run_demo(tmp_path, tmp_path)
    assert [cost[0].cpu_s for cost in costs[compare.BOTH]] == [2.0, 4.0]
    assert [cost[0].cpu_s for cost in costs[compare.WHOLE]] == [5.0, 5.0]
    lines, slower = compare.table(costs, 0.1)
    assert slower == [] and any(line.split() == ["demo:", "voice", "3.00"] for line in lines)
