"""structlog, imported without what it would only use to print in colours.

``from chassis.structured import structlog`` is how the chassis imports it. By itself structlog imports rich,
and with rich pygments and attrs, to colour tracebacks; the chassis renders its lines itself. That was 214 of
the 660 million instructions that the chassis added to the import of FastAPI.
"""

from chassis.startup import hidden

__all__ = ["structlog"]

with hidden("rich", "better_exceptions", "colorama", "greenlet", "twisted"):
    import structlog
