"""A throw-away copy of the project with a small demo, for tests that run real stages under real DVC."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from filelock import FileLock
from ruamel.yaml import YAML

from aiprod.base.code_identity import CodeIdentity
from tests.warm import client as warm

ROOT = Path(__file__).resolve().parents[2]


# Runs modules one after another as `python -m` does, and prints what each said: one start of Python for many commands.
_MANY = """
import contextlib, io, json, runpy, sys, traceback
told = []
for module, *arguments in json.loads(sys.argv[1]):
    out, err, code, sys.argv = io.StringIO(), io.StringIO(), 0, [module, *arguments]
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            runpy.run_module(module, run_name="__main__", alter_sys=True)
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
            err.write(stop.code if isinstance(stop.code, str) else "")
        except BaseException:
            code = 1
            traceback.print_exc()
    told.append([code, out.getvalue(), err.getvalue()])
print(json.dumps(told))
"""


@dataclass(frozen=True)
class Workspace:
    """A git and DVC repository of its own, with its own state folder."""

    root: Path
    warm: bool = True  # modules run in processes that have libraries imported; else in new interpreters

    @property
    def environment(self) -> dict[str, str]:
        """Variables for commands inside it: this interpreter first, no state shared with the checkout."""
        names = {"AIPROD_HOME", "DVC_ROOT", "DVC_EXP_NAME", "MLFLOW_TRACKING_URI", "PYTHONPATH"}
        names.add("PYTHONDONTWRITEBYTECODE")  # its stages are processes, which would compile the same modules each
        kept = {k: v for k, v in os.environ.items() if k not in names}
        path = f"{Path(sys.executable).parent}{os.pathsep}{kept.get('PATH', '')}"
        mine = {**kept, "PATH": path, "CI": "true", "DVC_NO_ANALYTICS": "1", "PYTHONPATH": f"{self.root / 'src'}"}
        return warm.environment(mine) if self.warm else mine

    def run(
        self, *command: str, environment: dict[str, str] | None = None, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in the workspace; its whole output is in the assertion message where it fails."""
        variables = environment or self.environment
        done = subprocess.run(
            command, cwd=self.root, env=variables, capture_output=True, text=True, check=False, timeout=900
        )
        return _checked(done) if check else done

    def module(
        self, *command: str, environment: dict[str, str] | None = None, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run ``python -m``."""
        if not self.warm:
            return self.run(sys.executable, "-m", *command, environment=environment, check=check)
        done = warm.run(command, self.root, environment or self.environment)
        return _checked(done) if check else done

    def dvc(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run dvc. Line coverage is not measured below it: tracing whole training runs would double their time."""
        environment = {name: value for name, value in self.environment.items() if not name.startswith("COV")}
        return self.module("dvc", *arguments, environment=environment, check=check)

    def aiprod(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run the command line."""
        return self.module("aiprod.cli", *arguments, check=check)

    def stage(self, name: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run one stage without DVC."""
        return self.module(f"pipeline.{name}", check=check)

    def cloned(self, root: Path) -> Workspace:
        """A fresh clone with the keys and tombstones of this one, and no data pulled."""
        self.run("git", "clone", "-q", str(self.root), str(root))
        shutil.copytree(self.root / ".aiprod" / "keys", root / ".aiprod" / "keys")
        shutil.copy(self.root / ".aiprod" / "tombstones.json", root / ".aiprod")
        return Workspace(root, self.warm)

    def at(self, tag: str, *paths: str) -> None:
        """Check out a tag and pull its data (only ``paths`` where given), unchanged."""
        self.run("git", "checkout", "-q", tag)
        self.dvc("pull", *paths)
        status = json.loads(self.dvc("data", "status", "--json").stdout)
        assert not status.get("uncommitted", {}).get("modified"), status

    def many(self, *commands: tuple[str, ...]) -> list[subprocess.CompletedProcess[str]]:
        """Run modules with their arguments one after another in one interpreter."""
        done = self.run(sys.executable, "-c", _MANY, json.dumps(commands))
        return [
            subprocess.CompletedProcess(list(command), *said)
            for command, said in zip(commands, json.loads(done.stdout.splitlines()[-1]), strict=True)
        ]

    def counters(self, stage: str) -> dict[str, Any]:
        """What a stage recorded in the state folder."""
        return json.loads((self.root / ".aiprod" / "counters" / f"{stage}.json").read_text())

    def set_params(self, **changes: Any) -> None:
        """Change parameters by dotted name (``__`` for the dot)."""
        path = self.root / "params.yaml"
        yaml = YAML()
        content = yaml.load(path)
        for name, value in changes.items():
            *parents, last = name.split("__")
            place = content
            for parent in parents:
                place = place[parent]
            assert last in place, name
            place[last] = value
        yaml.dump(content, path)

    def hashes(self, *stages: str) -> dict[str, str]:
        """Output path → hash from dvc.lock."""
        lock = YAML(typ="safe").load(self.root / "dvc.lock")["stages"]
        return {out["path"]: out["md5"] for name in stages for out in lock[name]["outs"]}


def _checked(done: subprocess.CompletedProcess[str]) -> subprocess.CompletedProcess[str]:
    assert done.returncode == 0, f"{done.args}\n{done.stdout[-6000:]}\n{done.stderr[-6000:]}"
    return done


def _syntax_trees() -> bytes:
    """What the state folder keeps of source files by their bytes."""
    with tempfile.TemporaryDirectory() as folder:
        kept = Path(folder) / "syntax_trees.json"
        assert CodeIdentity(ROOT, kept).modules
        return kept.read_bytes()


# What no stage and no command reads: tests, and what stands in pages. Each DVC and git command looks at every file.
_LEFT_OUT = ("tests/", "findings/", "docs/images/", "docs/samples/")


def make_workspace(root: Path, warm: bool = True) -> Workspace:
    """Copy what git tracks of the product (as it is in the working tree) and commit it."""
    root.mkdir(parents=True, exist_ok=True)
    subprocess.run(["tar", "-xf", _committed(), "-C", str(root)], check=True)
    return Workspace(root, warm)


@cache
def _committed() -> str:
    """An archive of what a workspace begins with, made once for all workers of a session.

    Reading and committing a thousand files takes seconds each time.
    """
    archive = Path(warm.server()[0]).with_name("project.tar")  # removed with the server's folder
    with FileLock(f"{archive}.lock", timeout=300):
        if not archive.is_file():
            with tempfile.TemporaryDirectory(dir=archive.parent) as folder:
                made = Path(folder) / "project.tar"
                _commit(Path(folder) / "project")
                subprocess.run(["tar", "-cf", made, "-C", str(Path(folder) / "project"), "."], check=True)
                made.rename(archive)
    return str(archive)


def _with_compiled(source: Path, target: Path) -> None:
    """Let a copied module have what this interpreter compiled of it, which holds as long as size and time are the same.

    Each workspace would compile hundreds of modules anew.
    """
    compiled = Path(importlib.util.cache_from_source(str(source)))
    if compiled.is_file():
        stat = source.stat()
        os.utime(target, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        place = Path(importlib.util.cache_from_source(str(target)))
        place.parent.mkdir(exist_ok=True)
        place.write_bytes(compiled.read_bytes())


def _commit(root: Path) -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    ).stdout.decode()
    for name in filter(None, listed.split("\0")):
        source = ROOT / name
        if source.is_file() and name != "dvc.lock" and not name.startswith(_LEFT_OUT):
            target = root / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(source.read_bytes())
            if name.endswith(".py"):
                _with_compiled(source, target)
    (root / ".aiprod/cache/code").mkdir(parents=True)
    (root / ".aiprod/cache/code/syntax_trees.json").write_bytes(_syntax_trees())
    for command in (
        ["git", "init", "-q", "-b", "main"],
        ["git", "-c", "core.compression=1", "add", "-A"],
        ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-qm", "start"],
        ["git", "-c", "pack.window=0", "repack", "-adq"],  # a file of objects is copied sooner than a thousand
        ["git", "config", "user.name", "t"],
        ["git", "config", "user.email", "t@example.org"],
    ):
        Workspace(root, warm=False).run(*command)


def small(workspace: Workspace) -> Workspace:
    """Few films and few steps, so that the whole chain takes a minute or two. The figures it yields mean nothing."""
    phase = {"duration__steps": 2, "batch": 2, "warmup_steps": 0, "height": 32, "width": 48, "frames": 9}
    phases = {f"curriculum__phases__{name}__{key}": phase[key] for name in ("low", "high") for key in phase}
    workspace.set_params(
        **phases,
        ingest__demo__films=8,
        ingest__demo__faults=False,
        ingest__demo__duration_s=2.2,
        ingest__demo__height=240,  # a quarter of the pixels, judged as the whole are
        ingest__demo__width=426,
        qc_decide__video__height_min_px=240,
        qc_decide__video__height_target_px=540,
        ingest__heldout_fraction=0.4,
        train_text_encoder__trainer__steps=4,
        train_text_encoder__trainer__batch=4,
        train_text_encoder__model__layers=1,
        train_text_encoder__quantize_check=False,
        train_text_encoder__threads=1,
        train_video_vae__trainer__steps=4,
        train_video_vae__trainer__batch=2,
        train_video_vae__model__widths=[32],
        train_video_vae__loss__gamma=0.0,
        train_video_vae__heldout_clips=2,
        train_video_vae__threads=1,
        train_audio_vae__trainer__steps=4,
        train_audio_vae__trainer__batch=2,
        train_audio_vae__model__widths=[16, 16, 16],
        train_audio_vae__heldout_clips=2,
        train_audio_vae__threads=1,
        make_speech__commands=12,
        make_speech__descriptions=6,
        make_speech__made=6,
        train_speech__trainer__steps=2,
        train_speech__trainer__batch=2,
        train_speech__model__width=16,
        train_speech__model__decoder=16,
        train_speech__model__blocks=1,
        train_speech__model__vocoder=16,
        train_speech__heldout_utterances=2,
        make_faces__train=3,
        make_faces__heldout=2,
        make_faces__faults=False,
        make_faces__size=96,
        make_faces__fps=12.5,
        train_visemes__trainer__steps=2,
        train_visemes__trainer__batch=2,
        train_visemes__model__width=16,
        train_lips__trainer__steps=2,
        train_lips__trainer__batch=2,
        train_lips__model__size=32,
        train_lips__model__width=8,
        train_lips__heldout_clips=1,
        sample__generation__steps=2,
        sample__prompts=["A large red circle bounces to the right over a grey striped background."],
        sample__heldout_prompts=1,
        sample__measured_prompts=[],
        sample__reference_clips=2,
        sample__threads=1,
        film__script="datasets/films/small.yaml",
        cache_latents__min_psnr_db=0.0,
        train_diffusion__task__heldout_clips=2,
        train_diffusion__launch__cpu_processes=0,
        train_diffusion__threads=1,
        train_diffusion__validation__prompts=["A small blue star drifts to the left over a plain grey background."],
        train_diffusion__validation__steps=1,
    )
    workspace.run("git", "commit", "-qam", "make it small")
    return workspace
