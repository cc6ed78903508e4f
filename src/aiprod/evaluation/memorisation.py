"""Whether a generated video is a copy of a clip that the model was trained on.

Two searches that fail in different ways: fingerprints, by which quality control finds near duplicates, and the nearest
neighbour among the latents that the model was trained on. A distance there is divided by the median distance to all
other real clips, as blurred pictures are near to everything (after Carlini et al., "Extracting Training Data from
Diffusion Models", 2023, arXiv:2301.13188). Its limit lies between two kinds of real clips: held-out ones, which are no
copies, and training clips that the autoencoder decoded and that were softened, which are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aiprod.data.latents.dataset import LatentDataset
from aiprod.film.fingerprinting import FilmPrint
from aiprod.inference.request import GeneratedClip
from aiprod.models.adapters.autoencoders import AnyVideoVAE
from aiprod.qc.clip_context import SmallFrame
from aiprod.qc.duplicates.matching import Match, Prints
from aiprod.qc.params import DuplicateParams

_KNOWN = 8
"""Copies made on purpose."""
_CERTAIN_BITS = 4.0  # of 64 in which the looks of a copy differ at most from its source
_BOX, _CONTRAST = 5, 0.8  # what softens them: as far from its clip as a copy by a model may be


@dataclass(frozen=True)
class TrainingClips:
    """What samples are compared with.

    Attributes:
        latents: cached for the training.
        phase: of the curriculum whose size is generated.
        prints: fingerprints by clip id, of clips to train on.
    """

    latents: LatentDataset
    phase: str
    prints: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class CopySearch:
    """The nearest training clip of each video, for its description, and figures for the metrics."""

    nearest: list[dict[str, Any]]
    figures: dict[str, Any]


class LatentEncoder(Protocol):
    """The autoencoder whose latents are compared, wherever it is."""

    def __call__(
        self, pictures: Sequence[NDArray[np.uint8]], latents: Sequence[Tensor]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Latents of videos ``[F, H, W, 3]``; and of what clips' latents decode to, softened."""


@dataclass(frozen=True)
class VaeEncoder:
    """An autoencoder in the memory of this process."""

    vae: AnyVideoVAE
    device: str | torch.device = "cpu"

    @torch.no_grad()
    def __call__(
        self, pictures: Sequence[NDArray[np.uint8]], latents: Sequence[Tensor]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """One after the other: a result depends on its own input only."""
        return [self._encoded(_pixels(one)) for one in pictures], [self._softened(one) for one in latents]

    def _encoded(self, pixels: Tensor) -> Tensor:
        latent: Tensor = self.vae.normalize(self.vae.encode(pixels.to(self.device)).mode())[0].float().cpu()
        return latent

    def _softened(self, latent: Tensor) -> Tensor:
        pixels = self.vae.decode(self.vae.denormalize(latent[None].to(self.device))).clamp(-1, 1)
        side = (1, _BOX, _BOX)
        pixels = torch.nn.functional.avg_pool3d(pixels, side, 1, (0, 2, 2), count_include_pad=False)
        return self._encoded(pixels * _CONTRAST)


def find_copies(results: Sequence[GeneratedClip], encoder: LatentEncoder, known: TrainingClips) -> CopySearch:
    """Compare each video with all training clips.

    Raises:
        AiprodError: a cached latent is missing, damaged, or made by another model.
    """
    data = known.latents
    train = [r.clip_id for r in (*data.usable(known.phase, "train"), *data.waiting(known.phase))]
    heldout = [row.clip_id for row in data.usable(known.phase, "heldout")]

    def real(clip: str) -> Tensor | None:
        return data.load(known.phase, clip).video

    sources = [real(clip) for clip in train[:: -(-len(train) // _KNOWN)]] if train else []
    encoded, softened = map(
        iter, encoder([r.pictures for r in results if len(r.pictures)], [one for one in sources if one is not None])
    )
    shown = [next(encoded) if len(r.pictures) else None for r in results]
    softened_clips = [next(softened) if one is not None else None for one in sources]
    own = [real(clip) for clip in heldout]
    table = _distances([*shown, *softened_clips, *own], [*train, *heldout], real)
    first = len(shown) + len(softened_clips)
    for place in range(len(own)):
        table[first + place, len(train) + place] = np.nan  # a clip is not its own neighbour
    near = [_nearest(row, len(train)) for row in table]
    copies, apart = _values(near[len(shown) : first]), _values(near[first:])
    limit = limit_between(copies, apart)
    matched = _fingerprinted(results, known.prints)
    nearest = []
    for hit, match in zip(near[: len(shown)], matched, strict=True):
        distance = None if hit is None else hit[1]
        close = distance is not None and limit is not None and distance < limit
        nearest.append(
            {
                "clip": None if hit is None else train[hit[0]],
                "distance": None if distance is None else round(distance, 3),
                "limit": None if limit is None else round(limit, 3),
                "fingerprint": match,
                "copy": close or match is not None,
            }
        )
    return CopySearch(
        nearest,
        {
            "videos": len(results),
            "copies": sum(one["copy"] for one in nearest),
            "training_clips": len(train),
            "limit": None if limit is None else round(limit, 3),
            "heldout": len(apart),
            "heldout_nearest": round(min(apart), 3) if apart else None,
            "heldout_taken_for_copies": sum(limit is not None and value < limit for value in apart),
            "known_copies": len(copies),
            "known_copies_farthest": round(max(copies), 3) if copies else None,
            "known_copies_found": sum(limit is not None and value < limit for value in copies),
        },
    )


def limit_between(copies: Sequence[float], apart: Sequence[float]) -> float | None:
    """The distance below which a video is a copy: in the middle, by ratio, of the farthest copy and the nearest other.

    Where they overlap, it is the nearest other, so that no held-out clip is taken for a copy. None without held-out
    clips.
    """
    if not apart:
        return None
    if not copies or max(copies) >= min(apart):
        return min(apart)
    return float(np.sqrt(max(copies) * min(apart)))


def sentence(nearest: Mapping[str, Any]) -> str:
    """What was found, as one line for people."""
    match = nearest["fingerprint"]
    if match is not None:
        return f"a copy of training clip {match['clip']}: {match['look_bits']} of 64 bits of its looks differ"
    if nearest["clip"] is None:
        return "not compared in latent space; no training clip has its fingerprint"
    limit = "no limit, for no clip is held out" if nearest["limit"] is None else f"a copy below {nearest['limit']}"
    what = "a copy of" if nearest["copy"] else "no copy; nearest is"
    return f"{what} training clip {nearest['clip']} at {nearest['distance']} of the median distance ({limit})"


def _pixels(pictures: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(pictures).permute(3, 0, 1, 2)[None].float() / 127.5 - 1


def _distances(
    queries: Sequence[Tensor | None], clips: Sequence[str], read: Callable[[str], Tensor | None]
) -> NDArray[np.float64]:
    """Root of the summed squares between each asked latent and each clip; NaN where sizes differ."""
    table = np.full((len(queries), len(clips)), np.nan)
    for column, clip in enumerate(clips):
        latent = read(clip)
        for row, one in enumerate(queries):
            if latent is not None and one is not None and one.shape == latent.shape:
                table[row, column] = float((one - latent).double().square().sum().sqrt())
    return table


def _nearest(row: NDArray[np.float64], train: int) -> tuple[int, float] | None:
    """Place of the nearest training clip, and its distance over the median of the others."""
    if not np.isfinite(row[:train]).any():
        return None
    place = int(np.nanargmin(row[:train]))
    others = np.delete(row, place)
    others = others[np.isfinite(others)]
    if not others.size or not np.median(others):
        return None
    return place, float(row[place] / np.median(others))


def _values(near: Sequence[tuple[int, float] | None]) -> list[float]:
    return [one[1] for one in near if one is not None]


def _fingerprinted(
    results: Sequence[GeneratedClip], prints: Mapping[str, Mapping[str, Any]]
) -> list[dict[str, Any] | None]:
    """For each video the training clip that has its fingerprint, by the limits of near duplicates.

    Training clips are no copies of each other. Where two are within these limits all the same, as scenes drawn alike
    are, a video has to be closer to a clip than the closest two are, or so close that nothing but a copy is.
    """
    ids = sorted(prints)
    queries = [_print_of(generated) or {} for generated in results]
    best: list[Match | None] = [None] * len(results)
    pairs = Prints.of([*(prints[clip] for clip in ids), *queries], DuplicateParams()).pictures()
    apart = [match.figures["look_bits"] for (_, second), match in pairs.items() if second < len(ids)]
    limit = max(min(apart, default=np.inf), _CERTAIN_BITS)
    for (first, second), match in pairs.items():
        place = second - len(ids)
        if first < len(ids) and place >= 0 and match.figures["look_bits"] < limit:
            known = best[place]
            if known is None or match.figures["look_bits"] < known.figures["look_bits"]:
                best[place] = match
    return [None if m is None else {"clip": ids[m.first], "mirrored": m.mirrored, **m.figures} for m in best]


def _print_of(generated: GeneratedClip) -> dict[str, Any] | None:
    film_print, nothing = FilmPrint(), np.zeros((0, 0), np.uint8)
    for number, picture in enumerate(generated.pictures):
        luma = np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), np.uint8)
        film_print.feed(SmallFrame(number, number / generated.fps, luma, nothing, 0, 255))
    return film_print.figures(generated.sound, generated.sample_rate) if len(generated.pictures) else None
