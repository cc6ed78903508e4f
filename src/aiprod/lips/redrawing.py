"""Gives the face of a film another mouth, picture by picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from aiprod.lips.mouth_model import MouthModel
from aiprod.lips.mouth_region import Floats, Picture, Square, cut, guide, paste, squares_of
from aiprod.qc.bundled.face_mesh import Face

APART_S = 0.4
"""How far a reference is from the picture that it helps to draw, at least."""


class Redrawer:
    """Draws mouths into one face.

    Args:
        faces: where it is in each picture, None where it is not.
        step_s: between pictures.
    """

    def __init__(self, model: MouthModel, faces: Sequence[Face | None], step_s: float) -> None:
        self.model, self.squares = model, squares_of(faces)
        openings = np.array([np.inf if face is None else face.aperture for face in faces])
        apart = int(np.ceil(APART_S / step_s))
        first = int(openings.argmin())
        far = np.abs(np.arange(len(openings)) - first) >= 2 * apart
        second = int(np.where(far, openings, np.inf).argmin()) if np.isfinite(openings[far]).any() else first
        self.needed = sorted({first, second})
        self._pairs, self._apart = (first, second), apart
        self._references: dict[int, Picture] = {}

    def remember(self, number: int, picture: Picture) -> None:
        """Show a picture that may be needed as a reference (:attr:`needed`)."""
        square = self.squares[number]
        if number in self.needed and square is not None:
            self._references[number] = cut(picture, square, self.model.config.size)

    def reference(self, number: int) -> int:
        """Which picture says how the face looks: the most closed mouth, or the most closed far from it."""
        first, second = self._pairs
        return second if abs(number - first) < self._apart else first

    @torch.no_grad()
    def draw(self, number: int, picture: Picture, mouth: Floats) -> Picture:
        """The picture with another mouth; as it is where there is no face.

        Args:
            mouth: the four numbers of :data:`aiprod.speech.visemes.NUMBERS`.
        """
        square: Square | None = self.squares[number]
        if square is None:
            return picture
        size = self.model.config.size
        own, reference = (
            torch.from_numpy(part).permute(2, 0, 1)[None].float() / 255
            for part in (cut(picture, square, size), self._references[self.reference(number)])
        )
        drawn = self.model(own, reference, torch.from_numpy(guide(self.model.sketched(mouth), square, size))[None])[0]
        codes = (drawn * 255).round().clamp(0, 255).byte().permute(1, 2, 0).numpy()
        return paste(picture, square, np.ascontiguousarray(codes))
