"""Which shard an object is in: a function of the set of names and sizes alone, whatever order or history they have.

Each name has a place, a number of 128 bits. A shard holds all objects whose places begin with the same bits; one that
would exceed its size is split by the next bit. So an object that is added or removed concerns one shard, which is split
or joined with its neighbour where the size says so, and a name leads to its shard without a table. The leading 64 bits
are of the film, so that a film's clips, and a clip's latents of all phases, lie together.

Cutting a sorted list where a hash says so, as content-defined chunking does, was not chosen: with a smallest and a
greatest size, one object moves every cut up to the next one that falls together again, which no number bounds.
"""

from __future__ import annotations

import hashlib
import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Mapping

from aiprod.storage.crypto.film_encryption import film_of

BITS = 128
_MEMBER = re.compile(r"^[fc]0?[a-z2-7]{16}(?:-\d+)?\.[a-z0-9.]+$")
_NOT_NAMES = frozenset({"", ".", ".."})
_SORTED_AT_ONCE = 256
_BLOCK = 512  # of a tar archive
_LONGEST_NAME = 100  # what a plain tar header holds


def is_member(name: str) -> bool:
    """Whether a file belongs to one film or clip, so that it may be packed: others (manifests) stay as they are."""
    return _MEMBER.match(_file_name(name)) is not None and is_plain(name)


def is_plain(name: str) -> bool:
    """Whether a name is a relative path that leads nowhere else, and fits into a tar header."""
    return (
        0 < len(name) <= _LONGEST_NAME
        and name.isascii()
        and name.isprintable()
        and "\\" not in name
        and _NOT_NAMES.isdisjoint(name.split("/"))
    )


def place_of(name: str) -> int:
    """The place of an object, by the film that it belongs to and then by its own name."""
    stem = _file_name(name).split(".", 1)[0]
    film = film_of(stem) if is_member(name) else stem
    return int.from_bytes(hashlib.sha256(film.encode()).digest()[:8] + hashlib.sha256(name.encode()).digest()[:8])


def bits_of(name: str) -> str:
    """The place as a word of zeros and ones."""
    return f"{place_of(name):0{BITS}b}"


def room(name: str, size: int) -> int:
    """Bytes that an object takes up in a shard: header, content in whole blocks, entry of the index."""
    return _BLOCK + -(-size // _BLOCK) * _BLOCK + len(name) + 96


def partition(sizes: Mapping[str, int], max_bytes: int) -> dict[str, list[str]]:
    """Leading bits of each shard → the names of its objects, sorted.

    Args:
        sizes: name → bytes, each with less :func:`room` than ``max_bytes``.
    """
    names: list[str] = []
    places: list[int] = []
    until = [0]
    for place, name, size in _by_place(sizes):
        names.append(name)
        places.append(place)
        until.append(until[-1] + room(name, size))
    members: dict[str, list[str]] = {}
    waiting = [(0, len(names), "")] if names else []
    while waiting:
        first, last, prefix = waiting.pop()
        if until[last] - until[first] <= max_bytes or len(prefix) == BITS or last - first == 1:
            members[prefix] = sorted(names[first:last])
            continue
        middle = bisect_left(places, _start(f"{prefix}1"), first, last)
        waiting += [
            (a, b, bits) for a, b, bits in ((first, middle, f"{prefix}0"), (middle, last, f"{prefix}1")) if a < b
        ]
    return members


def _by_place(sizes: Mapping[str, int]) -> Iterator[tuple[int, str, int]]:
    """Place, name and size of every object, by place.

    They are sorted some hundred at a time, of places that begin alike: these lie in the processor's cache, and take
    time in proportion to how many they are.
    """
    kept = BITS - max(0, len(sizes).bit_length() - _SORTED_AT_ONCE.bit_length())
    alike: defaultdict[int, list[tuple[int, str, int]]] = defaultdict(list)
    for name, size in sizes.items():
        place = place_of(name)
        alike[place >> kept].append((place, name, size))
    for leading in sorted(alike):
        yield from sorted(alike.pop(leading))


def _file_name(name: str) -> str:
    return name.rpartition("/")[2]


def _start(prefix: str) -> int:
    """The lowest place that begins with these bits."""
    return int(prefix, 2) << (BITS - len(prefix))
