"""JSON bodies of path operations: read and parsed as FastAPI does, validated by its own fields."""

import email.message
import json
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

from fastapi._body_limit import get_body_limit_error
from fastapi._compat import ModelField
from fastapi.dependencies.utils import _get_form_models, _should_embed_body_fields, request_body_to_args
from fastapi.exceptions import RequestValidationError
from pydantic_core import PydanticUndefined
from starlette.exceptions import HTTPException
from starlette.middleware.body_limit import MAX_BODY_SIZE_SCOPE_KEY
from starlette.requests import Request

from chassis.dispatch.parameters import Errors, Field

__all__ = ["MISSING", "BodyFields", "read_body"]

MISSING: Final = PydanticUndefined
"""A request without a body."""


async def read_body(request: Request, *, strict: bool, context: Callable[[], Any]) -> Any:
    """Return the body of a request: parsed if its content type says JSON, else as it came, or ``MISSING``.

    With ``strict`` a body without a content type is no JSON. Raises ``RequestValidationError`` for JSON that
    cannot be parsed, and ``HTTPException`` for a body that cannot be read.
    """
    try:
        body = await request.body()
        if not body:
            return MISSING
        content_type = request.headers.get("content-type")
        if _is_json(content_type) if content_type else not strict:
            return await request.json()
    except json.JSONDecodeError as error:
        problem = {
            "type": "json_invalid",
            "loc": ("body", error.pos),
            "msg": "JSON decode error",
            "input": {},
            "ctx": {"error": error.msg},
        }
        raise RequestValidationError([problem], body=error.doc, endpoint_ctx=context()) from error
    except HTTPException:
        raise
    except Exception as error:
        if MAX_BODY_SIZE_SCOPE_KEY in request.scope and (too_large := get_body_limit_error(error)):
            raise too_large from error
        raise HTTPException(status_code=400, detail="There was an error parsing the body") from error
    return body


class BodyFields:
    """Validates the body for one function."""

    def __init__(self, fields: list[ModelField], *, embed: bool) -> None:
        self._fields = fields
        self._embed = embed
        whole = len(fields) == 1 and not embed and not _should_embed_body_fields(fields)
        self._whole = Field(fields[0], ("body",)) if whole and not _get_form_models(fields[0]) else None

    async def read(self, body: Any, values: dict[str, Any], errors: Errors) -> None:
        """Add the values by name, or what is wrong with them."""
        if self._whole is not None:
            # null is a body, and not valid by being absent.
            self._whole.read(body, values, errors, missing=body is MISSING)
            return
        found, wrong = await request_body_to_args(self._fields, body, self._embed)
        values.update(found)
        errors += wrong


@lru_cache(maxsize=64)
def _is_json(content_type: str) -> bool:
    # Parsing one takes 30 thousand instructions, and clients send few different ones.
    message = email.message.Message()
    message["content-type"] = content_type
    subtype = message.get_content_subtype()
    return message.get_content_maintype() == "application" and (
        subtype == "json" or subtype.endswith("+json")
    )
