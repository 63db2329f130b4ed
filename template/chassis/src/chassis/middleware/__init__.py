"""The request layer: the one pure-ASGI layer that every request passes.

- ``layer``: the layer itself, in the order things happen
- ``exchange``: one request and its response as the layer sees them
- ``admission``: who is let in: host, body size, rate limit
- ``route``: the route template that metrics and logs carry instead of the raw path
- ``ending``: how an application can end a request other than by returning
- ``slashes``: a slash too many or too few
- ``problems``: every error as an RFC 9457 problem
"""

from chassis.middleware.layer import Collaborators, RequestLayer
from chassis.middleware.problems import crash_handler, mapped_handler, problem_handlers, problem_response
from chassis.middleware.slashes import redirect_slashes

__all__ = [
    "Collaborators",
    "RequestLayer",
    "crash_handler",
    "mapped_handler",
    "problem_handlers",
    "problem_response",
    "redirect_slashes",
]
