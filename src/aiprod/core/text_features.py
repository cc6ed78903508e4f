"""The output of a text encoder."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Bool, Float
from torch import Tensor


@dataclass(frozen=True)
class TextFeatures:
    """What the transformer is told of a text.

    Attributes:
        hidden: ``[B, T, D]``; padding is zero. A Gemma's vectors have a root mean square of 1 each, those of other
            encoders are as the encoder gives them.
        mask: ``[B, T]``; True = a token, False = padding. Texts are padded on the right.
    """

    hidden: Float[Tensor, "b t d"]
    mask: Bool[Tensor, "b t"]
