"""What `aiprod erase` of one film costs among very many: ``python -m tests.bench.erase_scale [CLIPS] [SHARDS]``.

A project of CLIPS clips (100,000), two of each film, as it lies after a run: manifests with their roots, clips of a KiB
in shards, the same shards in DVC's cache and in the state folder as other names of the files, a model that saw every
clip, git. One film has a key. Printed are processor seconds, seconds on the clock and peak memory of the command with
``--dry-run`` and of the erasure itself, with everything that it searches.
"""

from __future__ import annotations

import json
import math
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from aiprod.base.files import read_json, write_json
from aiprod.data.rows import ClipRow, FilmRow
from aiprod.repo.dvc import object_path
from aiprod.repo.dvc_lock import hashes
from aiprod.storage.crypto.film_encryption import Vault
from aiprod.storage.manifest.encrypted_columns import SEALED_ROOT, sealed_root, write_sealed
from aiprod.storage.manifest.manifest import HEAD, ROWS, Row
from aiprod.storage.manifest.parquet_reader import ParquetReader
from aiprod.storage.shards.archive import file_name
from aiprod.storage.shards.placing import partition, room
from aiprod.storage.shards.shards import SHARDS
from tests.bench.figures import figure
from tests.bench.processor_time import watch
from tests.bench.shards import SIZE, name_of
from tests.bench.shards_scale import _write
from tests.governance.scale import REPOSITORY, _lock, multiply


def make(root: Path, clips: int, shards: int) -> str:
    """The project; the id of the film that has a key."""
    root.mkdir(parents=True)
    for words in (["git", "init", "-q"], ["dvc", "init", "-q"]):
        subprocess.run(words, cwd=root, check=True)
    multiply(root, clips)
    for name in ("roles.yaml", "sources.yaml"):
        shutil.copy(REPOSITORY / "datasets" / name, root / "datasets")
    here = os.getcwd()
    os.chdir(root)
    try:
        film = _private_film(root, clips)
    finally:
        os.chdir(here)
    _objects(root, clips, shards, film)
    _lock(root)
    for name in ("ingest/films", "ingest/clips", "qc/measure", "qc/decide", "captions", "latents"):
        for path in (root / "datasets/v1" / name).iterdir():
            stored = object_path(root / ".dvc/cache/files/md5", hashes(path)[0])
            stored.parent.mkdir(parents=True, exist_ok=True)
            if not stored.exists():
                os.link(path, stored)
    who = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org"]
    added = ["add", "datasets/sources.yaml", "dvc.lock", "dvc.yaml"]
    for words in ([*who, *added], [*who, "commit", "-qm", "x"]):
        subprocess.run(words, cwd=root, check=True)
    return film


def _private_film(root: Path, clips: int) -> str:
    """Make the last film, and its two clips, one with personal data: other ids, cells encrypted beside the rows."""
    vault = Vault()
    film = vault.private_film_id("inbox", "me.mp4", "0" * 64)
    known = f"f{clips // 2 - 1:016d}"
    secret = {"key": "a-holiday-in-rome.mp4", "title": "A holiday in Rome", "content_sha256": "ab" * 32}
    tables: list[tuple[str, type[Row]]] = [("films", FilmRow), ("clips", ClipRow)]
    for name, model in tables:
        folder = root / "datasets/v1/ingest" / name
        table = pq.read_table(folder / ROWS)
        rows = [n for n, cell in enumerate(table["film_id"].to_pylist()) if cell == known]
        table = _replaced(table, rows, "film_id", lambda _: film)
        if name == "clips":
            table = _replaced(table, rows, "clip_id", lambda cell: cell.replace(known[1:], film[1:]))
        shown = secret if name == "films" else {"title": secret["title"]}
        for field in shown.keys() & set(table.schema.names):
            table = _replaced(table, rows, field, lambda _: "sealed")
        sealed: dict[int, tuple[str, bytes]] = {}
        for n in rows:
            owner = table["clip_id" if name == "clips" else "film_id"][n].as_py()
            label = f"row-{model.__name__}:{owner}"
            sealed[n] = (label, vault.seal(label, json.dumps(shown).encode()))
        pq.write_table(table, folder / ROWS, compression="zstd", row_group_size=4096)
        write_sealed(folder, sealed)
        reader = ParquetReader(folder / ROWS, model)
        for _ in reader.batches():
            pass
        head = read_json(folder / HEAD)
        facts = {**head["facts"], SEALED_ROOT: sealed_root(sealed)}
        write_json(folder / HEAD, {**head, "rows": len(table), "merkle_root": reader.root.hex(), "facts": facts})
    return film


def _replaced(table: pa.Table, rows: list[int], name: str, change: Callable[[str], str]) -> pa.Table:
    place = table.schema.get_field_index(name)
    cells = table[name].to_pylist()
    for n in rows:
        cells[n] = change(cells[n] or "")
    return table.set_column(place, table.schema.field(name), pa.array(cells, table.schema.field(name).type))


def _objects(root: Path, clips: int, shards: int, film: str) -> None:
    """Every clip in a shard, in the working tree, in DVC's cache and on the shelf, by one inode."""
    here = os.getcwd()
    os.chdir(root)
    vault, folder = Vault(), root / "datasets/v1/processed"
    noise = np.random.default_rng(1)
    private = {}
    for shot in range(2):
        clip = f"c{film[1:]}-{shot:03d}"
        private[f"{clip}.mp4"] = vault.seal(f"processed:{clip}", noise.bytes(64 * SIZE))
    os.chdir(here)
    sizes = {name_of(n): SIZE for n in range(clips - len(private))} | {
        name: len(data) for name, data in private.items()
    }
    plan = partition(sizes, int(1.4 * len(sizes) * room("x" * 26, SIZE) / shards))
    (folder / SHARDS).mkdir(parents=True)
    _write(folder, plan, lambda name: private.get(name) or random.Random(name).randbytes(SIZE))
    shelf, cache = root / ".aiprod/cache/shards/processed", root / ".dvc/cache/files/md5/00"
    for place in (shelf, cache):
        place.mkdir(parents=True, exist_ok=True)
        for number, prefix in enumerate(plan):
            os.link(folder / SHARDS / file_name(prefix), place / f"{number:030x}")


def main(clips: int = 100_000, shards: int | None = None) -> None:
    """Print the figures."""
    with tempfile.TemporaryDirectory(prefix="aiprod-bench-") as place:
        root = Path(place) / "project"
        film = make(root, clips, shards or clips // 100)
        for words in (["--dry-run"], ["--as", "operator"]):
            code, cpu, wall, peak, said = _measured(root, ["erase", film, *words])
            print(
                f"aiprod erase {words[0]}, {clips:,} clips: exit {code}, {cpu:.1f} s of processor, {wall:.1f} s, "
                f"{peak:.0f} MiB",
                flush=True,
            )
            if code:
                print(said[-2000:])
                raise SystemExit(f"aiprod erase ended with {code}")
        figure(f"aiprod erase of one film of {clips:,} clips, proven by its search", cpu, "s", most=60)


def _measured(root: Path, words: list[str]) -> tuple[int, float, float, float, str]:
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "src"), "CI": "true"}
    environment.pop("AIPROD_HOME", None)
    command, began = [sys.executable, "-m", "aiprod.cli", *words], time.monotonic()
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(command, cwd=root, env=environment, stdout=said, stderr=subprocess.STDOUT)
        try:
            cpu, peak = watch(process)
        except subprocess.CalledProcessError:
            cpu = peak = math.nan
        said.seek(0)
        return process.returncode, cpu, time.monotonic() - began, peak, said.read()


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[1:3]))
