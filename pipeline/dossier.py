"""Stage ``dossier``: one page, with details for every clip, of what the model is made of and by what right."""

from __future__ import annotations

from pathlib import Path

from aiprod.base.params import load_params
from aiprod.base.progress import say
from aiprod.base.stage import run
from aiprod.governance.dossier import DossierParams, build_dossier


def main() -> None:
    """Read the manifests, write the page."""
    summary = build_dossier(Path(), Path("reports/dossier"), load_params(DossierParams, "dossier"))
    say(
        f"dossier: {summary['films']} films, {summary['clips']} clips, {summary['clips_shown']} shown to the model; "
        "open reports/dossier/index.html"
    )


if __name__ == "__main__":
    run(main)
