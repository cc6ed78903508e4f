"""Stage ``track``: puts the present state of the pipeline into MLflow and into the audit log. It has no outputs."""

from __future__ import annotations

from aiprod.base.params import load_params
from aiprod.base.stage import run
from aiprod.tracking.record import TrackParams, track


def main() -> None:
    """Record once; meeting the same state again costs a second."""
    track(load_params(TrackParams, "track"))


if __name__ == "__main__":
    run(main)
