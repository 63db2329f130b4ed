"""structlog, imported without what it would only use to print in colours.

``from chassis.structured import structlog`` is how the chassis imports it. By itself structlog imports rich,
and with rich pygments and attrs, to colour tracebacks; the chassis renders its lines itself. That was 214 of
the 660 million instructions that the chassis added to the import of FastAPI.
"""

import sys

__all__ = ["structlog"]

_UNUSED = ("rich", "better_exceptions", "colorama", "greenlet", "twisted")

# None makes the import of a module fail, as if it were not installed; structlog expects that of each of them.
# A later import finds them as ever. Both statements are passed over when somebody imported structlog before.
_hidden = [] if "structlog" in sys.modules else [name for name in _UNUSED if name not in sys.modules]
sys.modules.update(dict.fromkeys(_hidden))  # type: ignore[arg-type]  # documented: None refuses an import
try:
    import structlog
finally:
    for _name in _hidden:
        del sys.modules[_name]
