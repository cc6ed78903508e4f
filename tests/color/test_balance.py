"""Learned white balance: known casts are undone where grey-world is wrong, the same way every time."""

from __future__ import annotations

import hashlib
import re
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from safetensors import safe_open
from typer.testing import CliRunner

from aiprod.cli import app
from aiprod.color import balance
from aiprod.errors import AiprodError
from aiprod.media.encoding import encode
from aiprod.media.frames import VideoReader
from aiprod.montage import balancing


def meadow(seed: int, count: int = 4, height: int = balance.HEIGHT, width: int = balance.WIDTH) -> np.ndarray:
    """Pictures of grass below a sky, with a gray road of some width: nothing of it is gray on the mean."""
    rng, made = np.random.default_rng(seed), []
    for _ in range(count):
        picture = np.empty((height, width, 3))
        horizon = int(rng.uniform(0.2, 0.5) * height)
        picture[:horizon] = (120, 160, 220)
        picture[horizon:] = (80, 150, 50)
        road = int(rng.uniform(0.2, 0.6) * width)
        picture[horizon:, : road // 2] = 128
        picture += rng.normal(0, 8, picture.shape) + rng.uniform(-20, 20)
        made.append(np.clip(picture, 0, 255).astype(np.uint8))
    return np.stack(made)


@pytest.fixture(scope="module")
def net() -> balance.BalanceNet:
    return balance.train({f"{n}": meadow(n) for n in range(8)}, steps=150, batch=8)


def test_known_casts_on_held_out_films_are_undone_where_grey_world_is_wrong(net: balance.BalanceNet) -> None:
    found = balance.measured(net, {f"{n}": meadow(n) for n in range(100, 106)})
    assert found.films == 6
    assert found.learned < 0.6 * min(found.nothing, found.grey_world)
    assert found.match_learned < found.match_means < found.match_nothing


def test_the_same_films_give_the_same_weights_and_leave_the_random_numbers_alone() -> None:
    torch.manual_seed(7)
    before = torch.rand(1)
    films = {f"{n}": meadow(n) for n in range(3)}
    torch.manual_seed(7)
    one, other = (balance.train(films, steps=3).state_dict() for _ in range(2))
    assert torch.rand(1) == before
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_shot_is_as_it_is_beside_itself_and_the_other_way_round_the_opposite(net: balance.BalanceNet) -> None:
    a, b = (balance.tensor_of(meadow(n)) for n in (1, 2))
    with torch.no_grad():
        assert torch.equal(net.match(a, a), torch.zeros(4, 3))
        assert torch.allclose(net.match(a, b), -net.match(b, a), atol=1e-6)


def test_a_balance_keeps_the_light_of_a_film(net: balance.BalanceNet) -> None:
    given = balance.cast_on(balance.tensor_of(meadow(3)) * 0.7, torch.tensor([[0.7, 0.0, -0.7]]).repeat(4, 1))
    gains = balance.balance_gains(net, (given.permute(0, 2, 3, 1) * 255).round().numpy().astype(np.uint8))
    light = (given**2.4).mean((0, 2, 3)).numpy().astype(float)
    weights = np.array([0.2126, 0.7152, 0.0722])
    after = float(light * np.array(gains.white_balance) * 2.0**gains.exposure @ weights)
    assert after == pytest.approx(float(light @ weights), rel=1e-3)
    assert gains.white_balance[0] < 1 < gains.white_balance[2]  # red was too bright, blue too dark


def test_weights_are_read_as_they_were_written_and_others_are_refused(net: balance.BalanceNet, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    balance.save(net, path)
    again = balance.load(path)
    picture = balance.tensor_of(meadow(5))
    assert torch.equal(net.balance(picture), again.balance(picture))
    other = tmp_path / "other.safetensors"
    balance.save_file({"a": torch.zeros(1)}, other)
    for wrong in (other, tmp_path / "none.safetensors"):
        with pytest.raises(AiprodError, match="--train"):
            balance.load(wrong)
    with pytest.raises(AiprodError, match="more films"):
        balance.train({"one": meadow(1)}, steps=1)


def test_a_film_loses_its_cast_by_the_command(
    net: balance.BalanceNet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(balancing, "_STEPS", 2)
    folder = tmp_path / "films"
    folder.mkdir()
    for n in range(8):
        encode(folder / f"{n}.mp4", list(meadow(n, 6, 72, 128)), Fraction(6), crf=8)
    (folder / "notes.txt").write_text("no film")
    (folder / "broken.mp4").write_bytes((folder / "0.mp4").read_bytes()[:400])
    with av.open(str(folder / "0.mp4")) as given, av.open(str(folder / "reserved.mp4"), "w") as reserved:
        stream = reserved.add_stream_from_template(given.streams.video[0])
        reserved.metadata["copyright"] = "All rights reserved"
        for packet in given.demux(given.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                reserved.mux(packet)
    runner, model = CliRunner(), tmp_path / "model.safetensors"
    done = runner.invoke(app, ["grade", str(folder), "--train", str(model)])
    assert done.exit_code == 0 and "2 films held out" in done.output, done.output
    assert re.search(r"left out: reserved\.mp4: .*All rights reserved", done.output), done.output
    assert "left out: broken.mp4: " in done.output
    with safe_open(model, "pt") as file:
        told = file.metadata()["films"].split()
    assert told == sorted(hashlib.sha256((folder / f"{n}.mp4").read_bytes()).hexdigest() for n in (0, 1, 2, 4, 5, 6))
    balance.save(net, model)
    finished = balance.tensor_of(meadow(50, 6, 72, 128))
    cast = balance.cast_on(finished, torch.tensor([[0.7, 0.0, -0.7]]).repeat(6, 1))
    film, out = tmp_path / "cast.mp4", tmp_path / "out.mp4"
    encode(film, list((cast.permute(0, 2, 3, 1) * 255).round().numpy().astype(np.uint8)), Fraction(6), crf=4)
    arguments = ["grade", str(film), "--auto", str(model), "-o", str(out), "--crf", "4", "--workers", "1"]
    done = runner.invoke(app, arguments)
    assert done.exit_code == 0, done.output
    stated = re.search(r"white_balance: \[([\d.]+), 1.0, ([\d.]+)\]", done.output)
    assert stated and float(stated[1]) < 0.9 and float(stated[2]) > 1.1

    def ratios(pictures: np.ndarray) -> np.ndarray:
        light = (pictures.astype(float) / 255) ** 2.4
        return np.log2(light.mean((0, 1, 2))[[0, 2]] / light.mean((0, 1, 2))[1])

    def read(path: Path) -> np.ndarray:
        with VideoReader(path) as reader:
            return np.stack([timed.frame.to_ndarray(format="rgb24", threads=1) for timed in reader.frames()])

    wanted = ratios((finished.permute(0, 2, 3, 1) * 255).numpy())
    assert np.abs(ratios(read(out)) - wanted).mean() < 0.5 * np.abs(ratios(read(film)) - wanted).mean()
    raised = runner.invoke(app, ["grade", str(film), "--like", str(film), "-o", str(out)]).exception
    assert isinstance(raised, AiprodError)
