"""JSON beside weights: from anybody, so bounded, and whatever is wrong with it said in one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from aiprod.base.opening import open_file
from aiprod.errors import CheckpointError

_BYTES_MAX = 1 << 28  # the largest tokenizer files are a tenth of it


def read_json_file(path: Path | str, hint: str = "restore it, or download it again") -> Any:
    """The JSON value in a file.

    Raises:
        CheckpointError: missing, too large, too deep for a parser, or not JSON.
    """
    try:
        with open_file(path) as file:
            data = file.read(_BYTES_MAX + 1)
        if len(data) > _BYTES_MAX:
            raise CheckpointError(f"{path} is larger than {_BYTES_MAX >> 20} MiB, which is read at most", hint)
        return json.loads(data.decode("utf-8-sig"))
    except FileNotFoundError:
        raise CheckpointError(f"{path} does not exist", "give the folder that holds it") from None
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read ({error.strerror})", "fix its permissions") from None
    except RecursionError:
        raise CheckpointError(f"{path} is nested too deeply", hint) from None
    except ValueError as error:
        raise CheckpointError(f"{path} is not JSON ({error})", hint) from None


def read_json_object(path: Path | str, hint: str = "restore it, or download it again") -> dict[str, Any]:
    """The JSON object in a file.

    Raises:
        CheckpointError: as :func:`read_json_file`, or another kind of value.
    """
    value = read_json_file(path, hint)
    if not isinstance(value, dict):
        raise CheckpointError(f"{path} holds no JSON object", hint)
    return value
