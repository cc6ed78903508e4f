"""Says what weights are: of which family, with which models in them, and what of them is not understood."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiprod.errors import CheckpointError
from aiprod.models.checkpoint.folder import open_checkpoint
from aiprod.models.checkpoint.json_files import read_json_object
from aiprod.models.checkpoint.lora_file import Lora, is_lora, read_lora
from aiprod.models.checkpoint.variants import some_of
from aiprod.models.published.ltx2 import is_ltx2, ltx2_parts
from aiprod.models.published.parts import Part
from aiprod.models.published.styletts2 import SpeechCheckpoint, open_speech, speech_files
from aiprod.models.published.text_encoders import gemma_in_one_file, is_packed_gemma, is_t5, t5_in_one_file
from aiprod.models.published.wan import is_wan_transformer, is_wan_vae, wan_transformer, wan_vae
from aiprod.models.published.weights import Weights, open_weights

_TREE = ("diffusion_models", "text_encoders", "vae")  # ComfyUI's folders, in which makers publish their parts
_EXPERTS = ("high_noise_model", "low_noise_model")  # the Wan team's
_KNOWN = (
    "LTX-2, 2.3 and 2.5, Wan 2.1 and 2.2 for text to video, T5 and UMT5, LoRA of them, diffusers' folders, and "
    "StyleTTS2 and Kokoro for speech are read"
)
_LIBRARY = {"transformer": "diffusers", "vae": "diffusers"}


@dataclass(frozen=True)
class RecognisedWeights:
    """What one source of weights is.

    Attributes:
        kind: in words.
        parts: its models, checked or not.
        problems: why it, or a part of it, is not read; empty where all of it is.
        unread: in words, what is known in it and not read from it.
        facts: what else there is to say, name → value.
        use: what to do with it, where it is not for `aiprod model import`.
    """

    where: Path
    kind: str
    parts: list[Part] = field(default_factory=list)
    problems: list[CheckpointError] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    weights: Weights | None = None
    use: str = ""


def sources_in(path: Path) -> list[Path]:
    """The sources of weights that a path names: itself, or those in the folders that makers publish.

    Raises:
        CheckpointError: there is nothing there.
    """
    if not path.exists():
        raise CheckpointError(f"{path} does not exist", "give a file or a folder of weights")
    if not path.is_dir() or (path / "config.json").is_file() or (path / "model_index.json").is_file():
        return [path]
    if all((path / name).is_dir() for name in _EXPERTS):
        return [path / name for name in _EXPERTS]
    inside = path / "split_files" if (path / "split_files").is_dir() else path
    files = [f for name in _TREE if (inside / name).is_dir() for f in sorted((inside / name).glob("*.safetensors"))]
    if files:
        return files
    alone = sorted(p for p in path.glob("*.safetensors") if not p.name.startswith("."))
    return alone if len(alone) > 1 and not list(path.glob("*.index.json")) else [path]


def recognise(path: Path, *, caption_channels: int | None = None, check: bool = True) -> RecognisedWeights:
    """What the weights at ``path`` are; problems with what they hold are told, not raised.

    Args:
        caption_channels: values of a state of the text encoder, where it is known.
        check: compare the parts with diffusers' classes too.

    Raises:
        CheckpointError: the path cannot be read as weights at all.
    """
    if speech_files(path) is not None:
        return _of_speech(path, check)
    if path.is_dir() and (path / "model_index.json").is_file():
        index = read_json_object(path / "model_index.json")
        return RecognisedWeights(path, f"a pipeline of diffusers ({index.get('_class_name')})", facts={"ready": True})
    if path.is_dir() and (path / "config.json").is_file() and _class_in(path) not in (None, "WanModel"):
        try:
            open_checkpoint(path, require_digest=False)
        except CheckpointError as error:
            return RecognisedWeights(path, f"a folder of a {_class_in(path)}", problems=[error], facts={"ready": True})
        return RecognisedWeights(path, f"a folder of a {_class_in(path)}", facts={"ready": True})
    weights = open_weights(path)
    try:
        return _of_weights(weights, caption_channels, check)
    except CheckpointError as error:
        return RecognisedWeights(path, "weights that are not understood", problems=[error], weights=weights)


def _of_weights(weights: Weights, caption_channels: int | None, check: bool) -> RecognisedWeights:
    if is_lora(weights.tensors):
        lora = read_lora(weights.where)
        kind = f"a LoRA with {lora.style} keys"
        return RecognisedWeights(weights.where, kind, facts=_of_lora(lora), use="give it as --lora")
    unread: list[str] = []
    if is_packed_gemma(weights):
        parts, kind = gemma_in_one_file(weights), "the text encoder of LTX-2 in one file"
    elif is_ltx2(weights):
        parts, unread = ltx2_parts(weights, caption_channels)
        kind = "LTX-2 in one file" if len(parts) > 3 else f"LTX-2: {', '.join(p.name for p in parts)}"
    elif is_wan_transformer(weights):
        parts, kind, unread = (
            [wan_transformer(weights, expert_of(weights.where) or "transformer")],
            "a Wan transformer",
            [],
        )
    elif is_wan_vae(weights):
        parts, kind = [wan_vae(weights)], "a Wan autoencoder"
    elif is_t5(weights):
        parts, kind = [t5_in_one_file(weights)], "a T5 or UMT5 text encoder"
    else:
        raise CheckpointError(f"{weights.where} is not understood: it holds {some_of(weights.tensors)}", _KNOWN)
    if not parts and not unread:
        raise CheckpointError(f"{weights.where} is not understood: it holds {some_of(weights.tensors)}", _KNOWN)
    problems = [error for part in parts if check and (error := part.problem()) is not None]
    version = weights.metadata.get("model_version")
    return RecognisedWeights(
        weights.where, kind, parts, problems, unread, {"version": version} if version else {}, weights
    )


def _of_speech(path: Path, check: bool) -> RecognisedWeights:
    use = "speak with it: `aiprod speak --model`"
    try:
        checkpoint = open_speech(path, shapes_only=True)
        assert isinstance(checkpoint, SpeechCheckpoint)
        parts = checkpoint.parts()
    except CheckpointError as error:
        return RecognisedWeights(path, "a speech model that is not understood", problems=[error], use=use)
    voices = len(list(checkpoint.voices.glob("*.pt")))
    facts = {"tokens": len(checkpoint.vocabulary), "decoder": checkpoint.config.decoder.type, "voices": voices}
    problems = [problem for part in parts if check and (problem := part.problem()) is not None]
    unread = [f"{name}, which only training needs" for name in checkpoint.unread]
    return RecognisedWeights(
        path, f"a speech model in {checkpoint.family}'s format", parts, problems, unread, facts, use=use
    )


def weights_of(folder: Path, part: str = "transformer") -> Weights:
    """The weights in the folder of a transformer, ours or of diffusers, or of a pipeline that has one.

    Raises:
        CheckpointError: none, or damaged.
    """
    inner = folder / part
    return open_weights(inner if inner.is_dir() and not (folder / "config.json").is_file() else folder)


def expert_of(path: Path) -> str | None:
    """Which of two experts a file or folder says to be: nothing but its name tells them apart."""
    place = f"{path.parent.name}/{path.name}".lower().replace("-", "_")
    high, low = "high_noise" in place, "low_noise" in place
    return None if high == low else "transformer" if high else "transformer_2"


def _of_lora(lora: Lora) -> dict[str, Any]:
    ranks = sorted({layer.rank for layer in lora.layers.values()})
    scales = sorted({round(layer.alpha / layer.rank, 6) for layer in lora.layers.values()})
    return {"layers": len(lora.layers), "rank": _span(ranks), "alpha over rank": _span(scales)}


def _span(values: list[Any]) -> str:
    return f"{values[0]:g}" if len(values) == 1 else f"{values[0]:g} to {values[-1]:g}"


def _class_in(folder: Path) -> str | None:
    try:
        config = read_json_object(folder / "config.json")
    except CheckpointError:
        return None
    named = config.get("_class_name") or (config.get("architectures") or [None])[0]
    return str(named) if named else None
