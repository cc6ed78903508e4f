#!/usr/bin/env bash
# torchaudio 2.11.0: functional.loudness clips the sound at full scale between the two filters of K-weighting, so loud bright sound
# measures too quiet, and the louder it is the more.
#
# The first filter of ITU-R BS.1770 raises treble by 4 dB, and torchaudio's biquads clamp what they give to ±1 unless told otherwise, which
# loudness does not. Loudness is linear in level: a tone that is 6 dB louder measures 6 LU more. Up to 0.63 of full scale all is
# well; a tone of 6 kHz at full scale reads 2.2 LU too low (-1.94 instead of +0.29 LUFS) and white noise that reaches full scale 2.8 LU,
# which is where a limit on loudness or a gain that is computed from it matters most. Remedy: measure at a quarter of the level and add
# 12.04 LU (shown), or measure with FFmpeg's ebur128 or pyloudnorm. (Installs PyTorch: about 6 GB in a temporary folder.)
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check 'torch==2.11.0' 'torchaudio==2.11.0' 'numpy==2.4.6' 'pyloudnorm==0.2.0'
cat >"$folder/measure.py" <<'P'
import math

import pyloudnorm
import torch
import torchaudio

RATE = 48000
meter = pyloudnorm.Meter(RATE)
torch.manual_seed(0)
tone = torch.sin(2 * math.pi * 6000 * torch.arange(4 * RATE) / RATE)[None]
noise = torch.randn(2, 4 * RATE).clamp(-1, 1)
print(f"torchaudio {torchaudio.__version__.split('+')[0]}, pyloudnorm 0.2.0, LUFS")
for name, sound, least in (("tone of 6 kHz", tone, 2.0), ("white noise", noise, 2.5)):
    for level in (0.25, 0.5, 1.0):
        seen = float(torchaudio.functional.loudness(level * sound, RATE))
        halved = float(torchaudio.functional.loudness(level / 4 * sound, RATE)) + 40 * math.log10(2)
        other = meter.integrated_loudness((level * sound).T.double().numpy())
        print(f"{name} at {level}: torchaudio {seen:.2f}, pyloudnorm {other:.2f}, torchaudio at a quarter of the level + 12.04: {halved:.2f}")
        assert abs(halved - other) < 0.02, "quiet sound measures alike in both"
        assert (other - seen > least) if level == 1.0 else (seen < other + 0.02)
P
"$folder/venv/bin/python" "$folder/measure.py" 2>/dev/null
echo "as described"
