"""Opening the ports, and saying why that failed."""

import errno
import socket
from dataclasses import dataclass

from chassis.service_settings import ServerSettings

__all__ = ["CannotListenError", "Sockets", "cannot_listen", "open_sockets"]


class CannotListenError(Exception):
    """A port cannot be opened; the message is one sentence that says what to do."""


@dataclass(frozen=True, slots=True)
class Sockets:
    """The bound sockets of a service. Workers share them."""

    public: socket.socket
    management: socket.socket | None = None

    def close(self) -> None:
        """Close this process's copies."""
        self.public.close()
        if self.management is not None:
            self.management.close()


def open_sockets(settings: ServerSettings) -> Sockets:
    """Bind the service's port and, if it is set, the management port. Raises ``CannotListenError``.

    They do not listen yet: before the service has started, connections are refused.
    """
    public = _bind(settings.host, settings.port, "PORT")
    if settings.management_port is None:
        return Sockets(public)
    try:
        return Sockets(public, _bind(settings.host, settings.management_port, "MANAGEMENT_PORT"))
    except CannotListenError:
        public.close()
        raise


def cannot_listen(error: OSError, host: str, port: int, variable: str) -> CannotListenError:
    """Return the sentence for an error of ``bind`` or ``listen``."""
    match error.errno:
        case errno.EADDRINUSE:
            reason = f"port {port} is in use: stop the process that listens there, or set {variable}"
        case errno.EACCES | errno.EPERM:
            reason = f"port {port} needs more rights: set {variable} to a port above 1023"
        case errno.EADDRNOTAVAIL:
            reason = f"{host} is no address of this machine: set HOST"
        case _:
            reason = f"cannot listen on {host}, port {port}: {error.strerror or error}"
    return CannotListenError(reason)


def _bind(host: str, port: int, variable: str) -> socket.socket:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise CannotListenError(
            f"the host name {host!r} is not known here: set HOST to an address"
        ) from error
    family, kind, protocol, _, address = found[0]
    opened = socket.socket(family, kind, protocol)
    try:
        # A restart may bind although connections of the last run are still in TIME_WAIT.
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind(address)
    except OSError as error:
        opened.close()
        raise cannot_listen(error, host, port, variable) from error
    return opened
