#!/usr/bin/env bash
# safetensors 0.8.0: the same tensors with the same metadata are other bytes in every file, and so another SHA-256.
#
# Tensors are written in a fixed order (by size of their type, then by name), which makes files look like content that can be
# addressed by digest, as DVC, model signing and model registries do. The metadata, though, are kept in a hash table with
# a seed of its own for each file, and are written in its order. With `{"format": "pt"}` alone nothing shows; with two entries
# every second file differs, with eight hardly any two are alike. The tensors' part is equal. Put one entry that holds JSON, or
# sort `__metadata__` in the header after writing; it keeps its length.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check 'safetensors==0.8.0' 'numpy==2.4.6'
cat >"$folder/written.py" <<'P'
import hashlib
import json

import numpy as np
import safetensors
from safetensors.numpy import save

tensors = {f"layer.{n}": np.full((2, 2), n, np.float32) for n in range(5)}


def body(data):
    return data[8 + int.from_bytes(data[:8], "little") :]


def in_order(data):
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":")).encode()
    return data[:8] + text.ljust(size) + data[8 + size :]


counts = {}
for entries in (1, 2, 8):
    files = [save(tensors, {f"key{n}": str(n) for n in range(entries)}) for _ in range(40)]
    counts[entries] = len({hashlib.sha256(file).hexdigest() for file in files})
    assert len({body(file) for file in files}) == len({in_order(file) for file in files}) == 1
    assert len({len(file) for file in files}) == 1
    print(f"safetensors {safetensors.__version__}: {entries} entries of metadata, {counts[entries]} different files of 40")
assert counts[1] == 1 and counts[2] == 2 and counts[8] > 20, counts
P
"$folder/venv/bin/python" "$folder/written.py"
echo "as described"
