"""A small network that sees the cast of a picture, and how one shot differs from another: learned white balance.

Four plain estimates of a cast are made: of the mean of light (grey-world), of its 5-norm (shades of grey, Finlayson
and Trezzi 2004), of its mean in stops, and of its steps from pixel to pixel (grey-edge, van de Weijer et al. 2007). A
picture is brought to one mean a channel and looked at by three convolutions; what they find says how far each estimate
is to be believed in this scene. So a cast moves the answer by as much as itself, and only what scenes look like is
learned: from films as they were finished, under casts that are drawn and therefore known. Convolution with places
weighed by their trust is FC4's idea (Hu et al., CVPR 2017).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from aiprod.base.files import atomic_path
from aiprod.errors import AiprodError

WIDTH, HEIGHT = 64, 36
"""Of the thumbnails that are looked at, pixels."""
_VERSION = "2"
_GAMMA = 2.4  # of BT.1886, as in ``color.grade``
_LUMA = (0.2126, 0.7152, 0.0722)
_CHANNELS = 24
_RATE = 2e-3
_CAST_STOPS, _EXPOSURE_STOPS = 0.8, 0.7  # to each side, of the casts that are drawn
_ESTIMATES = 4
_SMALL_STOPS = 0.15  # errors beyond it weigh less and less: what cannot be known must not spoil what can
_DARK = 0.004  # of white: darker thumbnails have no colour to speak of
Thumbnails = NDArray[np.uint8]
"""[N, HEIGHT, WIDTH, 3], R'G'B' of BT.709."""


class Gains(NamedTuple):
    """Factors of light that a grade states: stops, and gains of red, green and blue."""

    exposure: float
    white_balance: tuple[float, float, float]


class Errors(NamedTuple):
    """Mean error in stops on films that were held out, of each way to undo a known cast."""

    films: int
    nothing: float
    grey_world: float
    learned: float
    match_nothing: float
    match_means: float
    match_learned: float


def tensor_of(thumbnails: Thumbnails) -> Tensor:
    """Float [N, 3, H, W] of 0 to 1."""
    return torch.from_numpy(np.ascontiguousarray(thumbnails)).permute(0, 3, 1, 2).float() / 255


def _light(signal: Tensor) -> Tensor:
    return signal.clamp(0, 1) ** _GAMMA


def cast_on(signal: Tensor, stops: Tensor) -> Tensor:
    """Pictures [N, 3, H, W] under gains of light in stops [N, 3], as codes of 8 bits hold them."""
    lit = (_light(signal) * (2.0**stops)[..., None, None]).clamp(0, 1)
    return (lit ** (1 / _GAMMA) * 255).round() / 255


def mean_stops(signal: Tensor) -> Tensor:
    """Mean light of each channel in stops, [N, 3]."""
    return torch.log2(_light(signal).mean((-2, -1)) + 1e-4)


def grey_world(signal: Tensor) -> Tensor:
    """Cast of red and blue over green in stops [N, 2], if every scene were gray on the mean."""
    return _over_green(mean_stops(signal))


def estimates(signal: Tensor) -> Tensor:
    """Cast of red and blue over green in stops by each plain estimate, [N, 4, 2]; the first is :func:`grey_world`."""
    light = _light(signal)
    steps = (light[..., 1:] - light[..., :-1]).abs().mean((-2, -1))
    steps = steps + (light[..., 1:, :] - light[..., :-1, :]).abs().mean((-2, -1))
    norm = (light**5).mean((-2, -1)) ** 0.2
    in_stops = torch.log2(light + 1e-3).mean((-2, -1))
    candidates = (mean_stops(signal), torch.log2(norm + 1e-4), in_stops, torch.log2(steps + 1e-4))
    return torch.stack([_over_green(each) for each in candidates], 1)


class BalanceNet(nn.Module):
    """15,823 weights. Pictures are [N, 3, H, W], R'G'B' of 0 to 1."""

    def __init__(self) -> None:
        super().__init__()
        c = _CHANNELS
        steps = [nn.Conv2d(3, c, 3, 2, 1), nn.ReLU(), nn.Conv2d(c, c, 3, 2, 1), nn.ReLU(), nn.Conv2d(c, c, 3, 1, 1)]
        self.body = nn.Sequential(*steps, nn.ReLU())
        self.look, self.trust = nn.Conv2d(c, c, 1), nn.Conv2d(c, 1, 1)
        self.cast = nn.Sequential(nn.Linear(c + 2 * _ESTIMATES, 32), nn.ReLU(), nn.Linear(32, _ESTIMATES + 4))
        self.pair = nn.Sequential(nn.Linear(2 * c + 3, 48), nn.ReLU(), nn.Linear(48, 6))

    def _seen(self, signal: Tensor) -> tuple[Tensor, Tensor]:
        means = mean_stops(signal)
        even = _light(signal) * (2.0 ** (-_GAMMA - means))[..., None, None]
        features = self.body(torch.log2(even + 0.01) / 4)
        weights = self.trust(features).flatten(2).softmax(-1)
        return (self.look(features).flatten(2) * weights).sum(-1), means

    def balance(self, signal: Tensor) -> Tensor:
        """Cast of red and blue over green, stops [N, 2]."""
        seen, _ = self._seen(signal)
        plain = estimates(signal)
        first, others = plain[:, 0], plain[:, 1:] - plain[:, :1]
        trust, share, more = self.cast(torch.cat([seen, first, others.flatten(1)], 1)).split([_ESTIMATES, 2, 2], 1)
        estimate = (plain * trust.softmax(1)[..., None]).sum(1)
        return estimate * torch.sigmoid(share + 2) + more * 0.3

    def match(self, reference: Tensor, film: Tensor) -> Tensor:
        """By how many stops red, green and blue of ``film`` are above those of ``reference`` shots, [N, 3]."""
        (one, first), (other, second) = self._seen(reference), self._seen(film)
        apart = second - first
        there = self.pair(torch.cat([one, other, apart], 1))
        back = self.pair(torch.cat([other, one, -apart], 1))  # the other way round it says the opposite
        return apart * torch.sigmoid((there + back)[:, :3] / 2 + 1) + (there - back)[:, 3:] * 0.2


def train(
    films: Mapping[str, Thumbnails],
    steps: int = 400,
    batch: int = 32,
    seed: int = 0,
    advance: Callable[[], None] = lambda: None,
) -> BalanceNet:
    """Learn from thumbnails of films as they were finished; about 20 processor seconds, the same weights every time.

    Args:
        batch: pairs of pictures in a step.

    Raises:
        AiprodError: fewer than two films have two pictures that are not black.
    """
    pictures = {name: picture for name, picture in _bright(films).items() if len(picture) > 1}
    if len(pictures) < 2:
        raise AiprodError("there is too little to learn from", "give a folder of more films, each with a few shots")
    names, rng = sorted(pictures), np.random.default_rng(seed)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = BalanceNet()
    optimiser = torch.optim.AdamW(net.parameters(), _RATE, weight_decay=1e-2)
    for step in range(steps):
        optimiser.param_groups[0]["lr"] = _RATE * (1 - step / steps)
        one, other = _pairs([pictures[names[n]] for n in rng.integers(len(names), size=batch)], rng)
        flip = bool(rng.random() < 0.5)
        saturation = torch.from_numpy(rng.uniform(0.7, 1.2, (batch, 1, 1, 1))).float()
        one, other = (_varied(picture, saturation, flip) for picture in (one, other))
        first, second = _drawn(batch, rng), _drawn(batch, rng)
        a, b = cast_on(one, first), cast_on(other, second)
        missed = (net.balance(a) - _over_green(first)).abs().mean(1)
        loss = 0.3 * torch.log1p(missed / _SMALL_STOPS).mean() + (net.match(a, b) - (second - first)).abs().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        advance()
    return net.eval()


@torch.no_grad()
def measured(net: BalanceNet, films: Mapping[str, Thumbnails], draws: int = 8, seed: int = 1) -> Errors:
    """How far casts that are known are missed on these films."""
    pictures, rng = _bright(films), np.random.default_rng(seed)
    balances, matches = [], []
    for name in sorted(pictures):
        one, other = _pairs([pictures[name]] * draws, rng)
        stops = _drawn(draws, rng)
        cast, wanted = cast_on(one, stops), _over_green(stops)
        balances.append([(e - wanted).abs().mean().item() for e in (0 * wanted, grey_world(cast), net.balance(cast))])
        cast = cast_on(other, stops)
        ways = (0 * stops, mean_stops(cast) - mean_stops(one), net.match(one, cast))
        matches.append([(e - stops).abs().mean().item() for e in ways])
    mean = [float(value) for errors in (balances, matches) for value in np.mean(errors, axis=0)]
    return Errors(len(pictures), *mean)


@torch.no_grad()
def balance_gains(net: BalanceNet, thumbnails: Thumbnails) -> Gains:
    """What undoes the cast of a film, by the median over its pictures; its luminance stays."""
    pictures = tensor_of(thumbnails)
    red, blue = net.balance(pictures).median(0).values.tolist()
    light = _light(pictures).mean((0, 2, 3)).numpy()
    gains = np.exp2([-red, 0.0, -blue])
    kept = float(np.dot(light, _LUMA) / max(float(np.dot(light * gains, _LUMA)), 1e-6))
    return _stated(gains * kept)


@torch.no_grad()
def match_gains(net: BalanceNet, reference: Thumbnails, film: Thumbnails) -> Gains:
    """What brings a film near to another in colour and exposure, by the median over pairs of their pictures."""
    one, other = tensor_of(reference), tensor_of(film)
    apart = net.match(one.repeat_interleave(len(other), 0), other.repeat(len(one), 1, 1, 1)).median(0).values
    return _stated(np.exp2(-apart.numpy().astype(np.float64)))


def save(net: BalanceNet, path: Path, films: Sequence[str] = ()) -> None:
    """Write the weights as safetensors.

    Args:
        films: SHA-256 (hex) of each film that they were learnt from, for the file's metadata.
    """
    stated = {"kind": "aiprod balance", "version": _VERSION, "films": " ".join(sorted(films))}
    with atomic_path(path) as temporary:
        save_file(net.state_dict(), temporary, stated)


def load(path: Path) -> BalanceNet:
    """Read weights of :func:`save`.

    Raises:
        AiprodError: the file is missing, or holds another model.
    """
    hint = "train one: aiprod grade FOLDER --train balance.safetensors"
    try:
        with safe_open(path, "pt") as file:
            stated = file.metadata() or {}
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is no dictionary)
    except (OSError, SafetensorError) as error:
        raise AiprodError(f"{path} cannot be read ({str(error)[:100]})", hint) from None
    if (stated.get("kind"), stated.get("version")) != ("aiprod balance", _VERSION):
        raise AiprodError(f"{path.name} is not a white-balance model of this version", hint)
    net = BalanceNet()
    net.load_state_dict(weights)
    return net.eval()


def _stated(gains: NDArray[np.float64]) -> Gains:
    """Gains as exposure and white balance, whose green is 1."""
    red, green, blue = gains.tolist()
    balance = (round(red / green, 4), 1.0, round(blue / green, 4))
    return Gains(round(min(10.0, max(-10.0, float(np.log2(green)))), 4), balance)


def _bright(films: Mapping[str, Thumbnails]) -> dict[str, Tensor]:
    pictures = {name: tensor_of(thumbnails) for name, thumbnails in films.items()}
    kept = {name: picture[_light(picture).mean((1, 2, 3)) > _DARK] for name, picture in pictures.items()}
    return {name: picture for name, picture in kept.items() if len(picture)}


def _pairs(films: Sequence[Tensor], rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Two pictures of each film."""
    chosen = [picture[rng.integers(len(picture), size=2)] for picture in films]
    return torch.stack([two[0] for two in chosen]), torch.stack([two[1] for two in chosen])


def _varied(signal: Tensor, saturation: Tensor, flip: bool) -> Tensor:
    gray = signal.mean(1, keepdim=True)
    varied = (gray + (signal - gray) * saturation).clamp(0, 1)
    return varied.flip(-1) if flip else varied


def _drawn(count: int, rng: np.random.Generator) -> Tensor:
    """Gains in stops, [count, 3]: of red and blue over green, and of all."""
    stops = rng.uniform(-_CAST_STOPS, _CAST_STOPS, (count, 3))
    stops[:, 1] = 0
    return torch.from_numpy(stops + rng.uniform(-_EXPOSURE_STOPS, _EXPOSURE_STOPS, (count, 1))).float()


def _over_green(stops: Tensor) -> Tensor:
    return torch.stack([stops[:, 0] - stops[:, 1], stops[:, 2] - stops[:, 1]], 1)
