"""MkDocs hook: writes the reference pages from the code, so that they cannot fall behind it.

The command line is read from typer, parameters and manifests from their pydantic models. Nothing is downloaded.
"""

from __future__ import annotations

import enum
import json
import os
import re
import sys
import types
import typing
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticUndefined
from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "src"))
_VALUES = {
    "seed": "random state of training and sampling",
    "lr": "base learning rate; each training stage and phase multiplies it by its own `lr_scale`",
    "engine": "where ingest and measuring run: `local` processes, or a `ray` cluster",
}
_NOTE = "*Generated from the code by `docs/hooks/reference.py`.*\n"


def on_files(files: Any, config: Any) -> Any:
    """Add the generated pages to those of the folder."""
    from mkdocs.structure.files import File

    for name, text in pages().items():
        files.append(File.generated(config, name, content=text))
    return files


def pages() -> dict[str, str]:
    """Path below docs/ → Markdown."""
    return {
        "reference/cli.md": cli_page(),
        "reference/parameters.md": parameters_page(),
        "reference/manifests.md": manifests_page(),
    }


# ── command line ──────────────────────────────────────────────────────────────────────────────────────────────────────


def cli_page() -> str:
    """Every command with its arguments and options."""
    from typer.main import get_command

    from aiprod.cli import app

    lines = [
        "# Command line",
        "",
        _NOTE,
        "Exit codes: 0 success; 1 the answer is no (a rejected clip, a broken log); 2 wrong usage or bad input.",
        "`aiprod COMMAND --help` prints the same text.",
        "",
    ]
    for words, command in _commands(get_command(app), "aiprod"):
        lines += _command(words, command)
    return "\n".join(lines)


def _commands(command: Any, words: str) -> Iterator[tuple[str, Any]]:
    for name, inner in command.commands.items():
        yield f"{words} {name}", inner
        if hasattr(inner, "commands"):
            yield from _commands(inner, f"{words} {name}")


def _command(words: str, command: Any) -> list[str]:
    level = "#" * len(words.split())
    group = hasattr(command, "commands")
    if hasattr(command, "fill"):  # names that are registered elsewhere
        command.fill()
    prose, examples = _help(command.help or "")
    lines = [f"{level} {words}", "", prose, ""]
    if group:
        return lines
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    shown = [_argument(p) for p in arguments]
    lines += ["```sh", " ".join([words, "[OPTIONS]", *shown]), "```", ""]
    if examples:
        lines += ["Example:" if len(examples) == 1 else "Examples:", "", "```sh", *examples, "```", ""]
    rows = [(f"`{_argument(p)}`", _kind(p), _default(p), p.help or "") for p in arguments]
    rows += [
        ("`" + "`, `".join([*p.opts, *p.secondary_opts]) + "`", _kind(p), _default(p), p.help or "")
        for p in command.params
        if p.param_type_name == "option" and p.name != "help" and not getattr(p, "hidden", False)
    ]
    return lines + _table(("argument or option", "type", "default", "meaning"), rows)


def _help(text: str) -> tuple[str, list[str]]:
    """The prose of a help text, and the commands of its `Example:` paragraphs."""
    prose, examples = [], []
    for paragraph in re.split(r"\n\s*\n", text.strip()):
        words = " ".join(paragraph.split())
        found = re.match(r"[A-Z][\w ]*: (aiprod .+)$", words)
        if found:
            examples.append(found[1])
        else:
            prose.append(words)
    return "\n\n".join(prose), examples


def _argument(parameter: Any) -> str:
    name = parameter.metavar or parameter.name.upper()
    name = f"{name}..." if parameter.nargs == -1 else name
    return name if parameter.required or name.startswith("[") else f"[{name}]"


def _kind(parameter: Any) -> str:
    """The type, from the annotation where this version of typer keeps it, else from click's type."""
    if getattr(parameter, "is_flag", False):
        return "flag"
    described = getattr(parameter, "type_descriptor", None)
    kind = described.annotation if described is not None else parameter.type
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return ", ".join(f"`{member.value}`" for member in kind)
    for part in typing.get_args(kind) or (kind,):
        if part is not type(None):
            kind = part
    low, high = getattr(parameter, "min", None), getattr(parameter, "max", None)
    bounds = [f"≥ {low}"] * (low is not None) + [f"≤ {high}"] * (high is not None)
    name = {"str": "text", "Path": "path"}.get(getattr(kind, "__name__", ""), getattr(kind, "__name__", str(kind)))
    return ", ".join([name, *bounds])


def _default(parameter: Any) -> str:
    value = parameter.default
    if parameter.required or value is None or value is False or value == "" or callable(value):
        return ""
    value = getattr(value, "value", value)
    return "" if "UNSET" in repr(value).upper() else f"`{_relative(value)}`"


# ── parameters ────────────────────────────────────────────────────────────────────────────────────────────────────────


def parameters_page() -> str:
    """Every key of params.yaml with type, default, bounds and description."""
    from aiprod.commands.param_files import SECTIONS, VALUES, section_model

    path = ROOT / "params.yaml"
    content = YAML().load(path)
    lines = [
        "# Parameters",
        "",
        _NOTE,
        "All settings are in `params.yaml`. A section is read by the model of its stage; an unknown key is an error",
        "that names the nearest valid one. `aiprod params check` validates whole files. The value column shows what",
        "`params.yaml` of this repository sets; the default applies to keys that are left out.",
        "",
        "## Single values",
        "",
    ]
    rows = [(f"`{name}`", f"`{content[name]}`", _VALUES.get(name, "")) for name in VALUES]
    lines += _table(("key", "value", "meaning"), rows)
    for section in SECTIONS:
        model = section_model(section)
        lines += [f"## {section}", "", _summary(model), ""]
        lines += _table(
            ("key", "type", "default", "value", "meaning"),
            [*_fields(model, "", content.get(section) or {}, frozenset({model}))],
        )
    return "\n".join(lines)


def _fields(model: type[BaseModel], prefix: str, given: Any, seen: frozenset[Any]) -> Iterator[tuple[str, ...]]:
    told = attributes(model)
    for name, field in model.model_fields.items():
        inner = None if field.annotation is None else _inner(field.annotation)
        value = given.get(name) if isinstance(given, dict) else None
        meaning = _remark(given, name) or field.description or told.get(name, "")
        bounds = _bounds(field)
        default = field.get_default(call_default_factory=True) if not field.is_required() else None
        shown = "required" if field.is_required() else "" if isinstance(default, BaseModel) else _code(default)
        yield (
            f"`{prefix}{name}`",
            _type_text(field.annotation),
            shown,
            "" if isinstance(value, dict | list) and inner else _code(value) if value is not None else "",
            "; ".join(filter(None, (meaning, bounds))),
        )
        if inner is not None and inner not in seen:
            mapping = typing.get_origin(field.annotation) is dict
            keyed = f"{prefix}{name}.NAME." if mapping else f"{prefix}{name}."
            below: Any = next(iter(value.values()), {}) if mapping and value else value
            yield from _fields(inner, keyed, below if isinstance(below, dict) else {}, seen | {inner})


def _bounds(field: Any) -> str:
    signs = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
    return ", ".join(f"{signs[k]} {getattr(m, k)}" for m in field.metadata for k in signs if hasattr(m, k))


def _remark(node: Any, key: str) -> str:
    """The comment at the end of a key's line in params.yaml."""
    comments = getattr(getattr(node, "ca", None), "items", {}).get(key)
    token = comments[2] if comments and len(comments) > 2 else None
    return token.value.split("\n")[0].lstrip("# ").strip() if token is not None else ""


# ── manifests ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def manifests_page() -> str:
    """Every row model with its fields, and the JSON Schema beside it."""
    from aiprod.governance.exports import json_schemas

    lines = [
        "# Manifests",
        "",
        _NOTE,
        "A manifest is a Parquet file of rows with a head that holds their Merkle root (RFC 6962, SHA-256).",
        "Nested values of a Parquet row are JSON text. `aiprod export schemas` writes JSON Schemas (draft 2020-12).",
        "",
    ]
    for name in json_schemas.MODELS:
        model = json_schemas.model_of(name)
        lines += [f"## {name}", "", _summary(model), ""]
        lines += [f"Applies to {_ticked(json_schemas._WHERE[name])}. [JSON Schema](../schemas/{name}.schema.json)", ""]
        lines += _table(("field", "type", "meaning"), list(_rows(model, "", frozenset({model}))))
    return "\n".join(lines)


def _rows(model: type[BaseModel], prefix: str, seen: frozenset[Any]) -> Iterator[tuple[str, ...]]:
    told = attributes(model)
    for name, field in model.model_fields.items():
        yield f"`{prefix}{name}`", _type_text(field.annotation), field.description or told.get(name, "")
        inner = _inner(field.annotation)
        if inner is not None and inner not in seen:
            many = typing.get_origin(field.annotation) in (list, tuple, dict)
            yield from _rows(inner, f"{prefix}{name}{'[]' if many else ''}.", seen | {inner})


# ── words ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def attributes(model: type) -> dict[str, str]:
    """Field → text of the `Attributes:` part of a class's docstring."""
    body = re.split(r"\n\s*Attributes:\s*\n", model.__doc__ or "")[1:]
    found: dict[str, str] = {}
    for line in body[0].splitlines() if body else []:
        start = re.match(r"\s+(\w+): (.+)", line)
        if start:
            found[start[1]] = start[2].strip()
        elif line.strip() and found:
            found[next(reversed(found))] += f" {line.strip()}"
    return {name: text.replace("``", "`") for name, text in found.items()}


def _summary(model: type) -> str:
    first = re.split(r"\n\s*(?:Attributes|Args|Raises):", (model.__doc__ or "").strip())[0]
    return re.sub(r":\w+:`~?\.?([^`]+)`", r"`\1`", " ".join(first.split())).replace("``", "`")


def _inner(annotation: Any) -> type[BaseModel] | None:
    """The first pydantic model inside an annotation."""
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        return annotation if issubclass(annotation, BaseModel) else None
    return next((m for a in typing.get_args(annotation) if (m := _inner(a)) is not None), None)


def _type_text(annotation: Any) -> str:
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        return "" if issubclass(annotation, BaseModel) else annotation.__name__
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _type_text(arguments[0])
    if origin is typing.Literal:
        return ", ".join(f"`{a}`" for a in arguments)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(filter(None, (_type_text(a) for a in arguments if a is not type(None)))) + (
            " or null" if type(None) in arguments else ""
        )
    if origin is not None:
        inner = [_type_text(a) for a in arguments if a is not Ellipsis]
        return f"{getattr(origin, '__name__', origin)} of {', '.join(filter(None, inner)) or 'objects'}"
    return getattr(annotation, "__name__", str(annotation))


def _code(value: Any) -> str:
    if value is None or value is PydanticUndefined:
        return "null" if value is None else ""
    text = _relative(value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False))
    return f"`{text}`" if len(text) <= 60 else "(see params.yaml)"


def _relative(value: Any) -> str:
    """Without the folder that this checkout is in."""
    return str(value).replace(f"{ROOT}{os.sep}", "").replace("\n", " ")


def _ticked(text: str) -> str:
    return re.sub(r"(?<!\w)((?:datasets|models|reports)/\S+|\S+\.(?:json|parquet))", r"`\1`", text)


def _table(heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    if not rows:
        return []
    cells = [[re.sub(r"(?<!\\)\|", r"\\|", " ".join(str(c).split())) for c in row] for row in rows]
    head = ["| " + " | ".join(heads) + " |", "|" + " --- |" * len(heads)]
    return [*head, *("| " + " | ".join(row) + " |" for row in cells), ""]
