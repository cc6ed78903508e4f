"""Models out of columns: a column is validated at once, and rows are put together of what was found valid."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Annotated, Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, create_model

M = TypeVar("M", bound=BaseModel)
_PLAIN_CONFIG = {"extra", "frozen", "protected_namespaces"}  # says nothing about the values of fields


class RowBuilder(Generic[M]):
    """Builds rows of one model from columns.

    Args:
        names: fields that columns are given for; the others get their default, one object for all rows.

    Raises:
        ValueError: a field without a default is not among them.
    """

    def __init__(self, model: type[M], names: Sequence[str]) -> None:
        lacking = [name for name, field in model.model_fields.items() if field.is_required() and name not in names]
        if lacking:
            raise ValueError(f"rows of {model.__name__} need {', '.join(lacking)}")
        self._model = model
        self._defaults = {
            name: field.get_default(call_default_factory=True)
            for name, field in model.model_fields.items()
            if name not in names
        }
        self._fields_set = set(model.model_fields)  # one for all rows: each row's own would be most of its memory

    def rows(self, columns: Mapping[str, Sequence[Any]]) -> Iterator[M]:
        """The rows of these columns, which are valid."""
        names = list(self._model.model_fields)
        size = len(next(iter(columns.values())))
        cells = [columns[name] if name in columns else [self._defaults[name]] * size for name in names]
        new, put = self._model.__new__, object.__setattr__  # rows are frozen
        for values in zip(*cells, strict=True):
            row = new(self._model)
            put(row, "__dict__", dict(zip(names, values, strict=True)))
            put(row, "__pydantic_fields_set__", self._fields_set)
            put(row, "__pydantic_extra__", None)
            put(row, "__pydantic_private__", None)
            yield row


def changed(row: M, values: Mapping[str, Any]) -> M:
    """A copy of a row with other values, which are taken as valid; much quicker than ``model_copy``."""
    copy, put = row.__class__.__new__(row.__class__), object.__setattr__
    put(copy, "__dict__", {**row.__dict__, **values})
    known = row.__pydantic_fields_set__
    put(copy, "__pydantic_fields_set__", known if values.keys() <= known else known | values.keys())
    put(copy, "__pydantic_extra__", None)
    put(copy, "__pydantic_private__", None)
    return copy


def valid_columns(model: type[BaseModel], columns: Mapping[str, Sequence[Any]]) -> dict[str, list[Any]]:
    """The columns with each value as its field of ``model`` takes it.

    Raises:
        pydantic.ValidationError: a value is not valid; it is named by its column and its place there.
    """
    return _columns_of(model, tuple(columns)).model_validate(columns).__dict__


@cache
def is_buildable(model: type[BaseModel]) -> bool:
    """Whether a row of this model is valid if each of its values is: nothing looks at a row as a whole."""
    decorators = model.__pydantic_decorators__
    return not (
        decorators.validators
        or decorators.field_validators
        or decorators.root_validators
        or decorators.model_validators
        or model.__pydantic_post_init__
        or model.__pydantic_custom_init__
        or model.__private_attributes__
        or set(model.model_config) - _PLAIN_CONFIG
        or any(field.alias or field.validation_alias for field in model.model_fields.values())
    )


@cache
def _columns_of(model: type[BaseModel], names: tuple[str, ...]) -> type[BaseModel]:
    """A model of columns: for each field of ``model`` a list of what that field takes."""
    fields: dict[str, Any] = {}
    for name in names:
        field = model.model_fields[name]
        kind: Any = Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation
        fields[name] = (list[kind], ...)
    config = ConfigDict(extra="forbid", protected_namespaces=())
    return create_model(f"{model.__name__}Columns", __config__=config, **fields)
