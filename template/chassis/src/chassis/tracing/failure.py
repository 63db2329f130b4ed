"""What a span tells about an exception: its type, message and traceback, masked as log lines are."""

import traceback

from chassis.masking import mask_text


def type_name(error: BaseException) -> str:
    """Return the qualified name of an exception's class, as OpenTelemetry's error.type wants it."""
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def failure_attributes(error: BaseException) -> dict[str, str]:
    """Return the attributes of an `exception` event (OpenTelemetry semantic conventions)."""
    return {
        "exception.type": type_name(error),
        "exception.message": mask_text(str(error)),
        "exception.stacktrace": mask_text("".join(traceback.format_exception(error))),
    }
