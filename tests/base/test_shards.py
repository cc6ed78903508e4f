"""Objects in shards: the same to every reader, one shard rewritten for one object, and whatever is damaged is named."""

from __future__ import annotations

import base64
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiprod.base.files import sha256_file
from aiprod.errors import AiprodError
from aiprod.storage.clip_store import ClipStore, content, decrypted_copy, present, refuse_damaged, stored_sha256
from aiprod.storage.crypto.film_encryption import ErasedError, Vault
from aiprod.storage.crypto.tombstones import Tombstone, add
from aiprod.storage.shards import archive, packing
from aiprod.storage.shards.archive import Index, file_name, index_bytes, parse_index, write
from aiprod.storage.shards.packing import arrange, planned, unpack
from aiprod.storage.shards.params import LARGE, ShardParams
from aiprod.storage.shards.placing import is_member, partition, room
from aiprod.storage.shards.shards import Shards, forget

SMALL = ShardParams(above=0, max_mib=1 / 64)  # 16 KiB
NEVER = ShardParams()


def clip_id(number: int) -> str:
    return f"c{base64.b32encode(hashlib.sha256(str(number).encode()).digest())[:16].decode().lower()}-000"


def filled(folder: Path, count: int, seed: int = 0) -> dict[str, bytes]:
    """Objects of up to 2 KiB, some below a phase's folder as latents are."""
    draw = random.Random(seed)
    made = {}
    for number in range(count):
        name = f"{clip_id(number)}.mp4" if number % 3 else f"low/{clip_id(number)}.safetensors"
        made[name] = draw.randbytes(draw.randrange(2048))
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(made[name])
    return made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "processed"


# where an object is

sizes = st.dictionaries(
    st.integers(0, 10_000).map(lambda n: f"{clip_id(n)}.mp4"), st.integers(0, 3_000), min_size=1, max_size=120
)


@given(sizes, st.randoms(), st.integers(10_001, 20_000), st.integers(0, 3_000))
@settings(max_examples=150, deadline=None)
def test_one_object_more_or_less_concerns_one_shard(
    known: dict[str, int], shuffle: random.Random, number: int, size: int
) -> None:
    most = 16_384
    before = partition(known, most)
    order = list(known)
    shuffle.shuffle(order)
    assert partition({name: known[name] for name in order}, most) == before, "the order of names has no part in it"
    assert sorted(name for names in before.values() for name in names) == sorted(known)
    assert all(sum(room(name, known[name]) for name in names) <= most for names in before.values())
    more = {**known, f"{clip_id(number)}.mp4": size}
    after = partition(more, most)
    old = [tuple(names) for prefix, names in before.items() if after.get(prefix) != names]
    new = [tuple(names) for prefix, names in after.items() if before.get(prefix) != names]
    assert len(old) <= 1, "an object that comes rewrites one shard at most, one that goes leaves one where they were"
    assert sum(room(name, more[name]) for names in new for name in names) <= most + room(f"{clip_id(number)}.mp4", size)


def test_a_shard_in_a_thousand_is_split_for_an_object_and_none_is_smaller_than_a_quarter() -> None:
    known = {f"{clip_id(number)}.mp4": 1024 for number in range(20_000)}
    before = partition(known, 175 << 10)
    assert max(map(len, before.values())) < 4 * min(map(len, before.values()))
    changed = []
    for number in range(20_000, 20_010):
        known[f"{clip_id(number)}.mp4"] = 1024
        after = partition(known, 175 << 10)
        changed.append(sum(before.get(prefix) != names for prefix, names in after.items()))
        before = after
    assert set(changed) <= {1, 2}


def test_clips_of_a_film_lie_together_and_other_files_are_no_objects() -> None:
    film = clip_id(1).removesuffix("-000")
    known = {f"{film}-{shot:03d}.mp4": 100 for shot in range(20)} | {f"{clip_id(n)}.mp4": 100 for n in range(2, 300)}
    of_it = [p for p, names in partition(known, 40_000).items() if any(name.startswith(film) for name in names)]
    assert len(of_it) == 1
    for name in ("manifest.json", "text/null.safetensors", "again.json", f"../{clip_id(1)}.mp4", f"/{clip_id(1)}.mp4"):
        assert not is_member(name)
    for name in (f"low/{clip_id(1)}.safetensors", f"f{film[1:]}.truth.json", f"c0{film[1:]}-012.mp4"):
        assert is_member(name)


# the same to every reader


@given(st.sets(st.integers(0, 400), min_size=1, max_size=60), st.integers(0, 400), st.booleans())
@settings(max_examples=25, deadline=None)
def test_any_set_reads_as_files_do_and_the_same_set_gives_the_same_bytes(
    numbers: set[int], one: int, through_another: bool
) -> None:
    def make(place: Path, which: set[int]) -> None:
        place.mkdir(exist_ok=True)
        for number in which:
            (place / f"{clip_id(number)}.mp4").write_bytes(random.Random(number).randbytes(number * 5))

    with tempfile.TemporaryDirectory() as temporary:
        straight, around = Path(temporary) / "a", Path(temporary) / "b"
        make(straight, numbers)
        arrange(straight, SMALL)
        make(around, numbers - {one})
        arrange(around, SMALL)
        if through_another:
            arrange(around, ShardParams(above=0, max_mib=1 / 16))
        make(around, numbers & {one})
        arrange(around, SMALL)
        for packed in (straight, around):
            for number in numbers:
                path = packed / f"{clip_id(number)}.mp4"
                assert content(path) == random.Random(number).randbytes(number * 5)
                assert stored_sha256(path) == hashlib.sha256(content(path)).hexdigest()
            assert not any(Shards(packed).faults())
        assert {p.name: sha256_file(p) for p in Shards(straight).paths()} == {
            p.name: sha256_file(p) for p in Shards(around).paths()
        }


def test_packed_and_unpacked_nothing_is_lost_and_other_files_stay(folder: Path) -> None:
    made = filled(folder, 90)
    large = f"{clip_id(1000)}.mp4"
    (folder / large).write_bytes(bytes(SMALL.max_bytes // LARGE))
    (folder / "manifest.json").write_text("{}")
    objects, number = planned(folder, SMALL)
    done = arrange(folder, SMALL)
    assert (objects, number) == (91, done.written)
    assert done.members == 90
    assert done.files == 1
    assert sorted(p.name for p in folder.iterdir()) == sorted([large, "manifest.json", "shards"])
    for name, data in made.items():
        assert present(folder / name)
        with decrypted_copy(folder / name) as path:
            assert path.read_bytes() == data
    assert not present(folder / f"{clip_id(999)}.mp4")
    refuse_damaged((folder / name, hashlib.sha256(data).hexdigest()) for name, data in made.items())
    assert arrange(folder, SMALL).written == 0, "nothing to do"
    arrange(folder, NEVER)
    assert {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("c*") if p.name != large} == made


def test_below_the_number_nothing_changes(folder: Path, tmp_path: Path) -> None:
    filled(folder, 30)
    before = {p: (p.stat().st_ino, p.stat().st_mtime_ns) for p in folder.rglob("*")}
    arrange(folder, ShardParams(above=30), tmp_path / "shelf")
    assert {p: (p.stat().st_ino, p.stat().st_mtime_ns) for p in folder.rglob("*")} == before
    assert arrange(folder, ShardParams(above=29)).members == 30


def test_tar_readers_list_the_objects(folder: Path, tmp_path: Path) -> None:
    made = filled(folder, 60)
    arrange(folder, SMALL)
    found = dict[str, bytes]()
    for path in Shards(folder).paths():
        with tarfile.open(path) as archive:
            found |= {m.name: archive.extractfile(m).read() for m in archive.getmembers()}  # type: ignore[union-attr]
    assert found == made
    if shutil.which("tar"):
        listed = [subprocess.run(["tar", "tf", p], capture_output=True, check=True) for p in Shards(folder).paths()]
        assert sorted(name for done in listed for name in done.stdout.decode().split()) == sorted(made)
        assert not any(done.stderr for done in listed)
        (tmp_path / "out").mkdir()
        subprocess.run(["tar", "xf", Shards(folder).paths()[0], "-C", tmp_path / "out"], check=True)
        assert all(p.read_bytes() == made[p.relative_to(tmp_path / "out").as_posix()] for p in tmp_path.rglob("out/c*"))


@given(st.from_regex(r"\A[a-z0-9/._-]{1,100}\Z"), st.one_of(st.integers(0, 8**11 - 1), st.sampled_from([0, 511, 512])))
def test_headers_are_those_of_tarfile(name: str, size: int) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o444
    assert archive._header(name, size) == info.tobuf(tarfile.USTAR_FORMAT, "ascii", "strict")


def test_webdataset_reads_them(folder: Path) -> None:
    webdataset = pytest.importorskip("webdataset", reason="the package webdataset is not installed")
    made = filled(folder, 40)
    arrange(folder, SMALL)
    samples = webdataset.WebDataset([str(p) for p in Shards(folder).paths()], shardshuffle=False)
    found = {f"{s['__key__']}.{k}": v for s in samples for k, v in s.items() if not k.startswith("__")}
    assert found == made


def test_two_requests_read_one_object_of_a_remote_shard(folder: Path) -> None:
    made = filled(folder, 60)
    arrange(folder, SMALL)
    path = Shards(folder).paths()[0]
    data, asked = path.read_bytes(), list[tuple[int, int]]()

    def ranges(start: int, size: int) -> bytes:
        asked.append((start, size))
        return data[start : start + size]

    index = parse_index(path.name, len(data), ranges)
    name, member = next(iter(index.members.items()))
    assert ranges(member.offset, member.size) == made[name]
    assert len(asked) == 3, "the end, the index, the object; a reader that fetches the last KiBs at once needs two"


def test_runs_after_the_first_link_what_did_not_change(folder: Path, tmp_path: Path) -> None:
    shelf = tmp_path / "shelf"
    made = filled(folder, 120)
    first = arrange(folder, SMALL, shelf)
    inodes = {p.name: p.stat().st_ino for p in Shards(folder).paths()}
    shutil.rmtree(folder)  # as DVC removes an output before its stage runs
    filled(folder, 121)
    again = arrange(folder, SMALL, shelf)
    assert first.reused == 0
    assert again.written <= 2
    assert again.reused >= first.written - 1
    same = [p for p in Shards(folder).paths() if inodes.get(p.name) == p.stat().st_ino]
    assert len(same) == again.reused, "DVC does not hash them again"
    assert len(list(shelf.iterdir())) == len(Shards(folder).paths())
    kept = sorted(shelf.iterdir())[0]
    flip(kept, kept.stat().st_size // 3)
    shutil.rmtree(folder)
    filled(folder, 121)
    assert arrange(folder, SMALL, shelf).written == 1, "what the disk damaged is made anew"
    assert not any(Shards(folder).faults())
    assert all(content(folder / name) == data for name, data in made.items())


# keys


def test_an_erased_film_is_unreadable_and_its_shard_stays_as_it_is(
    folder: Path, state_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dvc.yaml").touch()
    monkeypatch.chdir(tmp_path)
    vault = Vault()
    films = [vault.private_film_id("inbox", f"{n}.mp4", "0" * 64) for n in range(30)]
    for film in films:
        (tmp_path / "clear").write_bytes(film.encode() * 20)
        vault.encrypt_file(f"processed:c{film[1:]}-000", tmp_path / "clear", folder / f"c{film[1:]}-000.mp4")
    filled(folder, 30)
    arrange(folder, SMALL)
    before = {p: p.read_bytes() for p in Shards(folder).paths()}
    assert not any(film.encode() * 3 in data for film in films for data in before.values())
    for film in films:
        assert content(folder / f"c{film[1:]}-000.mp4") == film.encode() * 20
    gone = films[7]
    assert Shards(folder).of_film(gone) == [f"c{gone[1:]}-000.mp4"]
    vault.keys.destroy(gone)
    add([Tombstone(film_id=gone, source_id="inbox", clips=1, content="")], tmp_path)
    with pytest.raises(ErasedError, match=f"{gone} was erased"):
        content(folder / f"c{gone[1:]}-000.mp4")
    for film in films:
        if film != gone:
            assert content(folder / f"c{film[1:]}-000.mp4") == film.encode() * 20
    assert {p: p.read_bytes() for p in Shards(folder).paths()} == before
    assert not any(Shards(folder).faults())
    one, other = (folder / f"c{film[1:]}-000.mp4" for film in films[:2])
    unpack(folder)
    shutil.copy(one, other)  # another clip's object under its name
    arrange(folder, SMALL)
    with pytest.raises(AiprodError, match=f"holds processed:c{films[0][1:]}"):
        content(other)


# damage


def flip(path: Path, at: int) -> None:
    path.chmod(0o644)
    data = bytearray(path.read_bytes())
    data[at] ^= 4
    path.write_bytes(data)


@given(st.integers(0, 10**9), st.randoms())
@settings(max_examples=60, deadline=None)
def test_any_flipped_byte_is_named(at: int, _: random.Random) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "raw"
        filled(folder, 12)
        arrange(folder, SMALL)
        path = Shards(folder).paths()[0]
        at %= path.stat().st_size
        index = Shards(folder).index(path)
        inside = [m.name for m in index.members.values() if m.offset <= at < m.offset + m.size]
        flip(path, at)
        [fault] = Shards(folder).faults()
        assert path.name in fault
        assert all(name in fault for name in inside)
        for name in inside:
            with pytest.raises(AiprodError, match=name):
                content(folder / name)


def test_a_shard_that_is_cut_off_is_named_wherever_the_cut_is(folder: Path) -> None:
    filled(folder, 12)
    arrange(folder, SMALL)
    path = Shards(folder).paths()[0]
    name = next(iter(Shards(folder).index(path).members))
    whole = path.read_bytes()
    path.chmod(0o644)
    for size in (0, 100, 1024, 5000, len(whole) - 1000, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(AiprodError, match=rf"{path.name}: .*(cut off|none of ours)"):
            content(folder / name)
        assert len(list(Shards(folder).faults())) == 1
        with pytest.raises(AiprodError):
            unpack(folder)
        assert path.exists(), "nothing is removed"


def _forged(folder: Path, change: Callable[[list[list[object]]], object], prefix: str | None = None) -> None:
    """A shard whose index says something else, with a digest that fits."""
    [path] = Shards(folder).paths()
    index: Index = Shards(folder).index(path)
    entries: list[list[object]] = [[m.name, m.size, m.sha256] for m in index.members.values()]
    data = path.read_bytes()[: index.end + 1024]
    change(entries)
    forged = index_bytes(index.prefix if prefix is None else prefix, [tuple(e) for e in entries])  # type: ignore[misc]
    trailer = hashlib.sha256(forged).digest() + len(forged).to_bytes(8, "big") + b"AIPSHRD\x01"
    path.chmod(0o644)
    path.write_bytes(data + forged + trailer)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda e: e[0].__setitem__(0, f"../{clip_id(1)}.mp4"), "does not belong there"),
        (lambda e: e[0].__setitem__(0, "/etc/passwd"), "does not belong there"),
        (lambda e: e[0].__setitem__(0, "a\\b"), "does not belong there"),
        (lambda e: e[1].__setitem__(0, e[0][0]), "does not belong there"),
        (lambda e: e[0].__setitem__(1, -5), "is not one"),
        (lambda e: e[0].__setitem__(1, e[0][1] + 4096), "bytes of content"),
        (lambda e: e[0].__setitem__(1, "9"), "is not one"),
        (lambda e: e.pop(), "bytes of content"),
        (lambda e: e.reverse(), "not in order"),
        (lambda e: e.append("x"), "is not one"),
        (lambda e: e.append(["x", 1]), "is not one"),
    ],
)
def test_an_index_that_lies_is_refused(folder: Path, change: Callable[..., object], says: str) -> None:
    filled(folder, 6)
    arrange(folder, ShardParams(above=0))
    _forged(folder, change)
    with pytest.raises(AiprodError, match=says):
        Shards(folder).index(Shards(folder).paths()[0])
    with pytest.raises(AiprodError):
        unpack(folder)
    assert not (folder.parent / f"{clip_id(1)}.mp4").exists()


def test_two_objects_that_the_index_exchanges_are_not_mixed_up(folder: Path) -> None:
    folder.mkdir()
    names = sorted(f"{clip_id(n)}.mp4" for n in range(2))
    for name in names:
        (folder / name).write_bytes(name.encode() * 9)
    arrange(folder, ShardParams(above=0))

    def exchange(entries: list[list[object]]) -> None:
        entries[0][2], entries[1][2] = entries[1][2], entries[0][2]

    _forged(folder, exchange)
    with pytest.raises(AiprodError, match=f"the bytes of {names[0]} are not what the index says"):
        content(folder / names[0])


def test_a_shard_under_another_ones_name_is_refused(folder: Path) -> None:
    made = filled(folder, 60)
    arrange(folder, SMALL)
    one, other = Shards(folder).paths()[:2]
    shutil.copyfile(one, folder / "x")
    other.chmod(0o644)
    shutil.move(folder / "x", other)
    with pytest.raises(AiprodError, match=f"{other.name}: its index is that of {one.name}"):
        for name in made:
            content(folder / name)


def test_a_name_that_leads_out_is_never_written(tmp_path: Path) -> None:
    store = ClipStore(tmp_path)
    with pytest.raises(AiprodError, match="leads out"):
        store.path("raw", "../x.mp4")
    assert Shards(tmp_path).find("../x.mp4") is None


# interruptions

_PACK = """
import sys
from pathlib import Path
from aiprod.storage.shards.packing import arrange
from aiprod.storage.shards.params import ShardParams
print("ready", flush=True)
arrange(Path(sys.argv[1]), ShardParams(above=0, max_mib=float(sys.argv[2])), Path(sys.argv[3]))
"""


def test_killed_at_any_time_every_object_is_there_and_the_next_call_goes_on(folder: Path, tmp_path: Path) -> None:
    made = filled(folder, 600)
    sizes_mib, draw = (1 / 64, 1 / 16), random.Random(3)
    for attempt in range(8):
        words = [sys.executable, "-c", _PACK, str(folder), str(sizes_mib[attempt % 2]), str(tmp_path / "shelf")]
        with subprocess.Popen(words, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(draw.random() * 0.15)
            process.send_signal(signal.SIGKILL)
        for name in draw.sample(sorted(made), 40):
            assert content(folder / name) == made[name]
    arrange(folder, SMALL, tmp_path / "shelf")
    assert not any(Shards(folder).faults())
    assert {m.name for m in Shards(folder).members()} == set(made)
    assert sorted(os.listdir(folder)) == ["shards"]
    clean = tmp_path / "clean"
    filled(clean, 600)
    arrange(clean, SMALL)
    assert {p.name: sha256_file(p) for p in Shards(clean).paths()} == {
        p.name: sha256_file(p) for p in Shards(folder).paths()
    }


def test_stopped_between_any_two_steps_nothing_is_lost(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = filled(folder, 80)
    arrange(folder, ShardParams(above=0, max_mib=1 / 16))
    real, left = os.replace, 0

    def replace(source: Path, target: Path) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise KeyboardInterrupt
        real(source, target)

    monkeypatch.setattr(os, "replace", replace)
    for steps in range(40):
        left = steps
        try:
            arrange(folder, SMALL)
        except KeyboardInterrupt:
            forget()
            assert all(content(folder / name) == data for name, data in made.items()), steps
        else:
            break
    assert not any(Shards(folder).faults())
    assert steps > 5


def test_two_at_once_one_is_refused_in_a_line(folder: Path) -> None:
    filled(folder, 30)
    with (
        packing._alone(folder),
        pytest.raises(AiprodError, match="is being packed by another process"),
    ):
        arrange(folder, SMALL)
    arrange(folder, SMALL)


def test_an_object_that_changes_meanwhile_stops_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = filled(folder, 20)
    monkeypatch.setattr(packing, "sha256_once", lambda path: "0" * 64)
    with pytest.raises(AiprodError, match="changed while it was packed"):
        arrange(folder, SMALL)
    assert {p.relative_to(folder).as_posix() for p in folder.rglob("c*")} == set(made)


def test_a_full_disk_leaves_the_files(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = filled(folder, 20)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(packing, "write", full)
    with pytest.raises(AiprodError, match="no space left"):
        arrange(folder, SMALL)
    assert all(content(folder / name) == data for name, data in made.items())
    monkeypatch.setattr(packing, "write", write)
    arrange(folder, SMALL)
    assert {p.name for p in Shards(folder).paths()} == {file_name(p) for p in Shards(folder).prefixes()}
