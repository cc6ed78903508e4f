"""Checkpoint folders on disk: ``config.json``, safetensors (one file or shards) and ``digest.json``.

Everything is written into a temporary folder and renamed, and everything that is read is checked first.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from aiprod.base.files import atomic_folder
from aiprod.errors import AiprodError, CheckpointError, CoreError
from aiprod.models.checkpoint.header import refuse_pickle
from aiprod.models.checkpoint.json_files import read_json_file
from aiprod.models.checkpoint.variants import refuse_unusual, some_of

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
_THEIR_INDEX = "diffusion_pytorch_model.safetensors.index.json"
DIGEST = "digest.json"
CLASS_KEY = "_class_name"
FORMAT_KEY = "_format"
FORMAT = "aiprod/1"

_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")
_NAME_MAX = 255  # bytes of a file's name that Linux takes
_RESTORE = "restore it with `dvc checkout`, or save it again"


@dataclass(frozen=True)
class CheckpointFiles:
    """A checkpoint folder whose files were found, and checked against its digest where it has one.

    Attributes:
        folder: where it lies.
        class_name: what kind of model it holds.
        config: the model's own configuration, without the loader's keys.
        digest: SHA-256 (hex) over the names and contents of its files; equal for equal content, wherever it lies.
        shards: weight files, in order.
    """

    folder: Path
    class_name: str
    config: dict[str, Any]
    digest: str
    shards: tuple[Path, ...]

    def tensors(self, device: str | torch.device = "cpu") -> dict[str, Tensor]:
        """Every tensor of every shard.

        Raises:
            CheckpointError: a shard is damaged, or is not a safetensors file, or two shards hold one key.
        """
        merged: dict[str, Tensor] = {}
        for shard in self.shards:
            part = read_safetensors(shard, device)
            twice = sorted(set(part) & set(merged))
            if twice:
                raise CheckpointError(f"{shard} repeats {some_of(twice)}", _RESTORE)
            merged.update(part)
        return merged


def save_checkpoint(
    folder: Path | str,
    config: Mapping[str, Any],
    state_dict: Mapping[str, Tensor],
    class_name: str,
    *,
    max_shard_bytes: int = 5 * 1000**3,
    weights_name: str = WEIGHTS,
    beside: Callable[[Path], None] | None = None,
) -> str:
    """Write a checkpoint folder, whole or not at all, and return its digest.

    Args:
        folder: replaced if it is a checkpoint already.
        config: JSON values that ``from_pretrained`` builds the model from.
        state_dict: name → tensor, any device; stored contiguous, shared memory stored once per name.
        class_name: the registered name of the model class.
        max_shard_bytes: weights beyond this size are split over several files with an index.
        weights_name: of the weight file, for formats of other programs; it is not split then.
        beside: writes further files into the folder, which its digest covers.

    Raises:
        CheckpointError: ``folder`` holds something that is not a checkpoint, or cannot be written.
        AiprodError: the disk is full.
    """
    target = Path(folder)
    if target.exists() and any(target.iterdir()) and not (target / CONFIG).is_file():
        raise CheckpointError(f"{target} holds files other than a checkpoint", "choose an empty folder")
    try:
        with atomic_folder(target) as temporary:
            _write_json(temporary / CONFIG, {**config, CLASS_KEY: class_name, FORMAT_KEY: FORMAT})
            _write_shards(temporary, state_dict, max_shard_bytes)
            if weights_name != WEIGHTS:
                (temporary / WEIGHTS).rename(temporary / weights_name)
            if beside is not None:
                beside(temporary)
            digest = write_digest(temporary)
            for file in temporary.iterdir():
                file.chmod(0o644)  # safetensors writes for the owner alone
    except OSError as error:
        raise CheckpointError(f"{target} could not be written ({error.strerror})", "fix its permissions") from None
    return digest


def open_checkpoint(
    folder: Path | str, class_name: str | None = None, *, require_digest: bool = True
) -> CheckpointFiles:
    """Find and check a checkpoint folder; tensors are not read yet.

    Args:
        class_name: the kind of model that is wanted; None accepts any.
        require_digest: refuse a folder without ``digest.json``; False takes folders of other programs too.

    Raises:
        CheckpointError: missing, damaged, of another kind, or holding pickles instead of safetensors.
    """
    root = Path(folder)
    if not root.is_dir():
        raise CheckpointError(f"{root} is not a checkpoint folder", "give the folder that holds config.json")
    config = read_json_file(root / CONFIG, _RESTORE)
    if not isinstance(config, dict):
        raise CheckpointError(f"{root / CONFIG} is not a JSON object", _RESTORE)
    refuse_unusual(root)
    shards = _find_shards(root)
    kind = config.pop(CLASS_KEY, None)
    config.pop(FORMAT_KEY, None)
    if class_name is not None and kind != class_name:
        raise CheckpointError(
            f"{root} holds a {kind or 'model of unknown kind'}, not a {class_name}",
            f"give a folder that a {class_name} was saved to",
        )
    return CheckpointFiles(root, str(kind), config, _check_digest(root, require_digest), shards)


@contextlib.contextmanager
def building(folder: Path | str) -> Iterator[None]:
    """Where a model is built from what :func:`open_checkpoint` read: what does not fit says so in words.

    Raises:
        AiprodError: the folder is missing, damaged or of another kind, or its weights do not fit its configuration.
    """
    try:
        yield
    except CoreError as error:
        raise AiprodError(error.what, error.hint) from None
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise AiprodError(
            f"{folder} does not fit its own configuration ({type(error).__name__})", "restore it"
        ) from None


def read_safetensors(path: Path | str, device: str | torch.device = "cpu") -> dict[str, Tensor]:
    """Tensors of one safetensors file, by name, each of the size that is stored.

    Raises:
        CheckpointError: missing, truncated, a pickle under a false name, or anything else but a safetensors file.
    """
    path = Path(path)
    try:
        with open(path, "rb") as file:
            start = file.read(9)
        refuse_pickle(path, start)
        return load_file(path, device=str(device))
    except FileNotFoundError:
        raise CheckpointError(f"{path} does not exist", _RESTORE) from None
    except (SafetensorError, ValueError, OSError) as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(f"{path} is damaged or not a safetensors file ({error})", _RESTORE) from None


def _write_shards(folder: Path, state_dict: Mapping[str, Tensor], limit: int) -> None:
    """Split by size in key order; one file keeps the plain name."""
    groups: list[dict[str, Tensor]] = [{}]
    size = 0
    for name in sorted(state_dict):
        tensor = state_dict[name].detach().cpu().contiguous().clone()
        if groups[-1] and size + tensor.nbytes > limit:
            groups.append({})
            size = 0
        groups[-1][name] = tensor
        size += tensor.nbytes
    if len(groups) == 1:
        save_file(groups[0], folder / WEIGHTS, metadata={"format": "pt"})
        return
    weight_map: dict[str, str] = {}
    for number, group in enumerate(groups, start=1):
        name = f"model-{number:05d}-of-{len(groups):05d}.safetensors"
        save_file(group, folder / name, metadata={"format": "pt"})
        weight_map.update(dict.fromkeys(group, name))
    total = sum(tensor.nbytes for group in groups for tensor in group.values())
    _write_json(folder / INDEX, {"metadata": {"total_size": total}, "weight_map": weight_map})


def _find_shards(root: Path) -> tuple[Path, ...]:
    indexed = next((root / name for name in (INDEX, _THEIR_INDEX) if (root / name).is_file()), None)
    if indexed is not None:
        index = read_json_file(indexed, _RESTORE)
        listed = index.get("weight_map") if isinstance(index, dict) else None
        names = sorted({str(name) for name in listed.values()}) if isinstance(listed, dict) else []
        outside = [
            name for name in names if Path(name).name != name or len(name.encode("utf-8", "surrogatepass")) > _NAME_MAX
        ]
        if outside or not names:
            raise CheckpointError(f"{indexed} names no files next to it", _RESTORE)
        shards = tuple(root / name for name in names)
    else:
        known = ("diffusion_pytorch_model.safetensors",)
        shards = (next((root / name for name in known if (root / name).is_file()), root / WEIGHTS),)
    absent = [shard.name for shard in shards if not shard.is_file()]
    if absent:
        pickles = sorted(p.name for p in root.iterdir() if p.suffix in _PICKLES)
        if pickles:
            raise CheckpointError(
                f"{root} holds weights as pickles ({some_of(pickles)}), and pickles can run code",
                "convert them to safetensors where you trust them",
            )
        raise CheckpointError(f"{root} lacks {some_of(absent)}", _RESTORE)
    return shards


def _bytes(name: str) -> int:
    return len(name.encode("utf-8", "surrogatepass"))


def _file_digests(root: Path) -> dict[str, str]:
    names = sorted(p.name for p in root.iterdir() if p.is_file() and p.name != DIGEST and not p.name.startswith("."))
    digests = {}
    for name in names:
        with open(root / name, "rb") as file:
            digests[name] = hashlib.file_digest(file, "sha256").hexdigest()
    return digests


def folder_digest(root: Path | str) -> str:
    """SHA-256 (hex) over the names and contents of a checkpoint's files, ``digest.json`` left out."""
    return _combine(_file_digests(Path(root)))


def _combine(files: Mapping[str, str]) -> str:
    return hashlib.sha256(json.dumps(dict(files), sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def write_digest(root: Path | str) -> str:
    """Write ``digest.json`` over the files that are in ``root`` now, not in folders below it; return the digest."""
    root = Path(root)
    files = _file_digests(root)
    digest = _combine(files)
    _write_json(root / DIGEST, {"algorithm": "sha256", "digest": digest, "files": files})
    return digest


def check_folder(root: Path | str, *, require_digest: bool = False) -> str:
    """Check a folder of any program against its ``digest.json``, where it has one; the digest of its files.

    Raises:
        CheckpointError: changed since it was saved, or no digest where one is required.
    """
    return _check_digest(Path(root), require_digest)


def _check_digest(root: Path, required: bool) -> str:
    files = _file_digests(root)
    if not (root / DIGEST).is_file():
        if required:
            raise CheckpointError(f"{root} has no {DIGEST}, so its bytes cannot be checked", _RESTORE)
        return _combine(files)
    recorded = read_json_file(root / DIGEST, _RESTORE)
    expected = recorded.get("files", {}) if isinstance(recorded, dict) else {}
    changed = sorted(name for name in set(files) | set(expected) if files.get(name) != expected.get(name))
    if changed:
        raise CheckpointError(
            f"{root}: {some_of(changed)} changed since it was saved (digest does not match)", _RESTORE
        )
    if recorded.get("digest") != _combine(files):
        raise CheckpointError(f"{root / DIGEST} contradicts itself", _RESTORE)
    return _combine(files)


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n", encoding="utf-8")
