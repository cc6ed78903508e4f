"""Every parameter file in the repository is complete and fits together, and a command selects it."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from aiprod.base.params import load_params
from aiprod.cli import app
from aiprod.commands.param_files import check_file, smoke, write_file
from aiprod.core.transformer.config import AVTransformerConfig
from aiprod.errors import AiprodError
from aiprod.trainer.diffusion.params import TrainDiffusionParams
from aiprod.trainer.loop.curriculum import CurriculumConfig
from tests.projects import commit_all

ROOT = Path(__file__).resolve().parents[1]
FILES = [ROOT / "params.yaml", *sorted((ROOT / "params").glob("*.yaml"))]


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_every_file_is_checked_by_the_models_of_the_stages(path: Path, tmp_path: Path) -> None:
    content = check_file(path)
    preset = load_params(TrainDiffusionParams, "train_diffusion", path).transformer
    AVTransformerConfig.preset(preset.preset, **preset.changes)
    write_file(smoke(content), tmp_path / "small.yaml")
    check_file(tmp_path / "small.yaml")


def test_the_files_for_gpus_rise_through_the_stated_resolutions() -> None:
    heights = {
        path.stem: [phase.height for phase in load_params(CurriculumConfig, "curriculum", path).phases.values()]
        for path in FILES
    }
    assert heights["gpu"] == [480, 704, 1088], "480p, 720p and 1080p in whole latent cells of 32 pixels"
    assert heights["demo-gpu"][0] >= 128 and heights["demo-gpu"][-1] <= 256
    assert all(rising == sorted(rising) for rising in heights.values())


@pytest.mark.parametrize(
    ("section", "change", "words"),
    [
        ("curriculum", lambda c: c["phases"]["low"].update(height=33), r"low is 33x.*height by 16"),
        ("qc_decide", lambda c: c["video"].update(fps_mim=1), "did you mean 'fps_min'"),
        ("track", None, "has no 'track'"),
        ("sample", lambda c: c["generation"].update(steps=0), r"sample.*steps.*greater than or equal"),
        ("sample", lambda c: c["generation"].update(two_stage=True), r"two_stage is true, and no upsampler is trained"),
        ("train_diffusion", lambda c: c["upsampler"].update(space=False), r"neither space nor time"),
    ],
)
def test_a_file_that_does_not_fit_is_one_line(tmp_path: Path, section, change, words) -> None:
    content = check_file(ROOT / "params.yaml")
    content.pop(section) if change is None else change(content[section])
    write_file(content, tmp_path / "p.yaml")
    with pytest.raises(AiprodError, match=words):
        check_file(tmp_path / "p.yaml")


def test_two_stages_need_a_size_that_has_a_half(tmp_path: Path) -> None:
    content = check_file(ROOT / "params.yaml")
    content["sample"]["generation"]["two_stage"] = True
    content["train_diffusion"]["upsampler"]["steps"] = 5
    write_file(content, tmp_path / "p.yaml")
    with pytest.raises(AiprodError, match=r"two_stage: phase high: width of 80 cannot be halved") as error:
        check_file(tmp_path / "p.yaml")
    assert error.value.hint == "use 64 or 96, or one stage"
    content["curriculum"]["phases"]["high"]["width"] = 128
    write_file(content, tmp_path / "p.yaml")
    check_file(tmp_path / "p.yaml")


def test_a_command_selects_a_file_and_spares_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("params.yaml", "dvc.yaml"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    commit_all(".")
    gpu = str(ROOT / "params/gpu.yaml")
    assert CliRunner().invoke(app, ["params", "use", gpu]).exit_code == 0
    assert (tmp_path / "params.yaml").read_bytes() == Path(gpu).read_bytes()
    refused = CliRunner().invoke(app, ["params", "use", str(ROOT / "params/demo-gpu.yaml")])
    assert isinstance(refused.exception, AiprodError) and "not committed" in str(refused.exception)
    assert CliRunner().invoke(app, ["params", "use", gpu, "--smoke", "--force"]).exit_code == 0
    assert check_file(tmp_path / "params.yaml")["train_diffusion"]["transformer"]["preset"] == "demo"
    assert CliRunner().invoke(app, ["params", "check", gpu, "params.yaml"]).exit_code == 0
