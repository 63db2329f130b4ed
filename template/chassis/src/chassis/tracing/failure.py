"""What a span tells about an exception: its type, message and traceback, masked as log lines are."""

import traceback
from collections.abc import Callable

from chassis.masking import mask_text


def type_name(error: BaseException) -> str:
    """Return the qualified name of an exception's class, as OpenTelemetry's error.type wants it."""
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def failure_attributes(error: BaseException) -> dict[str, str]:
    """Return the attributes of an `exception` event (OpenTelemetry semantic conventions)."""
    return {
        "exception.type": type_name(error),
        "exception.message": _text_of(error, str),
        "exception.stacktrace": _text_of(error, _trace_of),
    }


def _text_of(error: BaseException, tell: Callable[[BaseException], str]) -> str:
    try:
        return mask_text(tell(error))
    except Exception as failure:  # noqa: BLE001  # an exception's own methods may raise anything
        return f"{type_name(error)} whose text raised {type_name(failure)}"


def _trace_of(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))
