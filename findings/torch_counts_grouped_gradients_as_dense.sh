#!/usr/bin/env bash
# PyTorch 2.11.0: FlopCounterMode counts the backward pass of a convolution in groups as if it had none, in one of its two gradients.
#
# A convolution's backward pass is two products as large as the forward pass, and for one group the counter says so. In groups it counts
# the forward pass rightly, and one of the two gradients with the number of channels where that of a group belongs. So a depthwise convolution
# (MobileNet, ConvNeXt, positional convolutions of transformers) of 64 channels seems to cost 65 forward passes on its way back
# instead of 2, and a figure of "model FLOPs used" that rests on the counter is too good. Remedy: count such layers by hand, as three
# forward passes a training step. (Installs PyTorch: about 6 GB in a temporary folder.)
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check 'torch==2.11.0' 'numpy==2.4.6'
cat >"$folder/count.py" <<'P'
import torch
from torch.utils.flop_counter import FlopCounterMode

aten = torch.ops.aten
for groups in (1, 4, 64):
    layer, x = torch.nn.Conv2d(64, 64, 3, padding=1, groups=groups, bias=False), torch.randn(2, 64, 8, 8, requires_grad=True)
    with FlopCounterMode(display=False) as counter:
        layer(x).sum().backward()
    said = counter.get_flop_counts()["Global"]
    forward, back = said[aten.convolution], said[aten.convolution_backward]
    assert forward == 2 * (2 * 64 * 8 * 8) * (64 // groups) * 9, "outputs × inputs of a group × kernel"
    print(f"torch {torch.__version__.split('+')[0]}, 64 channels in {groups} groups: backward = {back / forward:g} forward passes")
    assert back / forward == 1 + groups, back / forward
P
"$folder/venv/bin/python" "$folder/count.py" 2>/dev/null
echo "as described"
