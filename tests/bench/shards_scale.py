"""A folder of very many objects in shards: ``python -m tests.bench.shards_scale [OBJECTS] [SHARDS] [GROWN FROM]``.

Shards are written from objects in memory, for as many files would take longer to make than to pack. One film in 10,000
is encrypted under a key of its own. Printed are processor seconds and peak memory of listing every object, verifying
every byte, reading at random, and erasing one film: its objects are found and read, its key is destroyed, and every
byte of the folder is searched for pieces and hashes of what it held. With a third number, all of it is done with so
many objects in as large shards first, and the exponents of growth between the two are printed.
"""

from __future__ import annotations

import hashlib
import io
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from aiprod.errors import AiprodError
from aiprod.governance.erasure import scan
from aiprod.governance.erasure.search_patterns import Needles
from aiprod.storage.clip_store import content
from aiprod.storage.crypto.film_encryption import Vault
from aiprod.storage.shards.archive import file_name, index_bytes, write
from aiprod.storage.shards.placing import partition, room
from aiprod.storage.shards.shards import SHARDS, Shards
from tests.bench.figures import exponent, figure
from tests.bench.processor_time import peak_mib
from tests.bench.shards import SIZE, name_of

READS = 2_000
PLACED, LISTED, VERIFIED = "placing every object", "listing every object", "verifying every byte"
READ, ERASED = "random reads", "erasing a film: finding, reading, destroying, searching"
PRIVATE = 10_000  # one film of so many has a key, for each is a file, and this is no benchmark of a key store


@contextmanager
def measured(what: str, taken: dict[str, float]) -> Iterator[None]:
    """Print what a block took, and keep its processor seconds."""
    start, wall = time.process_time(), time.monotonic()
    yield
    peak = peak_mib(os.getpid())
    took, on_the_clock = time.process_time() - start, time.monotonic() - wall
    taken[what] = took
    print(f"{what:60} {took:8.2f} s of processor {on_the_clock:8.2f} s {peak:6.0f} MiB peak", flush=True)


def main(count: int = 20_000, shards: int | None = None, grown_from: int | None = None) -> None:
    """Print the figures."""
    number = shards or count // 100
    taken: dict[int, dict[str, float]] = {}
    for size in (grown_from, count):
        if size is not None:
            taken[size] = _in_a_folder_of_its_own(size, max(1, number * size // count))
    large = taken[count]
    for what in (LISTED, VERIFIED, ERASED):
        figure(f"{count:,} objects in about {number:,} shards: {what}", large[what], "s")
    figure(f"{count:,} objects in about {number:,} shards: a random read", large[READ] / READS * 1000, "ms")
    if grown_from is not None:
        for what in (LISTED, VERIFIED, ERASED, READ, PLACED):
            grown = exponent([grown_from, count], [taken[grown_from][what], large[what]])
            figure(f"growth from {grown_from:,} to {count:,} objects, exponent of {what}", grown, most=1.05)


def _in_a_folder_of_its_own(count: int, number: int) -> dict[str, float]:
    here = os.getcwd()
    with tempfile.TemporaryDirectory(prefix="aiprod-bench-") as place:
        os.chdir(place)
        try:
            return _measure(Path(place), count, number)
        finally:
            os.chdir(here)


def _measure(root: Path, count: int, number: int) -> dict[str, float]:
    taken: dict[str, float] = {}
    (root / "dvc.yaml").touch()
    folder = root / "datasets" / "v1" / "processed"
    (folder / SHARDS).mkdir(parents=True)
    vault = Vault()
    private = {}
    for film in (vault.private_film_id("inbox", str(n), "0" * 64) for n in range(max(1, count // PRIVATE))):
        clip = f"c{film[1:]}-000"
        private[f"{clip}.mp4"] = vault.seal(f"processed:{clip}", random.Random(film).randbytes(SIZE))
    sizes = {name_of(n): SIZE for n in range(count - len(private))} | {n: len(d) for n, d in private.items()}
    seeds = {name: n for n, name in enumerate(sizes)}

    def made(name: str) -> bytes:
        return private.get(name) or random.Random(seeds[name]).randbytes(SIZE)

    with measured(PLACED, taken):
        plan = partition(sizes, int(1.4 * count * room("x" * 26, SIZE) / number))
    print(f"{count:,} objects in {len(plan):,} shards")
    with measured("writing the shards", taken):
        _write(folder, plan, made)
    packed = Shards(folder)
    with measured(LISTED, taken):
        assert sum(1 for _ in packed.members()) == count
    with measured(VERIFIED, taken):
        assert not any(packed.faults())
    names = random.Random(1).sample(sorted(sizes), READS)
    with measured(READ, taken):
        assert all(packed.read(name) == made(name) for name in names)
    _erase(vault, packed, sorted(private)[0], random.Random(2).sample(sorted(sizes), 200), taken)
    return taken


def _write(folder: Path, plan: dict[str, list[str]], made: Callable[[str], bytes]) -> None:
    for prefix, names in plan.items():
        held = {name: made(name) for name in names}
        entries = [(name, len(held[name]), hashlib.sha256(held[name]).hexdigest()) for name in names]
        with open(folder / SHARDS / file_name(prefix), "wb") as target:
            write(target, index_bytes(prefix, entries), entries, lambda name, held=held: io.BytesIO(held[name]))


def _erase(vault: Vault, packed: Shards, name: str, others: list[str], taken: dict[str, float]) -> None:
    film = f"f{name[1:].split('-', 1)[0]}"
    with measured(ERASED, taken):
        needles = Needles()
        for found in packed.of_film(film):
            needles.add_content(content(packed.folder / found))
        vault.keys.destroy(film)
        count = scan.folder(needles, packed.folder)
    assert needles.objects == 1
    assert needles.pieces
    assert (count.pieces, count.hashes, count.names, count.skipped) == (0, 0, 0, ""), count
    print(f"searched {count.objects} files of {count.bytes / 2**20:.0f} MiB for {len(needles.pieces)} pieces: none")
    try:
        content(packed.folder / name)
    except AiprodError as error:
        print(f"its object: {error.what}")
    for other in others:
        if other != name:
            content(packed.folder / other)
    print(f"{len(others)} others read as before")


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[1:4]))
