"""The request layer around an application that was not built with the chassis.

- ``wrapped``: ``wrap``, the whole of it for most
- ``lifespan``: starting and stopping the application inside, whether or not it knows how
- ``templates``: the route templates of Flask and Django, which metrics and logs carry
"""

from chassis.wrapping.templates import django_templates, flask_templates
from chassis.wrapping.wrapped import Wrapped, wrap

__all__ = ["Wrapped", "django_templates", "flask_templates", "wrap"]
