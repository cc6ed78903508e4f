"""Published files are opened only where every number in their header is right; fp8 weights get their factors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from aiprod.errors import CheckpointError
from aiprod.models.checkpoint.header import read_header
from aiprod.models.published.weights import open_weights
from tests.models.published.files import scaled_fp8, shards


def written(path: Path, header: Any, data: bytes = b"") -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return path


def test_a_header_is_what_the_library_wrote(tmp_path: Path) -> None:
    tensors = {"a": torch.zeros(2, 3), "b.c": torch.zeros(4, dtype=torch.bfloat16), "e": torch.zeros(0)}
    save_file(tensors, tmp_path / "x.safetensors", metadata={"note": "n"})
    header = read_header(tmp_path / "x.safetensors")
    assert header.metadata == {"note": "n"}
    found = {n: (t.dtype, t.shape, t.nbytes) for n, t in header.tensors.items()}
    assert found == {"a": ("F32", (2, 3), 24), "b.c": ("BF16", (4,), 8), "e": ("F32", (0,), 0)}


ONE = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


@pytest.mark.parametrize(
    ("header", "data", "named"),
    [
        (b"[", b"", "header is not JSON"),
        (b"[" * 100_000, b"", "header is not JSON"),
        ([1], b"", "header is not an object"),
        ({"a": {**ONE, "shape": [3]}}, bytes(8), "a does not fit its bytes"),
        ({"a": {**ONE, "shape": [2.0]}}, bytes(8), "a does not fit its bytes"),
        ({"a": {**ONE, "shape": [-1, -2]}}, bytes(8), "a does not fit its bytes"),
        ({"a": {**ONE, "shape": [1 << 61, 1 << 61]}}, bytes(8), "a does not fit its bytes"),
        ({"a": {**ONE, "dtype": "F99"}}, bytes(8), "a is not described"),
        ({"a": 3}, bytes(8), "a is not described"),
        ({"a": ONE, "b": ONE}, bytes(8), "overlaps"),
        ({"a": {**ONE, "data_offsets": [8, 16]}}, bytes(16), "leaves a gap"),
        ({"a": ONE}, bytes(7), "truncated"),
        ({"a": ONE}, bytes(9), "bytes that belong to no tensor"),
        ({"a": ONE, "__metadata__": {"x": 1}}, bytes(8), "not a table of texts"),
        ({}, b"", "holds no tensors"),
    ],
)
def test_a_header_that_contradicts_itself_is_refused(tmp_path: Path, header: Any, data: bytes, named: str) -> None:
    with pytest.raises(CheckpointError, match=named):
        open_weights(written(tmp_path / "x.safetensors", header, data))


@given(st.binary(max_size=300))
@settings(max_examples=60)
def test_no_bytes_raise_anything_else(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.mktemp("bytes") / "x.safetensors"
    for whole in (data, len(data).to_bytes(8, "little") + data):
        path.write_bytes(whole)
        with pytest.raises(CheckpointError):
            open_weights(path)


@pytest.mark.parametrize("name", ["x.safetensors", "x.pth", "x.ckpt", "x.gguf"])
def test_pickles_and_packed_weights_are_refused(tmp_path: Path, name: str) -> None:
    torch.save({"a": torch.zeros(2)}, tmp_path / name)
    with pytest.raises(CheckpointError, match=r"pickle|quantised"):
        open_weights(tmp_path / name)


def test_a_length_beyond_the_file_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "x.safetensors").write_bytes((1 << 60).to_bytes(8, "little") + b"{}")
    with pytest.raises(CheckpointError, match="truncated"):
        open_weights(tmp_path / "x.safetensors")


def test_shards_are_one_checkpoint(tmp_path: Path) -> None:
    tensors = {f"t{i}": torch.full((2,), float(i)) for i in range(5)}
    folder = shards(tmp_path / "model", tensors)
    for path in (folder, folder / "diffusion_pytorch_model.safetensors.index.json"):
        weights = open_weights(path)
        assert weights.tensors.keys() == tensors.keys()
        assert all(torch.equal(weights.tensor(n), t) for n, t in tensors.items())
    index = folder / "diffusion_pytorch_model.safetensors.index.json"
    whole = json.loads(index.read_text())
    for change, named in (
        ({"t0": "../a.safetensors"}, "names no files next to it"),
        ({"t9": whole["weight_map"]["t0"]}, "name different tensors: t9"),
        ({"t0": "other.safetensors"}, r"lacks other\.safetensors"),
    ):
        index.write_text(json.dumps({"weight_map": {**whole["weight_map"], **change}}))
        with pytest.raises(CheckpointError, match=named):
            open_weights(folder)
    index.unlink()
    with pytest.raises(CheckpointError, match="name one of them"):
        open_weights(folder)


@pytest.mark.parametrize("style", ["lightricks", "comfyui"])
@pytest.mark.parametrize("rows", [False, True])
def test_fp8_is_multiplied_by_its_factors(tmp_path: Path, style: str, rows: bool) -> None:
    """Against each stored value times its factor, in another way: element by element in double precision."""
    plain = {"a.weight": torch.randn(6, 4) * torch.logspace(-3, 1, 6)[:, None], "a.bias": torch.randn(6)}
    stored = scaled_fp8(plain, style, rows)
    save_file(stored, tmp_path / "x.safetensors")
    weights = open_weights(tmp_path / "x.safetensors")
    assert weights.tensors.keys() == plain.keys(), "factors are no weights"
    got = weights.tensor("a.weight")
    factor = stored["a.scale_weight" if style == "comfyui" else "a.weight_scale"].double().reshape(-1)
    for row in range(6):
        for column in range(4):
            wanted = float(stored["a.weight"][row, column].double()) * float(factor[row if rows else 0])
            assert float(got[row, column]) == pytest.approx(wanted, rel=2**-8, abs=1e-30)
    spread = plain["a.weight"].abs().amax(1) if rows else plain["a.weight"].abs().max().expand(6)
    assert bool(((got.float() - plain["a.weight"]).abs().amax(1) <= spread / 14).all()), "3 bits of mantissa"
    assert got.dtype == torch.bfloat16 and torch.equal(weights.tensor("a.bias"), plain["a.bias"])


def test_fp8_without_factors_is_what_it_says(tmp_path: Path) -> None:
    eight = torch.randn(3, 4).to(torch.float8_e4m3fn)
    save_file({"a.weight": eight}, tmp_path / "x.safetensors")
    assert torch.equal(open_weights(tmp_path / "x.safetensors").tensor("a.weight").float(), eight.float())


@pytest.mark.parametrize(
    ("extra", "named"),
    [
        ({"b.weight_scale": torch.tensor(1.0)}, r"another way than fp8 with factors \(b\.weight_scale\)"),
        ({"a.scale_weight": torch.tensor(1.0)}, "two factors"),
        ({"b.weight": torch.zeros(2, 2).to(torch.float8_e4m3fn)}, r"b\.weight without one"),
        ({"a.weight_scale": torch.ones(2, 2)}, r"shape that is not read: a\.weight_scale \[2, 2\] for \[4, 4\]"),
        ({"a.weight_scale": torch.ones((), dtype=torch.int32)}, "shape that is not read"),
        (
            {
                "c.weight": torch.zeros(2, 2, dtype=torch.uint8),
                "c.weight_scale": torch.zeros(2).to(torch.float8_e4m3fn),
            },
            r"another way than fp8 with factors \(c\.weight_scale\)",  # nvfp4
        ),
    ],
)
def test_other_quantisation_is_refused_by_name(tmp_path: Path, extra: dict[str, torch.Tensor], named: str) -> None:
    tensors = {"a.weight": torch.zeros(4, 4).to(torch.float8_e4m3fn), "a.weight_scale": torch.tensor(0.5), **extra}
    save_file(tensors, tmp_path / "x.safetensors")
    with pytest.raises(CheckpointError, match=named):
        open_weights(tmp_path / "x.safetensors")
