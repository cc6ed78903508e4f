"""The models in a published checkpoint, each as the class of diffusers that runs it, checked to the last name."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from aiprod.errors import CheckpointError
from aiprod.models.checkpoint.header import StoredTensor
from aiprod.models.checkpoint.variants import some_of
from aiprod.models.published.weights import Weights

_NOT_READ = "only what is understood whole is read: see the table in docs/public_checkpoints.md"
_OF_LTX2 = ("LTX2TextConnectors", "LTX2Vocoder", "LTX2VocoderWithBWE")


@dataclass(frozen=True)
class Part:
    """One model of a pipeline.

    Attributes:
        name: of its folder in diffusers' format.
        class_name: of diffusers, or of transformers for a text encoder.
        config: what that class is made from.
        weights: where its tensors lie.
        keys: name in that class → published name.
        unknown: published names that belong to it and have no place in the class.
    """

    name: str
    class_name: str
    config: Mapping[str, Any]
    weights: Weights
    keys: Mapping[str, str]
    unknown: tuple[str, ...] = field(default=())

    def stored(self) -> dict[str, StoredTensor]:
        """What the headers say of its tensors."""
        return {name: self.weights.tensors[key] for name, key in self.keys.items()}

    def tensor(self, name: str) -> Tensor:
        """One of its tensors."""
        return self.weights.tensor(self.keys[name])

    def problem(self) -> CheckpointError | None:
        """Why it is not read, or None: its names and shapes are exactly those of the class."""
        try:
            self.check()
        except CheckpointError as error:
            return error
        return None

    def check(self) -> None:
        """Compare names and shapes with the class; an automatic class of transformers checks its names as it loads.

        Raises:
            CheckpointError: the class cannot be made, or tensors are unknown, missing or of another shape.
        """
        if self.class_name.startswith("Auto"):
            return
        wanted = self._wanted()
        unknown = sorted({*self.unknown, *(self.keys[n] for n in self.keys if n not in wanted)})
        missing = sorted(set(wanted) - set(self.keys))
        shapes = sorted(
            f"{self.keys[n]} (stored {list(about.shape)}, expected {list(wanted[n])})"
            for n, about in self.stored().items()
            if n in wanted and about.shape != wanted[n]
        )
        kinds = (("not known:", unknown), ("missing:", missing), ("of another shape:", shapes))
        wrong = [f"{label} {some_of(names)}" for label, names in kinds if names]
        if wrong:
            what = f"{self.weights.where}: the {self.name} does not fit {self.class_name}; tensors {'; '.join(wrong)}"
            raise CheckpointError(what, _NOT_READ)

    def _wanted(self) -> dict[str, tuple[int, ...]]:
        try:
            with torch.device("meta"):
                model = make(self.class_name, dict(self.config))
        except Exception as error:  # the classes raise many kinds
            first = (str(error).strip().splitlines() or [type(error).__name__])[0]
            what = f"{self.weights.where} does not describe a {self.class_name} ({first[:200]})"
            raise CheckpointError(what, _NOT_READ) from None
        shapes = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
        tied = getattr(model, "_tied_weights_keys", None) or ()
        return {name: shape for name, shape in shapes.items() if name not in tied or name in self.keys}


def make(class_name: str, config: dict[str, Any]) -> Any:
    """A model of diffusers or transformers from its configuration."""
    if "model_type" in config:
        return _text_model(class_name, config)
    import diffusers
    from diffusers.pipelines import ltx2

    return getattr(ltx2 if class_name in _OF_LTX2 else diffusers, class_name).from_config(config)


def _text_model(class_name: str, config: dict[str, Any]) -> Any:
    import transformers

    return getattr(transformers, class_name)(transformers.AutoConfig.for_model(**config))


@functools.cache
def library_of(class_name: str) -> str:
    """Where a pipeline's index says that a class comes from."""
    if class_name in _OF_LTX2:
        return "ltx2"
    import diffusers

    return "diffusers" if hasattr(diffusers, class_name) else "transformers"
