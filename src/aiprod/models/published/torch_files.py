"""Reads what ``torch.save`` wrote, as tensors in dictionaries and lists: nothing in the file is run.

``torch.load(weights_only=True)`` interprets a pickle without calling what it names, except for what makes tensors. What
it does not refuse is checked here: a file that unpacks to more than it holds, and tensors that claim more values than
are stored.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor

from aiprod.errors import CheckpointError

SUFFIXES = (".pth", ".pt")
_AGAIN = "restore it, or download it again"


def read_torch_file(path: Path, *, shapes_only: bool = False) -> Any:
    """The content of a file that ``torch.save`` wrote.

    Args:
        shapes_only: tensors know their shapes and types, and have no values; none are read.

    Raises:
        CheckpointError: missing, of the format before PyTorch 1.6, damaged, or holding other objects than tensors.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            packed = any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist())
    except FileNotFoundError:
        raise CheckpointError(f"{path} does not exist", "give the path of a file") from None
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read ({error.strerror})", "fix its permissions") from None
    except (zipfile.BadZipFile, ValueError, NotImplementedError):
        what = f"{path} is damaged, or a bare pickle, and pickles can run code"
        raise CheckpointError(what, "save it again with PyTorch 1.6 or later where you trust it") from None
    if packed:
        raise CheckpointError(f"{path} is compressed, which PyTorch never does", _AGAIN)
    try:
        return torch.load(path, map_location="meta" if shapes_only else "cpu", weights_only=True, mmap=True)
    except UnpicklingError as error:
        named = next((line for line in str(error).splitlines() if "GLOBAL" in line or "Unsupported" in line), "")
        what = f"{path} holds more than tensors, and pickles can run code"
        raise CheckpointError(f"{what} ({named.strip()[:160]})" if named else what, "give a file of weights") from None
    except Exception as error:  # of the archive, of the pickle or of a tensor: many kinds
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise CheckpointError(f"{path} is damaged ({first[:160]})", _AGAIN) from None


def tensors_of(content: object, where: str, most: int) -> dict[str, Tensor]:
    """A table of tensors by their names.

    Args:
        most: bytes that a tensor can have, which is what the file has.

    Raises:
        CheckpointError: it is none, or a tensor is larger than its file.
    """
    if not isinstance(content, Mapping) or not all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in content.items()
    ):
        raise CheckpointError(f"{where} is no table of tensors", "give a file of weights")
    for name, value in content.items():
        if value.layout != torch.strided or value.numel() * value.element_size() > most:
            raise CheckpointError(f"{where}: {name[:120]} claims more values than its file holds", _AGAIN)
    return dict(content)
