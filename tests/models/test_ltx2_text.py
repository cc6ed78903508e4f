"""LTX-2's text features are those of its own pipeline, from its folder and from the copy of it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from diffusers import LTX2Pipeline
from diffusers.pipelines.ltx2.connectors import LTX2TextConnectors

from aiprod.core.protocols import TextEncoder
from aiprod.errors import CheckpointError, CoreError
from aiprod.models.adapters.load_text_encoder import load_text_encoder, padded_tokens
from aiprod.models.adapters.ltx2_text import LTX2TextEncoder, copy_connectors, has_connectors
from aiprod.trainer.text_encoder.pretrained import copy_encoder
from tests.models.ltx2_folders import connectors, save_text
from tests.models.test_gemma import WORDS

pytestmark = pytest.mark.bitwise

KINDS: dict[str, dict[str, Any]] = {"2.0": {}, "2.3": {"late": True}, "no registers": {"registers": None}}


@pytest.fixture(scope="module", params=KINDS)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_text(tmp_path_factory.mktemp("ltx2") / "pipeline", **KINDS[request.param])


@torch.no_grad()
def test_features_are_those_of_the_public_pipeline(folder: Path, tmp_path: Path) -> None:
    pipeline = LTX2Pipeline(
        scheduler=None,
        vae=None,
        audio_vae=None,
        transformer=None,
        vocoder=None,
        text_encoder=transformers.Gemma3ForConditionalGeneration.from_pretrained(folder / "text_encoder"),
        tokenizer=transformers.AutoTokenizer.from_pretrained(folder / "tokenizer"),
        connectors=LTX2TextConnectors.from_pretrained(folder / "connectors"),
    )
    embeds, mask, _, _ = pipeline.encode_prompt(
        WORDS, do_classifier_free_guidance=False, max_sequence_length=64, device="cpu"
    )
    video, audio, seen = pipeline.connectors(embeds, mask, padding_side=pipeline.tokenizer.padding_side)
    encoder = LTX2TextEncoder.from_pretrained(folder, max_tokens=64)
    ours = encoder.encode(WORDS)
    wanted = torch.cat([video, audio], dim=-1)
    assert isinstance(encoder, TextEncoder) and encoder.width == wanted.shape[-1]
    assert torch.equal(ours.mask, seen.bool())
    assert (ours.hidden - wanted)[ours.mask].abs().max() <= 1e-5 * wanted.abs().max()
    alone = encoder.encode(WORDS[1:2])
    assert torch.allclose(alone.hidden[0], ours.hidden[1], atol=1e-5), "whatever the batch-mates"
    copy_encoder(folder, tmp_path)
    assert all(file.is_file() for file in tmp_path.iterdir()), "one folder, all of it under its digest"
    again = load_text_encoder(tmp_path)
    assert isinstance(again, LTX2TextEncoder) and again.max_tokens == 1024 and padded_tokens(tmp_path) is None
    again.max_tokens = 64
    assert torch.equal(again.encode(WORDS).hidden, ours.hidden)
    with pytest.raises(CoreError, match="no text"):
        encoder.encode([])


def test_parts_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    folder = save_text(tmp_path / "p")
    with pytest.raises(CoreError, match="multiple of the 16 registers"):
        LTX2TextEncoder.from_pretrained(folder, max_tokens=40)
    good = LTX2TextEncoder.from_pretrained(folder)
    good.connectors.register_to_config(text_proj_in_factor=9)
    with pytest.raises(CoreError, match="connectors read 9 states of 32 values, and the Gemma gives 3 of 32"):
        LTX2TextEncoder(good.model, good.tokenizer, good.connectors)
    weights = folder / "connectors/diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-5])
    with pytest.raises(CheckpointError) as error:
        LTX2TextEncoder.from_pretrained(folder)
    assert "\n" not in str(error.value)
    shutil.rmtree(folder / "connectors")
    assert not has_connectors(folder)
    other = connectors(registers=None)
    other.save_pretrained(folder / "connectors")
    shutil.copy(folder / "connectors/diffusion_pytorch_model.safetensors", tmp_path)
    connectors().save_pretrained(folder / "connectors")
    shutil.copy(tmp_path / "diffusion_pytorch_model.safetensors", folder / "connectors")
    with pytest.raises(CheckpointError, match="learnable_registers"):
        LTX2TextEncoder.from_pretrained(folder)
    copy_connectors(folder, tmp_path)
    said = (tmp_path / "connectors.json").read_text()
    for file in (folder / "text_encoder").iterdir():
        shutil.copy(file, tmp_path)
    for file in (folder / "tokenizer").iterdir():
        shutil.copy(file, tmp_path)
    (tmp_path / "connectors.json").write_text(said.replace('"rope_type": "interleaved"', '"rope_type": "none"'))
    with pytest.raises(CheckpointError, match=r"connectors in .* cannot be made"):
        LTX2TextEncoder.from_pretrained(tmp_path)
    (tmp_path / "connectors.json").write_text("{")
    with pytest.raises(CheckpointError, match="is not JSON"):
        copy_connectors(tmp_path, folder)
