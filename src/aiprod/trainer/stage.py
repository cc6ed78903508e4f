"""What the stages before diffusion share: what they read, a given model in place of training, what comes out."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

from aiprod.base.files import write_text
from aiprod.base.params import load_params
from aiprod.base.progress import log
from aiprod.base.state import main_repository
from aiprod.captions.rows import CaptionRow
from aiprod.data.rows import ClipRow, FilmRow
from aiprod.errors import AiprodError, CoreError
from aiprod.qc.rows import VerdictRow
from aiprod.storage.crypto.film_encryption import Vault
from aiprod.storage.ledger import write_ledger
from aiprod.storage.manifest.manifest import read_head, read_rows
from aiprod.trainer.loop.exposure import ExposureLedger
from aiprod.trainer.training_set import Selection, TrainClipsParams, TrainingClip, select_clips

TRAINING = "training"  # folder beside the weights that their digest leaves out
EXPOSURE = f"{TRAINING}/exposure.json"


def read_selection(data: Path, *, captions: bool = True, revocable: bool = True) -> tuple[Selection, dict[str, str]]:
    """The clips that section ``train_clips`` admits, and the Merkle roots of the manifests that say so.

    Args:
        data: folder of the data stages, ``datasets/v1``.
        captions: whether the stage reads what is said of a clip; without, new captions leave its result as it is.
        revocable: False for a model that others depend on: without clips that wait for the end of training.

    Raises:
        AiprodError: a manifest is missing or damaged, or no clip is left.
    """
    parts = {"films": "ingest/films", "clips": "ingest/clips", "verdicts": "qc/decide"}
    if captions:
        parts["captions"] = "captions"
    vault, params = Vault(), load_params(TrainClipsParams, "train_clips")
    selection = select_clips(
        read_rows(data / parts["films"], FilmRow, vault),
        read_rows(data / parts["clips"], ClipRow, vault),
        read_rows(data / parts["verdicts"], VerdictRow, vault),
        read_rows(data / parts["captions"], CaptionRow, vault) if captions else (),
        params,
        processed=data / "processed",
    )
    if not revocable:
        selection = selection.without_revocable(params.revocable)
    log(selection.line())
    return selection, {name: read_head(data / part).merkle_root for name, part in parts.items()}


def use_threads(threads: int) -> None:
    """Torch's threads on the CPU; 0 leaves torch's own choice, one a core."""
    if threads:
        torch.set_num_threads(threads)


def init_folder(init: str) -> Path:
    """The folder that ``init`` names, relative to the workspace or to the main repository.

    Raises:
        AiprodError: there is none.
    """
    for path in (Path(init), main_repository() / init):
        if path.is_dir():
            return path
    raise AiprodError(f"init: {init} is not a folder", "give the folder of a saved checkpoint")


def part_of(folder: Path, name: str) -> Path:
    """The folder itself, or the part ``name`` of it where it is a whole pipeline of diffusers."""
    inner = folder / name
    return inner if not (folder / "config.json").is_file() and (inner / "config.json").is_file() else folder


def loaded(load: Callable[[Path], Any], folder: Path) -> Any:
    """``load(folder)``, with the core's error as the package's own."""
    try:
        return load(folder)
    except CoreError as error:
        raise AiprodError(error.what, error.hint) from None


def need_steps(steps: int, init: str | None, section: str) -> None:
    """Refuse a new model that would stay untrained.

    Raises:
        AiprodError: no steps and nothing given.
    """
    if steps == 0 and init is None:
        raise AiprodError(
            f"{section}.trainer.steps is 0 and {section}.init names no checkpoint",
            "set steps above 0, or init to a checkpoint to be used unchanged",
        )


def reasons(selection: Selection, *decoded: Mapping[str, str]) -> dict[str, str]:
    """Why each clip that was not used was left out: by the selection, or later."""
    merged = {clip_id: left.reason for clip_id, left in selection.left_out.items()}
    for more in decoded:
        merged.update(more)
    return merged


def write_model(
    save: Callable[[Path], str],
    folder: Path,
    ledger: ExposureLedger,
    clips: Iterable[TrainingClip],
    left_out: Mapping[str, str],
) -> str:
    """Write the weights, and beside them how often each clip was seen and why others were not; the model's digest.

    Args:
        save: writes the weights into a folder and returns their digest.
    """
    digest = save(folder)
    document = ledger.document(digest, {clip.clip_id: clip.film_id for clip in clips})
    write_ledger(folder / EXPOSURE, {**document, "left_out": dict(sorted(left_out.items()))})
    return digest


def write_curve(path: Path, rows: Iterable[Mapping[str, Any]], first: tuple[str, ...] = ("step", "loss")) -> None:
    """The curve of a training of one phase as CSV, columns ``first`` and then by name; a header alone where nothing was
    trained."""
    rows = [{name: value for name, value in row.items() if name != "phase"} for row in rows]
    names = [*first, *sorted({name for row in rows for name in row} - set(first))]
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n", restval="")
    writer.writeheader()
    for row in rows:
        writer.writerow({k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()})
    write_text(path, text.getvalue())


def rounded(values: Mapping[str, Any]) -> dict[str, Any]:
    """Figures to four decimals, nested."""
    return {
        k: rounded(v) if isinstance(v, Mapping) else round(v, 4) if isinstance(v, float) else v
        for k, v in values.items()
    }
