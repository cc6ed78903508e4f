"""Stage scan: list what the enabled sources offer now, and record the code of each stage."""

from __future__ import annotations

import datetime as dt
from typing import Any

from aiprod.base.progress import log
from aiprod.base.state import main_repository, workspace
from aiprod.base.state_cache import recall_unchanged
from pipeline.running import run


def main() -> None:
    """Say what the last scan found if nothing changed that it looked at; else look again."""
    if (lines := recall_unchanged("scan-again", stated())) is not None:
        for line in lines:
            log(line)
        return
    from pipeline.scanning import scan_all  # loads what reads sources and rights: longer than all of this takes

    scan_all(stated())


def stated() -> list[Any]:
    """What a scan depends on that is in no file: where it runs, which folders there are, and the day."""
    root = workspace()
    folders = [(root / name).is_dir() for name in ("src/aiprod", "pipeline", "datasets/consent")]
    return [str(root), str(main_repository()), folders, dt.date.today().isoformat()]


if __name__ == "__main__":
    run(main)
