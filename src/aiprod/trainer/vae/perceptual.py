"""Distance between pictures in the features of VGG16 (Simonyan & Zisserman 2014; Johnson et al. 2016)."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

_BLOCKS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
_FILES = ("vgg16-397923af.pth", "vgg16_features-amdegroot-88682ab5.pth")
_SEED = 16
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet


class PerceptualLoss(nn.Module):
    """Mean absolute difference of channel-normalised VGG16 features, averaged over blocks.

    ImageNet weights are used when torchvision has put them on this disk before; nothing is fetched. Otherwise the same
    network has fixed seeded weights: random features still respond to edges and textures, though less like people do.
    ``name`` says which of the two it is.

    Args:
        blocks: how many of the five blocks are compared, from the first.
        weights: a torchvision VGG16 state dict; None looks in torch's hub folder.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, blocks: int = 5, weights: Path | None = None) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(_SEED)
        channels, self.blocks = 3, nn.ModuleList()
        for widths in _BLOCKS[:blocks]:
            layers: list[nn.Module] = []
            for width in widths:
                conv = nn.Conv2d(channels, width, 3, padding=1)
                deviation = (2.0 / (9 * channels)) ** 0.5  # He et al. 2015: keeps the scale through ReLU
                with torch.no_grad():
                    conv.weight.copy_(torch.randn(conv.weight.shape, generator=generator) * deviation)
                    if conv.bias is not None:
                        conv.bias.zero_()
                layers += [conv, nn.ReLU()]
                channels = width
            self.blocks.append(nn.Sequential(*layers))
        path = weights or _on_disk()
        if path is not None:
            self._load(path)
        self.name = "vgg16-imagenet" if path is not None else f"vgg16-random-seed-{_SEED}"
        self.register_buffer("mean", torch.tensor(_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(_STD).view(1, 3, 1, 1), persistent=False)
        self.requires_grad_(False).eval()
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def _load(self, path: Path) -> None:
        stored = torch.load(path, map_location="cpu", weights_only=True)
        index = 0  # torchvision numbers layers in one row: conv, relu, …, pool
        for block in self.blocks:
            for layer in block:  # type: ignore[attr-defined]
                if isinstance(layer, nn.Conv2d):
                    layer.load_state_dict({k: stored[f"features.{index}.{k}"] for k in ("weight", "bias")})
                index += 1
            index += 1

    def features(self, x: Tensor) -> list[Tensor]:
        """Pictures ``[N, 3, H, W]`` in [−1, 1] to one map a block, each unit length over channels."""
        hidden = (((x + 1) / 2 - self.mean) / self.std).contiguous(memory_format=torch.channels_last)
        maps: list[Tensor] = []
        for i, block in enumerate(self.blocks):
            hidden = block(functional.max_pool2d(hidden, 2) if i else hidden)
            maps.append(functional.normalize(hidden, dim=1, eps=1e-6))
        return maps

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        """Distance of two batches of pictures, a scalar ≥ 0; gradients flow to ``output`` alone."""
        with torch.no_grad():
            wanted = self.features(target)
        pairs = zip(self.features(output), wanted, strict=True)
        # unit vectors of C channels have entries of about 1/√C: the factor makes blocks weigh alike
        return torch.stack([(a - b).abs().mean() * a.shape[1] ** 0.5 for a, b in pairs]).mean()


def _on_disk() -> Path | None:
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    return next((folder / name for name in _FILES if (folder / name).is_file()), None)
