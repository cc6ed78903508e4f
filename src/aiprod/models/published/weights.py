"""Published weights as they lie: one safetensors file, or shards with an index; read one tensor at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor

from aiprod.errors import CheckpointError
from aiprod.models.checkpoint.header import StoredTensor, read_header
from aiprod.models.checkpoint.json_files import read_json_object
from aiprod.models.checkpoint.variants import some_of
from aiprod.models.published.fp8 import EIGHT_BIT, apply_factor, find_factors

_INDEX = ".safetensors.index.json"
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")


Place = tuple[Path, str]
"""The file that a tensor lies in, and its name there."""


@dataclass(frozen=True)
class Weights:
    """Tensors of one model or several, by their published names.

    Attributes:
        where: what the user named.
        tensors: what the headers say; factors of fp8 weights are not among them.
        metadata: free texts of the headers.
        places: where each tensor lies.
        factors: where the factor of an fp8 weight lies, which :meth:`tensor` multiplies in.
    """

    where: Path
    tensors: Mapping[str, StoredTensor]
    metadata: Mapping[str, str]
    places: Mapping[str, Place] = field(repr=False)
    factors: Mapping[str, Place] = field(repr=False)
    _opened: dict[Path, Any] = field(default_factory=dict, repr=False)

    def tensor(self, name: str) -> Tensor:
        """One tensor; fp8 comes as bf16, multiplied by its factor.

        Raises:
            CheckpointError: the file changed since it was opened.
        """
        value = self.raw(name)
        if value.dtype not in EIGHT_BIT:
            return value
        factor = self.factors.get(name)
        return value.bfloat16() if factor is None else apply_factor(value, self._read(*factor))

    def raw(self, name: str) -> Tensor:
        """One tensor as it is stored.

        Raises:
            CheckpointError: the file changed since it was opened.
        """
        return self._read(*self.places[name])

    def renamed(self, new_name: Callable[[str], str | None]) -> Weights:
        """The same tensors by other names; those without one are left out."""
        names = {n: new for n in self.tensors if (new := new_name(n)) is not None}
        return replace(
            self,
            tensors={new: self.tensors[n] for n, new in names.items()},
            places={new: self.places[n] for n, new in names.items()},
            factors={new: self.factors[n] for n, new in names.items() if n in self.factors},
        )

    def _read(self, path: Path, name: str) -> Tensor:
        try:
            if path not in self._opened:
                self._opened[path] = safe_open(path, framework="pt")
            value: Tensor = self._opened[path].get_tensor(name)
        except (SafetensorError, OSError) as error:
            raise CheckpointError(f"{path} cannot be read any more ({error})", "run the command again") from None
        return value


def join(many: Sequence[Weights], metadata: Mapping[str, str]) -> Weights:
    """Several files as if they were one.

    Raises:
        CheckpointError: two of them hold a tensor of one name.
    """
    tensors: dict[str, StoredTensor] = {}
    places: dict[str, Place] = {}
    factors: dict[str, Place] = {}
    for weights in many:
        twice = sorted(set(weights.tensors) & set(tensors))
        if twice:
            other = places[twice[0]][0]
            raise CheckpointError(f"{weights.where} and {other} both hold {some_of(twice)}", "name one of them")
        tensors.update(weights.tensors)
        places.update(weights.places)
        factors.update(weights.factors)
    return Weights(many[0].where, tensors, metadata, places, factors)


def open_weights(path: Path | str) -> Weights:
    """Open a safetensors file, an index of shards, or a folder that holds either.

    Raises:
        CheckpointError: missing, damaged, a pickle, several unrelated files, or quantised in a way that is not read.
    """
    path = Path(path)
    tensors: dict[str, StoredTensor] = {}
    metadata: dict[str, str] = {}
    places: dict[str, Place] = {}
    for file in _files_of(path):
        header = read_header(file)
        twice = sorted(set(header.tensors) & set(tensors))
        if twice:
            raise CheckpointError(f"{file} repeats {some_of(twice)}", "download it again")
        tensors.update(header.tensors)
        metadata.update(header.metadata)
        places.update({name: (file, name) for name in header.tensors})
    if not tensors:
        raise CheckpointError(f"{path} holds no tensors", "give a checkpoint")
    factors, hidden = find_factors(path, tensors)
    seen = {name: about for name, about in tensors.items() if name not in hidden}
    return Weights(path, seen, metadata, places, {base: places[factor] for base, factor in factors.items()})


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
    files = sorted(p for p in folder.glob("*.safetensors") if not p.name.startswith("."))
    if len(indexes) == 1:
        return _shards(indexes[0])
    if not indexes and len(files) == 1:
        return (files[0],)
    pickles = sorted(p.name for p in folder.iterdir() if p.suffix in _PICKLES)
    if not files and pickles:
        raise CheckpointError(
            f"{folder} holds weights as pickles ({some_of(pickles)}), and pickles can run code",
            "give the same weights as safetensors, or convert them where you trust them",
        )
    if not files:
        raise CheckpointError(f"{folder} holds no safetensors file", "give a file, or the folder of a checkpoint")
    raise CheckpointError(f"{folder} holds {some_of(p.name for p in files)}", "name one of them")


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
    items = list(values)
    return [v for v in items if isinstance(v, str)] if all(isinstance(v, str) for v in items) else None
