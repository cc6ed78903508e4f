"""A mouth drawn by the small network of ``train_lips`` and by diffusion that is given the sound, in one run.

``python -m tests.bench.mouth_inpainting [--faces datasets/v1/faces] [--visemes models/visemes] [--seconds 60 180]
[--given mouth]`` trains both on the same heads, for processor seconds of one thread that are given, and draws held-out
heads again with each: from their own sound, and from that of other sentences.

Diffusion is the audio-video transformer with its conditions: sound is given without noise, the square is masked
(:class:`MaskCondition`), the face at another time is a reference (:class:`ReferenceVideoCondition`). Tokens are squares
of 8 pixels in principal components, in windows of four pictures; a ring of tokens round the mask is kept. Sound is
either the mouth's four numbers, as the viseme network hears them, or the 80 mel bands themselves (``--given mel``).
"""

from __future__ import annotations

import argparse
import copy
import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from aiprod.base.files import contained
from aiprod.core.components.noiser import Noiser
from aiprod.core.conditioning import MaskCondition, ReferenceVideoCondition, apply_conditions
from aiprod.core.transformer.config import AVTransformerConfig
from aiprod.core.transformer.modality import ModalityInput
from aiprod.core.transformer.model import AVTransformer
from aiprod.core.types import LatentState
from aiprod.lips.file_audio import read_voice
from aiprod.lips.mouth_model import MouthModel, MouthModelConfig
from aiprod.lips.mouth_region import Picture, Square, cut, mask, paste
from aiprod.lips.redrawing import Redrawer
from aiprod.lips.rows import FaceRow
from aiprod.lips.viseme_model import VisemeModel, load_viseme_model
from aiprod.qc.bundled.face_mesh import Face, follow
from aiprod.speech.features import BANDS, FRAME_HZ, log_mel
from aiprod.speech.lip_sync import correlation
from aiprod.speech.visemes import NUMBERS, middles
from aiprod.storage.crypto.film_encryption import Vault
from aiprod.storage.manifest.manifest import read_rows
from aiprod.trainer.lips.data import load_squares, mouth_of, read_pictures
from aiprod.trainer.lips.scores import strangers
from aiprod.trainer.lips.strategy import MouthLossParams, MouthStrategy, _weight
from aiprod.trainer.loop.optimizers import OptimizerParams, make_optimizer
from aiprod.trainer.loop.samplers import Draw

SIZE, PATCH = 64, 8
RING = SIZE + 2 * PATCH  # pixels of the square with the ring of tokens round it that is kept
GRID = RING // PATCH
WINDOW = 4  # pictures
COMPONENTS = 64
HEARD_S = 0.1  # of the sound before and after a window
STEPS = (4,)
_RATE = 3e-3
Floats = NDArray[np.float64]
Drawer = Callable[["Clip", Floats, Sequence[int]], list[Picture]]


@dataclass(frozen=True)
class Clip:
    """A held-out clip, the faces found in it, and what both draw into."""

    row: FaceRow
    pictures: list[Picture]
    faces: list[Face | None]
    redrawer: Redrawer


def wide(square: Square) -> Square:
    """The square with the ring."""
    return replace(square, side=square.side * RING / SIZE)


def patches(pictures: NDArray[np.uint8]) -> Tensor:
    """``[T, GRID², 192]`` from -1 to 1 of ``[T, RING, RING, 3]``."""
    cut_up = torch.from_numpy(pictures).float() / 127.5 - 1
    return cut_up.unflatten(2, (GRID, PATCH)).unflatten(1, (GRID, PATCH)).transpose(2, 3).flatten(3).flatten(1, 2)


def pixels(values: Tensor) -> NDArray[np.uint8]:
    """The reverse."""
    rows = values.unflatten(2, (PATCH, PATCH, 3)).unflatten(1, (GRID, GRID)).transpose(2, 3)
    codes = ((rows.reshape(len(values), RING, RING, 3) + 1) * 127.5).round().clamp(0, 255)
    return np.asarray(codes.byte().numpy())


class Inpainter(nn.Module):
    """The transformer, and the components that its tokens are made of."""

    def __init__(self, given: str, examples: Tensor) -> None:
        super().__init__()
        self.given = given
        config = AVTransformerConfig.demo(
            video_channels=COMPONENTS,
            audio_channels=len(NUMBERS) if given == "mouth" else BANDS,
            text_dim=8,
            video_width=96,
            audio_width=48,
            cross_width=48,
            depth=4,
            ff_ratio=3.0,
            input_skip=True,
            place_features=True,
            depthwise_conv=True,
            space_periods_px=(12.0, 128.0),
            time_periods_s=(0.25, 8.0),
        )
        self.net = AVTransformer(config)
        flat = examples.flatten(0, 1)
        self.middle = flat.mean(0)
        _, _, ways = torch.linalg.svd(flat[:: max(1, len(flat) // 6000)] - self.middle, full_matrices=False)
        self.ways = ways[:COMPONENTS].T
        self.scale = float(((flat - self.middle) @ self.ways).std())
        self.net.video_ends.measure(self.tokens(examples).flatten(0, 1))
        share = torch.from_numpy(mask(SIZE))
        whole = nn.functional.pad(share, (PATCH,) * 4)[None, None]
        self.made = (nn.functional.max_pool2d(whole, PATCH) > 0).flatten().float()
        near = nn.functional.avg_pool2d(nn.functional.pad(_weight(SIZE), (PATCH,) * 4)[None, None], PATCH).flatten()
        self.weight = near / (near * self.made).sum() * self.made.sum()
        self.sound_mean, self.sound_deviation = torch.zeros(1), torch.ones(1)

    def tokens(self, values: Tensor) -> Tensor:
        """``[..., COMPONENTS]`` of patches."""
        return (values - self.middle) @ self.ways / self.scale

    def values(self, tokens: Tensor) -> Tensor:
        """The reverse, as far as the components reach."""
        return tokens * self.scale @ self.ways.T + self.middle

    def places(self, count: int, fps: float, at_s: float = 0.0) -> Tensor:
        """Positions ``[1, count · GRID², 3]`` of the tokens of pictures."""
        seconds = at_s + (torch.arange(count) + 0.5) / fps
        middle = (torch.arange(GRID) + 0.5) * PATCH
        return torch.stack(torch.meshgrid(seconds, middle, middle, indexing="ij"), -1).reshape(1, -1, 3)

    def state(self, clean: Tensor, reference: Tensor, fps: float) -> LatentState:
        """A window ``[B, WINDOW · GRID², C]`` whose masked tokens are to be made, and a reference a second before."""
        state = LatentState.start(torch.zeros_like(clean), self.places(WINDOW, fps).expand(len(clean), -1, -1))
        places = self.places(1, fps, -1.0).expand(len(clean), -1, -1)
        made = self.made.repeat(WINDOW)[None]
        return apply_conditions(state, [MaskCondition(clean, made), ReferenceVideoCondition(reference, places)])

    def velocity(self, state: LatentState, sigma: Tensor, heard: Tensor, fps: float) -> Tensor:
        """Of the window's own tokens."""
        first = 0.5 / FRAME_HZ - HEARD_S if self.given == "mel" else 0.5 / fps - 2 / fps
        step = 1 / FRAME_HZ if self.given == "mel" else 1 / fps
        at = (first + torch.arange(heard.shape[1]) * step)[None, :, None].expand(len(heard), -1, -1)
        video = ModalityInput(state.latent, state.timesteps(sigma), state.positions, own=state.own)
        audio = ModalityInput(
            (heard - self.sound_mean) / self.sound_deviation, torch.zeros(len(heard), heard.shape[1]), at
        )
        out = self.net(video, audio).video
        assert out is not None
        return out[:, : state.own]

    @torch.no_grad()
    def sample(self, clean: Tensor, reference: Tensor, heard: Tensor, fps: float, steps: int) -> Tensor:
        """Tokens of windows by Euler's method."""
        noise = Noiser(0).noise(clean[:1]).expand_as(clean)
        state = self.state(clean, reference, fps)
        own = clean.shape[1]
        made = state.denoise_mask[:, :own, None]
        now = torch.where(made > 0, noise, clean)
        levels = torch.linspace(1, 0, steps + 1)
        levels = 2 * levels / (1 + levels)  # more steps where there is much noise
        for here, after in itertools.pairwise(levels):
            latent = torch.cat([now, state.clean_latent[:, own:]], 1)
            speed = self.velocity(state.replace(latent=latent), here.expand(len(clean)), heard, fps)
            now = now + (after - here) * speed * made
        return now


def heard_in(given: str, source: Floats, first: int, fps: float) -> Tensor:
    """What is given of the sound for the window that begins with picture ``first``.

    Args:
        source: mouths of each picture ``[T, 4]``, or mel bands of each 12.5 ms ``[T, BANDS]``.
    """
    if given == "mouth":
        numbers = np.arange(first - 2, first + WINDOW + 2)
    else:
        begin = round(first / fps * FRAME_HZ) - round(HEARD_S * FRAME_HZ)
        numbers = begin + np.arange(round((WINDOW / fps + 2 * HEARD_S) * FRAME_HZ))
    return torch.from_numpy(source[np.clip(numbers, 0, len(source) - 1)]).float()


def mel_of(sound: NDArray[np.float32]) -> Floats:
    """``[T, BANDS]``."""
    return log_mel(torch.from_numpy(np.ascontiguousarray(sound))).T.double().numpy()


def train(model: nn.Module, loss: Callable[[int], Tensor], seconds: float, name: str) -> tuple[nn.Module, int]:
    """Averaged weights after so much processor time, and the number of steps."""
    optimizer = make_optimizer(model, OptimizerParams(name="muon"))
    for group in optimizer.param_groups:
        group["weight_decay"] = 0.01 if group["decays"] else 0.0
    average, began, step = copy.deepcopy(model), time.process_time(), 0
    while (share := (time.process_time() - began) / seconds) < 1:
        factor = min(1.0, (step + 1) / 10) * (0.02 + 0.98 * 0.5 * (1 + np.cos(np.pi * share)))
        for group in optimizer.param_groups:
            group["lr"] = _RATE * factor
        value = loss(step)
        optimizer.zero_grad()
        value.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        with torch.no_grad():
            for old, new in zip(average.state_dict().values(), model.state_dict().values(), strict=True):
                if old.is_floating_point():
                    old.lerp_(new, 0.05 if step > 20 else 0.5)
        step += 1
        if step % 50 == 0:
            print(f"  {name}: {step} steps, loss {value.item():.4f}", flush=True)
    return average.eval(), step


def train_small(rows: Sequence[FaceRow], folder: Path, seconds: float) -> tuple[MouthModel, int]:
    """As ``train_lips`` does."""
    torch.manual_seed(42)
    model = MouthModel(MouthModelConfig())
    strategy = MouthStrategy(model, load_squares(rows, folder, SIZE, 42), [], MouthLossParams())
    sampler = strategy.sampler(8, 42)

    def loss(step: int) -> Tensor:
        content, ids = sampler.next()
        batch = strategy.load("", Draw(content, ids), range(8))
        return strategy.loss(model, batch, step=step, slots=range(8), device=torch.device("cpu")).loss

    trained, steps = train(model, loss, seconds, "small network")
    assert isinstance(trained, MouthModel)
    return trained, steps


def train_diffusion(rows: Sequence[FaceRow], folder: Path, given: str, seconds: float) -> tuple[Inpainter, int]:
    """Windows of the same heads, with the most closed mouth far from each as its reference."""
    torch.manual_seed(42)
    loaded = load_squares(rows, folder, SIZE, 42)
    parts = []
    for each in loaded:
        shown = read_pictures(each.row, folder)
        crops = [cut(picture, wide(square), RING) for picture, square in zip(shown, each.places, strict=True)]
        parts.append(patches(np.stack(crops)))
    model = Inpainter(given, torch.cat(parts))
    tokens = [model.tokens(part) for part in parts]
    sources = [
        mouth_of(each.row).astype(np.float64)
        if given == "mouth"
        else mel_of(read_voice(contained(folder, each.row.file_name)))
        for each in loaded
    ]
    everything = torch.from_numpy(np.concatenate(sources)).float()
    model.sound_mean, model.sound_deviation = everything.mean(0), everything.std(0).clamp_min(1e-3)
    generator = torch.Generator().manual_seed(42)
    fps = loaded[0].row.fps

    def loss(step: int) -> Tensor:
        windows, references, heard = [], [], []
        for _ in range(4):
            one = int(torch.randint(len(loaded), (), generator=generator))
            count = len(tokens[one])
            first = int(torch.randint(count - WINDOW + 1, (), generator=generator))
            far = [n for n in range(count) if abs(n - first) >= 10]
            closed = sorted(far, key=lambda n: loaded[one].row.aperture[n])[:4]
            references.append(tokens[one][closed[int(torch.randint(len(closed), (), generator=generator))]])
            windows.append(tokens[one][first : first + WINDOW].flatten(0, 1))
            heard.append(heard_in(given, sources[one], first, fps))
        clean = torch.stack(windows)
        sigma = torch.sigmoid(0.6 + 1.2 * torch.randn(len(clean), generator=generator))
        noise = torch.randn(clean.shape, generator=generator)
        state = model.state(clean, torch.stack(references), fps)
        own = clean.shape[1]
        noisy = torch.lerp(clean, noise, state.timesteps(sigma)[:, :own, None])
        latent = torch.cat([noisy, state.clean_latent[:, own:]], 1)
        off = model.velocity(state.replace(latent=latent), sigma, torch.stack(heard), fps) - (noise - clean)
        weight = (model.made * model.weight).repeat(WINDOW)
        return (off.square().mean(-1) * weight).sum() / (len(clean) * weight.sum())

    trained, steps = train(model, loss, seconds, f"diffusion, {given}")
    assert isinstance(trained, Inpainter)
    return trained, steps


def draw_small(model: MouthModel) -> Drawer:
    """Pictures of a clip with mouths that are given."""

    def draw(clip: Clip, mouth: Floats, numbers: Sequence[int]) -> list[Picture]:
        clip.redrawer.model = model
        return [clip.redrawer.draw(n, clip.pictures[n], mouth[n]) for n in numbers]

    return draw


def draw_diffusion(model: Inpainter, steps: int) -> Drawer:
    """The same: windows one after another, the last one ending with the clip."""

    @torch.no_grad()
    def draw(clip: Clip, source: Floats, numbers: Sequence[int]) -> list[Picture]:
        squares, count = clip.redrawer.squares, len(clip.pictures)
        assert all(square is not None for square in squares), "a clip in which the face is always seen"
        crops = np.stack([cut(p, wide(s), RING) for p, s in zip(clip.pictures, squares, strict=True) if s is not None])
        tokens = model.tokens(patches(crops))
        begins = sorted({min(n // WINDOW * WINDOW, count - WINDOW) for n in numbers})
        drawn: dict[int, Picture] = {}
        for first in begins:
            clean = tokens[first : first + WINDOW].flatten(0, 1)[None]
            reference = tokens[clip.redrawer.reference(first)][None]
            heard = heard_in(model.given, source, first, clip.row.fps)[None]
            made = model.sample(clean, reference, heard, clip.row.fps, steps)[0]
            inner = pixels(model.values(made).unflatten(0, (WINDOW, -1)))[:, PATCH:-PATCH, PATCH:-PATCH]
            drawn |= dict(zip(range(first, first + WINDOW), inner, strict=True))
        out = []
        for n in numbers:
            square = squares[n]
            assert square is not None
            out.append(paste(clip.pictures[n], square, np.ascontiguousarray(drawn[n])))
        return out

    return draw


def measure(name: str, draw: Drawer, clips: Sequence[Clip], sources: Callable[[FaceRow, FaceRow], Floats]) -> str:
    """A line of the table."""
    own, range_, strange, error, steady, spent, frames = [], [], [], [], [], 0.0, 0
    for clip in clips:
        truth = np.array(clip.row.aperture)
        began = time.process_time()
        drawn = draw(clip, sources(clip.row, clip.row), range(len(clip.pictures)))
        spent, frames = spent + time.process_time() - began, frames + len(drawn)
        aperture = np.array([np.nan if face is None else face.aperture for face in follow(drawn)])
        own.append(correlation(aperture, truth))
        range_.append(np.nanstd(aperture) / truth.std())
        for n, square in enumerate(clip.redrawer.squares):
            if square is not None:
                share = np.broadcast_to(mask(SIZE)[..., None] > 0, (SIZE, SIZE, 3))
                a, b = (cut(p, square, SIZE).astype(np.float64) for p in (clip.pictures[n], drawn[n]))
                error.append(float(np.square(a - b)[share].mean()))
        still = [(np.abs(np.diff(np.stack(p).astype(np.float64), axis=0)).mean()) for p in (drawn, clip.pictures)]
        steady.append(still[0] / still[1])
        some = [n for n in range(len(clip.pictures)) if n // WINDOW % 2 == 0]
        for other in strangers(clip.row, [c.row for c in clips])[:2]:
            strange_drawn = draw(clip, sources(clip.row, other), some)
            seen = np.array([np.nan if face is None else face.aperture for face in follow(strange_drawn)])
            strange.append(correlation(seen, truth[some]))
    psnr = 10 * np.log10(255**2 / np.mean(error))
    return (
        f"| {name} | {np.nanmean(own):.3f} | {np.nanmean(strange):.3f} | {np.mean(range_):.2f} | {psnr:.1f} dB"
        f" | {np.mean(steady):.2f} | {frames / spent:.0f} |"
    )


def main() -> None:
    """Train, draw, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=Path, default=Path("datasets/v1/faces"))
    parser.add_argument("--visemes", type=Path, default=Path("models/visemes"))
    parser.add_argument(
        "--seconds", type=float, nargs=2, default=(45.0, 135.0), help="for the small one, for diffusion"
    )
    parser.add_argument("--given", nargs="+", choices=("mouth", "mel"), default=["mouth", "mel"])
    parser.add_argument("--clips", type=int, default=8)
    parsed = parser.parse_args()
    torch.set_num_threads(1)
    rows = [row for row in read_rows(parsed.faces, FaceRow, Vault()) if row.synthetic and row.fault == "none"]
    apart = [row for row in rows if row.split != "train"][: parsed.clips]
    rows = [row for row in rows if row.split == "train"]
    visemes = load_viseme_model(parsed.visemes)
    small, steps = train_small(rows, parsed.faces, parsed.seconds[0])
    clips = []
    for row in apart:
        pictures = read_pictures(row, parsed.faces)
        faces = list(follow(pictures))
        redrawer = Redrawer(small, faces, 1 / row.fps)
        for n in redrawer.needed:
            redrawer.remember(n, pictures[n])
        clips.append(Clip(row, pictures, faces, redrawer))
    sounds = {row.clip_id: read_voice(contained(parsed.faces, row.file_name)) for row in apart}
    mouths = _mouths(visemes, sounds)
    lines = [measure(f"small network, {_size(small)}, {steps} steps", draw_small(small), clips, mouths)]
    print(lines[-1], flush=True)
    for given in parsed.given:
        model, steps = train_diffusion(rows, parsed.faces, given, parsed.seconds[1])
        sources = mouths if given == "mouth" else _mels(sounds)
        for taken in STEPS:
            name = f"diffusion, given {given}, {_size(model)}, {steps} steps, {taken} to draw"
            lines.append(measure(name, draw_diffusion(model, taken), clips, sources))
            print(lines[-1], flush=True)
    print("| | aperture | with another sound | range | PSNR in the mask | movement | pictures a second |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    print("\n".join(lines))


def _size(model: nn.Module) -> str:
    return f"{sum(p.numel() for p in model.parameters()) / 1e6:.2f} M"


def _mouths(visemes: VisemeModel, sounds: dict[str, NDArray[np.float32]]) -> Callable[[FaceRow, FaceRow], Floats]:
    def source(row: FaceRow, other: FaceRow) -> Floats:
        return visemes.see(sounds[other.clip_id]).at(middles(row.frames, row.fps))[1]

    return source


def _mels(sounds: dict[str, NDArray[np.float32]]) -> Callable[[FaceRow, FaceRow], Floats]:
    def source(row: FaceRow, other: FaceRow) -> Floats:
        return mel_of(sounds[other.clip_id])

    return source


if __name__ == "__main__":
    main()
