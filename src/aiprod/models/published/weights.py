"""Published weights as they lie: one safetensors file, or shards with an index; read one tensor at a time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor

from aiprod.errors import CheckpointError
from aiprod.models.checkpoint.header import StoredTensor, read_header
from aiprod.models.checkpoint.json_files import read_json_object
from aiprod.models.checkpoint.variants import some_of
from aiprod.models.published.fp8 import EIGHT_BIT, Scales, find_scales

_INDEX = ".safetensors.index.json"
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")


@dataclass(frozen=True)
class Weights:
    """Tensors of one model or several, by their published names.

    Attributes:
        where: what the user named.
        tensors: what the headers say; factors of fp8 weights are not among them.
        metadata: free texts of the headers.
        scales: the factors of fp8 weights, which :meth:`tensor` multiplies in.
    """

    where: Path
    tensors: Mapping[str, StoredTensor]
    metadata: Mapping[str, str]
    scales: Scales
    _files: Mapping[str, Path] = field(repr=False)
    _opened: dict[Path, Any] = field(default_factory=dict, repr=False)

    def tensor(self, name: str) -> Tensor:
        """One tensor; fp8 comes as bf16, multiplied by its factor.

        Raises:
            CheckpointError: the file changed since it was opened.
        """
        value = self.raw(name)
        if value.dtype in EIGHT_BIT:
            factor = self.scales.factors.get(name)
            return value.bfloat16() if factor is None else self.scales.apply(value, self.raw(factor))
        return value

    def raw(self, name: str) -> Tensor:
        """One tensor as it is stored.

        Raises:
            CheckpointError: the file changed since it was opened.
        """
        path = self._files[name]
        try:
            if path not in self._opened:
                self._opened[path] = safe_open(path, framework="pt")
            value: Tensor = self._opened[path].get_tensor(name)
        except (SafetensorError, OSError) as error:
            raise CheckpointError(f"{path} cannot be read any more ({error})", "run the command again") from None
        return value


def open_weights(path: Path | str) -> Weights:
    """Open a safetensors file, an index of shards, or a folder that holds either.

    Raises:
        CheckpointError: missing, damaged, a pickle, several unrelated files, or quantised in a way that is not read.
    """
    path = Path(path)
    files = _files_of(path)
    tensors: dict[str, StoredTensor] = {}
    metadata: dict[str, str] = {}
    places: dict[str, Path] = {}
    for file in files:
        header = read_header(file)
        twice = sorted(set(header.tensors) & set(tensors))
        if twice:
            raise CheckpointError(f"{file} repeats {some_of(twice)}", "download it again")
        tensors.update(header.tensors)
        metadata.update(header.metadata)
        places.update(dict.fromkeys(header.tensors, file))
    if not tensors:
        raise CheckpointError(f"{path} holds no tensors", "give a checkpoint")
    scales = find_scales(path, tensors)
    seen = {name: about for name, about in tensors.items() if name not in scales.hidden}
    return Weights(path, seen, metadata, scales, places)


def _files_of(path: Path) -> tuple[Path, ...]:
    if path.is_dir():
        return _files_in(path)
    if path.name.endswith(_INDEX):
        return _shards(path)
    if path.suffix in _PICKLES:
        raise CheckpointError(
            f"{path} is a pickle, and pickles can run code", "give the same weights as safetensors, or convert them"
        )
    if path.suffix in (".gguf", ".ggml"):
        raise CheckpointError(f"{path} holds quantised weights", "give the same model as safetensors")
    return (path,)


def _files_in(folder: Path) -> tuple[Path, ...]:
    indexes = sorted(folder.glob(f"*{_INDEX}"))
    found = sorted(p for p in folder.glob("*.safetensors") if not p.name.startswith("."))
    if len(indexes) == 1:
        return _shards(indexes[0])
    if not indexes and len(found) == 1:
        return (found[0],)
    pickles = sorted(p.name for p in folder.iterdir() if p.suffix in _PICKLES)
    if not found and pickles:
        raise CheckpointError(
            f"{folder} holds weights as pickles ({some_of(pickles)}), and pickles can run code",
            "give the same weights as safetensors, or convert them where you trust them",
        )
    if not found:
        raise CheckpointError(f"{folder} holds no safetensors file", "give a file, or the folder of a checkpoint")
    raise CheckpointError(f"{folder} holds {some_of(p.name for p in found)}", "name one of them")


def _shards(index: Path) -> tuple[Path, ...]:
    listed = read_json_object(index).get("weight_map")
    names = _texts(listed.values()) if isinstance(listed, dict) else None
    if not names or any(Path(name).name != name for name in names):
        raise CheckpointError(f"{index} names no files next to it", "download it again")
    shards = tuple(index.parent / name for name in sorted(set(names)))
    absent = [shard.name for shard in shards if not shard.is_file()]
    if absent:
        raise CheckpointError(f"{index.parent} lacks {some_of(absent)}", "download them too")
    assert isinstance(listed, dict)
    stored = {name for shard in shards for name in read_header(shard).tensors}
    wrong = sorted(stored ^ set(listed))
    if wrong:
        raise CheckpointError(f"{index} and its shards name different tensors: {some_of(wrong)}", "download them again")
    return shards


def _texts(values: Iterable[object]) -> list[str] | None:
    found = list(values)
    return [v for v in found if isinstance(v, str)] if all(isinstance(v, str) for v in found) else None
