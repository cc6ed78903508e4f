"""What the benches of the mouth stand on: nothing that is hidden is seen, and names of films say what is spoken."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from aiprod.lips.measure_file import MeasuredFilm
from aiprod.qc.bundled.face_mesh import Face
from aiprod.speech.voice import TimedUnit
from tests.bench import mouth_inpainting, real_faces
from tests.bench.mouth_inpainting import GRID, PATCH, RING, WINDOW, Inpainter, patches, pixels


def test_pictures_are_cut_into_tokens_and_put_together_again() -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (2, RING, RING, 3), np.uint8)
    cut_up = patches(pictures)
    assert cut_up.shape == (2, GRID**2, 3 * PATCH**2)
    assert (pixels(cut_up) == pictures).all()


def test_diffusion_keeps_what_is_not_masked_and_does_not_see_what_is() -> None:
    torch.manual_seed(0)
    examples = patches(np.random.default_rng(0).integers(0, 256, (8, RING, RING, 3), np.uint8))
    model = Inpainter("mouth", examples)
    for weight in model.net.parameters():
        if not weight.any():  # a new one answers with 0
            torch.nn.init.normal_(weight, std=0.05)
    clean = model.tokens(examples[:WINDOW]).flatten(0, 1)[None]
    made = model.made.repeat(WINDOW)[None, :, None]
    other = torch.where(made > 0, clean + 3.0, clean)
    reference, heard = model.tokens(examples[5])[None], torch.rand(1, WINDOW + 4, 4)
    drawn, again = (model.sample(each, reference, heard, 25.0, 2) for each in (clean, other))
    assert torch.equal(drawn, again)
    assert torch.equal(drawn[made[..., 0] == 0], clean[made[..., 0] == 0])
    assert 0 < float(made.mean()) < 1
    louder = model.sample(clean, reference, heard + 1, 25.0, 2)
    assert not torch.equal(drawn, louder)


def test_what_is_given_of_the_sound_goes_with_the_window() -> None:
    source = np.arange(50.0)[:, None].repeat(4, 1)
    assert mouth_inpainting.heard_in("mouth", source, 10, 25.0)[:, 0].tolist() == [*map(float, range(8, 16))]
    assert mouth_inpainting.heard_in("mel", source, 0, 25.0)[0, 0] == 0  # what is before the film is its beginning


def test_a_name_of_the_corpus_says_the_sentence() -> None:
    assert real_faces.text_of(Path("bbaf2n.mpg")) == "bin blue at F two now"
    assert real_faces.text_of(Path("id2_vcd_swwp2s.mpg")) == "set white with P two soon"


def test_lips_that_close_in_their_place_are_told_from_lips_that_close_later() -> None:
    phones = [TimedUnit(name, 0.2 * n, 0.2 * n + 0.2) for n, name in enumerate(["B", "AA", "M", "EH"] * 3)]
    times = (np.arange(60) + 0.5) / 25
    apart = np.array([next(p.name in {"AA", "EH"} for p in phones if p.end_s > at) for at in times], float)

    def film(values: np.ndarray) -> MeasuredFilm:
        faces: list[Face | None] = []
        for value in values:
            points = np.zeros((468, 3))[:, :2]
            points[263, 0], points[14, 1] = 1.0, value
            faces.append(Face(points))
        return MeasuredFilm(times, faces, 0.04, 0.0, 1, 1.0, None)

    assert real_faces.auc_of([(film(apart), phones)], 0) == 1.0
    assert real_faces.auc_of([(film(np.roll(apart, 5)), phones)], 0) < 0.5
    assert real_faces.auc_of([(film(np.roll(apart, -5)), phones)], 5) == 1.0
