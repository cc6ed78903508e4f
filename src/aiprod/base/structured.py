"""JSON and YAML from outside, bounded in size and depth before a parser sees them, and errors in one line.

Parsers recurse: a YAML file of a hundred thousand brackets ends one with a stack overflow, and a few lines of aliases
stand for gigabytes. So depth, size and what aliases expand to are counted first, from events that come without
recursion. Python's JSON parser stops by itself before its stack does; what is left to bound is what comes after it.
"""

from __future__ import annotations

import io
import json
import stat
from pathlib import Path
from typing import Any

from aiprod.errors import AiprodError

DEPTH_MAX = 100
"""Levels of nesting. Files of ours have six, and the deepest that a person was seen to write has eleven."""
JSON_BYTES_MAX = 1 << 28  # offers of a hundred thousand films are a tenth of it
YAML_BYTES_MAX = 1 << 24
NODES_MAX = 2_000_000  # of a YAML file, its aliases written out

_REMAKE = "delete it and run `dvc repro`"


def read_bounded(path: Path | str, most: int, missing: str = "run `dvc repro` to make it") -> bytes:
    """The bytes of a regular file of at most ``most`` bytes.

    Raises:
        AiprodError: missing, no regular file, too large, or not to be read; one line.
    """
    try:
        with open(path, "rb") as file:
            if not stat.S_ISREG(Path(path).stat().st_mode):
                raise AiprodError(f"{path} is not a regular file", "replace it with a file")
            data = file.read(most + 1)
    except FileNotFoundError:
        raise AiprodError(f"{path} does not exist", missing) from None
    except OSError as error:
        raise AiprodError(f"{path} cannot be read ({error.strerror or error})", "fix its permissions") from None
    if len(data) > most:
        raise AiprodError(f"{path} is larger than {most >> 20} MiB, which is read at most", "split or shorten it")
    return data


def parse_json(data: bytes | str, where: str = "the text", *, hint: str = _REMAKE) -> Any:
    """A JSON value.

    Args:
        where: what it was read from, for the error.

    Raises:
        AiprodError: not JSON, too large or too deep.
    """
    raw = data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data
    if len(raw) > JSON_BYTES_MAX:
        raise AiprodError(f"{where} is larger than {JSON_BYTES_MAX >> 20} MiB, which is read at most", hint)
    try:
        value = json.loads(raw.decode("utf-8-sig") if isinstance(data, bytes) else data)
    except RecursionError:
        raise AiprodError(f"{where} is nested deeper than {DEPTH_MAX} levels", hint) from None
    except ValueError as error:  # also for an integer of more than 4,300 digits
        raise AiprodError(f"{where} is not valid JSON ({_brief(error)})", hint) from None
    if raw.count(b"[") + raw.count(b"{") > DEPTH_MAX and _deeper(value, DEPTH_MAX):
        raise AiprodError(f"{where} is nested deeper than {DEPTH_MAX} levels", hint)
    return value


def _deeper(value: Any, most: int) -> bool:
    """Whether a value nests deeper than ``most`` levels, level by level."""
    level = [value]
    for _ in range(most):
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return False
    return True


def read_json_mapping(path: Path | str, *, hint: str = _REMAKE) -> dict[str, Any]:
    """The JSON object in a file.

    Raises:
        AiprodError: missing, not JSON, or another kind of value.
    """
    value = parse_json(read_bounded(path, JSON_BYTES_MAX), str(path), hint=hint)
    if not isinstance(value, dict):
        raise AiprodError(f"{path} holds no JSON object, but {_kind(value)}", hint)
    return value


def parse_yaml(text: bytes | str, where: str = "the text", *, hint: str = "fix the line it names") -> Any:
    """A YAML 1.2 value, by the parser that DVC uses (the C one where installed), so that both accept the same files.

    Raises:
        AiprodError: not YAML, too large, too deep, or aliases that stand for too much.
    """
    try:
        content = text.decode("utf-8-sig") if isinstance(text, bytes) else text
    except UnicodeDecodeError as error:
        raise AiprodError(f"{where} is not valid YAML: {_brief(error)}", "save it as UTF-8") from None
    if len(content) > YAML_BYTES_MAX:
        raise AiprodError(f"{where} is larger than {YAML_BYTES_MAX >> 20} MiB, which is read at most", "shorten it")
    from ruamel.yaml import YAML  # here: most of what imports this module reads JSON only

    try:
        _check_events(content, where)
        return YAML(typ="safe").load(content)
    except AiprodError:
        raise
    except Exception as error:  # what ruamel raises for a date of month 13 or a list as a key is no YAMLError
        if "unexpected ':'" in str(error):  # libyaml's, within { } alone: YAML 1.2 allows it
            hint = "put what holds colons, such as a time code, in quotes"
        raise AiprodError(f"{where} is not valid YAML: {_brief(error)}", hint) from None


def _check_events(text: str, where: str) -> None:
    """Count depth and nodes from the parser's events, which come without recursion."""
    from ruamel.yaml import YAML
    from ruamel.yaml.events import AliasEvent, CollectionEndEvent, CollectionStartEvent, NodeEvent

    open_: list[tuple[str | None, int]] = []  # anchor of each open collection, and the nodes before it
    sizes: dict[str, int] = {}
    nodes = 0
    for event in YAML(typ="safe").parse(io.StringIO(text)):
        if isinstance(event, AliasEvent):
            if any(anchor == event.anchor for anchor, _ in open_):
                raise AiprodError(f"{where}: *{event.anchor} refers to a value that contains it", "write it out")
            nodes += sizes.get(event.anchor, 1)
        elif isinstance(event, CollectionStartEvent):
            open_.append((event.anchor, nodes))
            nodes += 1
            if len(open_) > DEPTH_MAX:
                line = event.start_mark.line + 1
                raise AiprodError(f"{where} is nested deeper than {DEPTH_MAX} levels (line {line})", "flatten it")
        elif isinstance(event, CollectionEndEvent):
            anchor, before = open_.pop()
            if anchor is not None:
                sizes[anchor] = nodes - before
        elif isinstance(event, NodeEvent):
            nodes += 1
        if nodes > NODES_MAX:
            raise AiprodError(f"{where} expands to more than {NODES_MAX:,} values", "write out fewer aliases")


def _brief(error: BaseException) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__


def _kind(value: Any) -> str:
    names = {list: "a list", str: "a text", bool: "a truth value", int: "a number", float: "a number"}
    return names.get(type(value), "nothing")
