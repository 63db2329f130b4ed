"""The API description as the service really answers: every error is a problem (RFC 9457).

FastAPI describes a 422 of its own shape, which no response of the chassis has.
"""

from collections.abc import Iterator
from typing import Any

from chassis.errors import PROBLEM_MEDIA_TYPE, FieldError, Problem

__all__ = ["describe_problems"]

_REFERENCE = "#/components/schemas/{model}"
_FRAMEWORK_SCHEMAS = ("HTTPValidationError", "ValidationError")  # the first refers to the second
_FRAMEWORK_ERROR = {
    "description": "Validation Error",
    "content": {"application/json": {"schema": {"$ref": _REFERENCE.format(model="HTTPValidationError")}}},
}


def describe_problems(document: dict[str, Any]) -> dict[str, Any]:
    """Return the OpenAPI document with ``Problem`` as the error of every operation; the argument is changed.

    Each operation gets a ``default`` response, and 422 where it validates anything. The service's own models
    stay as they are: where one is called ``Problem`` or ``FieldError``, the chassis's is ``ChassisProblem`` or
    ``ChassisFieldError``.
    """
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    field_error = _add(schemas, "FieldError", FieldError.model_json_schema(mode="serialization"))
    reference = _REFERENCE.format(model=field_error.removesuffix("FieldError") + "{model}")
    schema = Problem.model_json_schema(ref_template=reference, mode="serialization")
    del schema["$defs"]
    problem = _add(schemas, "Problem", schema)
    for operation in _operations(document):
        responses = operation.setdefault("responses", {})
        if responses.get("422") == _FRAMEWORK_ERROR:
            responses["422"] = _response(
                "The request is not valid; every field that is wrong is listed.", problem
            )
        responses.setdefault("default", _response("Any other error.", problem))
    for name in _FRAMEWORK_SCHEMAS:
        # What is still referred to is a model of the service, or the error of a callback or webhook. (Where an
        # operation validates anything, FastAPI itself has put its own in the place of a model of this name.)
        if not _mentions(document, _REFERENCE.format(model=name)):
            schemas.pop(name, None)
    return document


def _add(schemas: dict[str, Any], name: str, schema: dict[str, Any]) -> str:
    """Add a schema of the chassis; returns its name, which is no other model's."""
    while _outline(schemas.setdefault(name, schema)) != _outline(schema):
        name = f"Chassis{name}"
    schemas[name] = schema
    return name


def _outline(schema: dict[str, Any]) -> tuple[object, set[str]]:
    """Return what tells a model, also in the words of FastAPI, which leaves out defaults of null."""
    return schema.get("description"), set(schema.get("properties", ()))


def _operations(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for path in document.get("paths", {}).values():
        for operation in path.values():
            if isinstance(operation, dict):
                yield operation


def _response(description: str, model: str) -> dict[str, Any]:
    reference = {"$ref": _REFERENCE.format(model=model)}
    return {"description": description, "content": {PROBLEM_MEDIA_TYPE: {"schema": reference}}}


def _mentions(part: object, reference: str) -> bool:
    if isinstance(part, dict | list):
        inner = part.values() if isinstance(part, dict) else part
        return any(_mentions(each, reference) for each in inner)
    return part == reference
