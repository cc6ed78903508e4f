#!/usr/bin/env bash
# bitsandbytes 0.50.2: on a processor with AVX-512, 4-bit weights come back wrong where a row is no whole number of blocks.
#
# Blocks of 64 values with one scale each run on through a matrix, from one row into the next. Quantising does so, and so does the code
# for other processors. The AVX-512 code for the CPU begins a block anew with each row, so with rows of 96 or 32 values it
# multiplies many by a neighbour's scale, without a warning: of normally distributed weights in rows of 96, 28 % are off by more than
# 0.2, and what `Linear4bit` answers is off by a fifth of its deviation. Rows of 64 or 128 are right, and so are odd rows (65),
# for which other code is taken. Widths such as 96, 160 or 224 are usual in autoencoders and small transformers. Remedy: quantise the
# weights as one row, or choose a block size that divides the rows. (Installs PyTorch: about 6 GB in a temporary folder.)
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check 'bitsandbytes==0.50.2' 'torch==2.11.0' 'numpy==2.4.6'
cat >"$folder/rows.py" <<'P'
import bitsandbytes as bnb
import bitsandbytes.functional as F
import torch

torch.manual_seed(0)
code = F.get_4bit_type("nf4", device="cpu")
wide = torch.backends.cpu.get_cpu_capability() == "AVX512"


def by_hand(values):
    """The nearest of NF4's 16 values in each block of 64, as the format is defined."""
    flat = values.reshape(-1)
    blocks = torch.nn.functional.pad(flat, (0, -len(flat) % 64)).reshape(-1, 64)
    scale = blocks.abs().amax(1, keepdim=True)
    near = code[((blocks / scale)[..., None] - code).abs().argmin(-1)] * scale
    return near.reshape(-1)[: len(flat)].reshape(values.shape)


wrong = {}
for width in (64, 65, 96, 32, 128):
    values = torch.randn(16, width)
    read = F.dequantize_4bit(*F.quantize_4bit(values, quant_type="nf4"))
    wrong[width] = int(((read - by_hand(values)).abs() > 0.2).sum())
    print(f"bitsandbytes {bnb.__version__}, rows of {width}: {wrong[width]} of {values.numel()} values wrong")
flat = torch.randn(16, 96)
assert torch.allclose(F.dequantize_4bit(*F.quantize_4bit(flat.reshape(-1), quant_type="nf4")).reshape(16, 96), by_hand(flat), atol=1e-5)
off = {}
for width in (64, 96):
    layer = bnb.nn.Linear4bit(width, 16, bias=False, quant_type="nf4", compute_dtype=torch.float32)
    layer.weight = bnb.nn.Params4bit(weight := torch.randn(16, width), requires_grad=False, quant_type="nf4")
    x = torch.randn(256, width)
    off[width] = float((layer.to("cpu")(x) - x @ by_hand(weight).T).std() / (x @ weight.T).std())
    print(f"Linear4bit of {width} inputs: off by {off[width]:.3f} of its outputs' deviation from what NF4 gives")
assert wrong[64] == wrong[65] == wrong[128] == 0 and off[64] < 0.01, (wrong, off)
if wide:
    assert min(wrong[96], wrong[32]) > 50 and off[96] > 0.1, (wrong, off)
else:
    assert wrong[96] == wrong[32] == 0 and off[96] < 0.01, (wrong, off)
print(f"this processor: {'AVX-512, wrong' if wide else 'no AVX-512, right'}")
P
"$folder/venv/bin/python" "$folder/rows.py" 2>/dev/null
echo "as described"
