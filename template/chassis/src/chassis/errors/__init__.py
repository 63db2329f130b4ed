"""Every error a client can see: one hierarchy, one body (RFC 9457 problem details).

    ServiceError
     +-- BadRequest          400  BAD_REQUEST
     +-- Unauthorized        401  UNAUTHORIZED           sends WWW-Authenticate
     +-- Forbidden           403  FORBIDDEN
     +-- NotFound            404  NOT_FOUND
     +-- MethodNotAllowed    405  METHOD_NOT_ALLOWED     sends Allow
     +-- Conflict            409  CONFLICT
     +-- ContentTooLarge     413  CONTENT_TOO_LARGE
     +-- ValidationFailed    422  VALIDATION_FAILED      lists every field
     +-- TooManyRequests     429  TOO_MANY_REQUESTS      sends Retry-After
     +-- InternalError       500  INTERNAL_ERROR         what a crash becomes
     +-- BadGateway          502  BAD_GATEWAY
     +-- Unavailable         503  UNAVAILABLE            sends Retry-After
     +-- GatewayTimeout      504  GATEWAY_TIMEOUT

A team names its own errors by a code, and raises them anywhere::

    class WorkflowNotFound(NotFound):
        code = "WORKFLOW_NOT_FOUND"

    raise WorkflowNotFound("No workflow has this id.", workflow_id=workflow_id)

The detail of a ``ServiceError`` is written for the client and is shown, also for a 5xx. The text of any
other exception is never shown: the request layer answers it with a plain ``InternalError()``.

Source: https://www.rfc-editor.org/rfc/rfc9457
"""

from chassis.errors.hierarchy import (
    BadGateway,
    BadRequest,
    Conflict,
    ContentTooLarge,
    Forbidden,
    GatewayTimeout,
    InternalError,
    MethodNotAllowed,
    NotFound,
    ServiceError,
    TooManyRequests,
    Unauthorized,
    Unavailable,
    ValidationFailed,
    for_status,
)
from chassis.errors.problem import PROBLEM_MEDIA_TYPE, Problem, problem_from
from chassis.errors.validation import MOST_FIELD_ERRORS, FieldError

__all__ = [
    "MOST_FIELD_ERRORS",
    "PROBLEM_MEDIA_TYPE",
    "BadGateway",
    "BadRequest",
    "Conflict",
    "ContentTooLarge",
    "FieldError",
    "Forbidden",
    "GatewayTimeout",
    "InternalError",
    "MethodNotAllowed",
    "NotFound",
    "Problem",
    "ServiceError",
    "TooManyRequests",
    "Unauthorized",
    "Unavailable",
    "ValidationFailed",
    "for_status",
    "problem_from",
]
