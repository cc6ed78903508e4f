"""What every DVC stage module does round its one call: errors in one line, counters, the code digest."""

from __future__ import annotations

import hashlib
import os
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from aiprod.base.alone import alone, end_with_dvc, name_of_stage
from aiprod.base.files import write_json
from aiprod.base.memo import sweep_all
from aiprod.base.params import read_yaml
from aiprod.base.progress import say
from aiprod.base.state import state, workspace
from aiprod.base.unexpected import end_with


@dataclass
class Counters:
    """What a stage did with its clips: computed now, taken from memo, or failed (which still gives a row)."""

    processed: int = 0
    reused: int = 0
    failed: int = 0

    def __str__(self) -> str:
        return f"processed {self.processed} · reused {self.reused} · failed {self.failed}"


def code_digest(stage: str) -> str:
    """SHA-256 over the code files that dvc.yaml lists as dependencies of ``stage`` (its import closure)."""
    root = workspace()
    stages = (read_yaml(root / "dvc.yaml") or {}).get("stages", {})
    files = sorted(d for d in stages.get(stage, {}).get("deps", []) if str(d).endswith((".py", ".txt")))
    digest = hashlib.sha256()
    for name in files:
        path = root / name
        digest.update(name.encode() + b"\0" + (path.read_bytes() if path.is_file() else b"") + b"\0")
    return digest.hexdigest()


def record_counters(stage: str, counters: Counters, **more: float | str) -> None:
    """Print the counters and keep them in the state folder (they differ between runs, so they are no DVC output)."""
    say(f"{stage}: {counters}")
    write_json(state().counters / f"{stage}.json", {**asdict(counters), **more, "unix_time_s": round(time.time(), 3)})


def run(main: Callable[[], None]) -> None:
    """Run a stage's ``main``, alone in its workspace and no longer than the DVC that started it.

    An error becomes one line on standard error; the exit code says whether the user can mend it (2) or nobody foresaw
    it (70, and its traceback is in the state folder).
    """
    try:
        os.chdir(workspace()) if not Path("dvc.yaml").is_file() else None
        stage = name_of_stage(main.__module__)
        end_with_dvc(stage)
        with alone(stage):
            sweep_all()
            main()
    except KeyboardInterrupt:
        print("stopped; run `dvc repro` to go on", file=sys.stderr)
        raise SystemExit(130) from None
    except Exception as error:
        line, status = end_with(error)
        print(line, file=sys.stderr)
        raise SystemExit(status) from None
