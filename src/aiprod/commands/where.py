"""``aiprod where`` says where results lie; ``aiprod ui`` opens the experiment tracker."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import typer

from aiprod.base.state import state, workspace
from aiprod.errors import AiprodError


def where() -> None:
    """Show where the results of the last run are.

    Example: aiprod where
    """
    root = workspace()
    places = [
        ("generated clips", "reports/samples/contact_sheet.png", "and the MP4 files next to it"),
        ("film", "reports/film/film.mp4", "a finished film; film.json says what every frame is of"),
        ("dossier", "reports/dossier/index.html", "what the model is made of"),
        ("quality control", "reports/qc/page/index.html", "every clip with its verdict and reasons"),
        ("models", "models", "text encoder, VAEs, diffusion transformer, speech, visemes, lips"),
        ("manifests", "datasets/v1", "Parquet rows with a Merkle root each"),
    ]
    typer.echo("\nWhere to look:")
    for name, path, note in places:
        mark = "" if (root / path).exists() else " (not made yet)"
        typer.echo(f"  {name:<16} {path}{mark} - {note}")
    typer.echo("  experiments      make ui, then the address that it prints")
    typer.echo("Try next:")
    typer.echo('  aiprod generate --prompt "a red circle bounces" --out red.mp4')
    typer.echo("  aiprod lineage reports/samples/000.mp4")
    typer.echo("  aiprod lineage reports/film/film.mp4 --at 00:00:07:12")
    typer.echo("  dvc exp run -S lr=1e-4")


def ui(port: int = typer.Option(5000, min=1024, max=65535, help="port on 127.0.0.1")) -> None:
    """Start MLflow, reachable from this machine only.

    Example: aiprod ui --port 5001
    """
    uri = os.environ.get("MLFLOW_TRACKING_URI")
    if not uri:
        database = state().mlflow_database
        if not database.is_file():
            raise AiprodError("no experiment is recorded yet", "run `make repro` first")
        uri = f"sqlite:///{database}"
    if uri.startswith(("http://", "https://")):
        typer.echo("MLflow runs elsewhere already. Open")
        _say_pages(uri.rstrip("/"))
        return
    _check_free(port)
    typer.echo("MLflow starts (stop with Ctrl-C). In a few seconds, open")
    _say_pages(f"http://127.0.0.1:{port}")
    command = [sys.executable, "-m", "aiprod.tracking.mlflow_server", str(port)]
    environment = {
        **os.environ,
        "MLFLOW_BACKEND_STORE_URI": uri,  # as an argument its password would stand in the list of processes
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # its workers evaluate language models
        "MLFLOW_ENABLE_AI_GATEWAY": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "1",
    }
    sys.stdout.flush()
    if hasattr(os, "fork"):
        os.execve(sys.executable, command, environment)  # noqa: S606 - one process: whoever ends it ends the server
    raise typer.Exit(subprocess.run(command, check=False, env=environment).returncode)


def _say_pages(server: str) -> None:
    for what, path in _pages().items():
        typer.echo(f"  {what:<12} {server}/{path}")


def _check_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            hint = (
                f"it may be MLflow already; `aiprod ui --port {port + 1 if port < 65535 else port - 1}` takes another"
            )
            raise AiprodError(f"another program uses port {port}", hint) from None


def _pages() -> dict[str, str]:
    """The pages of our experiment. Its root opens on pages for language-model applications, which stay empty here."""
    from aiprod.tracking.store import connect

    runs = f"#/experiments/{connect()[1]}/runs?workflowType=machine_learning"
    return {"experiments": runs, "curves": f"{runs}&compareRunsMode=CHART"}


def register(app: typer.Typer) -> None:
    """Add the commands to ``app``."""
    app.command()(where)
    app.command()(ui)
