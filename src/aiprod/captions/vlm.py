"""Captions by a vision-language checkpoint through transformers' image-text-to-text interface."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from aiprod.base.checkpoint_identity import pinned
from aiprod.base.files import digest_of
from aiprod.captions.captioner import Draft, Subject
from aiprod.captions.params import VlmParams
from aiprod.captions.rule_based import SignalCaptioner
from aiprod.errors import AiprodError, is_disk_full, is_one_line, words_of
from aiprod.media.errors import MediaError
from aiprod.media.frames import Scaler, VideoReader, upright
from aiprod.media.packets import picture_times
from aiprod.media.probing import probe, require_video
from aiprod.storage.clip_store import decrypted_copy


def evenly_spread(path: Path, count: int, longest_side_px: int) -> list[np.ndarray]:
    """``count`` pictures at evenly spread times, RGB uint8 [h, w, 3], upright, within ``longest_side_px`` either way.

    A film with fewer pictures gives all of them.

    Raises:
        MediaError: it does not open, or no picture decodes.
    """
    with decrypted_copy(path) as clear:
        return _pictures(clear, count, longest_side_px)


def _pictures(path: Path, count: int, longest_side_px: int) -> list[np.ndarray]:
    facts = probe(path)
    video = require_video(facts)
    times = picture_times(path, video)  # the container may say less than it holds, or count from another clock
    length = times[-1] * len(times) / (len(times) - 1) if len(times) > 1 else 0.0  # the last one is shown for a while
    looked_at = [(i + 0.5) * length / count for i in range(count)] if len(times) > count else times
    targets = sorted({times[bisect_right(times, at + 1e-6) - 1] for at in looked_at}) or [0.0]  # shown at that time
    pictures: list[np.ndarray] = []
    with VideoReader(path) as reader:
        shrink = min(1.0, longest_side_px / max(video.width, video.height))
        scaler = Scaler(max(2, round(video.width * shrink)), max(2, round(video.height * shrink)), "rgb24", exact=True)
        for timed in reader.frames():
            if targets and timed.time_s >= targets[0] - 1e-6:
                pictures.append(upright(scaler.array(timed.frame), video.orientation))
                while targets and targets[0] <= timed.time_s + 1e-6:
                    targets.pop(0)
    if not pictures:
        raise MediaError("no-frames", "no picture decodes")
    return pictures


def version_of(params: VlmParams) -> str:
    """What tells two captioners apart: the checkpoint's bytes (or name and commit), and all that shapes the answer.

    Raises:
        AiprodError: a hub name without its commit.
    """
    shape = params.model_dump(mode="json", exclude={"checkpoint", "revision", "device", "batch"})
    return digest_of([pinned(params.checkpoint, params.revision, "caption.vlm"), shape])[:16]


class VlmCaptioner:
    """Any checkpoint that ``AutoModelForImageTextToText`` and ``AutoProcessor`` load: LLaVA, SmolVLM, Qwen-VL classes.

    Frames are given as the images of one user turn. Decoding is greedy, so that the same film gives the same words.
    Tags are those of declarations and measurements: a model's free text is not parsed for facts.

    Raises:
        AiprodError: no checkpoint is named, a hub name has no commit beside it, or it does not load.
    """

    name = "vlm"
    looks = True  # at pictures, not only at what was measured

    def __init__(self, params: VlmParams) -> None:
        if not params.checkpoint:
            raise AiprodError("caption.vlm.checkpoint is empty", "name the folder of a vision-language checkpoint")
        self.version = version_of(params)  # before the libraries, which take seconds to load
        import torch
        from transformers import AutoModelForImageTextToText, AutoProcessor

        self._params = params
        self._torch = torch
        cuda = torch.cuda.is_available()
        self._device = ("cuda" if cuda else "cpu") if params.device == "auto" else params.device
        options: dict[str, Any] = {"revision": params.revision} if params.revision else {}
        if params.quantize == "int8":
            from transformers import BitsAndBytesConfig

            options["quantization_config"] = BitsAndBytesConfig(load_in_8bit=True)
        try:
            self._processor = AutoProcessor.from_pretrained(
                params.checkpoint, local_files_only=True, **({"revision": params.revision} if params.revision else {})
            )
            self._model = AutoModelForImageTextToText.from_pretrained(
                params.checkpoint, local_files_only=True, dtype="auto", **options
            ).eval()
        except Exception as error:  # transformers, safetensors and tokenizers raise many kinds
            raise AiprodError(
                f"the checkpoint {params.checkpoint} does not load as an image-text-to-text model ({words_of(error)})",
                "install the package that it names"
                if isinstance(error, ImportError)
                else "give a folder with config, weights, tokenizer and processor of one model",
            ) from None
        if params.quantize == "none":
            self._model = self._model.to(self._device)

    def describe(self, subjects: Sequence[Subject]) -> list[Draft]:
        """A draft for each subject.

        Raises:
            AiprodError: a subject has no picture file, or the model or its processor cannot work on one of them: of
                pictures that are too narrow for it, for example.
        """
        drafts: list[Draft] = []
        for start in range(0, len(subjects), self._params.batch):
            part = subjects[start : start + self._params.batch]
            try:
                drafts += self._batch(part)
            except Exception as error:
                if is_one_line(error) or is_disk_full(error):
                    raise
                said = f"{type(error).__name__}: {words_of(error)}"
                raise AiprodError(f"the checkpoint cannot describe it ({said})", "try another checkpoint") from None
        return drafts

    def _batch(self, subjects: Sequence[Subject]) -> list[Draft]:
        frames: list[list[np.ndarray]] = []
        for subject in subjects:
            if subject.path is None:
                raise AiprodError(f"{subject.clip_id} has no processed file to look at", "see its row in ingest")
            frames.append(evenly_spread(subject.path, self._params.frames, self._params.longest_side_px))
        texts = [self._prompt(len(pictures)) for pictures in frames]
        processor = self._processor
        if getattr(processor, "tokenizer", None) is not None:
            processor.tokenizer.padding_side = "left"  # generation goes on from the last token
        inputs = processor(images=frames, text=texts, return_tensors="pt", padding=True)
        inputs = inputs.to(self._model.device)
        for key, value in inputs.items():
            if hasattr(value, "is_floating_point") and value.is_floating_point():
                inputs[key] = value.to(self._model.dtype)
        with self._torch.inference_mode():
            out = self._model.generate(**inputs, max_new_tokens=self._params.tokens_max, do_sample=False)
        answers = processor.batch_decode(out[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
        return [self._draft(s, a, len(p)) for s, a, p in zip(subjects, answers, frames, strict=True)]

    def _prompt(self, images: int) -> str:
        content: list[dict[str, str]] = [{"type": "image"}] * images
        turn = {"role": "user", "content": [*content, {"type": "text", "text": self._params.prompt}]}
        return str(self._processor.apply_chat_template([turn], add_generation_prompt=True))

    def _draft(self, subject: Subject, answer: str, pictures: int) -> Draft:
        caption = " ".join(answer.split())
        if not caption:
            raise AiprodError(f"the model says nothing about {subject.clip_id}", "try another prompt or checkpoint")
        [signal] = SignalCaptioner().describe([subject])
        return Draft(caption, signal.tags, None, {"pictures": pictures, "prompt": self._params.prompt})
