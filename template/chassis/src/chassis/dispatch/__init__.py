"""Routes of a FastAPI application, compiled: the same answers for fewer instructions.

``compiled(app)`` stands in for ``app.router.middleware_stack``. What it does not know goes to the framework.
``prepare_threads`` makes ready what runs plain functions.
"""

from chassis.dispatch.entry import compiled
from chassis.dispatch.threads import prepare_threads

__all__ = ["compiled", "prepare_threads"]
