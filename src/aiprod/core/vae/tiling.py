"""Long and large media through the autoencoders in pieces, with the result of one piece.

In time a causal video autoencoder remembers what its layers saw (:class:`~aiprod.core.vae.causal.Stream`), so chunks
join exactly. In space, and for sound, each piece is computed with a margin as wide as the network's reach, and the
margin is cut off: no blending, no seam. Memory depends on the size of a piece, not on the length of the film.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor

from aiprod.core.vae.audio import AudioVAE
from aiprod.core.vae.causal import Stream
from aiprod.core.vae.posterior import Posterior
from aiprod.core.vae.video import VideoVAE
from aiprod.errors import CoreError

Tile = tuple[int, int]
_Piece = tuple[int, int, int, int]  # first and last latent cell with margin, first and last without


def _cut(length: int, size: int, margin: int) -> list[_Piece]:
    """Pieces of an axis; a margin ends where the axis ends, so that zero padding is where it would be anyway."""
    starts = range(0, length, size)
    return [(max(0, s - margin), min(length, s + size + margin), s, min(length, s + size)) for s in starts]


def _check(tile: Tile | None) -> None:
    if tile is not None and min(tile) < 1:
        raise CoreError(f"the tile {tile} is empty", "give at least one latent cell along each axis")


class VideoStreamEncoder:
    """Encodes a video that arrives in chunks of any length.

    Args:
        tile: (height, width) of a tile in latent cells; None computes whole frames.

    Raises:
        CoreError: the tile is empty.
    """

    def __init__(self, vae: VideoVAE, tile: Tile | None = None) -> None:
        _check(tile)
        self.vae, self.tile = vae, tile
        self._streams: dict[_Piece, dict[_Piece, Stream]] = {}
        self._waiting: Tensor | None = None
        self._begun = False

    @torch.no_grad()
    def encode(self, x: Tensor) -> Posterior | None:
        """The latents that ``x`` (``[B, 3, F, H, W]``, F ≥ 1) completes; None if frames are still lacking for one."""
        frames = x if self._waiting is None else torch.cat([self._waiting, x], dim=2)
        t = self.vae.compression.time
        spare = frames.shape[2] % t if self._begun else (frames.shape[2] - 1) % t
        ready = frames.shape[2] - spare
        self._waiting = frames[:, :, ready:].clone() if spare else None
        if ready == 0:
            return None
        self._begun = True
        return self._encode(frames[:, :, :ready])

    def _encode(self, x: Tensor) -> Posterior:
        c = self.vae.compression
        rows = []
        for row in _pieces(x.shape[3] // c.height, self.tile and self.tile[0], self.vae.encoder_reach):
            parts = []
            for column in _pieces(x.shape[4] // c.width, self.tile and self.tile[1], self.vae.encoder_reach):
                stream = self._streams.setdefault(row, {}).setdefault(column, Stream())
                cut = x[..., row[0] * c.height : row[1] * c.height, column[0] * c.width : column[1] * c.width]
                parts.append(_inside(self.vae.encode(cut, stream), row, column))
            rows.append(_join(parts, -1))
        return _join(rows, -2)


class VideoStreamDecoder:
    """Decodes a latent that arrives in chunks; frames come out as soon as their latents are there.

    Args:
        tile: (height, width) of a tile in latent cells; None computes whole frames.

    Raises:
        CoreError: the tile is empty.
    """

    def __init__(self, vae: VideoVAE, tile: Tile | None = None) -> None:
        _check(tile)
        self.vae, self.tile = vae, tile
        self._streams: dict[_Piece, dict[_Piece, Stream]] = {}

    @torch.no_grad()
    def decode(self, z: Tensor) -> Tensor:
        """Pixels ``[B, 3, F, H, W]`` of the next latents ``[B, C, F', H', W']``, not normalised."""
        c = self.vae.compression
        rows = []
        for row in _pieces(z.shape[3], self.tile and self.tile[0], self.vae.decoder_reach):
            parts = []
            for column in _pieces(z.shape[4], self.tile and self.tile[1], self.vae.decoder_reach):
                stream = self._streams.setdefault(row, {}).setdefault(column, Stream())
                pixels = self.vae.decode(z[..., row[0] : row[1], column[0] : column[1]], stream)
                top, left = (row[2] - row[0]) * c.height, (column[2] - column[0]) * c.width
                tall, wide = (row[3] - row[2]) * c.height, (column[3] - column[2]) * c.width
                parts.append(pixels[..., top : top + tall, left : left + wide].clone())
            rows.append(torch.cat(parts, -1))
        return torch.cat(rows, -2)


def _pieces(length: int, size: int | None, margin: int) -> list[_Piece]:
    return _cut(length, size or length, margin)


def _inside(posterior: Posterior, row: _Piece, column: _Piece) -> Posterior:
    """Without the margins."""
    rows = slice(row[2] - row[0], row[3] - row[0])
    columns = slice(column[2] - column[0], column[3] - column[0])

    def cut(x: Tensor | None) -> Tensor | None:
        return None if x is None else x[..., rows, columns].clone()

    mean = cut(posterior.mean)
    assert mean is not None
    return Posterior(mean, cut(posterior.logvar), posterior.commitment, cut(posterior.codes))


def _join(parts: list[Posterior], axis: int) -> Posterior:
    def joined(pick: Callable[[Posterior], Tensor | None]) -> Tensor | None:
        values = [value for part in parts if (value := pick(part)) is not None]
        return torch.cat(values, axis) if values else None

    mean = joined(lambda p: p.mean)
    assert mean is not None
    losses = [p.commitment for p in parts if p.commitment is not None]
    return Posterior(
        mean, joined(lambda p: p.logvar), torch.stack(losses).mean() if losses else None, joined(lambda p: p.codes)
    )


def encode_stream(vae: VideoVAE, chunks: Iterable[Tensor], tile: Tile | None = None) -> Iterator[Posterior]:
    """Latents of a video that is read in chunks. Frames at the end that do not fill a latent are left out."""
    encoder = VideoStreamEncoder(vae, tile)
    for chunk in chunks:
        posterior = encoder.encode(chunk)
        if posterior is not None:
            yield posterior


def decode_stream(vae: VideoVAE, chunks: Iterable[Tensor], tile: Tile | None = None) -> Iterator[Tensor]:
    """Frames of latents that come in chunks."""
    decoder = VideoStreamDecoder(vae, tile)
    for chunk in chunks:
        yield decoder.decode(chunk)


@torch.no_grad()
def encode_sound(vae: AudioVAE, x: Tensor, chunk: int) -> Posterior:
    """Latents of a long waveform ``[B, channels, T]``, ``chunk`` latent frames at a time."""
    hop = vae.config.hop
    parts = []
    for first, last, begin, end in _cut(x.shape[-1] // hop, chunk, vae.reach):
        posterior = vae.encode(x[..., first * hop : last * hop])
        inside = slice(begin - first, end - first)
        logvar = None if posterior.logvar is None else posterior.logvar[..., inside]
        codes = None if posterior.codes is None else posterior.codes[..., inside]
        parts.append(Posterior(posterior.mean[..., inside], logvar, posterior.commitment, codes))
    return _join(parts, -1)


@torch.no_grad()
def decode_sound(vae: AudioVAE, z: Tensor, chunk: int) -> Iterator[Tensor]:
    """The waveform of a long latent ``[B, C, T/hop]``, ``chunk`` latent frames at a time."""
    hop = vae.config.hop
    for first, last, begin, end in _cut(z.shape[-1], chunk, vae.reach):
        sound = vae.decode(z[..., first:last])
        yield sound[..., (begin - first) * hop : (end - first) * hop]
