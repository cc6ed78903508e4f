"""Speech models in the formats of StyleTTS2 and of Kokoro: a file of ``torch.save`` with a configuration beside it.

Kokoro's is ``config.json`` with the sizes of all networks and the vocabulary, weights in a table a network, and a
folder ``voices`` of styles. StyleTTS2's is ``config.yml`` with a second one for PL-BERT, and what its training saves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from aiprod.base.structured import YAML_BYTES_MAX, parse_yaml, read_bounded
from aiprod.errors import AiprodError, CheckpointError
from aiprod.models.checkpoint.header import StoredTensor
from aiprod.models.checkpoint.json_files import read_json_object
from aiprod.models.checkpoint.variants import some_of
from aiprod.models.published.parts import Part
from aiprod.models.published.torch_files import SUFFIXES, read_torch_file, tensors_of
from aiprod.models.published.weights import Weights
from aiprod.models.styletts2.config import SAMPLE_RATE, StyleTts2Config, config_of
from aiprod.models.styletts2.network import StyleTts2

KOKORO, STYLETTS2 = "Kokoro", "StyleTTS2"
_SPEAK = ("bert", "bert_encoder", "predictor", "text_encoder", "decoder")
_STYLES = ("style_encoder", "predictor_encoder")
_TRAINING = ("diffusion", "text_aligner", "pitch_extractor", "mpd", "msd", "wd")
_UNUSED = ("pooler.weight", "pooler.bias", "embeddings.position_ids")  # of PL-BERT
_CONFIGS = ("config.json", "config.yml", "config.yaml")
_TYPES = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.float64: "F64"}
_SIGNS = (
    '$;:,.!?¡¿—…"«»“” ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
    "ɑɐɒæɓʙβɔɕçɗɖðʤəɘɚɛɜɝɞɟʄɡɠɢʛɦɧħɥʜɨɪʝɭɬɫɮʟɱɯɰŋɳɲɴøɵɸθœɶʘɹɺɾɻʀʁɽʂʃʈʧʉʊʋⱱʌɣɤʍχʎʏʑʐʒʔʡʕʢǀǁǂǃˈˌːˑʼʴʰʱʲʷˠˤ˞↓↑→↗↘'̩'ᵻ"
)
"""StyleTTS2's 178 tokens: no file of a checkpoint lists them."""


@dataclass(frozen=True)
class SpeechCheckpoint:
    """A checkpoint whose names and shapes are known.

    Attributes:
        family: :data:`KOKORO` or :data:`STYLETTS2`.
        vocabulary: sign → token.
        tables: name of a network → published name → tensor.
        unread: networks of training that are not read.
    """

    family: str
    weights: Path
    config: StyleTts2Config
    vocabulary: Mapping[str, int]
    tables: Mapping[str, Mapping[str, Tensor]] = field(repr=False)
    unread: tuple[str, ...] = ()

    @property
    def reads_styles(self) -> bool:
        """Whether a style can be read from sound."""
        return all(name in self.tables for name in _STYLES)

    @property
    def voices(self) -> Path:
        """The folder of its voices, which may be missing."""
        return self.weights.parent / "voices"

    def parts(self) -> list[Part]:
        """Its networks, each to be checked against the class that runs it."""
        return [_NetworkPart.of(self, name) for name in self.tables]

    def network(self) -> StyleTts2:
        """The networks, ready to speak.

        Raises:
            CheckpointError: tensors are unknown, missing or of another shape; the first names are told.
        """
        for part in self.parts():
            part.check()
        network = StyleTts2(self.config, styles=self.reads_styles)
        for name, table in self.tables.items():
            module = network.get_submodule(name)
            module.load_state_dict({**module.state_dict(), **_multiplied_out(table)})
        return network.eval()


def speech_files(path: Path) -> tuple[Path, Path] | None:
    """The weights and the configuration that a path names, or None where it is no such model.

    Raises:
        CheckpointError: a folder holds several files of weights.
    """
    folder = path if path.is_dir() else path.parent
    config = next((folder / name for name in _CONFIGS if (folder / name).is_file()), None)
    if config is None or _family(config) is None:
        return None
    if not path.is_dir():
        return (path, config) if path.suffix in SUFFIXES else None
    files = sorted(file for file in folder.iterdir() if file.suffix in SUFFIXES and file.is_file())
    if len(files) > 1:
        raise CheckpointError(f"{folder} holds {some_of(file.name for file in files)}", "name one of them")
    return (files[0], config) if files else None


def open_speech(path: Path, *, shapes_only: bool = False) -> SpeechCheckpoint | None:
    """A checkpoint, or None where a path names something else.

    Raises:
        CheckpointError: it is damaged, holds more than tensors, or tables that are not known.
    """
    files = speech_files(path)
    if files is None:
        return None
    weights, config = files
    family = _family(config)
    assert family is not None
    stated, vocabulary = (_of_kokoro if family == KOKORO else _of_styletts2)(config)
    content = read_torch_file(weights, shapes_only=shapes_only)
    if family == STYLETTS2 and isinstance(content, Mapping) and "net" in content:
        content = content["net"]
    if not isinstance(content, Mapping) or not all(isinstance(name, str) for name in content):
        raise CheckpointError(f"{weights} holds no tables of weights", "give a file of weights")
    known = _SPEAK if family == KOKORO else (*_SPEAK, *_STYLES)
    unread = tuple(name for name in content if name in _TRAINING and family == STYLETTS2)
    unknown = sorted(set(content) - {*known, *unread})
    missing = [name for name in _SPEAK if name not in content]
    if unknown or missing:
        problems = [
            f"{label} {some_of(names)}" for label, names in (("not known:", unknown), ("missing:", missing)) if names
        ]
        raise CheckpointError(
            f"{weights} is no {family}: networks {'; '.join(problems)}", "see docs/public_checkpoints.md"
        )
    most = weights.stat().st_size
    tables = {name: tensors_of(content[name], f"{weights}: {name}", most) for name in known if name in content}
    shapes = {
        f"{name}.{new}": tuple(table[old].shape) for name, table in tables.items() for new, old in _names(table).items()
    }
    return SpeechCheckpoint(family, weights, config_of(stated, shapes, str(config)), vocabulary, tables, unread)


def read_voice(path: Path, style: int) -> Tensor:
    """The styles ``[N, 2 · style]`` of a voice: one for each number of phonemes.

    Raises:
        CheckpointError: the file holds something else.
    """
    table = read_torch_file(path)
    styles = tensors_of({"": table}, str(path), path.stat().st_size)[""] if isinstance(table, Tensor) else None
    if styles is None or styles.numel() == 0 or styles.shape[-1] != 2 * style or not styles.is_floating_point():
        raise CheckpointError(f"{path} is no voice: it holds no table of {2 * style} values a row", "give another")
    if not bool(styles.isfinite().all()):
        raise CheckpointError(f"{path} holds values that are no numbers", "restore it, or download it again")
    return styles.float().reshape(-1, 2 * style)


class _NetworkPart(Part):
    """One network, compared with the class of ours that runs it."""

    @classmethod
    def of(cls, checkpoint: SpeechCheckpoint, name: str) -> _NetworkPart:
        """The network of that name."""
        table = checkpoint.tables[name]
        stored = {
            key: StoredTensor(_TYPES.get(value.dtype, str(value.dtype)), tuple(value.shape), value.nbytes)
            for key, value in table.items()
        }
        weights = Weights(checkpoint.weights, stored, {}, {}, {})
        facts = {"config": checkpoint.config, "styles": checkpoint.reads_styles}
        return cls(name, "StyleTts2", facts, weights, _names(table))

    def _wanted(self) -> dict[str, tuple[int, ...]]:
        with torch.device("meta"):
            network: nn.Module = StyleTts2(**self.config)
        wanted = {name: tuple(value.shape) for name, value in network.get_submodule(self.name).state_dict().items()}
        return {name: shape for name, shape in wanted.items() if name in self.keys or not _has_default(name)}


def _has_default(name: str) -> bool:
    """Scales and shifts that StyleTTS2 does not have, and Kokoro has and does not publish."""
    return name.endswith((".norm.weight", ".norm.bias"))


def _names(table: Mapping[str, Tensor]) -> dict[str, str]:
    """Names in our class → published names: without ``module.``, and one for a weight that is stored in parts."""
    names = {}
    for key in table:
        name = key.removeprefix("module.")
        if name in _UNUSED or name.endswith((".weight_g", ".weight_u", "parametrizations.weight.original0")):
            continue
        if name.endswith(".weight_v"):
            if f"{key.removesuffix('_v')}_g" not in table:
                continue  # it belongs to a spectral norm, whose weight is another
            name = name.removesuffix("_v")
        name = name.removesuffix("_orig") if name.endswith(".weight_orig") else name
        names[name.replace(".parametrizations.weight.original1", ".weight")] = key
    return names


def _multiplied_out(table: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights themselves: normalised ones times their length, spectral ones over their largest singular value."""
    weights = {}
    for name, key in _names(table).items():
        value, stem = table[key].float(), key.removesuffix("_v").removesuffix("_orig")
        length = table.get(f"{stem}_g", table.get(key.removesuffix("1") + "0") if key.endswith(".original1") else None)
        if length is not None:
            value = value * (length.float() / value.flatten(1).norm(dim=1).view(-1, *[1] * (value.dim() - 1)))
        elif key.endswith("_orig"):
            left, right = (table[f"{stem}_{side}"].float() for side in "uv")
            value = value / torch.dot(left, value.flatten(1) @ right)
        weights[name] = value
    return weights


def _family(config: Path) -> str | None:
    """Of which family a configuration is; None where it is of another, or cannot be read."""
    try:
        read = _read(config)
    except AiprodError:
        return None
    if config.suffix == ".json":
        return KOKORO if {"istftnet", "plbert", "vocab"} <= read.keys() else None
    stated = read.get("model_params")
    return STYLETTS2 if isinstance(stated, dict) and "decoder" in stated else None


def _of_kokoro(config: Path) -> tuple[dict[str, Any], dict[str, int]]:
    read = _read(config)
    vocabulary = read["vocab"]
    tokens = range(1, int(n) if isinstance(n := read.get("n_token"), int) else 0)
    if not isinstance(vocabulary, dict) or not all(
        len(sign) == 1 and type(token) is int and token in tokens for sign, token in vocabulary.items()
    ):
        raise CheckpointError(f"{config} has a vocab that is no table of signs and tokens", "download it again")
    return {**read, "decoder": read["istftnet"]}, vocabulary


def _of_styletts2(config: Path) -> tuple[dict[str, Any], dict[str, int]]:
    read = _read(config)
    stated, sound = read["model_params"], read.get("preprocess_params")
    rate = sound.get("sr", SAMPLE_RATE) if isinstance(sound, dict) else SAMPLE_RATE
    if rate != SAMPLE_RATE:
        raise CheckpointError(f"{config} is of a model at {rate} Hz", f"give one at {SAMPLE_RATE} Hz")
    if stated.get("n_token") != len(_SIGNS):
        what = f"{config} is of a model with {stated.get('n_token')} tokens, and no file says what they are"
        raise CheckpointError(what, f"give one with the {len(_SIGNS)} tokens of StyleTTS2")
    place = str(read.get("PLBERT_dir", "Utils/PLBERT"))
    beside = next(
        (file for name in (place, "Utils/PLBERT") if (file := config.parent / name / "config.yml").is_file()), None
    )
    if beside is None or not beside.resolve().is_relative_to(config.parent.resolve()):
        raise CheckpointError(
            f"{config} names PL-BERT's configuration in {place}, and it is not there",
            f"put it into {config.parent / 'Utils/PLBERT/config.yml'}",
        )
    return {**stated, "plbert": _read(beside).get("model_params")}, {sign: n for n, sign in enumerate(_SIGNS) if n}


def _read(config: Path) -> dict[str, Any]:
    if config.suffix == ".json":
        return read_json_object(config)
    read = parse_yaml(read_bounded(config, YAML_BYTES_MAX, "download it too"), str(config))
    return read if isinstance(read, dict) else {}
