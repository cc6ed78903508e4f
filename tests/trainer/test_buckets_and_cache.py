"""Batches are full and fair, the order depends on the seed alone, and a stale or damaged cache is refused by name."""

from __future__ import annotations

import random
from array import array
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from aiprod.data.latents.buckets import Bucket, BucketSampler
from aiprod.data.latents.dataset import LatentDataset
from aiprod.errors import AiprodError
from tests.trainer.small_cache import DIGESTS, write_cache

pytestmark = pytest.mark.bitwise

CLIPS = st.dictionaries(
    st.text("abcdef", min_size=1, max_size=4),
    st.builds(Bucket, st.sampled_from([32, 64]), st.just(56), st.sampled_from([5, 9]), st.booleans()),
    min_size=1,
    max_size=25,
)


@given(clips=CLIPS, batch=st.integers(1, 8), rounds=st.integers(1, 4))
@settings(max_examples=60, deadline=None)
def test_batches_are_full_of_one_bucket_and_fair(clips, batch, rounds):
    sampler = BucketSampler(clips, batch=batch, seed=3)
    seen: Counter[str] = Counter()
    for _ in range(rounds * len(clips)):
        bucket, ids = sampler.next()
        assert len(ids) == batch
        assert {clips[i] for i in ids} == {bucket}
        seen.update(ids)
    for bucket in set(clips.values()):  # inside a bucket nobody is seen twice more than another
        times = [seen[c] for c in clips if clips[c] == bucket]
        assert max(times) - min(times) <= 1
    sizes = Counter(clips.values())
    spread = [sum(seen[c] for c in clips if clips[c] == b) / n for b, n in sizes.items()]
    assert max(spread) - min(spread) <= 2 * batch  # no bucket runs ahead by more than a batch of its own


@given(clips=CLIPS, batch=st.integers(1, 5), stop=st.integers(0, 20))
@settings(max_examples=40, deadline=None)
def test_a_sampler_goes_on_exactly_where_it_stopped(clips, batch, stop):
    one = BucketSampler(clips, batch=batch, seed=1)
    two = BucketSampler(dict(reversed(clips.items())), batch=batch, seed=1)
    for _ in range(stop):
        one.next()
    two.load_state_dict(one.state_dict())
    assert [one.next() for _ in range(10)] == [two.next() for _ in range(10)]


def plain_draws(clips: dict[str, Bucket], batch: int, seed: int) -> Iterator[tuple[Bucket, list[str]]]:
    """What the sampler promises, without a thought for time or memory."""
    drawn = dict.fromkeys(sorted(set(clips.values())), 0)
    members = {bucket: sorted(one for one in clips if clips[one] == bucket) for bucket in drawn}
    orders: dict[Bucket, list[str]] = {bucket: [] for bucket in drawn}
    while True:
        bucket = min(drawn, key=lambda b: (drawn[b] / len(members[b]), b))
        begin, end = drawn[bucket], drawn[bucket] + batch
        while len(orders[bucket]) < end:
            places = array("I", range(len(members[bucket])))
            turn = len(orders[bucket]) // len(places)
            random.Random(f"{seed}/{bucket}/{turn}").shuffle(places)
            orders[bucket] += [members[bucket][place] for place in places]
        drawn[bucket] = end
        yield bucket, orders[bucket][begin:end]


@given(clips=CLIPS, batch=st.integers(1, 30), seed=st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_the_order_of_batches_never_changes(clips, batch, seed):
    sampler, plain = BucketSampler(clips, batch=batch, seed=seed), plain_draws(clips, batch, seed)
    assert [sampler.next() for _ in range(40)] == [next(plain) for _ in range(40)]


def test_other_seeds_give_other_orders():
    clips = {f"c{i}": Bucket(32, 56, 9, True) for i in range(20)}
    orders = {tuple(BucketSampler(clips, batch=20, seed=s).next()[1]) for s in range(5)}
    assert len(orders) == 5


def test_repeats_weigh_sources():
    clips = {f"c{i}": Bucket(32, 56, 9, True) for i in range(4)}
    sampler = BucketSampler(clips, batch=7, seed=0, repeats={"c0": 4})
    assert Counter(sampler.next()[1])["c0"] == 4


@given(times=st.lists(st.sampled_from([0, 0.05, 0.25, 0.5, 1, 1.5, 3]), min_size=2, max_size=6).filter(any))
@settings(max_examples=30, deadline=None)
def test_fractions_of_a_round_are_kept_exactly(times):
    clips = {f"c{i}": Bucket(32, 56, 9, True) for i in range(len(times))}
    repeats = {f"c{i}": t for i, t in enumerate(times)}
    whole = round(20 * sum(times))
    seen = Counter(BucketSampler(clips, batch=whole, seed=0, repeats=repeats).next()[1])
    assert [seen[clip] / 20 for clip in repeats] == times, "twenty rounds"


def test_what_cannot_be_repeated_is_refused():
    clips = {"a": Bucket(32, 56, 9, True)}
    with pytest.raises(AiprodError, match="-1 times per round"):
        BucketSampler(clips, batch=1, seed=0, repeats={"a": -1})
    with pytest.raises(AiprodError, match="repeat count of 0"):
        BucketSampler(clips, batch=1, seed=0, repeats={"a": 0})


def test_a_position_of_other_clips_is_refused():
    clips = {f"c{i}": Bucket(32, 56, 9, True) for i in range(4)}
    state = BucketSampler(clips, batch=2, seed=0).state_dict()
    with pytest.raises(AiprodError, match="another clips"):
        BucketSampler({**clips, "c9": Bucket(32, 56, 9, True)}, batch=2, seed=0).load_state_dict(state)


def test_no_clip_is_an_error_that_says_why(tmp_path: Path):
    with pytest.raises(AiprodError, match="no usable clip"):
        BucketSampler({}, batch=2, seed=0)
    dataset = LatentDataset(write_cache(tmp_path), DIGESTS)
    with pytest.raises(AiprodError, match="phase 'ultra' has no clip to train on"):
        dataset.buckets("ultra")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("video_vae", "the video VAE"),
        ("audio_vae", "the audio VAE"),
        ("text_encoder", "the text encoder"),
        ("geometry", "resolutions"),
        ("cache_params", "parameters of cache_latents"),
    ],
)
def test_a_stale_cache_is_refused_by_name(tmp_path, name, words):
    write_cache(tmp_path)
    with pytest.raises(AiprodError, match=f"stale.*{words}"):
        LatentDataset(tmp_path, {**DIGESTS, name: "another"})


def test_one_file_of_another_vae_is_refused(tmp_path):
    """A manifest that looks right does not save a file that is not."""
    write_cache(tmp_path)
    other = write_cache(tmp_path / "other", digests={**DIGESTS, "video_vae": "v2"})
    dataset = LatentDataset(tmp_path, DIGESTS)
    clip_id = dataset.usable("low", "train")[0].clip_id
    name = f"low/{clip_id}.safetensors"
    (tmp_path / name).write_bytes((other / name).read_bytes())
    with pytest.raises(AiprodError, match=r"stale.*the video VAE"):
        dataset.load("low", clip_id)


def test_a_file_of_another_size_is_refused(tmp_path):
    write_cache(tmp_path)
    dataset = LatentDataset(tmp_path, DIGESTS)
    clip_id = dataset.usable("low", "train")[0].clip_id
    high = (tmp_path / f"high/{clip_id}.safetensors").read_bytes()
    (tmp_path / f"low/{clip_id}.safetensors").write_bytes(high)
    with pytest.raises(AiprodError, match=r"stale.*resolutions"):
        dataset.load("low", clip_id)


@pytest.mark.parametrize("damage", ["cut", "missing", "pickle"])
def test_a_damaged_file_is_one_clear_line(tmp_path, damage):
    write_cache(tmp_path)
    dataset = LatentDataset(tmp_path, DIGESTS)
    clip_id = dataset.usable("low", "train")[0].clip_id
    path = tmp_path / f"low/{clip_id}.safetensors"
    if damage == "missing":
        path.unlink()
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[:-20])
    else:
        torch.save({"video": torch.zeros(1)}, path)
    with pytest.raises(AiprodError) as error:
        dataset.load("low", clip_id)
    assert "\n" not in str(error.value)


def test_silent_clips_have_no_audio(tmp_path):
    dataset = LatentDataset(write_cache(tmp_path, clips=4, silent=1), DIGESTS)
    for row in dataset.usable("low", "train"):
        item = dataset.load("low", row.clip_id)
        assert (item.audio is not None) == row.has_audio
    assert {bucket.has_sound for bucket in dataset.buckets("low").values()} == {True, False}


def test_latents_keep_their_values_and_memory_is_bounded(tmp_path):
    write_cache(tmp_path)
    dataset = LatentDataset(tmp_path, DIGESTS, memory_bytes=2000)
    for row in dataset.usable("low", "train"):
        item = dataset.load("low", row.clip_id)
        stored = safetensors.torch.load_file(tmp_path / str(row.file))
        assert torch.equal(item.video, stored["video"])
    assert dataset._cached_bytes <= 2000
