"""Learned white balance and shot matching against grey-world, equal means, histogram matching and doing nothing.

``python -m tests.bench.auto_grade [FOLDER]``: films of the folder as they were finished, in three parts; each part is
measured with a network that learnt from the other two. Casts are drawn, and so known. Mean and median ΔE ITP (1 is just
visible) by colour-science, of thumbnails. Needs the package colour-science.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import colour
import numpy as np
import torch

from aiprod.color import balance as learned
from aiprod.media.errors import MediaError
from aiprod.montage.balancing import films_in, thumbnails_of

DRAWS = 6
_TO_2020 = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])
_LUMA = torch.tensor([0.2126, 0.7152, 0.0722])


def itp(signal: torch.Tensor) -> np.ndarray:
    """ICtCp [H, W, 3] of a picture [3, H, W] on a display of 100 cd/m²."""
    light = (signal.clamp(0, 1) ** 2.4).permute(1, 2, 0).double().numpy() * 100
    return np.asarray(colour.RGB_to_ICtCp(light @ _TO_2020.T))


def apart(one: torch.Tensor, other: torch.Tensor) -> float:
    """Mean ΔE ITP of two pictures."""
    return float(colour.difference.delta_E_ITP(itp(one), itp(other)).mean())


def balanced(given: torch.Tensor, cast: torch.Tensor) -> torch.Tensor:
    """A picture [1, 3, H, W] without a cast of red and blue, at its luminance."""
    stops = torch.stack([-cast[:, 0], torch.zeros(1), -cast[:, 1]], 1)
    light = (given**2.4).mean((2, 3))
    kept = torch.log2((light @ _LUMA) / ((light * 2.0**stops) @ _LUMA))
    return learned.cast_on(given, stops + kept[:, None])


def like_histogram(wanted: torch.Tensor, given: torch.Tensor) -> torch.Tensor:
    """The channels of a picture with the histograms of another's."""
    out = torch.empty_like(given)
    for channel in range(3):
        order = given[channel].flatten().argsort()
        out[channel].view(-1)[order] = wanted[channel].flatten().sort().values
    return out


def main(folder: Path) -> None:
    """Print the table."""
    torch.set_num_threads(1)
    films = {}
    for path in films_in(folder):
        try:
            films[path.name] = thumbnails_of(path)
        except MediaError as error:
            print(f"{path.name} left out: {error}")
    # what begins alike comes from one production, and must not be on both sides
    groups = sorted({name.split("_")[0] for name in films})
    order = np.random.default_rng(5).permutation(len(groups))
    found: dict[str, list[float]] = {}
    for part in range(3):
        held = {groups[n] for n in order[part::3]}
        began = time.process_time()
        net = learned.train({name: f for name, f in films.items() if name.split("_")[0] not in held})
        took = time.process_time() - began
        print(f"part {part}: {took:.1f} processor seconds of learning; held out: {', '.join(sorted(held))}", flush=True)
        for name in sorted(films):
            if name.split("_")[0] in held:
                measure(net, learned.tensor_of(films[name]), found)
    for way, values in found.items():
        print(f"{way:<22} mean {np.mean(values):6.2f}  median {np.median(values):6.2f}  of {len(values)}")


@torch.no_grad()
def measure(net: learned.BalanceNet, pictures: torch.Tensor, found: dict[str, list[float]]) -> None:
    """Add the differences of each way on one film."""
    rng = np.random.default_rng(len(pictures))
    pictures = pictures[((pictures**2.4).mean((1, 2, 3)) > 0.004)]
    if not len(pictures):
        return
    for _ in range(DRAWS):
        one, other = (pictures[rng.integers(len(pictures))][None] for _ in range(2))
        cast = torch.from_numpy(rng.uniform(-0.8, 0.8, (1, 2))).float()
        stops = torch.stack([cast[:, 0], torch.zeros(1), cast[:, 1]], 1)
        given = learned.cast_on(one, stops)
        wanted = balanced(given, cast)
        for way, estimate in (
            ("cast: nothing", 0 * cast),
            ("cast: grey-world", learned.grey_world(given)),
            ("cast: learned", net.balance(given)),
        ):
            found.setdefault(way, []).append(apart(balanced(given, estimate)[0], wanted[0]))
        stops = stops + float(rng.uniform(-0.7, 0.7))
        given = learned.cast_on(other, stops)
        means = learned.mean_stops(given) - learned.mean_stops(one)
        for way, made in (
            ("match: nothing", given),
            ("match: histogram", like_histogram(one[0], given[0])[None]),
            ("match: equal means", learned.cast_on(given, -means)),
            ("match: learned", learned.cast_on(given, -net.match(one, given))),
        ):
            found.setdefault(way, []).append(apart(made[0], other[0]))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=Path("../shared/clips/open"))
    main(parser.parse_args().folder)
