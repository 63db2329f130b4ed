"""Reading the settings of a service: ``python tests/bench/loading.py``."""

import sys
import tempfile
from pathlib import Path

import budgets
from chassis.service_settings import ServiceSettings
from chassis.settings import load
from figures import Figure
from timing import microseconds

_ENVIRONMENT = {"LOG_LEVEL": "INFO", "PORT": "8080", "RATE_LIMIT_REQUESTS": "1000", "DRAIN_DELAY": "2"}
_FILE = "service:\n  name: bench\nserver:\n  port: 8000\nlogging:\n  format: json\n"


def main() -> int:
    """Measure and print."""
    for figure in measure():
        print(figure.line())
    return 0


def measure() -> list[Figure]:
    """Measure with an environment, a ``.env`` and two files."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "config").mkdir()
        (folder / ".env").write_text("OTEL_ENABLED=false\n", encoding="utf-8")
        for file in ("defaults.yaml", "service.yaml"):
            (folder / "config" / file).write_text(_FILE, encoding="utf-8")
        found = microseconds(lambda: load(ServiceSettings, environ=_ENVIRONMENT, directory=folder))
    return [
        Figure(
            measure="settings, all sources",
            subject="chassis",
            value=found.middle / 1e3,
            unit="ms",
            low=found.low / 1e3,
            high=found.high / 1e3,
            budget=budgets.SETTINGS_MS,
        )
    ]


if __name__ == "__main__":
    sys.exit(main())
