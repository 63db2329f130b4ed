"""The request layer: the one pure-ASGI layer that every request passes.

- ``layer``: the layer itself, in the order things happen
- ``exchange``: one request and its response as the layer sees them
- ``arrival``, ``body``: what it reads of a request
- ``framework``: the layer in the place of FastAPI's own
- ``websocket``: one connection
- ``route``: the route template that metrics and logs carry instead of the raw path
- ``ending``: how an application can end a request other than by returning
- ``slashes``: a slash too many or too few
- ``problems``: every error as an RFC 9457 problem
"""

from chassis.middleware.framework import Inside, enter, why_not
from chassis.middleware.layer import Collaborators, RequestLayer
from chassis.middleware.problems import crash_handler, mapped_handler, problem_handlers, problem_response
from chassis.middleware.slashes import redirect_slashes

__all__ = [
    "Collaborators",
    "Inside",
    "RequestLayer",
    "crash_handler",
    "enter",
    "mapped_handler",
    "problem_handlers",
    "problem_response",
    "redirect_slashes",
    "why_not",
]
