"""The composition root."""

from chassis import app as chassis_app
from chassis.settings import load

from .items import router
from .settings import Settings


def create_app(settings: Settings | None = None) -> chassis_app.Service:
    """Build the service."""
    return chassis_app.create_app(settings or load(Settings), routers=[router])
