"""Stage montage: make the shots, lines and titles of a film's script, put them in their places, and mix the sound."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from aiprod.base.code_identity import code_digest
from aiprod.base.files import atomic_folder, digest_of
from aiprod.base.params import load_params, validate
from aiprod.base.progress import log
from aiprod.base.stage import Counters, record_counters
from aiprod.base.state import state
from aiprod.base.yaml_file import read_yaml
from aiprod.errors import AiprodError, is_disk_full
from aiprod.film.assemble import context, montage
from aiprod.film.edit import PICTURES, refuse
from aiprod.film.params import FilmParams
from aiprod.storage.result_cache import Memo
from pipeline.running import run

if TYPE_CHECKING:
    from aiprod.inference.params import GenerationParams

OUT, SCRIPTS = Path("reports/montage"), Path("datasets/films")


def _settings() -> GenerationParams:
    """How the stage ``sample`` generates, too; asked where a script has prompts, which alone need PyTorch."""
    from aiprod.inference.params import GenerationParams
    from aiprod.trainer.loop.threads import use_threads

    sample = read_yaml("params.yaml")["sample"]
    use_threads(int(sample.get("threads") or 0))
    return validate(GenerationParams, sample.get("generation") or {}, "params.yaml: sample.generation")


def main() -> None:
    """Make the edit; where there can be none, the reasons are the output, and the run goes on."""
    params = load_params(FilmParams, "film")
    counts = Counters(failed=int(bool(params.script)))
    with atomic_folder(OUT) as folder:
        try:
            if not params.script:
                raise AiprodError("film.script names no script")
            memo = Memo(state().memo("montage"), digest_of([context(), code_digest("montage")]))
            made = montage(Path(params.script), folder, _settings, memo, SCRIPTS)
            now = made.generated + made.spoken
            counts = Counters(now, made.shots + made.lines - now, 0)
        except AiprodError as error:
            if is_disk_full(error):
                raise
            shutil.rmtree(folder)  # what was made until then
            for place in (folder, folder / PICTURES):
                place.mkdir()
                refuse(place, params.script, error)
            log(f"montage: {error}")
    record_counters("montage", counts)


if __name__ == "__main__":
    run(main)
