"""CLIP scores: transformers' own arithmetic, above chance for a model that knows colours, refusal of half a model."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPTokenizer

from aiprod.errors import AiprodError
from aiprod.evaluation.attributes import MeasuredVideo
from aiprod.evaluation.clip_score import ClipScorer, clip_scores
from aiprod.evaluation.real_clips import Real
from aiprod.evaluation.sample_stage import measure
from aiprod.inference.request import GeneratedClip, Request

COLOURS = {"red": (220, 30, 30), "green": (30, 200, 30), "blue": (30, 30, 220)}
PROMPTS = [f"a {name} wall" for name in COLOURS]


def _film(colour: tuple[int, int, int], seed: int) -> MeasuredVideo:
    noise = np.random.default_rng(seed).integers(-20, 20, (5, 24, 32, 3))
    return MeasuredVideo(np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint as transformers saves it, taught three colours in a second."""
    place = tmp_path_factory.mktemp("clip")
    letters = [chr(c) for c in range(ord("a"), ord("z") + 1)]
    words = [*letters, *(f"{c}</w>" for c in letters), "<|startoftext|>", "<|endoftext|>"]
    (place / "vocab.json").write_text(json.dumps({word: n for n, word in enumerate(words)}))
    (place / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = CLIPTokenizer.from_pretrained(place)
    tokenizer.save_pretrained(place)
    small = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    text = {
        "vocab_size": len(words),
        "max_position_embeddings": 24,
        "bos_token_id": len(words) - 2,
        "eos_token_id": len(words) - 1,
    }
    torch.manual_seed(0)
    model = CLIPModel(
        CLIPConfig(
            text_config={**small, **text}, vision_config={**small, "image_size": 16, "patch_size": 8}, projection_dim=8
        )
    )
    size = {"shortest_edge": 16}
    processor = CLIPImageProcessor(size=size, crop_size={"height": 16, "width": 16})
    processor.save_pretrained(place)
    tokens = tokenizer(PROMPTS, padding=True, return_tensors="pt")
    pictures = [_film(colour, 99).pictures[0] for colour in COLOURS.values()]
    pixels = processor(pictures, return_tensors="pt")["pixel_values"]
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(40):
        loss = model(**tokens, pixel_values=pixels, return_loss=True).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.save_pretrained(place)
    return place


def test_scores_are_those_of_the_formula(folder: Path) -> None:
    films = [_film(colour, 1) for colour in COLOURS.values()]
    scorer = ClipScorer.from_pretrained(str(folder))
    found = clip_scores(scorer, PROMPTS, films)
    model, tokenizer = CLIPModel.from_pretrained(folder).eval(), CLIPTokenizer.from_pretrained(folder)
    processor, expected = CLIPImageProcessor.from_pretrained(folder), []
    for prompt, film in zip(PROMPTS, films, strict=True):
        places = np.linspace(0, 4, 8).round().astype(int)
        with torch.no_grad():
            out = model(
                **tokenizer(prompt, return_tensors="pt"), **processor(list(film.pictures[places]), return_tensors="pt")
            )
        cosine = torch.cosine_similarity(out.text_embeds, out.image_embeds)
        expected.append(float((2.5 * cosine.clamp_min(0)).mean()))
    assert found["score"] == pytest.approx(np.mean(expected), abs=1e-3)
    assert found["n"] == 3 and len(found["checkpoint"]) == 64


def test_right_films_beat_chance_and_films_of_other_colours_do_not(folder: Path) -> None:
    scorer = ClipScorer.from_pretrained(str(folder))
    right = clip_scores(scorer, PROMPTS * 3, [_film(c, s) for s in range(3) for c in COLOURS.values()])
    assert right["beats_chance"] and right["own_prompt_first"] == 1.0
    shifted = [*list(COLOURS.values())[1:], next(iter(COLOURS.values()))]
    wrong = clip_scores(scorer, PROMPTS * 3, [_film(c, s) for s in range(3) for c in shifted])
    assert not wrong["beats_chance"] and wrong["own_prompt_first"] == 0.0
    assert right["score"] > wrong["score"]
    one = clip_scores(scorer, PROMPTS[:1], [_film(COLOURS["red"], 0)])
    assert one["chance"] is None and one["score"] > 0


def test_half_a_checkpoint_is_refused_in_one_line(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(AiprodError, match=r"sample.clip: nowhere is not a folder"):
        ClipScorer.from_pretrained("nowhere")
    half = tmp_path / "half"
    half.mkdir()
    for path in folder.iterdir():
        (half / path.name).write_bytes(path.read_bytes())
    weights = safetensors.torch.load_file(folder / "model.safetensors")
    kept = {name: weight for name, weight in weights.items() if "text_projection" not in name}
    safetensors.torch.save_file(kept, half / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(AiprodError, match=r"half lacks weights \(text_projection.weight\)"):
        ClipScorer.from_pretrained(str(half))
    (half / "model.safetensors").unlink()
    with pytest.raises(AiprodError, match=r"half holds no CLIP checkpoint"):
        ClipScorer.from_pretrained(str(half))


def test_samples_and_the_real_clips_beside_them_are_scored(folder: Path) -> None:
    """One measure of both, so that a score of samples can be read against what real clips reach."""
    films = [_film(colour, 1) for colour in COLOURS.values()]
    made = [GeneratedClip(Request(p, 0), f.pictures, None, 12.0, 48_000) for p, f in zip(PROMPTS, films, strict=True)]
    real = [Real(p, f) for p, f in zip(PROMPTS, films, strict=True)]
    found = measure(made, real, ClipScorer.from_pretrained(str(folder)))
    assert found["clip"] == found["real"]["clip"] and found["clip"]["n"] == 3
    assert "clip" not in measure(made)
