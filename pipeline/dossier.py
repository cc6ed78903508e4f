"""Stage ``dossier``: one page, with details for every clip, of what the model is made of and by what right."""

from __future__ import annotations

from pathlib import Path

from aiprod.base.params import load_params
from aiprod.base.progress import log
from aiprod.governance.dataset.records import Records
from aiprod.governance.dataset.version import RECORD, write_version
from aiprod.governance.dossier.dossier import DossierParams, build_dossier
from aiprod.printable import counted
from pipeline.running import run


def main() -> None:
    """Read the manifests, write the page and the dataset's version record."""
    summary = build_dossier(Path(), Path("reports/dossier"), load_params(DossierParams, "dossier"))
    version = write_version(Records(Path()), RECORD)
    log(
        f"dossier: dataset {version.version}, {counted(summary['films'], 'film')}, "
        f"{counted(summary['clips'], 'clip')}, "
        f"{summary['clips_shown']} shown to the model; open reports/dossier/index.html"
    )


if __name__ == "__main__":
    run(main)
