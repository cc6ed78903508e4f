"""Graphics cards by what their makers publish, this processor by what it measures, and how long a step takes on either.

An operation cannot be done sooner than its arithmetic at the peak rate, nor sooner than its bytes at the rate of memory
(roofline, Williams et al. 2009, doi:10.1145/1498765.1498785). The sum over all operations of a step is the least time
without fused kernels; real steps take longer, by what launches cost and by how far kernels stay below the peak.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch

from aiprod.errors import AiprodError
from aiprod.trainer.diffusion.estimate import StepEstimate

_SIDE, _COPIED, _ROUNDS = 768, 2**24, 5


@dataclass(frozen=True)
class Card:
    """A device.

    Attributes:
        memory: bytes; None where it is not limited to a card.
        bandwidth: bytes a second of its memory.
        half, single: floating-point operations a second of dense matrix products in bfloat16 (with float32 sums) and
            in float32 (without TF32, which torch leaves off).
        link: bytes a second from CPU memory, one way.
    """

    name: str
    memory: float | None
    bandwidth: float
    half: float
    single: float
    link: float
    source: str

    def seconds(self, step: StepEstimate) -> float:
        """Least time of a training step; copies of swapped blocks go on meanwhile."""
        computed = sum(
            times * max(one.flops / (self.half if one.half else self.single), one.moved / self.bandwidth)
            for one, times in step.operations.items()
        )
        return max(computed, step.swapped / self.link)


def _card(name: str, sizes: tuple[float, float, float, float, float], source: str) -> Card:
    gb, gb_s, half, single, link = sizes
    return Card(name, gb * 1e9, gb_s * 1e9, half * 1e12, single * 1e12, link * 1e9, source)


# Memory (GB), its rate (GB/s), TFLOPS of dense bf16 and of float32, GB/s of PCIe one way.
CARDS = {
    name: _card(name, sizes, f"NVIDIA, {source}")
    for name, sizes, source in (
        ("h200", (141, 4800, 989, 67, 64), "H200 Tensor Core GPU datasheet (SXM)"),
        ("h100", (80, 3350, 989, 67, 64), "H100 Tensor Core GPU datasheet (SXM)"),
        ("a100", (80, 2039, 312, 19.5, 32), "A100 80GB datasheet (SXM)"),
        ("l40s", (48, 864, 362, 91.6, 32), "L40S datasheet"),
        ("l4", (24, 300, 121, 30.3, 32), "L4 datasheet"),
        ("rtx5090", (32, 1792, 209.5, 104.8, 64), "RTX Blackwell GPU Architecture, appendix A"),
        ("rtx4090", (24, 1008, 165.2, 82.6, 32), "Ada GPU Architecture, appendix A"),
        ("rtx3090", (24, 936, 71, 35.6, 32), "Ampere GA102 GPU Architecture, appendix A"),
    )
}


def card_of(name: str) -> Card:
    """A card of the table.

    Raises:
        AiprodError: it is not there.
    """
    card = CARDS.get(name.lower().replace("-", "").replace(" ", ""))
    if card is None:
        raise AiprodError(
            f"--card is {name}", f"give one of {', '.join(CARDS)}, or --memory-gib, --tflops, --bandwidth"
        )
    return card


def this_processor() -> Card:
    """The processor that this runs on, by half a second of products and copies on torch's threads.

    Rates are of processor time, so that other programs do not count.
    """
    matrix = torch.randn(_SIDE, _SIDE)
    half = matrix.to(torch.bfloat16)
    source, target = torch.zeros(_COPIED), torch.zeros(_COPIED)
    single, low = (2 * _SIDE**3 / _quickest(lambda x=x: x @ x) for x in (matrix, half))
    bandwidth = 2 * source.nbytes / _quickest(lambda: target.copy_(source))
    return Card("this CPU", None, bandwidth, low, single, bandwidth, f"measured, {torch.get_num_threads()} threads")


def _quickest(work: object) -> float:
    assert callable(work)
    work()
    took = []
    for _ in range(_ROUNDS):
        began = time.process_time()
        work()
        took.append((time.process_time() - began) / torch.get_num_threads())
    return max(min(took), 1e-9)
