"""Opening the ports, and saying why that failed."""

import errno
import socket
import struct
import sys
from array import array
from contextlib import suppress
from typing import Final, NamedTuple

from chassis.service_settings import ServerSettings

__all__ = ["CannotListenError", "Sockets", "cannot_listen", "drop_handshakes", "open_sockets"]

_SO_ATTACH_FILTER: Final = 26
_RETURN: Final = 0x06  # the classic BPF instruction "return constant": so many bytes of the packet are let in


class CannotListenError(Exception):
    """A port cannot be opened; the message is one sentence that says what to do."""


class Sockets(NamedTuple):
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


def drop_handshakes(listening: socket.socket) -> None:
    """Have the kernel complete no further handshake on a listening socket, in any process that shares it.

    Between the last ``accept`` and ``close`` the kernel would go on to accept connections and reset them with
    their requests in them: a busy server loses some at each stop. A client whose packet is dropped sends it
    again and is refused. Elsewhere than on Linux this does nothing.
    Source: https://docs.kernel.org/networking/filter.html
    """
    if sys.platform != "linux":
        return
    instruction = array("B", struct.pack("HBBI", _RETURN, 0, 0, 0))
    address, _ = instruction.buffer_info()  # ctypes would tell it too, and takes 1.5 ms to import
    with suppress(OSError):  # a sandbox may not allow it
        listening.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HL", 1, address))


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
