"""Route templates of frameworks that leave none in the scope.

Metrics need a template, ``/orders/<int:id>``: a raw path would be a new series for each order.
"""

from collections.abc import Callable
from importlib import import_module
from typing import Any, Protocol

from starlette.types import Scope

__all__ = ["Templates", "django_templates", "flask_templates"]

Templates = Callable[[Scope], str | None]
"""Finds the template of the route that answers a request; None when there is none."""


class HasRules(Protocol):
    """A Flask application, or another one that is built on Werkzeug's routing."""

    @property
    def url_map(self) -> Any:
        """The ``werkzeug.routing.Map`` of its rules."""


def flask_templates(app: HasRules) -> Templates:
    """Return what finds the rule of a Flask route, as it is written in the application."""
    exceptions: Any = import_module("werkzeug.exceptions")
    rules = app.url_map.bind("")

    def template(scope: Scope) -> str | None:
        try:
            rule, _ = rules.match(_path(scope), method=scope["method"], return_rule=True)
        except exceptions.HTTPException:  # a redirect to the path with a slash is one too
            return None
        return str(rule.rule)

    return template


def django_templates() -> Templates:
    """Return what finds the pattern of a Django route, as the root of its project's routes joins it."""
    urls: Any = import_module("django.urls")  # which has no types

    def template(scope: Scope) -> str | None:
        try:
            return f"/{urls.resolve(_path(scope)).route}"
        except urls.Resolver404:
            return None

    return template


def _path(scope: Scope) -> str:
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    return path[len(root) :] if root and path.startswith(f"{root}/") else path
