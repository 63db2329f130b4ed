"""What the tests' own container engine leaves when its run is killed, and who removes it."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

pytestmark = [pytest.mark.ops, pytest.mark.timeout(300)]

RUN = """\
import importlib.util, signal, sys
from pathlib import Path
spec = importlib.util.spec_from_file_location("engine", sys.argv[1])
engine = importlib.util.module_from_spec(spec)
spec.loader.exec_module(engine)
started = engine.Engine(lambda name: {tools}[name], Path(sys.argv[2]), Path(sys.argv[3]))
reason = started.start()
started.run("network", "create", "left") if not reason else None
print(reason or started.run("network", "inspect", "--format={{{{.Id}}}}", "left").stdout.strip(), flush=True)
signal.pause()
"""


def links() -> set[str]:
    """The network interfaces of this machine."""
    return {link.name for link in Path("/sys/class/net").iterdir()}


def test_a_killed_run_leaves_nothing_after_the_sweep(
    engine: Any, tool: Callable[[str], str], tmp_path: Path
) -> None:
    module: ModuleType = sys.modules[type(engine).__module__]
    folder, notes = tmp_path / "engine", tmp_path / "notes"
    folder.mkdir()
    script = RUN.format(tools={name: tool(name) for name in ("docker", "dockerd")})
    arguments = [sys.executable, "-c", script, str(module.__file__), str(folder), str(notes)]
    before = links()
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, start_new_session=True) as run:
        assert run.stdout is not None
        bridge = f"br-{run.stdout.readline()[:12]}"
        os.kill(run.pid, signal.SIGKILL)
    try:
        assert bridge in links(), "something is left"
        sockets = Path(f"/tmp/ops-engine-{run.pid}")
        assert module.processes_of(folder, sockets)
    finally:
        module.sweep_all(notes)
    assert links() - before == set()
    assert module.mounts(folder) == []
    assert module.processes_of(folder, sockets) == []
    assert list(notes.iterdir()) == []
    assert not sockets.exists()
    assert not (folder / "memory").exists()


def test_no_firewall_rule_is_made(engine: Any, check: Callable[..., str]) -> None:
    engine.run("network", "create", "ruled")
    try:
        rules = check("iptables-save")
        bridge = f"br-{engine.run('network', 'inspect', '--format={{.Id}}', 'ruled').stdout[:12]}"
        assert bridge not in rules
    finally:
        engine.run("network", "rm", "ruled")
