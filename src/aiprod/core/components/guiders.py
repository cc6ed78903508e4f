"""Guidance: from model outputs with and without a condition to the one that the sampler follows.

Norms and deviations reduce over everything but the batch, at any rank. All arithmetic in fp32. Guidance is linear in
the prediction, so it serves velocities and denoised samples alike; the rescale is meant for denoised samples.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from aiprod.errors import CoreError


@dataclass(frozen=True)
class ClassifierFreeGuider:
    """c + (s − 1)·(c − u) (Ho and Salimans 2022, arXiv:2207.12598).

    Attributes:
        scale: s; 1 switches guidance off.
        rescale: share of the standard deviation of c that is restored (Lin et al. 2023, arXiv:2305.08891).
    """

    scale: float = 3.0
    rescale: float = 0.0

    @property
    def enabled(self) -> bool:
        """False if the unconditional call can be saved."""
        return self.scale != 1.0

    def __call__(self, conditional: Tensor, unconditional: Tensor) -> Tensor:
        """The guided output, in the dtype of ``conditional``."""
        c, u = conditional.float(), unconditional.float()
        return rescale_deviation(c + (self.scale - 1) * (c - u), c, self.rescale).to(conditional.dtype)


@dataclass
class AdaptiveProjectedGuider:
    """CFG whose step is limited in length and freed of its part along c, against oversaturation (APG,
    Sadat et al. 2024, arXiv:2410.02416): d = (c − u + momentum·last d)·min(1, limit/‖d‖), then
    u + s·(d⊥ + eta·d∥) with d∥ the part of d along c.

    Attributes:
        scale: s; 1 with ``eta`` 1 and no limit is the conditional output.
        eta: how much of the parallel part stays.
        norm_limit: largest ‖d‖; 0 = none.
        momentum: of the running difference; negative in the paper. The guider then keeps state: one per run, or
            :meth:`reset` between runs.
        rescale: as in :class:`ClassifierFreeGuider`.
    """

    scale: float = 3.0
    eta: float = 0.0
    norm_limit: float = 0.0
    momentum: float = 0.0
    rescale: float = 0.0
    _running: Tensor | None = field(default=None, repr=False, compare=False)

    @property
    def enabled(self) -> bool:
        """False if the unconditional call can be saved."""
        return self.scale != 1.0

    def reset(self) -> None:
        """Forget the momentum; call it before a new sample."""
        self._running = None

    def __call__(self, conditional: Tensor, unconditional: Tensor) -> Tensor:
        """The guided output, in the dtype of ``conditional``."""
        c, u = conditional.float(), unconditional.float()
        difference = c - u
        if self.momentum:
            if self._running is not None:
                difference = difference + self.momentum * self._running
            self._running = difference
        if self.norm_limit > 0:
            difference = difference * (self.norm_limit / norm(difference).clamp(min=1e-12)).clamp(max=1)
        along = project(difference, c)
        guided = u + self.scale * (difference - along + self.eta * along)
        return rescale_deviation(guided, c, self.rescale).to(conditional.dtype)


@dataclass(frozen=True)
class MultiModalGuider:
    """Three guidances of one stream: away from no text, from a perturbed model, and from a model that does not hear
    or see the other stream; then the deviation is restored.

    g = c + (s − 1)·(c − text-free) + p·(c − perturbed) + (m − 1)·(c − isolated)

    Attributes:
        scale: s of the text; 1 = off.
        perturbed: p, spatio-temporal guidance (Hyung et al. 2024, arXiv:2411.18664); 0 = off.
        modality: m; 1 = off.
        rescale: as in :class:`ClassifierFreeGuider`.
    """

    scale: float = 3.0
    perturbed: float = 0.0
    modality: float = 1.0
    rescale: float = 0.0

    @property
    def enabled(self) -> bool:
        """Whether any guidance is on."""
        return self.needs_unconditional or self.needs_perturbed or self.needs_isolated

    @property
    def needs_unconditional(self) -> bool:
        """Whether the call without text is needed."""
        return self.scale != 1.0

    @property
    def needs_perturbed(self) -> bool:
        """Whether the call with self-attention skipped is needed."""
        return self.perturbed != 0.0

    @property
    def needs_isolated(self) -> bool:
        """Whether the call without the other stream is needed."""
        return self.modality != 1.0

    def __call__(
        self,
        conditional: Tensor,
        unconditional: Tensor | None = None,
        perturbed: Tensor | None = None,
        isolated: Tensor | None = None,
    ) -> Tensor:
        """The guided output, in the dtype of ``conditional``.

        Raises:
            CoreError: the output of a guidance that is on is missing.
        """
        c = conditional.float()
        guided = c
        terms = {
            "unconditional": (self.scale - 1, unconditional),
            "perturbed": (self.perturbed, perturbed),
            "isolated": (self.modality - 1, isolated),
        }
        for name, (weight, other) in terms.items():
            if not weight:
                continue
            if other is None:
                raise CoreError(f"this guidance needs the {name} output", "call the model for it or switch it off")
            guided = guided + weight * (c - other.float())
        return rescale_deviation(guided, c, self.rescale).to(conditional.dtype)


def rescale_deviation(guided: Tensor, conditional: Tensor, share: float) -> Tensor:
    """Bring each sample's deviation in ``guided`` ``[B, …]`` back to that in ``conditional``, by ``share``."""
    if not share:
        return guided
    axes = _all_but_batch(guided)
    target, own = conditional.std(axes, keepdim=True), guided.std(axes, keepdim=True)
    return guided * (share * target / own.clamp(min=1e-12) + 1 - share)


def project(vector: Tensor, onto: Tensor) -> Tensor:
    """The part of ``vector`` along ``onto``, a sample at a time."""
    unit = onto / norm(onto).clamp(min=1e-12)
    return (vector * unit).sum(_all_but_batch(vector), keepdim=True) * unit


def norm(x: Tensor) -> Tensor:
    """Euclidean length of each sample, kept broadcastable."""
    return torch.linalg.vector_norm(x, dim=_all_but_batch(x), keepdim=True)


def _all_but_batch(x: Tensor) -> tuple[int, ...]:
    return tuple(range(1, x.ndim))
