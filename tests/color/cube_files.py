"""Writes look-up tables as .cube, for other readers and for ours."""

from __future__ import annotations

from pathlib import Path

from aiprod.color.lut import Lut


def write_cube(path: Path, lut: Lut) -> None:
    """Write a table as .cube, with nine significant digits, which is all that float32 holds."""
    kind = 3 if lut.is_3d else 1
    head = [f'TITLE "{lut.title}"'] if lut.title else []
    head += [f"LUT_{kind}D_SIZE {lut.size}"]
    head += [
        f"{key} {' '.join(f'{x:.9g}' for x in values)}"
        for key, values in (("DOMAIN_MIN", lut.low), ("DOMAIN_MAX", lut.high))
    ]
    values = lut.values.transpose(2, 1, 0, 3) if lut.is_3d else lut.values
    rows = (" ".join(f"{float(x):.9g}" for x in row) for row in values.reshape(-1, 3))
    path.write_text("\n".join([*head, *rows]) + "\n", encoding="utf-8")
