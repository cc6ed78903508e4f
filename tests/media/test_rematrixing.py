"""Y'CbCr of any matrix and range as limited-range BT.709, held against the sums done one after the other in int64."""

from __future__ import annotations

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiprod.media import rematrixing
from aiprod.media.colour import planes
from aiprod.media.rematrixing import limited_709

RED_AND_BLUE = {1: (0.2126, 0.0722), 5: (0.299, 0.114), 9: (0.2627, 0.0593), 7: (0.212, 0.087)}


def to_ycc(matrix: int) -> np.ndarray:
    """Y', Pb and Pr of R'G'B'."""
    red, blue = RED_AND_BLUE[matrix]
    luma = np.array([red, 1 - red - blue, blue])
    return np.stack([luma, ([0, 0, 1] - luma) / (2 - 2 * blue), ([1, 0, 0] - luma) / (2 - 2 * red)])


def by_hand(source: list[np.ndarray], matrix: int, full: bool, bits: int, depth: int) -> list[np.ndarray]:
    """In sixty-fourths of a code; chroma lies on the even columns and between two lines."""
    unit = 2 ** (depth - bits)
    step, top = unit * 2 ** (bits - 8), unit * (2**bits - 1)
    y, cb, cr = (plane.astype(np.float64) for plane in source)
    luma = y / top if full else (y - 16 * step) / (219 * step)
    pb, pr = ((c - 128 * step) / (top if full else 224 * step) for c in (cb, cr))
    turn = to_ycc(1) @ np.linalg.inv(to_ycc(matrix))

    def fixed(value: np.ndarray) -> np.ndarray:
        return np.rint(64 * value).astype(np.int64)

    small = fixed(219 * turn[0, 1] * pb) + fixed(219 * turn[0, 2] * pr)
    padded = np.pad(small, ((1, 1), (0, 0)), mode="edge")
    tall = np.stack([3 * small + padded[:-2] + 2, 3 * small + padded[2:] + 2], axis=1).reshape(-1, small.shape[1]) >> 2
    beside = np.pad(tall, ((0, 0), (0, 1)), mode="edge")[:, 1:]
    wide = np.stack([tall, (tall + beside + 1) >> 1], axis=2).reshape(len(tall), -1)
    bright = fixed(219 * luma + 16) + wide[: y.shape[0], : y.shape[1]]
    blue = fixed(224 * turn[1, 1] * pb + 128) + fixed(224 * turn[1, 2] * pr)
    red = fixed(224 * turn[2, 1] * pb) + fixed(224 * turn[2, 2] * pr + 128)
    return [np.clip((value + 32) >> 6, 0, 255).astype(np.uint8) for value in (bright, blue, red)]


@settings(deadline=None, max_examples=60)
@given(
    st.tuples(st.integers(1, 70), st.integers(1, 70)),
    st.sampled_from(sorted(RED_AND_BLUE)),
    st.booleans(),
    st.sampled_from([("yuv420p", 8), ("yuvj420p", 8), ("yuv420p16le", 10), ("yuv420p16le", 16)]),
    st.integers(0, 2**32 - 1),
)
def test_every_code_is_that_of_the_sums_done_by_hand(
    size: tuple[int, int], matrix: int, full: bool, form: tuple[str, int], seed: int
) -> None:
    name, bits = form
    depth = 16 if name.endswith("16le") else 8
    rng = np.random.default_rng(seed)
    frame = av.VideoFrame(*size, name)
    for plane in planes(frame):
        plane[:] = rng.integers(0, 2**bits, plane.shape) << (depth - bits)
    wanted = by_hand([plane.copy() for plane in planes(frame)], matrix, full, bits, depth)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rematrixing, "_BAND", int(rng.choice([40, 1 << 15])))  # so that bands meet somewhere
        found = planes(limited_709(frame, matrix, full, bits))
    for one, other in zip(found, wanted, strict=True):
        assert np.array_equal(one, other)
