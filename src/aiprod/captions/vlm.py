"""Captions by a vision-language checkpoint through transformers' image-text-to-text interface."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from aiprod.base.checkpoint_identity import pinned
from aiprod.base.files import digest_of
from aiprod.captions.captioner import Captioner, Draft, Subject
from aiprod.captions.content import Content, Evidence, claim
from aiprod.captions.frames import timed_frames
from aiprod.captions.model_params import VlmParams
from aiprod.captions.owner_metadata import tags_of
from aiprod.captions.phrasing import Wording, capital
from aiprod.captions.rule_based import heard
from aiprod.errors import AiprodError, is_disk_full, is_one_line, words_of

if TYPE_CHECKING:
    from aiprod.captions.params import CaptionParams


def with_sound(sentence: str, content: Content) -> str:
    """What a model says of the picture, and what is heard, as sentences."""
    heard_words = "; ".join(claimed.words for claimed in content.sound)
    ended = sentence if sentence[-1] in ".!?…" else f"{sentence}."
    return f"{ended} {capital(heard_words)}." if heard_words else sentence


def version_of(params: VlmParams) -> str:
    """What tells two captioners apart: the checkpoint's bytes (or name and commit), and all that shapes the answer.

    Raises:
        AiprodError: a hub name without its commit.
    """
    shape = params.model_dump(mode="json", exclude={"checkpoint", "revision", "device", "batch"})
    return digest_of([pinned(params.checkpoint, params.revision, "caption.vlm"), shape])[:16]


class VlmCaptioner(Captioner):
    """Any checkpoint that ``AutoModelForImageTextToText`` and ``AutoProcessor`` load: LLaVA, SmolVLM, Qwen-VL classes.

    Frames are given as the images of one user turn. Decoding is greedy, so that the same film gives the same words.
    Speech, music and other sound are added as measured. Tags are those of declarations and measurements: a model's
    free text is not parsed for facts.

    Raises:
        AiprodError: no checkpoint is named, or a hub name has no commit beside it.
    """

    name = "vlm"
    summary = "a vision-language checkpoint, loaded by transformers; sound as measured"
    looks = True

    @classmethod
    def begin(cls, params: CaptionParams) -> Self:
        """The checkpoint that the parameters name."""
        return cls(params.vlm, params.seed)

    def __init__(self, params: VlmParams, seed: int = 0) -> None:
        if not params.checkpoint:
            raise AiprodError("caption.vlm.checkpoint is empty", "name the folder of a vision-language checkpoint")
        self.version = version_of(params)
        self._params, self._seed, self.batch = params, seed, params.batch

    def load(self) -> None:
        """Load processor and model.

        Raises:
            AiprodError: they do not load.
        """
        _ = self._loaded

    @cached_property
    def _loaded(self) -> tuple[Any, Any]:
        """Processor and model."""
        import torch  # takes seconds, as does transformers
        from transformers import AutoModelForImageTextToText, AutoProcessor

        params = self._params
        cuda = torch.cuda.is_available()
        device = ("cuda" if cuda else "cpu") if params.device == "auto" else params.device
        options: dict[str, Any] = {"revision": params.revision} if params.revision else {}
        if params.quantize == "int8":
            from transformers import BitsAndBytesConfig

            options["quantization_config"] = BitsAndBytesConfig(load_in_8bit=True)
        try:
            processor = AutoProcessor.from_pretrained(
                params.checkpoint, local_files_only=True, **({"revision": params.revision} if params.revision else {})
            )
            model = AutoModelForImageTextToText.from_pretrained(
                params.checkpoint, local_files_only=True, dtype="auto", **options
            ).eval()
        except Exception as error:  # transformers, safetensors and tokenizers raise many kinds
            raise AiprodError(
                f"the checkpoint {params.checkpoint} does not load as an image-text-to-text model ({words_of(error)})",
                "install the package that it names"
                if isinstance(error, ImportError)
                else "give a folder with config, weights, tokenizer and processor of one model",
            ) from None
        return processor, model.to(device) if params.quantize == "none" else model

    def describe(self, subjects: Sequence[Subject]) -> list[Draft]:
        """A draft for each subject.

        Raises:
            AiprodError: the model does not load, a subject has no picture file, or the model or its processor cannot
                work on one of them: of pictures that are too narrow for it, for example.
        """
        self.load()
        drafts: list[Draft] = []
        for start in range(0, len(subjects), self.batch):
            try:
                drafts += self._batch(subjects[start : start + self.batch])
            except Exception as error:
                if is_one_line(error) or is_disk_full(error):
                    raise
                problem = f"{type(error).__name__}: {words_of(error)}"
                raise AiprodError(f"the checkpoint cannot describe it ({problem})", "try another checkpoint") from None
        return drafts

    def _batch(self, subjects: Sequence[Subject]) -> list[Draft]:
        frames: list[list[np.ndarray]] = []
        times: list[tuple[float, ...]] = []
        for subject in subjects:
            if subject.path is None:
                raise AiprodError(f"{subject.clip_id} has no processed file to look at", "see its row in ingest")
            shown = timed_frames(subject.path, self._params.frames, self._params.longest_side_px)
            frames.append([picture for _, picture in shown])
            times.append(tuple(round(time_s, 3) for time_s, _ in shown))
        texts = [self._prompt(len(pictures)) for pictures in frames]
        import torch

        processor, model = self._loaded
        if getattr(processor, "tokenizer", None) is not None:
            processor.tokenizer.padding_side = "left"  # generation goes on from the last token
        inputs = processor(images=frames, text=texts, return_tensors="pt", padding=True)
        inputs = inputs.to(model.device)
        for key, value in inputs.items():
            if hasattr(value, "is_floating_point") and value.is_floating_point():
                inputs[key] = value.to(model.dtype)
        with torch.inference_mode():
            out = model.generate(**inputs, max_new_tokens=self._params.tokens_max, do_sample=False)
        answers = processor.batch_decode(out[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
        return [self._draft(s, a, t) for s, a, t in zip(subjects, answers, times, strict=True)]

    def _prompt(self, images: int) -> str:
        content: list[dict[str, str]] = [{"type": "image"}] * images
        turn = {"role": "user", "content": [*content, {"type": "text", "text": self._params.prompt}]}
        return str(self._loaded[0].apply_chat_template([turn], add_generation_prompt=True))

    def _draft(self, subject: Subject, answer: str, times_s: tuple[float, ...]) -> Draft:
        sentence = " ".join(answer.split())
        if not sentence:
            raise AiprodError(f"the model says nothing about {subject.clip_id}", "try another prompt or checkpoint")
        evidence = Evidence(
            kind="model",
            source=self.name,
            method=self._loaded[1].config.model_type,
            version=self.version,
            times_s=times_s,
        )
        sound = heard(subject.measurements, Wording(subject.clip_id, self._seed))
        content = Content(subject=claim(sentence, evidence), sound=sound)
        return Draft(with_sound(sentence, content), tuple(tags_of(subject)), None, content)
