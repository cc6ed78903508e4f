"""RFC 6962 section 2.1: tree hashes, inclusion proofs and consistency proofs over stored perfect subtrees.

A node is named (level, index): it covers leaves [index · 2^level, (index + 1) · 2^level). Only complete nodes are
stored; the ragged right edge is computed from at most log2(n) of them, so every proof costs O(log² n) look-ups.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

Lookup = Callable[[int, int], bytes]
"""(level, index) → hash of a complete node."""


def leaf_hash(data: bytes) -> bytes:
    """Hash of a leaf."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash of an inner node."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def completed(size: int, leaf: bytes, lookup: Lookup) -> list[tuple[int, int, bytes]]:
    """The nodes that appending ``leaf`` to a tree of ``size`` leaves completes, the leaf itself first."""
    level, index, digest = 0, size, leaf
    nodes = [(level, index, digest)]
    while index & 1:
        digest = node_hash(lookup(level, index - 1), digest)
        level, index = level + 1, index >> 1
        nodes.append((level, index, digest))
    return nodes


def root(size: int, lookup: Lookup) -> bytes:
    """MTH of the first ``size`` leaves."""
    return _range(0, size, lookup) if size else hashlib.sha256(b"").digest()


def inclusion(index: int, size: int, lookup: Lookup) -> list[bytes]:
    """PATH(index, D[size]), from the leaf upwards."""
    if not 0 <= index < size:
        raise ValueError(f"leaf {index} is not in a tree of {size}")
    return _path(index, 0, size, lookup)


def consistency(old: int, new: int, lookup: Lookup) -> list[bytes]:
    """PROOF(old, D[new])."""
    if not 0 < old <= new:
        raise ValueError(f"no consistency proof from {old} to {new} leaves")
    return _subproof(old, 0, new, True, lookup)


def consistent(old: int, new: int, old_root: bytes, new_root: bytes, proof: list[bytes]) -> bool:
    """Whether a consistency proof holds (RFC 9162 section 2.1.4.2)."""
    if old == new:
        return not proof and old_root == new_root
    path = [old_root, *proof] if old & (old - 1) == 0 else list(proof)
    if not path:
        return False
    first, last = old - 1, new - 1
    while first & 1:
        first, last = first >> 1, last >> 1
    before = after = path[0]
    for step in path[1:]:
        if last == 0:
            return False
        if first & 1 or first == last:
            before, after = node_hash(step, before), node_hash(step, after)
            while not first & 1 and first:
                first, last = first >> 1, last >> 1
        else:
            after = node_hash(after, step)
        first, last = first >> 1, last >> 1
    return before == old_root and after == new_root and last == 0


def _split(size: int) -> int:
    """The largest power of two below ``size``."""
    return 1 << (size - 1).bit_length() - 1


def _range(start: int, size: int, lookup: Lookup) -> bytes:
    """Hash over leaves [start, start + size); ``start`` is a multiple of the power of two that covers the range."""
    if size & (size - 1) == 0:
        level = size.bit_length() - 1
        return lookup(level, start >> level)
    left = _split(size)
    return node_hash(_range(start, left, lookup), _range(start + left, size - left, lookup))


def _path(index: int, start: int, size: int, lookup: Lookup) -> list[bytes]:
    if size == 1:
        return []
    left = _split(size)
    if index < left:
        return [*_path(index, start, left, lookup), _range(start + left, size - left, lookup)]
    return [*_path(index - left, start + left, size - left, lookup), _range(start, left, lookup)]


def _subproof(old: int, start: int, size: int, whole: bool, lookup: Lookup) -> list[bytes]:
    if old == size:
        return [] if whole else [_range(start, size, lookup)]
    left = _split(size)
    if old <= left:
        return [*_subproof(old, start, left, whole, lookup), _range(start + left, size - left, lookup)]
    return [*_subproof(old - left, start + left, size - left, False, lookup), _range(start, left, lookup)]
