"""The API description as the service really answers: every error is a problem (RFC 9457).

FastAPI describes a 422 of its own shape, which no response of the chassis has.
"""

from collections.abc import Iterator
from typing import Any

from chassis.errors import PROBLEM_MEDIA_TYPE, Problem

__all__ = ["describe_problems"]

_REFERENCE = "#/components/schemas/{model}"
_FRAMEWORK_SCHEMAS = ("HTTPValidationError", "ValidationError")


def describe_problems(document: dict[str, Any]) -> dict[str, Any]:
    """Return the OpenAPI document with ``Problem`` as the error of every operation; the argument is changed.

    Each operation gets a ``default`` response, and 422 where it validates anything.
    """
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    schema = Problem.model_json_schema(ref_template=_REFERENCE, mode="serialization")
    schemas.update(schema.pop("$defs", {}))
    schemas["Problem"] = schema
    for operation in _operations(document):
        responses = operation.setdefault("responses", {})
        if "422" in responses and _is_framework_error(responses["422"]):
            responses["422"] = _response("The request is not valid; every field that is wrong is listed.")
        responses.setdefault("default", _response("Any other error."))
    for name in _FRAMEWORK_SCHEMAS:
        schemas.pop(name, None)
    return document


def _operations(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for path in document.get("paths", {}).values():
        for operation in path.values():
            if isinstance(operation, dict):
                yield operation


def _response(description: str) -> dict[str, Any]:
    reference = {"$ref": _REFERENCE.format(model="Problem")}
    return {"description": description, "content": {PROBLEM_MEDIA_TYPE: {"schema": reference}}}


def _is_framework_error(response: dict[str, Any]) -> bool:
    content = response.get("content", {}).get("application/json", {})
    reference = content.get("schema", {}).get("$ref")
    return bool(reference == _REFERENCE.format(model="HTTPValidationError"))
