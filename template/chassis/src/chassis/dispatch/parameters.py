"""Parameters of a path operation: read from the scope, validated by FastAPI's own fields."""

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from functools import partial
from typing import Any, Final
from urllib.parse import parse_qsl

from fastapi import params
from fastapi._compat import ModelField
from fastapi._compat.shared import field_annotation_is_sequence
from fastapi._compat.v2 import _regenerate_error_with_loc, get_missing_field_error
from fastapi.dependencies.models import Dependant
from fastapi.dependencies.utils import (
    _get_param_aliases,
    _get_param_model,
    _is_json_field,
    request_params_to_args,
)
from pydantic import ValidationError
from pydantic_core import SchemaValidator
from starlette.datastructures import QueryParams
from starlette.requests import HTTPConnection
from starlette.types import Scope

__all__ = ["Field", "Parameters", "located", "validator_of"]

Errors = list[Any]

SHARED: Final = (type(None), bool, int, float, str, bytes)
"""Types of defaults that a copy would be the same object of."""


class Parameters:
    """Reads the parameters of one function.

    FastAPI reads an integer out of a path in 55 thousand instructions: it finds out about the field each time.
    Here that is done once. Headers, cookies and models of parameters are read by FastAPI.
    """

    def __init__(self, dependant: Dependant) -> None:
        self._path = _parameters(dependant.path_params)
        self._query = _parameters(dependant.query_params)
        self._path_fields = dependant.path_params if self._path is None else []
        self._query_fields = dependant.query_params if self._query is None else []
        self._header_fields, self._cookie_fields = dependant.header_params, dependant.cookie_params
        self._others = bool(self._header_fields or self._cookie_fields or self._query_fields)

    def read(self, scope: Scope, values: dict[str, Any], errors: Errors) -> None:
        """Add the values of a request by name, or what is wrong with them, in FastAPI's order."""
        if self._path:
            given = scope["path_params"]
            for parameter in self._path:
                value = given.get(parameter.alias)
                parameter.read(value, values, errors, missing=value is None)
        elif self._path_fields:
            _generic(self._path_fields, scope["path_params"], values, errors)
        if self._query:
            _read_query(self._query, scope["query_string"], values, errors)
        if self._others:
            connection = HTTPConnection(scope)
            _generic(self._query_fields, QueryParams(scope["query_string"]), values, errors)
            _generic(self._header_fields, connection.headers, values, errors)
            if self._cookie_fields:
                _generic(self._cookie_fields, connection.cookies, values, errors)


class Field:
    """A value of a request: what FastAPI's ``_validate_value_with_model_field`` does, prepared."""

    def __init__(self, field: ModelField, loc: tuple[str, ...]) -> None:
        self.name = field.name
        self._field = field
        self._loc = loc
        self._validate = validator_of(field)
        self._required = field.field_info.is_required()
        self._validates_default = bool(field.field_info.validate_default)
        default = field.field_info.default
        self._shared = not field.field_info.default_factory and type(default) in SHARED
        self._default = default

    def read(self, value: Any, values: dict[str, Any], errors: Errors, *, missing: bool) -> None:
        """Add the validated value, or what is wrong with it."""
        if missing:
            if self._required:
                errors.append(get_missing_field_error(loc=self._loc))
                return
            value = self._default if self._shared else deepcopy(self._field.default)
            if not self._validates_default:
                values[self.name] = value
                return
        try:
            values[self.name] = self._validate(value)
        except ValidationError as error:
            errors.extend(located(error, self._loc))


class _Parameter(Field):
    def __init__(self, field: ModelField, info: params.Param, alias: str) -> None:
        super().__init__(field, (info.in_.value, alias))
        self.alias = alias
        self.is_sequence = field_annotation_is_sequence(info.annotation)


def validator_of(field: ModelField) -> Callable[[Any], Any]:
    """Return what validates a value of a field. It raises ``ValidationError``.

    pydantic's own validator, without the two functions around it that pass nine defaults on, unless the
    field has something else in its place: a plugin, or a type that is not complete yet.
    """
    adapter = field._type_adapter  # noqa: SLF001 - where FastAPI has it
    exact = type(adapter.validator) is SchemaValidator
    validate = adapter.validator.validate_python if exact else adapter.validate_python
    return partial(validate, from_attributes=True)


def located(error: ValidationError, loc: tuple[str, ...]) -> Errors:
    """Return what is wrong, as FastAPI says it."""
    return _regenerate_error_with_loc(errors=error.errors(include_url=False), loc_prefix=loc)


def _parameters(fields: Sequence[ModelField]) -> list[_Parameter] | None:
    """Return None if one of the fields is more than one value by one name."""
    found = []
    for field in fields:
        info = field.field_info
        aliases = _get_param_aliases(field)
        if (
            type(field) is not ModelField
            or not isinstance(info, params.Path | params.Query)
            or _get_param_model(field) is not None
            or _is_json_field(field)
            or len(aliases) != 1
        ):
            return None
        parameter = _Parameter(field, info, aliases[0][1])
        if parameter.is_sequence and isinstance(info, params.Path):
            return None
        found.append(parameter)
    return found


def _read_query(fields: Sequence[_Parameter], query: bytes, values: dict[str, Any], errors: Errors) -> None:
    pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True) if query else ()
    for parameter in fields:
        found: Any = [value for name, value in pairs if name == parameter.alias] or None
        if found is not None and not parameter.is_sequence:
            found = found[-1]
        parameter.read(found, values, errors, missing=found is None)


def _generic(
    fields: Sequence[ModelField], given: Mapping[str, Any], values: dict[str, Any], errors: Errors
) -> None:
    if fields:
        found, wrong = request_params_to_args(fields, given)
        values.update(found)
        errors += wrong
