"""The process: it listens, owns the signals, and stops without losing a request.

- ``command``: ``main``, the command line of a service
- ``process``: ``run``, one process, several workers or the reloader
- ``application``: how the service is built from its factory
- ``worker``: one serving process: start, serve, drain, stop
- ``listener``: one socket and the connections that came through it
- ``protocol``: uvicorn's protocols, bounded; ``with_httptools`` and ``with_h11`` by parser
- ``refusal``: the answer to bytes that are no request
- ``upgrade``: the WebSocket handshake, and any other upgrade that a request offers
- ``supervisor``: the parent of several workers
- ``reloader``: restarts the service when a source file changes
- ``collector``: the garbage collector, held while the service is imported and built
- ``sockets``: opening the ports, and saying why that failed
- ``signals``: what asks the process to stop
- ``exits``: the exit codes

The drain is explained in ``docs/explanation/drain.md``.
"""

from chassis.server import collector

# Most of what lives as long as the process is made here, and none of it is garbage.
with collector.held():
    from chassis.startup import import_fastapi, import_uvicorn

    import_fastapi()
    import_uvicorn()
    from chassis.server.command import main
    from chassis.server.process import run

__all__ = ["main", "run"]
