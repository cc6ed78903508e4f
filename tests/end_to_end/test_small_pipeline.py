"""The whole chain under real DVC, small: what runs again and what does not, and that nothing personal stays behind."""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from aiprod.base.code_identity import OBSERVERS
from tests.end_to_end.workspace import Workspace, make_workspace, small

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

DATA_STAGES = ("ingest", "qc_measure", "qc_decide", "caption")
TRAINING_AND_AFTER = {
    "train_text_encoder",
    "train_video_vae",
    "train_audio_vae",
    "train_speech",
    "train_visemes",
    "train_lips",
    "cache_latents",
    "train_diffusion",
    "sample",
    "montage",
    "grade",
    "film",
    "dossier",
}
ALWAYS = {"scan", "track"}


def _ran(output: str) -> set[str]:
    return {line.split("'")[1] for line in output.splitlines() if line.startswith("Running stage")}


def _changed(project: Workspace) -> set[str]:
    """Stages that DVC would run because something that they depend on changed."""
    return set(json.loads(project.dvc("status", "--json").stdout))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A project whose small pipeline has run once and is committed."""
    workspace = small(make_workspace(tmp_path_factory.mktemp("pipeline") / "project"))
    assert _ran(workspace.dvc("repro").stdout) == TRAINING_AND_AFTER | ALWAYS | {
        *DATA_STAGES,
        "make_speech",
        "make_faces",
    }
    workspace.run("git", "add", "-A")
    workspace.run("git", "commit", "-qm", "run")
    return workspace


def test_nothing_runs_the_second_time_but_the_stages_that_look(project: Workspace) -> None:
    assert _ran(project.dvc("repro").stdout) == ALWAYS


def test_the_headline_metrics_fit_on_a_screen_and_compare_with_the_last_commit(project: Workspace) -> None:
    shown = project.dvc("metrics", "show").stdout.splitlines()
    files = sorted((project.root / "metrics").iterdir())
    assert len(shown) == 1 + len(files) == 11
    assert max(map(len, shown)) <= 132
    figures = [name for path in files for name in json.loads(path.read_text())]
    assert len(figures) == len(set(figures)), "a name that two stages share gets its path before it in a table"
    assert shown[0].split() == ["Path", *sorted(figures)]
    (project.root / "metrics/qc.json").write_text('{"approved": 1, "review": 7}')
    differ = [line.split()[:2] for line in project.dvc("metrics", "diff").stdout.splitlines()[1:]]
    assert {path for path, _ in differ} == {"metrics/qc.json"}, "compared without fetching an output"
    project.run("git", "checkout", "-q", "--", "metrics")


def test_the_same_bytes_in_another_clone_in_which_all_that_only_observes_is_silent(
    project: Workspace, tmp_path: Path
) -> None:
    """So observers may be left out of a stage's code, and neither a path nor a time gets into an output.

    Each stage is an interpreter of its own here, with a hash seed of its own.
    """
    other = small(make_workspace(tmp_path / "a longer name with spaces" / "clone", warm=False))
    silence = Path(__file__).with_name("silence.py").read_text()
    assert "OBSERVERS: list[str] = []" in silence
    names = [name for name in OBSERVERS if name != "pipeline.track"]
    text = silence.replace("OBSERVERS: list[str] = []", f"OBSERVERS: list[str] = {names}")
    (other.root / "src" / "sitecustomize.py").write_text(text)
    told = other.run(sys.executable, "-c", "from aiprod.base.progress import log; log('heard')")
    assert "heard" not in told.stdout + told.stderr
    stages = (*DATA_STAGES, "train_text_encoder")
    other.dvc("repro", "train_text_encoder")
    assert other.hashes(*stages) == project.hashes(*stages)


def _edit(project: Workspace, name: str, old: str, new: str) -> None:
    path = project.root / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


@contextlib.contextmanager
def _other_words(project: Workspace) -> Iterator[None]:
    """A comment more in every source file; then the files as they were, which need not be parsed and compiled again."""
    folders = [project.root / name for name in ("src", "pipeline", ".aiprod/cache/code")]
    for folder in folders:
        kept = folder.rename(folder.with_name(f"{folder.name}-kept"))
        shutil.copytree(kept, folder, ignore=shutil.ignore_patterns("__pycache__"))
        for path in folder.rglob("*.py"):
            with path.open("a") as file:
                file.write("\n# Other words.\n")
    yield
    for folder in folders:
        shutil.rmtree(folder)
        folder.with_name(f"{folder.name}-kept").rename(folder)


def test_words_and_layout_run_nothing_again_and_a_changed_constant_runs_its_stage(project: Workspace) -> None:
    with _other_words(project):
        assert _ran(project.dvc("repro").stdout) == ALWAYS
    _edit(project, "src/aiprod/captions/phrasing.py", "\n\n\ndef ", "\n\n_EXTRA = 1\n\n\ndef ")
    assert _ran(project.dvc("repro", "-s", "caption").stdout) == set(), "without scan, DVC sees no change of code"
    project.dvc("repro", "scan")
    assert _changed(project) - ALWAYS == {"caption"}
    assert _ran(project.dvc("repro", "-s", "caption").stdout) == {"caption"}
    assert _changed(project) - ALWAYS == set()
    _edit(project, "src/aiprod/captions/phrasing.py", "_EXTRA = 1", "_EXTRA = 2")  # as if while the stage before it ran
    assert _ran(project.dvc("repro", "-f", "-s", "caption").stdout) == {"caption"}
    assert _changed(project) - ALWAYS == set(), "dvc.lock says the code that ran"
    project.run("git", "checkout", "-q", "--", "src", "dvc.lock", "datasets/v1/code.json")
    project.dvc("checkout")


def test_a_film_in_the_inbox_is_the_only_one_processed(project: Workspace) -> None:
    films = project.counters("ingest")
    raw = sorted((project.root / "datasets" / "v1" / "raw").iterdir())
    inbox = project.root / "datasets" / "inbox"
    shutil.copyfile(raw[0], inbox / "mine.mp4")
    with (inbox / "mine.mp4").open("ab") as file:  # other bytes, so not an exact duplicate
        file.write(b"\0\0\0\x08free")
    (inbox / "SOURCES.csv").write_text("file,licence,attribution,personal_data_basis\nmine.mp4,CC0-1.0,me,none\n")
    assert _ran(project.dvc("repro", "caption").stdout) >= {"ingest", "qc_measure", "caption"}
    assert films["processed"] + films["reused"] >= 8
    for stage in ("ingest", "qc_measure", "caption"):
        counters = project.counters(stage)
        assert counters["processed"] <= 1, (stage, counters)
        assert counters["reused"] >= 8, (stage, counters)
    for name in ("mine.mp4", "SOURCES.csv"):
        (inbox / name).unlink()
    project.run("git", "checkout", "-q", "--", "dvc.lock", "metrics")
    project.dvc("checkout")


def test_other_captions_make_only_captions_and_what_reads_them_anew(project: Workspace) -> None:
    """Nothing is taken in, measured or judged again: neither for another wording nor for another captioner."""
    graph = YAML(typ="safe").load(project.root / "dvc.yaml")["stages"]
    reads_captions = {name for name, stage in graph.items() if "datasets/v1/captions" in stage.get("deps", [])}
    assert reads_captions < TRAINING_AND_AFTER
    assert not {"train_video_vae", "train_audio_vae"} & reads_captions, "pictures and sound are learnt without words"
    project.dvc("repro", "scan")  # sees that the film of an earlier test is gone
    before = {stage: project.counters(stage) for stage in DATA_STAGES}
    project.set_params(caption__captioner="vlm")
    assert _changed(project) - ALWAYS == {"caption"}
    project.set_params(caption__captioner="rule_based", caption__seed=1)
    assert _changed(project) - ALWAYS == {"caption"}
    assert _ran(project.dvc("repro", "caption").stdout) == {"scan", "caption"}
    after = {stage: project.counters(stage) for stage in DATA_STAGES}
    assert [stage for stage in DATA_STAGES if after[stage] != before[stage]] == ["caption"]
    assert after["caption"]["processed"] == before["caption"]["processed"] + before["caption"]["reused"] >= 8
    assert _changed(project) - ALWAYS == reads_captions
    project.run("git", "checkout", "-q", "--", "params.yaml", "dvc.lock", "metrics")
    project.dvc("checkout")


def test_another_learning_rate_is_a_change_of_each_training_stage_and_of_no_other(project: Workspace) -> None:
    project.set_params(lr=1e-4)
    assert _changed(project) - ALWAYS == {name for name in TRAINING_AND_AFTER if name.startswith("train_")}
    project.run("git", "checkout", "-q", "--", "params.yaml")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param("lr=1e-4", TRAINING_AND_AFTER, marks=pytest.mark.long),
        ("sample.generation.steps=3", {"sample", "montage", "grade", "film", "dossier"}),
    ],
)
def test_an_experiment_runs_what_its_parameter_reaches_and_shares_the_state_folder(
    change: str, expected: set[str], project: Workspace
) -> None:
    """In a temporary workspace, which shares memo and tracking with the main one."""
    before = project.counters("caption")
    done = project.dvc("exp", "run", "--temp", "-n", "slower", "-S", change)
    assert _ran(done.stdout) == expected | ALWAYS
    assert project.counters("caption") == before
    assert not list((project.root / ".dvc" / "tmp" / "exps").rglob(".aiprod")), "state belongs to the main repository"
    shown = json.loads(project.dvc("exp", "show", "--json").stdout)
    experiments = [e for rev in shown for e in (rev.get("experiments") or [])]
    slower = next(e for e in experiments if e["name"] == "slower")
    own, base = (
        rev["metrics"]["metrics/diffusion.json"]["data"]["loss"]
        for rev in (slower["revs"][0]["data"], shown[1]["data"])
    )
    assert (own != base) == ("train_diffusion" in expected), "an experiment has its own figures in the table"
    database = project.root / ".aiprod" / "mlflow" / "mlflow.db"
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
        names = {row[0] for row in connection.execute("select name from runs")}
    assert any(name.partition(":")[0] == "slower" for name in names), (
        "it bears the experiment's name, and what was changed"
    )


def test_lineage_from_a_sample_down_and_a_flipped_bit(project: Workspace) -> None:
    told = project.aiprod("lineage", "reports/samples/000.mp4")
    assert "CC0-1.0" in told.stdout
    assert "0 mismatches" in told.stdout
    path = project.root / "models" / "diffusion" / "transformer" / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.chmod(0o644)
    path.write_bytes(bytes(data))
    told = project.aiprod("lineage", "reports/samples/000.mp4", check=False)
    assert told.returncode == 1
    assert "models/diffusion" in told.stdout + told.stderr
    path.unlink()
    project.dvc("checkout")
