"""A model that learnt one clip by heart is found out, and a video that is no copy is not called one."""

from __future__ import annotations

import base64
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from aiprod.evaluation import memorisation
from aiprod.evaluation.memorisation import TrainingClips, VaeEncoder, find_copies, limit_between, sentence
from aiprod.inference.request import GeneratedClip, Request

SHAPE = (3, 9, 8, 8)


class Plain:
    """An autoencoder whose latents are the pixels."""

    def encode(self, x: torch.Tensor) -> Any:
        return SimpleNamespace(mode=lambda: x)

    def decode(self, z: torch.Tensor) -> torch.Tensor:
        return z

    normalize = denormalize = staticmethod(lambda z: z)


class Cache:
    """Clips of smooth random pictures; the last five are held out."""

    def __init__(self, held: int = 5) -> None:
        draw = torch.Generator().manual_seed(3)
        coarse = torch.rand(12 + held, 3, 3, 2, 2, generator=draw) * 2 - 1
        grown = torch.nn.functional.interpolate(coarse, SHAPE[1:], mode="trilinear")
        self.clips, self.held = {f"c{n:02d}": clip for n, clip in enumerate(grown)}, held

    def usable(self, phase: str, split: str) -> list[Any]:
        ids = list(self.clips)
        return [SimpleNamespace(clip_id=i) for i in (ids[:12] if split == "train" else ids[12:])]

    def waiting(self, phase: str) -> list[Any]:
        return []

    def load(self, phase: str, clip_id: str) -> Any:
        return SimpleNamespace(video=self.clips[clip_id])


def film(latent: torch.Tensor) -> GeneratedClip:
    pictures = ((latent.clamp(-1, 1) + 1) * 127.5).round().byte().permute(1, 2, 3, 0).numpy()
    return GeneratedClip(Request("", 0), np.ascontiguousarray(pictures), None, 12.0, 48_000)


def searched(cache: Cache, latents: list[torch.Tensor]) -> Any:
    plain: Any = Plain()
    known: Any = TrainingClips(cache, "high", {})  # type: ignore[arg-type]
    return find_copies([film(latent) for latent in latents], VaeEncoder(plain), known)


def overfitted(clip: torch.Tensor) -> torch.Tensor:
    """A sample of a small flow model that was trained on one clip."""
    torch.manual_seed(0)
    size = clip.numel()
    model = torch.nn.Sequential(torch.nn.Linear(size + 1, 64), torch.nn.GELU(), torch.nn.Linear(64, size))
    adam = torch.optim.Adam(model.parameters(), 3e-3)
    clean = clip.flatten()
    for _ in range(300):
        level, noise = torch.rand(16, 1), torch.randn(16, size)
        found = model(torch.cat([(1 - level) * clean + level * noise, level], 1))
        loss = (found - clean).square().mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
    x = torch.randn(1, size)
    with torch.no_grad():
        for level in torch.linspace(1, 1 / 8, 8):
            x = x + (model(torch.cat([x, level.view(1, 1)], 1)) - x) / (level * 8)
    return x.view(clip.shape)


def test_a_model_overfitted_to_one_clip_is_found_out() -> None:
    cache = Cache()
    search = searched(cache, [overfitted(cache.clips["c04"])])
    assert search.nearest[0]["copy"] is True
    assert search.nearest[0]["clip"] == "c04"
    assert "a copy of training clip c04" in sentence(search.nearest[0])
    assert search.figures["known_copies_found"] == search.figures["known_copies"] == 6


def test_what_was_never_shown_is_no_copy_and_neither_is_a_blurred_mean() -> None:
    cache = Cache()
    mean = torch.stack(list(cache.clips.values())).mean(0)
    search = searched(cache, [Cache().clips["c13"].flip(1), mean])
    assert [one["copy"] for one in search.nearest] == [False, False]
    assert search.figures["heldout_taken_for_copies"] == 0
    assert sentence(search.nearest[0]).startswith("no copy; nearest is training clip c")


def test_without_held_out_clips_there_is_no_limit() -> None:
    cache = Cache(held=0)
    found = searched(cache, [cache.clips["c01"]]).nearest[0]
    assert (found["clip"], found["limit"], found["copy"]) == ("c01", None, False)
    assert "no limit" in sentence(found)


@pytest.mark.parametrize(
    ("copies", "apart", "limit"),
    [([0.1, 0.2], [0.8, 0.9], 0.4), ([0.7], [0.6], 0.6), ([], [0.6], 0.6), ([0.1], [], None)],
)
def test_the_limit_lies_between(copies: list[float], apart: list[float], limit: float | None) -> None:
    assert limit_between(copies, apart) == (limit if limit is None else pytest.approx(limit))


def test_scenes_that_are_drawn_alike_are_no_copies_of_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two training clips differ in 9 of 64 bits: so may a video, without being a copy of either."""
    draw = np.random.default_rng(0)
    look, change = (draw.integers(1, 2**63, 40).astype(np.uint64) for _ in range(2))

    def printed(changed: int) -> dict[str, Any]:
        words = look ^ np.uint64(changed)
        coded = [base64.b64encode(one.astype("<u8").tobytes()).decode() for one in (words, change)]
        return {"status": "ok", "look": coded[0], "change": coded[1], "sound": ""}

    clips = {"a": printed(0x0), "b": printed(0x1FF)}
    close, other = printed(0x3), printed(0x1FF << 50)  # two bits from one of them, nine
    monkeypatch.setattr(memorisation, "_print_of", {"close": close, "other": other}.get)
    videos: Any = ["close", "other"]
    alone = memorisation._fingerprinted(videos, {"a": clips["a"]})
    assert [found and found["clip"] for found in alone] == ["a", "a"]
    together = memorisation._fingerprinted(videos, clips)
    assert [found and found["clip"] for found in together] == ["a", None]
