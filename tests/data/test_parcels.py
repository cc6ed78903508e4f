"""Items that travel to machines without the project: the same bytes come back, nothing private lies open on the way."""

from __future__ import annotations

import base64
import pickle
from collections.abc import Callable, Iterator
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from aiprod.captions.caption_job import answers_of_workers
from aiprod.captions.captioner import Subject
from aiprod.captions.params import CaptionParams
from aiprod.captions.registry import make_captioner
from aiprod.errors import AiprodError
from aiprod.evaluation.memorisation import VaeEncoder
from aiprod.evaluation.sample_job import SampleWorkers
from aiprod.executors import executor
from aiprod.executors.local import LocalPool
from aiprod.executors.parcels import Bundle, Depot, Packer, take_over, value_of, work
from aiprod.executors.types import Bounds, Outcome
from aiprod.models.adapters.autoencoders import load_video_vae
from aiprod.models.artifacts import LATENT_MAKERS
from aiprod.storage.crypto.film_encryption import CARRIED, Vault
from aiprod.storage.crypto.key_transport import KeyReceiver, seal_for
from aiprod.storage.result_cache import Memo
from aiprod.trainer.latents.encode import CacheLatentsParams, TextJob
from aiprod.trainer.latents.encode_job import encode_on_workers
from tests.captions.llava import save_llava
from tests.data.five_stages import fill_inbox, five_stages
from tests.inference.conftest import models  # noqa: F401 - a fixture
from tests.projects import enter_project

LOADERS = (
    "aiprod.captions.vlm.VlmCaptioner.load",
    "aiprod.evaluation.sample_job.load_video_vae",
    "aiprod.inference.pipeline.load_transformer",
    "aiprod.inference.pipeline.load_video_vae",
    "aiprod.trainer.latents.encode.load_text_encoder",
    "aiprod.trainer.latents.encode.load_video_vae",
)


# What workers import to load models, several seconds of processor time for each of them otherwise.
OF_MODELS = ("torch", "safetensors.torch", "transformers.modeling_utils", "aiprod.trainer.latents.encode_job")


@pytest.fixture(scope="module", autouse=True)
def workers_have_imported_what_models_need() -> Iterator[None]:
    """The server that workers are forked from is another one for this file."""
    forkserver._forkserver._stop()  # type: ignore[attr-defined]
    with pytest.MonkeyPatch.context() as patch:
        chosen = forkserver.set_forkserver_preload
        patch.setattr(forkserver, "set_forkserver_preload", lambda names: chosen([*names, *OF_MODELS]))
        yield
    forkserver._forkserver._stop()  # type: ignore[attr-defined]


def _refuse_to_load(*_: Any, **__: Any) -> None:
    raise AssertionError("a model is loaded in the process that only hands out work")


class Store:
    """An object store in memory, that remembers all it was ever given."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []

    def put(self, data: bytes) -> int:
        self.pieces.append(data)
        return len(self.pieces) - 1

    def get(self, number: int) -> bytes:
        return self.pieces[number]


class OtherMachine:
    """A pool of one worker that is given parcels alone, in a folder of its own, as one of a cluster is."""

    store = Store()
    folder: Path
    seen: list[bytes]

    def __init__(self, function: Callable[[Any], Any], *, confined: bool) -> None:
        self._packer = Packer(function, self.store.put, confined=confined)
        self._receiver = KeyReceiver()
        self._depot = Depot(self.folder, self.store.get, self.store.put)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("AIPROD_HOME", str(self.folder / "state"))
            self._pool = LocalPool(work, 1, function.__module__, writable=[self.folder] if confined else None)
        self._done: list[Outcome[Any]] = []

    def room(self) -> int:
        return 1 - len(self._done)

    def submit(self, index: int, item: Any, bounds: Bounds) -> None:
        parcel, keys = self._packer.pack(item)
        sealed = seal_for(self._receiver.address, keys) if keys else b""
        self.seen += [pickle.dumps(parcel), sealed]
        with self._depot.unpacked(parcel, self._receiver.open(sealed) if sealed else {}) as load:
            self._pool.submit(index, load, bounds)
            while not (outcomes := self._pool.poll(0.25)):
                pass
            [outcome] = outcomes
            if item.memo is not None and outcome.ok:
                take_over(item.memo, self._depot.results(load), self.store.get)
        value = value_of(parcel, outcome.value) if outcome.ok else None
        self._done.append(Outcome(index, value, outcome.fault, outcome.reason))

    def poll(self, timeout_s: float) -> list[Outcome[Any]]:
        done, self._done = self._done, []
        return done

    def close(self) -> None:
        self._pool.close()


@pytest.fixture
def other_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[OtherMachine]]:
    OtherMachine.store, OtherMachine.seen, OtherMachine.folder = Store(), [], tmp_path / "elsewhere"
    OtherMachine.folder.mkdir()
    here = executor._pool

    def pool(engine: str, function: Callable[[Any], Any], *rest: Any, **more: Any) -> Any:
        if engine == "ray":
            return OtherMachine(function, confined=more["writable"] is not None)
        return here(engine, function, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(executor, "_pool", pool)
    yield OtherMachine


@pytest.mark.slow
def test_all_five_stages_leave_the_same_bytes_and_nothing_private_travels_in_the_clear(
    tmp_path: Path,
    make_film: Callable[..., Path],
    other_machine: type[OtherMachine],
    models: Path,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    enter_project(tmp_path / "project", monkeypatch, state=tmp_path / "state")
    vlm = save_llava(tmp_path / "llava")
    fill_inbox(make_film, films=3)
    here = five_stages(Path("local").absolute(), "local", models, vlm)
    for loader in LOADERS:
        monkeypatch.setattr(loader, _refuse_to_load)  # in this process: workers alone load models
    there = five_stages(Path("ray").absolute(), "ray", models, vlm)
    assert there.keys() == here.keys()
    assert [name for name in here if here[name] != there[name]] == []
    [film] = Vault().keys.subjects()
    key, clear = Vault().key_of(film), Path("datasets/inbox/1.mp4").read_bytes()
    middle = clear[len(clear) // 2 :][:64]  # pictures
    travelled = [*other_machine.store.pieces, *other_machine.seen]
    assert len(travelled) > 20
    for data in travelled:
        assert key not in data and base64.b64encode(key) not in data
        assert middle not in data
        assert b"1.mp4" not in data  # what a private film is called is private, too
    left = [path for path in other_machine.folder.rglob("*") if path.is_file()]
    for path in left:
        data = path.read_bytes()
        assert key not in data and middle not in data, path
    assert not [path for path in left if "keys" in path.parts]


@pytest.mark.slow
def test_workers_encode_samples_for_the_search_for_copies_as_this_process_does(
    tmp_path: Path,
    other_machine: type[OtherMachine],
    models: Path,  # noqa: F811
) -> None:
    vae, workers = load_video_vae(models / "video_vae"), SampleWorkers.of("ray", models)
    draw = np.random.default_rng(2)
    pictures = [draw.integers(0, 255, (9, 32, 48, 3), np.uint8) for _ in range(5)]
    latents = VaeEncoder(vae)(pictures[:2], [])[0]
    here, there = VaeEncoder(vae)(pictures, latents), workers.encoder(pictures, latents)
    for ours, theirs in zip(here, there, strict=True):
        assert len(ours) == len(theirs) and all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
    assert workers.encoder([], []) == ([], [])


@pytest.mark.slow
def test_models_that_do_not_load_on_a_worker_stop_the_stage_and_mark_no_clip(
    tmp_path: Path, other_machine: type[OtherMachine]
) -> None:
    makers, memo = tmp_path / "models", Memo(tmp_path / "memo", "")
    for name in LATENT_MAKERS:
        (makers / name).mkdir(parents=True)
        (makers / name / "config.json").write_text("{}")
    texts = [[TextJob("k" * 64, "a red circle")]]
    with pytest.raises(AiprodError, match=r"models/video_vae"):
        list(encode_on_workers([], texts, CacheLatentsParams(), makers, memo=memo, engine="ray"))
    (tmp_path / "vlm").mkdir()
    (tmp_path / "vlm/config.json").write_text("{}")
    asked = CaptionParams.model_validate({"captioner": "vlm", "vlm": {"checkpoint": str(tmp_path / "vlm")}})
    subjects = [Subject(f"c{n}", {}) for n in range(2)]
    keys = {subject.clip_id: subject.clip_id for subject in subjects}
    with pytest.raises(AiprodError, match="does not load"):
        list(answers_of_workers(asked, make_captioner(asked), subjects, keys, memo=memo, engine="ray"))


def test_keys_open_for_one_worker_alone() -> None:
    one, other = KeyReceiver(), KeyReceiver()
    sealed = seal_for(one.address, {"f0a": b"k" * 32})
    assert one.open(sealed) == {"f0a": b"k" * 32}
    assert b"k" * 32 not in sealed and sealed != seal_for(one.address, {"f0a": b"k" * 32})
    for data in (seal_for(other.address, {}), sealed[:-1], sealed[:40], b""):
        with pytest.raises(AiprodError, match="another worker"):
            one.open(data)


def test_a_worker_makes_no_key_and_reads_no_key_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    enter_project(tmp_path, monkeypatch, state=tmp_path / "state")
    film = "f0" + "a" * 16
    secret = Vault().key_of(film)
    try:
        CARRIED.hold({})
        with pytest.raises(AiprodError, match="no key"):
            Vault().seal(f"raw:{film}", b"x")
        CARRIED.hold({film: secret})
        sealed = Vault().seal(f"raw:{film}", b"x")
    finally:
        CARRIED._keys = None
    assert Vault().unseal(f"raw:{film}", sealed) == b"x"


def test_a_result_that_was_damaged_on_its_way_is_not_kept(tmp_path: Path) -> None:
    store, there, here = Store(), Memo(tmp_path / "there", "c"), Memo(tmp_path / "here", "c")
    key = there.key("clip")

    def build(folder: Path) -> dict[str, int]:
        (folder / "big.bin").write_bytes(bytes(range(256)) * 1000)
        return {"answer": 42}

    there.put(key, build)
    bundle = Bundle.of({p.name: p for p in there.place_of(key).iterdir()}, store.put)
    good = list(store.pieces)
    store.pieces[0] = b"\0" + good[0][1:-1] + b"\0"
    with pytest.raises(AiprodError, match="damaged on its way"):
        take_over(here, {key: bundle}, store.get)
    assert here.get(key) is None
    store.pieces[:] = good
    take_over(here, {key: bundle}, store.get)
    known = here.get(key)
    assert known is not None and known[0] == {"answer": 42}
    assert (known[1] / "big.bin").read_bytes() == bytes(range(256)) * 1000


@pytest.mark.parametrize("name", ["../outside", "/tmp/outside", "a/../../outside"])
def test_nothing_is_unpacked_outside_of_its_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(AiprodError):
        Bundle((((name,), (b"x",)),)).unpack(tmp_path / "in", bytes)
    with pytest.raises(AiprodError):
        take_over(Memo(tmp_path / "memo", ""), {name: Bundle()}, bytes)
    assert not (tmp_path / "outside").exists()
