"""``aiprod params`` checks whole parameter files and puts one in the place of params.yaml."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated

import typer

from aiprod.base.files import atomic_path
from aiprod.errors import AiprodError
from aiprod.repo.git import differs_from_head

app = typer.Typer(no_args_is_help=True, help="Validate complete parameter files, and select the one that is used.")


@app.command()
def check(files: Annotated[list[Path], typer.Argument(help="parameter files")] = [Path("params.yaml")]) -> None:  # noqa: B006
    """Validate every section of parameter files with the models that the stages use.

    Example: aiprod params check params.yaml params/*.yaml
    """
    from aiprod.commands.param_files import check_file

    for path in files:
        check_file(path)
        typer.echo(f"{path}: ok")


@app.command()
def use(
    file: Annotated[Path, typer.Argument(help="a complete parameter file, such as params/gpu.yaml")],
    smoke: Annotated[bool, typer.Option(help="write a scaled-down copy: few films, few steps, narrow models")] = False,
    force: Annotated[bool, typer.Option(help="overwrite uncommitted changes to params.yaml")] = False,
) -> None:
    """Copy a parameter file over params.yaml, for `dvc repro` or `dvc exp run`.

    Example: aiprod params use params/demo-gpu.yaml && dvc exp run
    """
    from aiprod.base.state import workspace
    from aiprod.commands.param_files import check_file, write_file
    from aiprod.commands.param_files import smoke as small_twin

    content = check_file(file)
    target = workspace() / "params.yaml"
    if not force and (target.is_file() and differs_from_head(target)) and target.read_bytes() != file.read_bytes():
        raise AiprodError("params.yaml has changes that are not committed", "commit them, or add --force to lose them")
    if smoke:
        write_file(small_twin(content), target)
        check_file(target)
    elif target.resolve() != file.resolve():
        with atomic_path(target) as temporary:
            shutil.copyfile(file, temporary)
    scaled = ", made small" if smoke else ""
    typer.echo(f"params.yaml is {file}{scaled}; `git checkout params.yaml` brings the old one back")


def register(parent: typer.Typer) -> None:
    """Add the commands to ``parent``."""
    parent.add_typer(app, name="params")
