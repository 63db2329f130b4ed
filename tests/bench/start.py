"""What a service's start takes more than that of bare FastAPI: ``python tests/bench/start.py``.

Imports: by time, by instructions, and which packages come along without need. Memory and cold start: of a served
rendered service and of bare FastAPI under uvicorn, from the start of the process to its first answer.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parents[1] / "support"))

from not_needed import not_needed

import budgets
import cachegrind
import peers
from figures import Figure, spread
from servers import Server, free_port, program, render, serving

ROUNDS = 9
STARTS = 5

BARE = "import fastapi, uvicorn"
"""What a bare service imports. Its first route imports more: pydantic 1."""
CHASSIS = "import chassis.server, chassis.app, chassis.settings"
"""What a rendered service imports, in this order. Its settings files import more: yaml."""
LIBRARIES = f"{BARE}, pydantic_settings, chassis.structured"
"""The two packages that every rendered service has with it, added to bare FastAPI."""
PUT_OFF = (
    "import gc; gc.disable(); from chassis.startup import import_fastapi, import_uvicorn; "
    f"import_fastapi(); import_uvicorn(); {BARE}"
)
"""Bare FastAPI without what the chassis leaves for later, and without the walks of the garbage collector."""

_IMPORTS = """
import json, os, sys, time
before, began = set(sys.modules), time.process_time()
{imports}
spent = time.process_time() - began
print(json.dumps({{"ms": spent * 1e3, "modules": sorted(set(sys.modules) - before)}}), flush=True)
os._exit(0)  # what the interpreter does at its end is no part of a start
"""
_ANSWERED = """
import os, runpy, socket, sys, threading, time
def ask():
    while True:
        try:
            with socket.create_connection(("127.0.0.1", {port})) as client:
                client.sendall(b"GET /items/1 HTTP/1.1\\r\\nhost: x\\r\\n\\r\\n")
                os._exit(client.recv(12) != b"HTTP/1.1 200")
        except ConnectionRefusedError:
            time.sleep(0.25)
threading.Thread(target=ask).start()
sys.argv = ["", *{arguments!r}]
runpy.run_module({module!r}, run_name="__main__")
"""


def main() -> int:
    """Measure and print."""
    for figure in (*imports(), *measure()):
        print(figure.line())
    return 0


def measure() -> list[Figure]:
    """Measure what depends on the machine: time, memory, cold start."""
    return [import_time(), *served()]


def imports() -> list[Figure]:
    """Measure what repeats of the imports: their instructions, and the packages that came without need."""
    # First, for it leaves bytecode behind: to compile a module that was just edited is no part of a start.
    modules = _ask(CHASSIS)["modules"]
    bare, *others = (
        cachegrind.count(["-c", _IMPORTS.format(imports=each)], _environment())
        for each in (BARE, CHASSIS, LIBRARIES, PUT_OFF)
    )
    chassis, libraries, put_off = ((each - bare) / 1e6 for each in others)
    found = not_needed(modules)
    started = _started()
    return [
        Figure(
            measure="imports, million instructions",
            subject="chassis",
            value=chassis,
            unit="M",
            budget=budgets.IMPORT_MEGAINSTRUCTIONS,
            gates=True,
            absolute=f"more than the {bare / 1e6:,.0f} M of bare, with {len(modules)} modules",
        ),
        *(
            Figure(
                measure="imports, million instructions", subject=name, value=value, unit="M", absolute=what
            )
            for name, value, what in (
                ("put off", put_off, "of these: what bare does and a service does not"),
                ("libraries", libraries, "of these: pydantic-settings and structlog"),
                ("own", chassis - put_off - libraries, "of these: the modules of the chassis"),
            )
        ),
        *(
            Figure(
                measure="start to first answer, instructions",
                subject=subject,
                value=started[subject] / started["bare"],
                unit="x bare",
                absolute=f"{started[subject] / 1e6:,.0f} M",
            )
            for subject in ("bare", "chassis")
        ),
        Figure(
            measure="imports, not needed",
            subject="chassis",
            value=len(found),
            unit="packages",
            budget=budgets.IMPORT_UNWANTED,
            gates=True,
            absolute=", ".join(found),
        ),
    ]


def _started() -> dict[str, int]:
    """Count the instructions of a process that is a server, from its start to its first answer."""
    with tempfile.TemporaryDirectory() as name:
        service = render(Path(name))
        _start("chassis", service)  # for the bytecode of the rendered service, as above
        found = {}
        for subject in ("bare", "chassis"):
            port = free_port()
            module, arguments, folder, environment = program(subject, service, port)
            source = _ANSWERED.format(port=port, arguments=arguments, module=module)
            found[subject] = cachegrind.count(["-c", source], environment, folder)
        return found


def import_time() -> Figure:
    """Measure the time of the imports."""
    rounds = [{each: _ask(each)["ms"] for each in (BARE, CHASSIS)} for _ in range(ROUNDS)]
    found = spread([one[CHASSIS] - one[BARE] for one in rounds])
    return Figure(
        measure="imports, time",
        subject="chassis",
        value=found.middle,
        unit="ms",
        low=found.low,
        high=found.high,
        budget=budgets.IMPORT_MS,
        absolute=f"more than the {spread([one[BARE] for one in rounds]).middle:.0f} ms of bare",
    )


def served() -> list[Figure]:
    """Measure from the start of a process to its first answer, and what it keeps in memory then."""
    with tempfile.TemporaryDirectory() as name:
        service = render(Path(name))
        # First, for the bytecode of the rendered service, as above.
        _start("chassis", service)
        rounds = [
            {subject: _start(subject, service) for subject in ("bare", "chassis")} for _ in range(STARTS)
        ]
    bare = spread([one["bare"][1] for one in rounds]).middle
    more = spread([one["chassis"][1] - one["bare"][1] for one in rounds])
    return [
        Figure(
            measure="memory over bare",
            subject="chassis",
            value=more.middle,
            unit="MiB",
            low=more.low,
            high=more.high,
            budget=budgets.MEMORY_MIB,
            absolute=f"bare {bare:.1f} MiB",
        ),
        *(
            Figure(
                measure="cold start to first answer",
                subject=subject,
                value=(found := spread([one[subject][0] for one in rounds])).middle,
                unit="ms",
                low=found.low,
                high=found.high,
            )
            for subject in ("bare", "chassis")
        ),
    ]


def _start(subject: str, service: Path) -> tuple[float, float]:
    """Return the milliseconds to the first answer, and the MiB of resident memory after it."""
    with serving(subject, service) as server:
        return server.seconds_to_start * 1e3, _resident(server)


def _resident(server: Server) -> float:
    pages = int(Path(f"/proc/{server.process.pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def _environment() -> dict[str, str]:
    return {**peers.environment("chassis"), "PYTHONPATH": str(Path(__file__).parent)}


def _ask(imports: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-c", _IMPORTS.format(imports=imports)],
        check=True,
        capture_output=True,
        text=True,
        env=_environment(),
    )
    return json.loads(done.stdout)


if __name__ == "__main__":
    sys.exit(main())
