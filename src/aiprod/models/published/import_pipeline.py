"""Writes what was published as a pipeline folder of diffusers, which training, sampling and diffusers itself open.

Weights are read and written a shard at a time, so that memory is bounded by the shard and not by the model.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from aiprod.base.files import atomic_folder, sha256_file, write_json
from aiprod.errors import CheckpointError
from aiprod.models.checkpoint.folder import CONFIG, write_digest
from aiprod.models.checkpoint.json_files import read_json_object
from aiprod.models.checkpoint.lora import add_layer
from aiprod.models.checkpoint.lora_file import LoraLayer, fit_lora, read_lora
from aiprod.models.published.fp8 import EIGHT_NAMES
from aiprod.models.published.ltx2 import as_one_file, is_ltx2, ltx2_parts
from aiprod.models.published.parts import Part, library_of
from aiprod.models.published.recognise import RecognisedWeights, expert_of, recognise, sources_in
from aiprod.models.published.schedulers import scheduler_of
from aiprod.models.published.text_encoders import check_written, config_of, gemma_files, is_packed_gemma, t5_files
from aiprod.models.published.weights import Weights, join

RECORD = "imported.json"
_BOUNDARY = 0.875  # of the noise, from which the first expert of Wan 2.2 for text to video is asked
_SHARD = 5 * 1000**3
_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}
DTYPES = tuple(_DTYPES)


def import_pipeline(
    sources: Sequence[Path],
    target: Path,
    *,
    text_encoder: Path | None = None,
    tokenizer: Path | None = None,
    loras: Sequence[tuple[Path, float]] = (),
    dtype: str | None = None,
    shard_bytes: int = _SHARD,
    report: Callable[[str], None] = lambda line: None,
) -> list[Part]:
    """Write the models in ``sources`` into ``target``, whole or not at all.

    Args:
        sources: files and folders as published; a folder stands for the files in it.
        text_encoder: a folder in transformers' format, where no source holds the text encoder.
        tokenizer: a folder of the tokenizer, where it lies neither with the text encoder nor in its file.
        loras: (file, strength) that are added to the transformer's weights.
        dtype: ``bf16``, ``fp16`` or ``fp32``; None keeps what is stored, and fp8 becomes bf16.
        report: is given a line about each part.

    Raises:
        CheckpointError: something that is not understood, two files of one part, or a target that is in use.
    """
    if target.exists() and any(target.iterdir()) and not (target / "model_index.json").is_file():
        raise CheckpointError(f"{target} holds files other than a pipeline", "choose an empty folder")
    files = [file for source in sources for file in sources_in(source)]
    states = _states_of(text_encoder)
    parts, unread = _parts_of([recognise(file, caption_channels=states, check=False) for file in files], states)
    for line in unread:
        report(f"left out: {line}")
    _refuse_two(parts)
    for part in parts:
        part.check()
    by_name = {part.name: part for part in parts}
    added = _adapters(loras, by_name)
    if "text_encoder" in by_name and text_encoder is not None:
        raise CheckpointError("two text encoders are given", "leave --text-encoder out, or its file")
    with atomic_folder(target) as temporary:
        for part in parts:
            folder = temporary / part.name
            folder.mkdir()
            _write_weights(part, folder, dtype, shard_bytes, added.get(part.name, {}))
            if part.name == "text_encoder":
                _write_text_encoder(part, folder, temporary / "tokenizer", tokenizer)
            else:
                write_json(folder / CONFIG, {**part.config, "_class_name": part.class_name})
            write_digest(folder)
            report(f"{part.name}: {part.class_name}, {sum(a.numel for a in part.stored().values()):,} values")
        if text_encoder is not None:
            _copy_text_encoder(text_encoder, tokenizer, temporary)
        _write_index(parts, temporary, by_name, files)
        write_json(temporary / RECORD, _record(files, parts, loras))
    return parts


def _parts_of(sources: Sequence[RecognisedWeights], states: int | None) -> tuple[list[Part], list[str]]:
    """The parts of all sources; those of LTX-2 are put together first, for some lie in two files."""
    for source in sources:
        if source.facts.get("ready"):
            raise CheckpointError(f"{source.where} is already {source.kind}", "use it as it is, as init")
        if source.weights is None and not source.problems:
            raise CheckpointError(f"{source.where} is {source.kind}", "give it as --lora")
    of_ltx2 = [s.weights for s in sources if s.weights is not None and _belongs(s.weights)]
    others = [s for s in sources if s.weights is not None and (is_packed_gemma(s.weights) or not is_ltx2(s.weights))]
    for source in (*others, *(s for s in sources if s.weights is None)):
        if source.problems:
            raise source.problems[0]
    parts = [part for source in others for part in source.parts]
    unread = [line for source in others for line in source.unread]
    if of_ltx2:
        encoder = next((p for p in parts if p.name == "text_encoder"), None)
        states = _width(dict(encoder.config)) if encoder is not None else states
        converted, more = ltx2_parts(_together(of_ltx2), states)
        names = {part.name for part in converted}
        if "transformer" in names and "connectors" not in names and more:
            raise CheckpointError(f"{of_ltx2[0].where}: {more[0]}", "give that file too")
        parts, unread = [*converted, *parts], [*unread, *more]
    return parts, unread


def _belongs(weights: Weights) -> bool:
    return any(_projects(n) for n in weights.tensors) if is_packed_gemma(weights) else is_ltx2(weights)


def _projects(name: str) -> bool:
    return name.startswith("text_embedding_projection.")


def _together(many: Sequence[Weights]) -> Weights:
    """Files of LTX-2 as one, with one configuration."""
    config: dict[str, Any] = {}
    for weights in many:
        try:
            config_here = json.loads(weights.metadata.get("config", "{}"))
        except (ValueError, RecursionError):
            config_here = None
        if not isinstance(config_here, dict):
            raise CheckpointError(f"{weights.where} has a damaged configuration in its metadata", "download it again")
        for name, value in config_here.items():
            if config.setdefault(name, value) != value and name == "transformer":
                raise CheckpointError(
                    f"{weights.where} belongs to another version of LTX-2", "give files of one version"
                )
    named = [
        weights.renamed(lambda n: n if _projects(n) else None) if is_packed_gemma(weights) else as_one_file(weights)
        for weights in many
    ]
    metadata = {name: text for weights in reversed(many) for name, text in weights.metadata.items()}
    return join(named, {**metadata, "config": json.dumps(config)})


def _refuse_two(parts: Sequence[Part]) -> None:
    if not parts:
        raise CheckpointError("nothing to import was found", "give the files of a checkpoint")
    seen: dict[str, Part] = {}
    for part in parts:
        if part.name in seen:
            both = f"{seen[part.name].weights.where} and {part.weights.where}"
            known = expert_of(part.weights.where) if part.name.startswith("transformer") else "known"
            hint = "name one of them" if known else "name the two experts …high_noise… and …low_noise…"
            raise CheckpointError(f"{both} both hold a {part.name}", hint)
        seen[part.name] = part
    if "transformer_2" in seen and "transformer" not in seen:
        raise CheckpointError(f"{seen['transformer_2'].weights.where} is the expert of low noise alone", "give both")
    alone = seen.get("transformer")
    if alone is not None and "transformer_2" not in seen and expert_of(alone.weights.where) == "transformer":
        raise CheckpointError(f"{alone.weights.where} is the expert of high noise alone", "give both")


def _adapters(
    loras: Sequence[tuple[Path, float]], parts: Mapping[str, Part]
) -> dict[str, dict[str, list[tuple[LoraLayer, float]]]]:
    """For each transformer, the layers that are added to each of its weights."""
    added: dict[str, dict[str, list[tuple[LoraLayer, float]]]] = {}
    for path, strength in loras:
        name = (expert_of(path) or "transformer") if "transformer_2" in parts else "transformer"
        if name not in parts:
            raise CheckpointError(f"{path} has no transformer to be added to", "give the transformer's file too")
        if "transformer_2" in parts and expert_of(path) is None:
            raise CheckpointError(f"{path} does not say which expert it is for", "name it …high_noise… or …low_noise…")
        shapes = {n: a.shape for n, a in parts[name].stored().items() if n.endswith(".weight")}
        for layer, about in fit_lora(read_lora(path), shapes).items():
            added.setdefault(name, {}).setdefault(f"{layer}.weight", []).append((about, strength))
    return added


def _write_weights(
    part: Part,
    folder: Path,
    dtype: str | None,
    limit: int,
    added: Mapping[str, Sequence[tuple[LoraLayer, float]]],
) -> None:
    stem = "model" if part.name == "text_encoder" else "diffusion_pytorch_model"
    stored = part.stored()
    groups: list[list[str]] = [[]]
    size = 0
    for name in sorted(stored):
        grows = 2 if stored[name].dtype in EIGHT_NAMES else 1
        bytes_ = 4 * stored[name].numel if dtype == "fp32" else grows * stored[name].nbytes
        if groups[-1] and size + bytes_ > limit:
            groups.append([])
            size = 0
        groups[-1].append(name)
        size += bytes_
    total, weight_map = 0, dict[str, str]()
    for number, names in enumerate(groups, start=1):
        several = f"-{number:05d}-of-{len(groups):05d}" if len(groups) > 1 else ""
        file = f"{stem}{several}.safetensors"
        tensors = {name: _value(part, name, dtype, added.get(name, ())) for name in names}
        save_file(tensors, folder / file, metadata={"format": "pt"})
        (folder / file).chmod(0o644)
        total += sum(t.nbytes for t in tensors.values())
        weight_map |= dict.fromkeys(names, file)
    if len(groups) > 1:
        write_json(
            folder / f"{stem}.safetensors.index.json", {"metadata": {"total_size": total}, "weight_map": weight_map}
        )


def _value(part: Part, name: str, dtype: str | None, added: Sequence[tuple[LoraLayer, float]]) -> Tensor:
    value = part.tensor(name)
    for layer, strength in added:
        value = add_layer(value, layer, strength)
    if dtype is not None and value.is_floating_point():
        value = value.to(_DTYPES[dtype])
    return value.contiguous().clone()


def _write_text_encoder(part: Part, folder: Path, words: Path, tokenizer: Path | None) -> None:
    write_json(folder / CONFIG, config_of(part))
    packed = is_packed_gemma(part.weights)
    if packed:
        check_written(folder, part.weights.where)
    inside = gemma_files(part.weights) if packed else t5_files(part.weights)
    if tokenizer is not None:
        _copy_files(tokenizer, words, ("*.json", "*.model", "*.jinja"))
    elif inside:
        words.mkdir()
        for name, data in inside.items():
            (words / name).write_bytes(data)
    else:
        raise CheckpointError(f"{part.weights.where} holds no tokenizer", "give its folder as --tokenizer")


def _copy_text_encoder(folder: Path, tokenizer: Path | None, target: Path) -> None:
    inner = folder / "text_encoder"
    weights = inner if inner.is_dir() and not (folder / CONFIG).is_file() else folder
    if not (weights / CONFIG).is_file():
        raise CheckpointError(f"{folder} holds no text encoder (no {CONFIG})", "give a folder of transformers")
    beside = weights.parent / "tokenizer"
    words = tokenizer or (beside if beside.is_dir() else weights)
    _copy_files(weights, target / "text_encoder", ("*.json", "*.safetensors"))
    _copy_files(words, target / "tokenizer", ("*.json", "*.model", "*.jinja"))


def _copy_files(folder: Path, target: Path, patterns: Sequence[str]) -> None:
    if not folder.is_dir():
        raise CheckpointError(f"{folder} is not a folder", "give one")
    target.mkdir()
    files = sorted({f for pattern in patterns for f in folder.glob(pattern) if f.is_file()})
    for file in files:
        shutil.copyfile(file, target / file.name)


def _states_of(text_encoder: Path | None) -> int | None:
    if text_encoder is None:
        return None
    inner = text_encoder / "text_encoder"
    folder = inner if (inner / CONFIG).is_file() else text_encoder
    return _width(read_json_object(folder / CONFIG)) if (folder / CONFIG).is_file() else None


def _width(config: Mapping[str, Any]) -> int | None:
    inner = config.get("text_config")
    inner_config = inner if isinstance(inner, dict) else config
    width = inner_config.get("hidden_size")
    return width if isinstance(width, int) else None


def _write_index(parts: Sequence[Part], folder: Path, by_name: Mapping[str, Part], files: Sequence[Path]) -> None:
    """``model_index.json`` and the scheduler, as diffusers' pipeline of this family has them."""
    wan = any(part.class_name in ("WanTransformer3DModel", "AutoencoderKLWan") for part in parts)
    index: dict[str, Any] = {"_class_name": "WanPipeline" if wan else "LTX2Pipeline"}
    for part in parts:
        index[part.name] = [library_of(part.class_name), part.class_name]
    if (folder / "text_encoder").is_dir():
        named = read_json_object(folder / "text_encoder" / CONFIG).get("architectures") or ["PreTrainedModel"]
        index["text_encoder"] = ["transformers", named[0]]
        index["tokenizer"] = ["transformers", _tokenizer_class(folder / "tokenizer" / "tokenizer_config.json")]
    if "transformer_2" in by_name:
        index["boundary_ratio"] = _BOUNDARY
    elif wan:
        index["transformer_2"] = [None, None]
    if any(part.name == "transformer" for part in parts):
        class_name, config = scheduler_of(wan, by_name.get("vae"), [file.name for file in files])
        (folder / "scheduler").mkdir()
        write_json(folder / "scheduler" / "scheduler_config.json", {**config, "_class_name": class_name})
        index["scheduler"] = ["diffusers", class_name]
    write_json(folder / "model_index.json", index)


def _tokenizer_class(path: Path) -> str:
    import transformers

    named = read_json_object(path).get("tokenizer_class") if path.is_file() else None
    known = isinstance(named, str) and isinstance(getattr(transformers, named, None), type)
    return str(named) if known else "PreTrainedTokenizerFast"


def _record(files: Sequence[Path], parts: Sequence[Part], loras: Sequence[tuple[Path, float]]) -> dict[str, Any]:
    """What was imported: names, sizes and digests of the files, and what they say of their licence and version."""
    inside = [inner for file in files for inner in ([file] if file.is_file() else sorted(file.glob("*.safetensors")))]
    stated: dict[str, str] = {}
    for part in parts:
        stated |= {k: v for k, v in part.weights.metadata.items() if k in ("license", "model_version") and len(v) < 200}
    return {
        "sources": [{"name": f.name, "bytes": f.stat().st_size, "sha256": sha256_file(f)} for f in inside],
        "loras": [{"name": p.name, "strength": s, "sha256": _digest(p)} for p, s in loras],
        "says": stated,
        "parts": {part.name: part.class_name for part in parts},
    }


def _digest(path: Path) -> str:
    return sha256_file(path / "adapter_model.safetensors" if path.is_dir() else path)
