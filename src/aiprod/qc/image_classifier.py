"""An image classifier of the transformers format, given by folder or pinned name: stills in, a share a label out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from aiprod.base.checkpoint_identity import pinned
from aiprod.base.files import digest_of
from aiprod.errors import AiprodError, words_of
from aiprod.qc.measure_params import NsfwParams

_LABELS_MAX = 64  # a classifier of content has a few; one of things has a thousand and cannot serve
_DIGITS = 4  # what the order of additions changes on another processor is below


@dataclass(frozen=True)
class Classifier:
    """A loaded checkpoint.

    Attributes:
        labels: as its configuration names them, in the order of its outputs.
        several: whether each label has a probability of its own; else they sum to 1.
        kind: its architecture.
        version: digest of its bytes, or of its name and commit.
    """

    labels: tuple[str, ...]
    several: bool
    kind: str
    version: str
    processor: Any
    model: Any

    def probabilities(self, pictures: Sequence[np.ndarray]) -> list[list[float]]:
        """For each RGB picture [h, w, 3] a probability for each label.

        Raises:
            AiprodError: the checkpoint cannot work on these pictures.
        """
        import torch

        torch.set_num_threads(1)  # the engine runs clips side by side
        try:
            inputs = self.processor(images=list(pictures), return_tensors="pt")
            with torch.inference_mode():
                logits = self.model(**inputs).logits.float()
        except MemoryError:
            raise
        except Exception as error:  # anybody's processor and model, on pictures of any shape
            problem = f"{type(error).__name__}: {words_of(error)}"
            raise AiprodError(f"the classifier for unsafe content failed on it ({problem})", "try another") from None
        shares = logits.sigmoid() if self.several else logits.softmax(-1)
        return [[round(float(value), _DIGITS) for value in row] for row in shares]


@lru_cache(maxsize=1)
def load_classifier(params: NsfwParams) -> Classifier:
    """The checkpoint that ``params`` names, kept for the process.

    Raises:
        AiprodError: it is not pinned, does not load, or tells too many things apart.
    """
    version = digest_of(pinned(params.checkpoint, params.revision, "qc_measure.nsfw"))[:16]
    from transformers import AutoImageProcessor, AutoModelForImageClassification

    options: dict[str, Any] = {"local_files_only": True}
    if params.revision:
        options["revision"] = params.revision
    try:
        processor = AutoImageProcessor.from_pretrained(params.checkpoint, **options)
        model = AutoModelForImageClassification.from_pretrained(
            params.checkpoint, use_safetensors=True, dtype="float32", **options
        ).eval()
    except Exception as error:  # transformers and safetensors raise many kinds
        raise AiprodError(
            f"the checkpoint {params.checkpoint} does not load as an image classifier ({words_of(error)})",
            "give a folder with config.json, preprocessor_config.json and model.safetensors",
        ) from None
    config = model.config
    labels = tuple(str(config.id2label[index]) for index in range(config.num_labels))
    if len(labels) > _LABELS_MAX:
        raise AiprodError(
            f"the checkpoint {params.checkpoint} has {len(labels)} labels, at most {_LABELS_MAX} are expected",
            "name a classifier of unsafe content, not one of things",
        )
    several = config.problem_type == "multi_label_classification"
    return Classifier(labels, several, str(config.model_type), version, processor, model)
