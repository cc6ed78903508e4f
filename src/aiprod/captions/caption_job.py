"""Captions a part of a dataset's clips on a worker of an engine, which loads the captioner once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from aiprod.captions.captioner import Captioner, Draft, Subject
from aiprod.captions.params import CaptionParams
from aiprod.captions.registry import make_captioner
from aiprod.errors import AiprodError
from aiprod.executors.executor import in_parts
from aiprod.executors.types import Bounds, Engine, Needs
from aiprod.storage.crypto.film_encryption import is_private
from aiprod.storage.result_cache import Memo, Seal

_BOUNDS = Bounds(deadline_s=3600.0, memory_bytes=0)  # a part; what a model takes is its own


@dataclass(frozen=True)
class CaptionJob:
    """Clips that the captioner is given at a time.

    Args:
        keys: of their results, in order.
    """

    params: CaptionParams
    subjects: tuple[Subject, ...]
    keys: tuple[str, ...]
    memo: Memo
    looks: bool
    threads: int

    @contextmanager
    def packing(self) -> Iterator[Needs]:
        """What goes to another machine."""
        yield Needs(
            files={s.clip_id: s.path for s in self.subjects if self.looks and s.path is not None},
            shared=self.params.files,
            private=tuple(s.clip_id for s in self.subjects if s.private),
        )

    def placed(self, at: Mapping[str, Path], memo: Memo) -> CaptionJob:
        """The same job on another machine."""
        subjects = tuple(replace(s, path=at.get(s.clip_id)) for s in self.subjects)
        return replace(self, subjects=subjects, params=self.params.with_files(at), memo=memo)


def caption_part(job: CaptionJob) -> dict[str, str] | AiprodError:
    """Fill the memo entry of each clip that could be captioned. Runs in a worker.

    Returns:
        clip id → why there is no caption, of the others; or why the captioner does not load, for any clip.
    """
    import torch  # here: captioning by rules on this machine does without

    torch.set_num_threads(job.threads)
    key_of = dict(zip((s.clip_id for s in job.subjects), job.keys, strict=True))
    failed: dict[str, str] = {}
    try:
        captioner = _captioner(job.params.model_dump_json())
    except AiprodError as error:
        return error
    for subject, draft in captioner.answers(job.subjects):
        if isinstance(draft, str):
            failed[subject.clip_id] = draft
        else:
            keep(job.memo, key_of[subject.clip_id], subject.clip_id, draft)
    return failed


@lru_cache(maxsize=1)
def _captioner(params: str) -> Captioner:
    captioner = make_captioner(CaptionParams.model_validate_json(params))
    captioner.load()
    return captioner


def answers_of_workers(
    params: CaptionParams,
    captioner: Captioner,
    subjects: Sequence[Subject],
    keys: Mapping[str, str],
    *,
    memo: Memo,
    engine: Engine,
) -> Iterator[tuple[Subject, str | None]]:
    """Caption on the workers of an engine: each subject, with None once its memo entry is there, or with a reason.

    Args:
        captioner: need not be loaded here.

    Raises:
        AiprodError: the captioner does not load there, or as :func:`aiprod.executors.executor.ordered_map`.
    """
    import torch

    def job(part: Sequence[Subject]) -> CaptionJob:
        part_keys = tuple(keys[s.clip_id] for s in part)
        return CaptionJob(params, tuple(part), part_keys, memo, captioner.looks, torch.get_num_threads())

    parts = [subjects[start : start + captioner.batch] for start in range(0, len(subjects), captioner.batch)]
    for part, failed in in_parts(caption_part, job, parts, bounds=_BOUNDS, engine=engine, gpu=captioner.looks):
        if isinstance(failed, AiprodError):
            raise failed
        for subject in part:
            yield subject, failed if isinstance(failed, str) else failed.get(subject.clip_id)


def keep(memo: Memo, key: str, clip_id: str, draft: Draft) -> Any:
    """Keep a caption; returns it as JSON."""
    return memo.put(key, partial(_as_json, draft), Seal(clip_id, str) if is_private(clip_id) else None)[0]


def _as_json(draft: Draft, _folder: Path) -> dict[str, Any]:
    return {
        "caption": draft.caption,
        "tags": list(draft.tags),
        "confidence": draft.confidence,
        "content": draft.content.model_dump(mode="json"),
    }
