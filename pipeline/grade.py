"""Stage grade: decide the grade of each shot of the film, and show in scopes what it does."""

from __future__ import annotations

from pathlib import Path

from aiprod.base.files import atomic_folder
from aiprod.base.progress import log
from aiprod.base.stage import Counters, record_counters
from aiprod.errors import AiprodError, is_disk_full
from aiprod.film.edit import SEEN, refuse, refused_before
from aiprod.film.looks import grade
from pipeline.running import run

PICTURES, OUT = Path("reports/montage/pictures"), Path("reports/grade")


def main() -> None:
    """Grade the edit's pictures; where there is none, or it cannot be graded, the reasons are the output."""
    counts = Counters()
    with atomic_folder(OUT) as folder:
        try:
            if not refused_before(PICTURES, folder):
                edit = grade(PICTURES / SEEN, folder)
                counts = Counters(sum(clip.grade is not None for clip in edit.shots))
        except AiprodError as error:
            if is_disk_full(error):
                raise
            refuse(folder, "", error)
            counts = Counters(failed=1)
            log(f"grade: {error}")
    record_counters("grade", counts)


if __name__ == "__main__":
    run(main)
