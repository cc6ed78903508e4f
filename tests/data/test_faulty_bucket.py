"""A bucket whose server dies, stalls, is busy or lies: a film arrives whole or not at all, and its row says why."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from aiprod.data.ingest.ingest import ingest
from aiprod.data.params import IngestParams
from aiprod.data.sources.remote import listed
from aiprod.data.sources.remote_reading import fetch
from aiprod.data.sources.scan import scan
from aiprod.media.errors import MediaError
from aiprod.storage.clip_store import ClipStore
from aiprod.storage.result_cache import Memo
from tests.data.faulty_s3 import Bucket, serving
from tests.data.test_remote import SOURCES

STATED = "s3://films/in"
DATA = random.Random(5).randbytes(9 << 20)  # three requests of four MiB


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    """A bucket with one large object; requests give up after half a second, as they otherwise would after 15."""
    made = Bucket(objects={"in/a.mp4": DATA})
    with serving(made) as endpoint:
        for name, value in (
            ("AWS_ACCESS_KEY_ID", "AKTEST"),
            ("AWS_SECRET_ACCESS_KEY", "SKTEST"),
            ("AWS_DEFAULT_REGION", "us-east-1"),
            ("AWS_ENDPOINT_URL", endpoint),
            ("AWS_EC2_METADATA_DISABLED", "true"),
        ):
            monkeypatch.setenv(name, value)
        quick = {"config_kwargs": {"read_timeout": 0.5, "connect_timeout": 2, "retries": {"max_attempts": 2}}}
        monkeypatch.setitem(fsspec.config.conf, "s3", quick)
        monkeypatch.setenv("FSSPEC_S3", json.dumps(quick))  # for workers
        yield made


def received(bucket: Bucket, folder: Path) -> bytes:
    [file] = [f for f in listed(STATED) if f.key == "a.mp4"]
    fetch(STATED, "a.mp4", file.digest(STATED), folder / "part", folder / "film")
    return (folder / "film").read_bytes()


def test_a_whole_server_gives_the_film(bucket: Bucket, tmp_path: Path) -> None:
    assert received(bucket, tmp_path) == DATA and bucket.gets == 3


def test_one_that_is_busy_is_asked_again(bucket: Bucket, tmp_path: Path) -> None:
    bucket.busy = 2
    assert received(bucket, tmp_path) == DATA


def test_one_that_dies_leaves_a_part_that_the_next_run_goes_on_with(bucket: Bucket, tmp_path: Path) -> None:
    bucket.on_get = lambda: setattr(bucket, "dies_after", 1000)
    with pytest.raises(MediaError, match="cannot be read") as caught:
        received(bucket, tmp_path)
    assert len(str(caught.value).splitlines()) == 1
    assert not (tmp_path / "film").exists() and (tmp_path / "part").read_bytes() == DATA[: 4 << 20]
    bucket.dies_after, bucket.on_get, bucket.gets = None, lambda: None, 0
    assert received(bucket, tmp_path) == DATA and bucket.gets == 2, "what had arrived is not asked for again"


def test_one_that_dies_once_is_asked_again(bucket: Bucket, tmp_path: Path) -> None:
    bucket.dies_after, bucket.deaths = 1000, 1
    assert received(bucket, tmp_path) == DATA


def test_one_that_stalls_costs_a_row_and_not_the_run(bucket: Bucket, tmp_path: Path) -> None:
    bucket.stalls = True
    with pytest.raises(MediaError, match="cannot be read"):
        received(bucket, tmp_path)
    assert not (tmp_path / "film").exists()


@pytest.mark.parametrize("lie", ["more", "less", "nothing"])
def test_one_that_sends_other_lengths_than_it_said_gives_no_film(bucket: Bucket, tmp_path: Path, lie: str) -> None:
    bucket.bodies = {"more": lambda b: b + b[:100], "less": lambda b: b[:-100], "nothing": lambda _: b""}[lie]
    with pytest.raises(MediaError):
        received(bucket, tmp_path)
    assert not (tmp_path / "film").exists()
    bucket.bodies = bytes
    assert received(bucket, tmp_path) == DATA, "nothing of the lie is gone on with"


def test_an_object_that_is_replaced_while_it_is_read_is_no_mixture(bucket: Bucket, tmp_path: Path) -> None:
    other = random.Random(6).randbytes(len(DATA))
    bucket.on_get = lambda: bucket.objects.update({"in/a.mp4": other})
    with pytest.raises(MediaError, match="changed while it was read"):
        received(bucket, tmp_path)
    assert not (tmp_path / "film").exists() and not (tmp_path / "part").exists()
    bucket.on_get = lambda: None
    assert received(bucket, tmp_path) == other


def test_a_film_of_a_dead_server_keeps_its_row_and_is_taken_in_later(
    bucket: Bucket, tmp_path: Path, state_home: Path
) -> None:
    from tests.qc.films import texture, write

    write(tmp_path / "b.mp4", (texture(160, 120, n // 6) for n in range(24)))
    bucket.objects = {"in/b.mp4": (tmp_path / "b.mp4").read_bytes()}
    bucket.objects["in/RIGHTS.csv"] = b"file,licence\nb.mp4,CC0-1.0\n"
    params = IngestParams(sources=["away"], folders={"away": STATED}, workers=1)
    memo, store = Memo(tmp_path / "memo", ""), ClipStore(tmp_path / "v1")
    offers = scan(params, SOURCES)
    bucket.stalls = True
    rows, clips, _ = ingest(offers, SOURCES, params, seed=0, memo=memo, store=store)
    assert [row.status for row in rows] == ["error"] and not clips and "cannot be read" in rows[0].reasons[0]
    bucket.stalls = False
    rows, clips, _ = ingest(scan(params, SOURCES), SOURCES, params, seed=0, memo=memo, store=store)
    assert [row.status for row in rows] == ["ok"] and len(clips) == 1
