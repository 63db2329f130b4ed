"""The request layer: the one pure-ASGI layer that every request passes.

- ``layer``: the layer itself, in the order things happen
- ``exchange``: one request and its response as the layer sees them
- ``admission``: who is let in: host, body size, rate limit
- ``route``: the route template that metrics and logs carry instead of the raw path
- ``problems``: every error as an RFC 9457 problem
"""

from chassis.middleware.layer import Collaborators, RequestLayer
from chassis.middleware.problems import crash_handler, mapped_handler, problem_handlers, problem_response

__all__ = [
    "Collaborators",
    "RequestLayer",
    "crash_handler",
    "mapped_handler",
    "problem_handlers",
    "problem_response",
]
