"""Stage ``track``: records the state of the pipeline in the trackers and the audit log. It has no outputs."""

from __future__ import annotations

from pathlib import Path

from aiprod.base.params import load_params
from aiprod.base.progress import log
from aiprod.governance.dataset.told import log_new_state
from aiprod.printable import counted
from aiprod.tracking.runs import track
from aiprod.tracking.state import TrackParams
from pipeline.running import run


def main() -> None:
    """Record once; meeting the same state again costs a fraction of a second."""
    track(load_params(TrackParams, "track"))
    if added := log_new_state(Path()):
        log(f"audit log: {counted(added, 'new entry', 'new entries')}; `aiprod audit checkpoint` signs them for git")


if __name__ == "__main__":
    run(main)
