"""``aiprod caption`` on films outside the pipeline: words, JSON, the project's settings, and what overrides them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from ruamel.yaml import YAML
from typer.testing import CliRunner, Result

from aiprod.captions.params import params_here
from aiprod.cli import app
from aiprod.errors import AiprodError
from tests.conftest import REPOSITORY
from tests.qc.films import texture, write


def call(*words: str | Path) -> Result:
    return CliRunner().invoke(app, ["caption", *map(str, words), "--workers", "1"])


@pytest.fixture(scope="module")
def pan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A gray film over which the camera pans to the right: its content moves left."""
    wide = texture(800, 120, 5)
    sound = np.zeros((2, 48_000 * 2), np.float32)
    return write(tmp_path_factory.mktemp("films") / "pan.mp4", (wide[:, 4 * n : 4 * n + 160] for n in range(48)), sound)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> YAML:
    """A project folder that is the working directory, and a way to change its section `caption`."""
    (tmp_path / "dvc.yaml").touch()
    shutil.copy(REPOSITORY / "params.yaml", tmp_path)
    (tmp_path / "deeper").mkdir()
    monkeypatch.chdir(tmp_path / "deeper")
    return YAML()


def set_caption(**changes: object) -> None:
    path = Path("../params.yaml")
    content = YAML().load(path)
    for name, value in changes.items():
        (content["caption"]["vlm"] if name in content["caption"]["vlm"] else content["caption"])[name] = value
    YAML().dump(content, path)


def test_a_film_gets_a_sentence_and_another_file_its_reason(
    pan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # no project
    (tmp_path / "empty.mp4").touch()
    said = call(pan, tmp_path / "empty.mp4", "--json")
    assert said.exit_code == 1
    film, empty = (json.loads(line) for line in said.stdout.splitlines())
    assert (film["status"], film["camera_movement"], film["captioner"]) == ("ok", "pan right", "rule_based")
    assert "right" in film["caption"] and "black-and-white" in film["caption"] and "sound:silent" in film["tags"]
    assert 0 < film["confidence"] <= 1
    assert (empty["status"], empty["reasons"][0].split(":")[0]) == ("error", "empty")
    assert "caption" not in empty


def test_a_real_film_is_described_as_it_is(shared_clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = shared_clips / "open" / "stream_of_water_360p30_3s.mp4"
    said = call(path, "--json")
    assert said.exit_code == 0, said.output
    line = json.loads(said.stdout)
    assert line["file"] == str(path) and line["status"] == "ok"
    assert line["caption"][0].isupper() and line["caption"].endswith(".") and "\n" not in line["caption"]


def test_the_projects_settings_hold_and_options_go_before_them(project: YAML) -> None:
    set_caption(captioner="vlm", checkpoint="models/seer", prompt="What is heard?", quantize="int8", seed=3)
    found = params_here()
    assert (found.captioner, found.seed, found.vlm.prompt, found.vlm.quantize) == ("vlm", 3, "What is heard?", "int8")
    assert found.vlm.checkpoint == "models/seer"  # a name, as there is no such folder
    Path("../models/seer").mkdir(parents=True)
    assert Path(params_here().vlm.checkpoint).samefile("../models/seer")
    changed = params_here(captioner="rule_based", seed=0, vlm={"prompt": "And now?", "quantize": None})
    assert (changed.captioner, changed.seed, changed.vlm.prompt) == ("rule_based", 0, "And now?")
    assert changed.vlm.quantize == "int8"
    with pytest.raises(AiprodError, match="captioner"):
        params_here(captioner="guess")


def test_a_checkpoint_of_the_project_is_used_or_missed_in_one_line(project: YAML, pan: Path) -> None:
    set_caption(captioner="vlm", checkpoint="someone/model")
    said = call(pan)
    assert isinstance(said.exception, AiprodError) and "caption.vlm.revision" in str(said.exception)


def test_another_seed_says_the_same_in_other_words(project: YAML, pan: Path) -> None:
    set_caption(captioner="vlm", seed=2)
    told = [call(pan, "--captioner", "rule_based", *seed) for seed in ((), ("--seed", "0"))]
    assert [said.exit_code for said in told] == [0, 0]
    assert told[0].stdout != told[1].stdout
    for said in told:
        assert said.stdout.startswith(f"{pan}  ") and said.stdout.count("\n") == 1 and "right" in said.stdout
