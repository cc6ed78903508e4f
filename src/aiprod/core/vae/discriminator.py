"""A 3-D PatchGAN discriminator: one verdict for each overlapping space-time patch (arXiv:1611.07004; hinge loss)."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm


class PatchDiscriminator(nn.Module):
    """Strided 3-D convolutions with spectral norm (Miyato et al. 2018, arXiv:1802.05957).

    The first convolution looks at single frames, later ones at three, so that videos of one frame pass too.

    Args:
        width: channels of the first layer; doubled by every further one.
        layers: strided layers; the patch grows with each.
    """

    def __init__(self, width: int = 32, layers: int = 3) -> None:
        super().__init__()
        stack: list[nn.Module] = [nn.Conv3d(3, width, (1, 4, 4), (1, 2, 2), (0, 1, 1)), nn.LeakyReLU(0.2)]
        for i in range(1, layers):
            here, there = width * 2 ** (i - 1), width * 2**i
            stack += [spectral_norm(nn.Conv3d(here, there, (3, 4, 4), (1, 2, 2), (1, 1, 1))), nn.LeakyReLU(0.2)]
        stack.append(nn.Conv3d(width * 2 ** (layers - 1), 1, (3, 3, 3), padding=1))
        self.stack = nn.Sequential(*stack)

    def forward(self, x: Float[Tensor, "b 3 f h w"]) -> Float[Tensor, "b 1 f p q"]:
        """Videos in [−1, 1] to verdicts; above 0 means real."""
        verdicts: Tensor = self.stack(x)
        return verdicts
