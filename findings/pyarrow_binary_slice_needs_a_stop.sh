#!/usr/bin/env bash
# pyarrow 25.0.1: binary_slice without a stop fails for a column of two values, whatever they hold.
#
# Without a stop the slice is meant to run to the end of each value, as in Python and as utf8_slice_codeunits does. For
# one value it does. For two, four or six it raises "ArrowInvalid: Negative buffer resize": the room for the output seems
# to be counted as rows times the largest 32-bit number, in 32 bits. So what was tried on a single value fails on a table.
# Any stop that is given, however large compared with the values, works.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check 'pyarrow==25.0.1'
"$folder/venv/bin/python" - <<'P'
import sys
import pyarrow as pa, pyarrow.compute as pc

def sliced(rows, *bounds):
    try:
        return pc.binary_slice(pa.array([b"abc"] * rows, pa.binary()), *bounds).to_pylist() == [b"bc"] * rows
    except pa.ArrowInvalid as error:
        return str(error)[:22]

open_end = {rows: sliced(rows, 1) for rows in (1, 2, 4, 6)}
stopped = {rows: sliced(rows, 1, 1000) for rows in (1, 2, 4, 6)}
texts = pc.utf8_slice_codeunits(pa.array(["abc", "abc"]), 1).to_pylist()
print("binary_slice(values, 1), by rows:", open_end)
print("binary_slice(values, 1, 1000), by rows:", stopped)
print("utf8_slice_codeunits(values, 1), two rows:", texts)
print(f"pyarrow {pa.__version__}")
failing = all(open_end[rows] == "Negative buffer resize" for rows in (2, 4, 6))
sys.exit(0 if open_end[1] is True and failing and all(v is True for v in stopped.values()) and texts == ["bc"] * 2 else 1)
P
echo "as described"
