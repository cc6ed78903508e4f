"""How much wider than asked a trained network has to draw mouths, for them to be seen as far open as asked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from aiprod.lips.mouth_model import MouthModel
from aiprod.lips.redrawing import Redrawer
from aiprod.lips.rows import FaceRow
from aiprod.qc.bundled.face_mesh import follow
from aiprod.trainer.lips.data import mouth_of, read_pictures

_CLIPS, _PICTURES = 6, 6  # that it is measured on; pictures of a clip
_OPEN_MIN = 0.15  # aperture of pictures that count: of closed mouths nothing is learnt
_FACTORS = (1.0, 1.25, 1.5)  # with more, apertures that are heard wrongly are seen more, too


def measured_opening(model: MouthModel, train: Sequence[FaceRow], folder: Path) -> float:
    """The factor of apertures with which mouths drawn into these films are seen as far open as theirs, in the mean.

    The network is not sure to a pixel where lips are, and draws their mean: mouths come out half as far open as in the
    films that it learnt from, also after twice the steps.

    Args:
        folder: of the clips.

    Returns:
        1 to 1.5; 1 where no mouth is seen open.
    """
    film: list[float] = []
    drawn: dict[float, list[float]] = {factor: [] for factor in _FACTORS}
    given = model.opening
    for row in train[:: max(1, len(train) // _CLIPS)][:_CLIPS]:
        pictures, mouths = read_pictures(row, folder), mouth_of(row).astype(np.float64)
        faces = list(follow(pictures))
        redrawer = Redrawer(model, faces, 1 / row.fps)
        for n in redrawer.needed:
            redrawer.remember(n, pictures[n])
        opened = [n for n, face in enumerate(faces) if face is not None and mouths[n, 0] >= _OPEN_MIN]
        opened = opened[:: max(1, len(opened) // _PICTURES)][:_PICTURES]
        film += [face.aperture for face in (faces[n] for n in opened) if face is not None]
        for factor, apertures in drawn.items():
            model.opening = factor
            seen = follow(redrawer.draw(n, pictures[n], mouths[n]) for n in opened)
            apertures += [face.aperture for face in seen if face is not None]
    model.opening = given
    if not film or not all(drawn.values()):
        return 1.0
    means = np.maximum.accumulate([np.mean(apertures) for apertures in drawn.values()])
    return round(float(np.interp(np.mean(film), means, _FACTORS)), 3)
