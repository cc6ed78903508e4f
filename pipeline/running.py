"""How every stage module starts: what is below the audit log and the result cache is connected to both here."""

from __future__ import annotations

from collections.abc import Callable

from aiprod.base import stage
from aiprod.base.denials import log_to
from aiprod.governance.audit.denials import append
from aiprod.storage.leftovers import sweep_all


def run(main: Callable[[], None]) -> None:
    """Run a stage's ``main``: denials go to the audit log, and what killed workers left in the result cache goes."""
    log_to(append)
    stage.run(main, prepare=sweep_all)
