"""Which service a command is about: told by ``chassis.project``, which the testing kit shares."""

from chassis.project import ServiceNotFoundError, ServiceReference, find_service, load_object

__all__ = ["ServiceNotFoundError", "ServiceReference", "find_service", "load_object"]
