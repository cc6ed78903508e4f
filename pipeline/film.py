"""Stage film: make the film of a script, or say why it cannot be delivered."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from aiprod.base.code_identity import code_digest
from aiprod.base.files import atomic_folder, digest_of, write_json
from aiprod.base.metrics import write_headline
from aiprod.base.params import load_params, validate
from aiprod.base.progress import log
from aiprod.base.stage import Counters, record_counters
from aiprod.base.state import state
from aiprod.base.yaml_file import read_yaml
from aiprod.errors import AiprodError, is_disk_full
from aiprod.film.make_film import FilmParams, FinishedFilm, context, make_film
from aiprod.film.targets import measure_film
from aiprod.montage.timecode import parse_rate
from aiprod.storage.result_cache import Memo
from pipeline.running import run

if TYPE_CHECKING:
    from aiprod.inference.params import GenerationParams

OUT, SCRIPTS = Path("reports/film"), Path("datasets/films")


def _settings() -> GenerationParams:
    """How the stage ``sample`` generates, too; asked where a script has prompts, which alone need PyTorch."""
    from aiprod.inference.params import GenerationParams
    from aiprod.trainer.loop.threads import use_threads

    sample = read_yaml("params.yaml")["sample"]
    use_threads(int(sample.get("threads") or 0))
    return validate(GenerationParams, sample.get("generation") or {}, "params.yaml: sample.generation")


def main() -> None:
    """Make the film; where it is refused, the reasons are the output, and the run goes on."""
    params = load_params(FilmParams, "film")
    finished: FinishedFilm | None = None
    with atomic_folder(OUT) as folder:
        if not params.script:
            write_json(folder / "refused.json", {"reasons": ["film.script names no script"]})
            log("film: film.script names no script, so no film is made")
        else:
            memo = Memo(state().memo("film"), digest_of([context(), code_digest("film")]))
            try:
                out = folder / f"film{params.suffix()}"
                finished = make_film(Path(params.script), out, _settings, memo, personal=False, below=SCRIPTS)
                figures, notes = measure_film(out, Path.cwd())
                write_json(out.with_suffix(".targets.json"), {"figures": list(map(vars, figures)), "notes": notes})
                missed = [each.name for each in figures if each.holds is False]
                log(f"film: {len(figures)} figures in {out.stem}.targets.json, missed: {', '.join(missed) or 'none'}")
            except AiprodError as error:
                if is_disk_full(error):
                    raise
                write_json(
                    folder / "refused.json",
                    {"script": params.script, "reasons": getattr(error, "reasons", [error.what]), "hint": error.hint},
                )
                log(f"film: {error}")
    seconds = float(finished.record["frames"] / parse_rate(finished.record["rate"])) if finished is not None else 0.0
    write_headline("film", {"film_s": seconds})
    if finished is not None:
        counts = Counters(finished.rendered + finished.generated + finished.spoken, finished.reused, 0)
    else:
        counts = Counters(failed=int(bool(params.script)))
    record_counters("film", counts)


if __name__ == "__main__":
    run(main)
