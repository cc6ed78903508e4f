"""Power of K-weighted sound (ITU-R BS.1770) in stretches of 100 ms, by products of matrices.

A filter of four poles is a chain of dependent sums, sample after sample. Written for blocks of some thirty samples
(state-space form of the cascade), most of it is one product of matrices, which a processor does many times faster; only
the filter's four states go from block to block.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from aiprod.media.k_weighting import k_weighting

_BLOCKS = 8  # whose states are found together
_STILL = 1e-15  # of full scale: what the filter rings with long after the last sound
_FORGOTTEN = 1e-12  # what is left of a state
_HOPS = 10  # at once: a second, which the processor's cache holds


class _Filter(NamedTuple):
    """The filter over blocks of ``size`` samples; states are rows.

    Attributes:
        size: samples of a block.
        response: float32 [size, size + 4]: what a block gives by itself, and what it adds to the states behind it.
        ringing: float32 [4, size]: what the states before a block add to it.
        local: [4 * _BLOCKS, 4 * (_BLOCKS + 1)]: states before each of several blocks and behind the last, by what those
            blocks add.
        carried: [4, 4 * (_BLOCKS + 1)]: the same, by the state before the first.
    """

    size: int
    response: NDArray[np.float32]
    ringing: NDArray[np.float32]
    local: NDArray[np.float64]
    carried: NDArray[np.float64]


@lru_cache(maxsize=8)
def _filter(rate_hz: int, samples: int) -> _Filter:
    """Args: samples: that blocks have to divide."""
    size = max(n for n in range(1, 41) if samples % n == 0)
    step, entry, leave, direct = _state_space(rate_hz)
    powers = [np.eye(4)]
    for _ in range(max(size, 1)):
        powers.append(step @ powers[-1])
    impulse = np.array([direct, *(leave @ powers[n] @ entry for n in range(size - 1))])
    own = np.array([[impulse[i - j] if i >= j else 0.0 for i in range(size)] for j in range(size)])
    adds = np.array([powers[size - 1 - j] @ entry for j in range(size)])
    over = [np.eye(4)]
    for _ in range(_BLOCKS):
        over.append(powers[size] @ over[-1])
    local = np.zeros((_BLOCKS, 4, _BLOCKS + 1, 4))
    for j in range(_BLOCKS + 1):
        for i in range(j):
            local[i, :, j] = over[j - 1 - i].T
    return _Filter(
        size,
        np.concatenate([own, adds], axis=1).astype(np.float32),
        np.array([leave @ powers[n] for n in range(size)]).T.astype(np.float32),
        local.reshape(4 * _BLOCKS, -1),
        np.concatenate([each.T for each in over], axis=1),
    )


def _state_space(rate_hz: int) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], float]:
    """(A [4, 4], B [4], C [4], D) of the two sections in transposed direct form II, one behind the other."""
    (b0, b1, b2, _, a1, a2), (c0, c1, c2, _, d1, d2) = k_weighting(rate_hz).tolist()
    into = c1 - d1 * c0, c2 - d2 * c0  # the second section's states, by what the first one gives
    step = [[-a1, 1.0, 0.0, 0.0], [-a2, 0.0, 0.0, 0.0], [into[0], 0.0, -d1, 1.0], [into[1], 0.0, -d2, 0.0]]
    entry = [b1 - a1 * b0, b2 - a2 * b0, into[0] * b0, into[1] * b0]
    return np.array(step), np.array(entry), np.array([c0, 0.0, 1.0, 0.0]), c0 * b0


def weighted_power(channel: NDArray[np.float32], rate_hz: int, hop: int) -> NDArray[np.float64]:
    """Sums of the squares of one weighted channel [T] over consecutive stretches of ``hop`` samples, [T // hop].

    Single precision within a block, double for what goes from block to block: to 1e-4 of itself (0.0004 dB) after a
    step from a third of full scale, to 2e-5 in film. Digital silence is passed over.
    """
    size = _HOPS * hop
    of = _filter(rate_hz, size)
    blocks = size // of.size
    groups = -(-blocks // _BLOCKS)
    adds = np.zeros((groups * _BLOCKS, 4))  # those behind the last block stay zero
    state = np.zeros(4)
    sums = np.zeros(channel.size // hop)
    for first in range(0, sums.size, _HOPS):
        part = channel[first * hop : first * hop + size]
        if not part[-1] and np.abs(state).max() < _STILL and not part.any():
            state[:] = 0.0
            continue
        if part.size < size:
            part = np.concatenate([part, np.zeros(size - part.size, np.float32)])
        both = part.reshape(blocks, of.size) @ of.response
        adds[:blocks] = both[:, of.size :]
        states, state = _states(adds, state, of, blocks)
        if not part[-1]:  # numbers so small that a processor takes far longer for them
            states[np.abs(states) < _STILL] = 0.0
        weighted = states.astype(np.float32) @ of.ringing
        weighted += both[:, : of.size]
        hops = weighted.reshape(_HOPS, hop)
        power = np.einsum("nw,nw->n", hops, hops)
        sums[first : first + _HOPS] = power[: sums.size - first]
    return sums


def _states(
    adds: NDArray[np.float64], state: NDArray[np.float64], of: _Filter, blocks: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The states before each block [blocks, 4], and behind the last [4].

    Args:
        adds: what each block adds to the states behind it, [groups * _BLOCKS, 4].
        state: before the first.
    """
    within = adds.reshape(-1, 4 * _BLOCKS) @ of.local
    groups = len(within)
    before = np.empty((groups + 1, 4))
    before[0], before[1:] = state, within[:, -4:]
    over, apart = of.carried[:, -4:], 1
    while apart <= groups and np.abs(over).max() > _FORGOTTEN:  # each takes in twice as many groups before it
        before[apart:] = before[apart:] + before[:-apart] @ over
        over, apart = over @ over, 2 * apart
    within += before[:-1] @ of.carried
    each = within.reshape(groups, _BLOCKS + 1, 4)
    last = each[-1, blocks - (groups - 1) * _BLOCKS].copy()
    return each[:, :-1].reshape(-1, 4)[:blocks], last
