"""Complete training checkpoints that appear whole or not at all, and refuse to continue under other settings.

A checkpoint is a folder ``step_00000123`` with tensors (safetensors), optimizer state (read back with
``weights_only=True``), JSON, and ``digests.json`` over all of them, written last. A folder without it, or whose files
do not match it, is not a checkpoint: the one before it is used and the damage is said.
"""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from aiprod.base.file_digests import DIGESTS, compared, write_digests
from aiprod.base.files import atomic_folder, read_json, write_bytes, write_json
from aiprod.base.progress import log
from aiprod.base.structured import read_json_mapping
from aiprod.errors import AiprodError
from aiprod.trainer.loop.levels import Level

_VALUES = "values.json"
_FINISHED = "finished"
_PREFIX = "step_"
PHASES = "phases"  # beside the checkpoints: what was generated at the ends of phases


@dataclass(frozen=True)
class Checkpoint:
    """What was read back. ``tensors`` and ``objects`` and ``values`` are keyed by the names they were saved under."""

    step: int
    tensors: dict[str, dict[str, Tensor]]
    objects: dict[str, Any]
    values: dict[str, Any]


class CheckpointStore:
    """Checkpoints of one training run.

    Args:
        folder: ``state().training(stage, fingerprint)``; runs of the same stage are beside it.
        settings: everything that the run depends on; a checkpoint made under others is refused with the difference.
        keep_last: how many to keep.
        keep_finished: of the finished runs beside it and itself, how many keep their last checkpoint.
    """

    def __init__(
        self, folder: Path, settings: Mapping[str, Any], keep_last: int = 2, *, keep_finished: int = 3
    ) -> None:
        self.folder, self.keep_last, self.keep_finished = Path(folder), max(1, keep_last), max(1, keep_finished)
        self.settings = json.loads(json.dumps(settings))
        self._boundaries: set[int] = set()
        for left_over in self.folder.glob(f".{_PREFIX}*"):  # of a process that was killed while it wrote
            shutil.rmtree(left_over, ignore_errors=True)

    def save(
        self,
        step: int,
        *,
        tensors: Mapping[str, Mapping[str, Tensor]],
        objects: Mapping[str, Any],
        values: Mapping[str, Any],
        keep: Collection[int] = (),
        boundary: bool = False,
    ) -> Path:
        """Write the checkpoint of ``step`` and forget the oldest ones.

        Args:
            keep: steps whose checkpoints stay besides the last ones.
            boundary: a level ends here, so that the checkpoint stays as long as the run.

        Raises:
            AiprodError: the disk is full; earlier checkpoints are untouched.
        """
        target = self.folder / f"{_PREFIX}{step:08d}"
        boundaries = sorted({*self._boundaries, step} if boundary else self._boundaries)
        try:
            with atomic_folder(target) as temporary:
                for name, group in tensors.items():
                    plain = {k: v.detach().cpu().contiguous() for k, v in group.items()}
                    write_bytes(temporary / f"{name}.safetensors", safetensors.torch.save(plain))
                for name, value in objects.items():
                    buffer = io.BytesIO()
                    torch.save(value, buffer)
                    write_bytes(temporary / f"{name}.pt", buffer.getvalue())
                facts = {"step": step, "settings": self.settings, "boundaries": boundaries}
                write_json(temporary / _VALUES, {**facts, **values})
                write_digests(temporary)
        except AiprodError as error:
            latest = self._folders()[-1:]
            kept = f"the checkpoint {latest[0].name} is intact" if latest else "there is no earlier checkpoint"
            raise AiprodError(f"{error.what}; {kept}", error.hint) from None
        self._boundaries = set(boundaries)
        for old in self._folders()[: -self.keep_last]:
            if _step(old) not in keep and _step(old) not in self._boundaries:
                shutil.rmtree(old, ignore_errors=True)
        return target

    def latest(self) -> Checkpoint | None:
        """The newest whole checkpoint, or None.

        Raises:
            AiprodError: it was made with other settings; the message shows the differences.
        """
        for folder in reversed(self._folders()):
            if _whole(folder):
                return self._read(folder)
            log(f"checkpoint {folder.name} is damaged; trying the one before it")
        self._tell_of_others()
        return None

    def adopt(self, levels: Sequence[Level]) -> None:
        """Where this run has no checkpoint, take the furthest of a run beside it that it would have come to itself.

        Args:
            levels: of this run.
        """
        if self._folders():
            return
        candidates: dict[int, tuple[Path, dict[str, Any]]] = {}
        for path in sorted(self.folder.parent.glob(f"*/{_PREFIX}*/{_VALUES}")):
            values = _values_of(path)
            level = values.get("level") or {}
            number = level.get("number", len(levels))
            if number < len(levels) and level.get("digest") == levels[number].digest and _whole(path.parent):
                candidates[int(values["step"])] = path.parent, values
        if not candidates:
            return
        furthest = candidates[max(candidates)][1]
        wanted = {max(candidates), *furthest.get("boundaries", ()), (furthest.get("best") or {}).get("step")}
        for step in sorted(candidates.keys() & wanted):
            self._take(*candidates[step], boundaries=furthest.get("boundaries", []))
        ended = {row["phase"] for row in furthest.get("heldout", ()) if row.get("when") == "end"}
        for phase in sorted(ended):  # what was generated at the ends of these phases
            before = candidates[max(candidates)][0].parent / PHASES / phase
            if before.is_dir():
                shutil.copytree(before, self.folder / PHASES / phase, dirs_exist_ok=True)
        log(f"  an earlier run of the same clips came to step {max(candidates)}")

    def _take(self, source: Path, values: dict[str, Any], *, boundaries: Sequence[int]) -> None:
        with atomic_folder(self.folder / source.name) as temporary:
            for path in source.iterdir():
                if path.name not in (_VALUES, DIGESTS):
                    shutil.copyfile(path, temporary / path.name)
            write_json(temporary / _VALUES, {**values, "settings": self.settings, "boundaries": list(boundaries)})
            write_digests(temporary)

    def at(self, step: int) -> Checkpoint | None:
        """The checkpoint of one step, or None where it is gone or damaged."""
        folder = self.folder / f"{_PREFIX}{step:08d}"
        return self._read(folder) if _whole(folder) else None

    def finish(self) -> None:
        """Say that what the run made is written: its last checkpoint and those between levels stay, and runs that
        finished long ago go."""
        for old in self._folders()[:-1]:
            if _step(old) in self._boundaries:
                continue
            shutil.rmtree(old, ignore_errors=True)
        if self.folder.is_dir():
            (self.folder / _FINISHED).touch()
        marks = sorted(self.folder.parent.glob(f"*/{_FINISHED}"), key=lambda mark: mark.stat().st_mtime_ns)
        for mark in marks[: -self.keep_finished]:
            if mark.parent != self.folder:
                shutil.rmtree(mark.parent, ignore_errors=True)

    def _read(self, folder: Path) -> Checkpoint:
        values = read_json(folder / _VALUES)
        _refuse_difference(values.pop("settings"), self.settings, folder.name)
        step, self._boundaries = int(values.pop("step")), set(values.pop("boundaries", ()))
        tensors = {p.stem: safetensors.torch.load_file(p) for p in sorted(folder.glob("*.safetensors"))}
        objects = {p.stem: torch.load(p, map_location="cpu", weights_only=True) for p in sorted(folder.glob("*.pt"))}
        return Checkpoint(step, tensors, objects, values)

    def _tell_of_others(self) -> None:
        """A start from nothing beside an unfinished run is never silent: say what keeps this one from continuing it."""
        others = [p for p in self.folder.parent.glob(f"*/{_PREFIX}*/{_VALUES}") if p.parents[1] != self.folder]
        open_ones = [p for p in others if not (p.parents[1] / _FINISHED).exists()]
        if not open_ones:
            return
        newest = max(open_ones, key=lambda path: path.stat().st_mtime_ns)
        try:
            old = read_json_mapping(newest)["settings"]
        except (AiprodError, KeyError):
            return
        lines = settings_difference(old, self.settings)
        shown = "; ".join(lines[:4]) + (f" and {len(lines) - 4} more" if len(lines) > 4 else "")
        log(f"  starting from step 0: an unfinished run at {newest.parent.name} has other settings ({shown})")

    def _folders(self) -> list[Path]:
        return sorted(p for p in self.folder.glob(f"{_PREFIX}*") if p.is_dir())


def settings_difference(old: Any, new: Any, path: str = "") -> list[str]:
    """Lines ``key: old → new`` for every leaf that differs between two JSON values."""
    if isinstance(old, dict) and isinstance(new, dict):
        lines: list[str] = []
        for key in sorted({*old, *new}):
            where = f"{path}.{key}" if path else str(key)
            if key not in old or key not in new:
                lines.append(f"{where}: {old.get(key, 'absent')} → {new.get(key, 'absent')}")
            else:
                lines.extend(settings_difference(old[key], new[key], where))
        return lines
    return [] if old == new else [f"{path}: {_short(old)} → {_short(new)}"]


def _values_of(path: Path) -> dict[str, Any]:
    """What a checkpoint says; nothing where it cannot be read."""
    try:
        return dict(read_json_mapping(path))
    except (AiprodError, OSError, ValueError):
        return {}


def _short(value: Any) -> str:
    """A value in a line: digests and long lists are cut."""
    text = str(value)
    return text if len(text) <= 40 else f"{text[:12]}…"


def _step(folder: Path) -> int:
    return int(folder.name.removeprefix(_PREFIX))


def _refuse_difference(old: Any, new: Any, name: str) -> None:
    lines = settings_difference(old, new)
    if lines:
        more = f" and {len(lines) - 6} more" if len(lines) > 6 else ""
        raise AiprodError(
            f"checkpoint {name} was made with other settings: {'; '.join(lines[:6])}{more}",
            "restore the settings, or delete the checkpoint folder to train from the start",
        )


def _whole(folder: Path) -> bool:
    try:
        files = list(compared(folder))
        return bool(files) and all(right for _, right in files)
    except (OSError, AiprodError, ValueError):
        return False
