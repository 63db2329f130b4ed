"""The body of an error response: RFC 9457 problem details."""

from typing import Final
from urllib.parse import quote

import orjson
from pydantic import BaseModel, ConfigDict, Field

from chassis.errors.hierarchy import ServiceError, ValidationFailed
from chassis.errors.text import LARGEST_TEXT, safe_text
from chassis.errors.validation import FieldError

__all__ = ["PROBLEM_MEDIA_TYPE", "Problem", "problem_from"]

PROBLEM_MEDIA_TYPE: Final = "application/problem+json"


class Problem(BaseModel):
    """The body of every error response. Extension members are further keys of the same object."""

    model_config = ConfigDict(extra="allow", frozen=True, defer_build=True)

    type: str = Field(
        default="about:blank",
        description="URI of the kind of problem; about:blank adds nothing to the status.",
    )
    title: str = Field(description="The kind of problem in words; the same for every occurrence.")
    status: int = Field(description="The HTTP status, repeated.")
    detail: str | None = Field(default=None, description="What happened this time, for people.")
    instance: str | None = Field(default=None, description="Path of the request.")
    code: str = Field(description="The kind of problem for programs, for example WORKFLOW_NOT_FOUND.")
    request_id: str | None = Field(default=None, description="Names this request in the service's logs.")
    errors: list[FieldError] | None = Field(default=None, description="The fields that are wrong.")

    def to_bytes(self) -> bytes:
        """Return the JSON body; members without a value are left out.

        It never fails: extension members that JSON cannot express are left out too.
        """
        members = {name: value for name, value in self if value is not None}
        try:
            return orjson.dumps(members, default=_plain, option=orjson.OPT_NON_STR_KEYS)
        except (orjson.JSONEncodeError, RecursionError):
            standard = {name: value for name, value in members.items() if name in type(self).model_fields}
            return orjson.dumps(standard, default=_plain)


def problem_from(
    error: ServiceError, *, instance: str | None = None, request_id: str | None = None
) -> Problem:
    """Build the problem of an error.

    ``instance`` is the decoded path of the request; it is percent-encoded here, as a URI reference must be.
    Control characters in texts become U+FFFD and long texts are cut, so that the body is safe to print.
    """
    fields = Problem.model_fields
    extensions = {name: value for name, value in error.extensions.items() if name not in fields}
    return Problem(
        type=error.problem_type,
        title=error.title,
        status=error.status,
        detail=None if error.detail is None else safe_text(error.detail),
        instance=None
        if instance is None
        else quote(instance[:LARGEST_TEXT], safe="/:@!$&'()*+,;=~", errors="replace"),
        code=error.code,
        request_id=request_id,
        errors=error.errors if isinstance(error, ValidationFailed) else None,
        **extensions,
    )


def _plain(value: object) -> object:
    """Return what JSON can express for a value that orjson does not know."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, set | frozenset | tuple):
        return list(value)
    return safe_text(value)
