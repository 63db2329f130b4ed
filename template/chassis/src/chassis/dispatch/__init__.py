"""Routes of a FastAPI application, compiled: the same answers for fewer instructions.

``compiled(app)`` stands in for ``app.router.middleware_stack``. What it does not know goes to the framework.
"""

from chassis.dispatch.entry import compiled

__all__ = ["compiled"]
