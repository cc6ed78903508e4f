"""Stage film: render the graded edit with its mix, or say why it cannot be delivered."""

from __future__ import annotations

from pathlib import Path

from aiprod.base.code_identity import code_digest
from aiprod.base.files import atomic_folder, digest_of, write_json
from aiprod.base.metrics import write_headline
from aiprod.base.progress import log
from aiprod.base.stage import Counters, record_counters
from aiprod.base.state import state
from aiprod.errors import AiprodError, is_disk_full
from aiprod.film.edit import refuse, refused_before
from aiprod.film.finish import context, finish_edit
from aiprod.film.targets import measure_film
from aiprod.montage.timecode import parse_rate
from aiprod.storage.result_cache import Memo
from pipeline.running import run

MONTAGE, GRADE, OUT = Path("reports/montage"), Path("reports/grade"), Path("reports/film")


def main() -> None:
    """Make the film; where it is refused, the reasons are the output, and the run goes on."""
    counts, seconds = Counters(), 0.0
    with atomic_folder(OUT) as folder:
        try:
            if not (refused_before(MONTAGE, folder) or refused_before(GRADE, folder)):
                memo = Memo(state().memo("film"), digest_of([context(), code_digest("film")]))
                film = finish_edit(MONTAGE, GRADE, folder, memo)
                figures, notes = measure_film(film.path, Path.cwd())
                targets = {"figures": list(map(vars, figures)), "notes": notes}
                write_json(film.path.with_suffix(".targets.json"), targets)
                missed = [each.name for each in figures if each.holds is False]
                named = f"{film.path.stem}.targets.json, missed: {', '.join(missed) or 'none'}"
                log(f"film: {len(figures)} figures in {named}")
                counts = Counters(film.rendered, film.reused, 0)
                seconds = float(film.record["frames"] / parse_rate(film.record["rate"]))
        except AiprodError as error:
            if is_disk_full(error):
                raise
            refuse(folder, "", error)
            counts = Counters(failed=1)
            log(f"film: {error}")
    write_headline("film", {"film_s": seconds})
    record_counters("film", counts)


if __name__ == "__main__":
    run(main)
