"""The vision-language captioner against a tiny checkpoint in the real on-disk format."""

from __future__ import annotations

import shutil
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from aiprod.captions.captioner import Subject
from aiprod.captions.frames import evenly_spread
from aiprod.captions.params import VlmParams
from aiprod.captions.vlm import VlmCaptioner, version_of
from aiprod.errors import AiprodError
from aiprod.media.encoding import encode
from tests.captions.llava import save_llava


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A LLaVA checkpoint of a few thousand weights, saved by transformers itself."""
    return save_llava(tmp_path_factory.mktemp("llava"))


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two short films whose brightness grows with time."""
    folder = tmp_path_factory.mktemp("films")
    paths = []
    for number, length in enumerate((24, 12)):
        pictures = (np.full((48, 64, 3), 8 * n + 20, np.uint8) for n in range(length))
        paths.append(folder / f"{number}.mp4")
        encode(paths[-1], pictures, Fraction(24), None)
    return paths


def test_frames_are_spread_over_time(films: list[Path]) -> None:
    means = [float(p.mean()) for p in evenly_spread(films[0], 4, 32)]
    assert means == sorted(means)
    assert means[0] < 60 and means[-1] > 170  # the middle of the first and of the last quarter
    assert max(evenly_spread(films[0], 4, 32)[0].shape) == 32


def test_batches_of_different_length_give_a_caption_each(checkpoint: Path, films: list[Path]) -> None:
    captioner = VlmCaptioner(VlmParams(checkpoint=str(checkpoint), frames=3, tokens_max=6, device="cpu", batch=2))
    subjects = [Subject(path.stem, {}, path=path) for path in films]
    drafts = captioner.describe(subjects)
    assert len(drafts) == 2 and all(d.caption for d in drafts)
    assert drafts == captioner.describe(subjects)  # greedy: the same words again
    alone = [captioner.describe([s])[0].caption for s in subjects]
    assert alone == [d.caption for d in drafts]  # padding in a batch changes nothing


def test_eight_bit_weights_caption_too_and_are_another_version(checkpoint: Path, films: list[Path]) -> None:
    whole = VlmParams(checkpoint=str(checkpoint), frames=2, tokens_max=4, device="cpu", batch=2)
    small = VlmCaptioner(whole.model_copy(update={"quantize": "int8"}))
    drafts = small.describe([Subject(path.stem, {}, path=path) for path in films])
    assert len(drafts) == 2 and all(draft.caption for draft in drafts)
    kinds = {str(parameter.dtype) for parameter in small._loaded[1].parameters()}
    assert "torch.int8" in kinds
    assert small.version != VlmCaptioner(whole).version


def test_version_follows_weights_and_prompt(checkpoint: Path) -> None:
    base = VlmParams(checkpoint=str(checkpoint), device="cpu")
    assert VlmCaptioner(base).version == VlmCaptioner(base).version
    other = base.model_copy(update={"prompt": "What happens?"})
    assert VlmCaptioner(base).version != VlmCaptioner(other).version


def test_a_missing_checkpoint_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(AiprodError, match="does not load") as caught:
        VlmCaptioner(VlmParams(checkpoint=str(tmp_path), device="cpu")).load()
    assert "\n" not in str(caught.value)
    with pytest.raises(AiprodError, match="empty"):
        VlmCaptioner(VlmParams())


def test_a_name_on_the_hub_needs_its_commit_and_both_make_the_version() -> None:
    """A branch or a tag can be moved to other weights, and two models may share a revision's name."""
    commit = "0123456789abcdef0123456789abcdef01234567"
    for revision in ("", "main", "v1.0", commit[:12]):
        with pytest.raises(AiprodError, match=r"caption\.vlm\.revision to the commit \(40 hex digits\)"):
            VlmCaptioner(VlmParams(checkpoint="someone/model", revision=revision))
    named = {
        version_of(VlmParams(checkpoint=name, revision=revision))
        for name in ("someone/model", "someone/other")
        for revision in (commit, commit[::-1])
    }
    assert len(named) == 4


def test_a_name_on_the_hub_loads_that_commit_from_the_cache(
    checkpoint: Path, films: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub.constants

    commit = "0123456789abcdef0123456789abcdef01234567"
    snapshot = tmp_path / "models--someone--model" / "snapshots" / commit
    shutil.copytree(checkpoint, snapshot)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    params = {"frames": 2, "tokens_max": 4, "device": "cpu"}
    cached = VlmCaptioner(VlmParams(checkpoint="someone/model", revision=commit, **params))
    own = VlmCaptioner(VlmParams(checkpoint=str(checkpoint), **params))
    subjects = [Subject("a", {}, path=films[0])]
    assert [d.caption for d in cached.describe(subjects)] == [d.caption for d in own.describe(subjects)]
    with pytest.raises(AiprodError, match="does not load"):
        VlmCaptioner(VlmParams(checkpoint="someone/model", revision=commit[::-1], **params)).load()


def test_another_file_in_the_folder_is_another_version(checkpoint: Path, tmp_path: Path) -> None:
    first = version_of(VlmParams(checkpoint=str(checkpoint)))
    shutil.copytree(checkpoint, tmp_path / "moved")
    assert version_of(VlmParams(checkpoint=str(tmp_path / "moved"))) == first
    (tmp_path / "moved" / "config.json").write_text((checkpoint / "config.json").read_text() + "\n")
    assert version_of(VlmParams(checkpoint=str(tmp_path / "moved"))) != first
