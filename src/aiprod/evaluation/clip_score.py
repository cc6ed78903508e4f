"""How well pictures fit their prompts by a CLIP model, for real films, which have no words of a demo world.

The score is CLIPScore (Hessel et al. 2021, arXiv:2104.08718), 2.5 · max(cos, 0) of text and picture, averaged over the
pictures of a video. Chance is what the same videos score under the prompts of the others.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from aiprod.base.files import digest_folder
from aiprod.base.state import main_repository
from aiprod.errors import AiprodError, words_of
from aiprod.evaluation.attributes import MeasuredVideo

_PICTURES = 8  # of a video, evenly spaced
_WEIGHT = 2.5  # of the paper
_HARMLESS = ("position_ids",)  # stands in files of old versions and is no weight


@dataclass(frozen=True)
class ClipScorer:
    """A CLIP model of transformers with its tokenizer and its way to prepare pictures."""

    model: Any
    tokenizer: Any
    pictures: Any
    digest: str

    @classmethod
    def from_pretrained(cls, folder: str, device: str | torch.device = "cpu") -> ClipScorer:
        """Load a folder with ``config.json``, safetensors, tokenizer and ``preprocessor_config.json``.

        Raises:
            AiprodError: there is none, it holds no CLIP model, or weights are missing.
        """
        from transformers import AutoTokenizer, CLIPImageProcessor, CLIPModel

        path = next((p for p in (Path(folder), main_repository() / folder) if p.is_dir()), None)
        if path is None:
            raise AiprodError(f"sample.clip: {folder} is not a folder", "give the folder of a CLIP checkpoint, or null")
        load: Any = CLIPModel.from_pretrained  # its annotations know nothing of the loading info
        try:
            model, loading = load(path, local_files_only=True, use_safetensors=True, output_loading_info=True)
            tokenizer = AutoTokenizer.from_pretrained(path, local_files_only=True)
            pictures = CLIPImageProcessor.from_pretrained(path, local_files_only=True)
        except Exception as error:  # transformers and safetensors raise many kinds
            raise AiprodError(
                f"sample.clip: {folder} holds no CLIP checkpoint ({words_of(error)})", "save it completely"
            ) from None
        absent = [n for n in loading["missing_keys"] if not n.endswith(_HARMLESS)]
        if absent or loading["mismatched_keys"]:
            raise AiprodError(
                f"sample.clip: {folder} lacks weights ({', '.join(sorted(map(str, absent))[:3])})", "save it completely"
            )
        return cls(model.eval().to(device), tokenizer, pictures, digest_folder(path))

    @torch.no_grad()
    def cosines(self, prompts: Sequence[str], videos: Sequence[MeasuredVideo]) -> np.ndarray:
        """Cosine of each prompt with each picture of each video, [prompts, videos, pictures]."""
        device = self.model.device
        longest = self.model.config.text_config.max_position_embeddings
        words = self.tokenizer(
            list(prompts), padding=True, truncation=True, max_length=longest, return_tensors="pt"
        ).to(device)
        rows = []
        for video in videos:
            places = np.linspace(0, len(video.pictures) - 1, _PICTURES).round().astype(int)
            pixels = self.pictures(list(video.pictures[places]), return_tensors="pt")["pixel_values"].to(device)
            outputs = self.model(
                input_ids=words["input_ids"], attention_mask=words["attention_mask"], pixel_values=pixels
            )
            rows.append((outputs.text_embeds @ outputs.image_embeds.T).float().cpu().numpy())
        return np.stack(rows, axis=1)


def clip_scores(scorer: ClipScorer, prompts: Sequence[str], videos: Sequence[MeasuredVideo]) -> dict[str, Any]:
    """Mean score of videos under their own prompts, and against those of the others.

    Returns:
        ``n``, ``score``, ``chance``, ``difference`` with its 95 % interval ``low`` … ``high`` over videos,
        ``beats_chance``, ``own_prompt_first`` (share of the videos that fit no other prompt better) and
        ``checkpoint``, the digest of the model. What takes several different prompts is None for one.
    """
    scores = (_WEIGHT * scorer.cosines(prompts, videos).clip(min=0)).mean(axis=2)  # [prompts, videos]
    others = np.array([[a != b for b in prompts] for a in prompts])  # the same words are no other prompt
    own, report = np.diag(scores), {"n": len(videos), "checkpoint": scorer.digest}
    report["score"] = round(float(own.mean()), 4)
    compared = [i for i in range(len(videos)) if others[i].any()]
    if len(compared) < 2:
        return {**report, **dict.fromkeys(("chance", "difference", "low", "high", "beats_chance", "own_prompt_first"))}
    chance = np.array([scores[others[i], i].mean() for i in compared])
    first = np.array([own[i] >= scores[others[i], i].max() for i in compared])
    gap = own[compared] - chance
    half = 1.959964 * float(gap.std(ddof=1)) / math.sqrt(len(gap))
    low = float(gap.mean()) - half
    return {
        **report,
        "chance": round(float(chance.mean()), 4),
        "difference": round(float(gap.mean()), 4),
        "low": round(low, 4),
        "high": round(float(gap.mean()) + half, 4),
        "beats_chance": low > 0,
        "own_prompt_first": round(float(first.mean()), 4),
    }
