"""Says which parts of a given model folder are not used, and refuses a folder that means nothing without them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from aiprod.base.opening import read_file
from aiprod.base.progress import log
from aiprod.errors import AiprodError
from aiprod.models.checkpoint.variants import unused_variants

_INDEX = "model_index.json"


def name_unused(whole: Path, part: Path, where: str) -> None:
    """Say what of a given folder of diffusers stays aside.

    Args:
        whole: the folder that was named; ``part`` is what of it is read, the same or a folder in it.
        where: the parameter that names it.

    Raises:
        AiprodError: the transformer is one of two experts, each for a range of noise levels (Wan 2.2): alone it knows
            half of what it would be asked.
    """
    index = _index(whole) if part != whole else {}
    around = index or _index(part.parent)
    other = "transformer" if part.name == "transformer_2" else "transformer_2"
    ratio = around.get("boundary_ratio")
    twin = part.parent / other
    if part.name in ("transformer", "transformer_2") and (
        isinstance(ratio, int | float) or _named(around.get(other)) or (twin / "config.json").is_file()
    ):
        bound = f"boundary_ratio {ratio:g}" if isinstance(ratio, int | float) else f"{other} beside {part.name}"
        raise AiprodError(
            f"{where}: {part} is one of two experts, each for its range of noise levels ({bound}), and alone it knows"
            " a part of them",
            "give the whole folder with both, a checkpoint of a single transformer, such as Wan 2.1, or copy one expert"
            " into a folder of its own to train it for all levels",
        )
    parts = sorted(name for name, value in index.items() if _named(value) and (whole / name).is_dir())
    beside = [name for name in parts if name != part.name]
    if beside:
        log(f"  {where}: the {part.name} of {whole} is used; not used here: {', '.join(beside)}")
    if files := unused_variants(part):
        log(f"  {where}: not used of {part}: {', '.join(files)}")


def _index(folder: Path) -> dict[str, Any]:
    try:
        index = json.loads(read_file(folder / _INDEX))
    except (OSError, ValueError, RecursionError):
        return {}
    return index if isinstance(index, dict) else {}


def _named(value: Any) -> bool:
    """Whether an entry of the index names a class; absent parts stand there as nulls."""
    return isinstance(value, list) and len(value) == 2 and value[1] is not None
