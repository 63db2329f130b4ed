"""Process, garbage collector and disk metrics, read when they are scraped."""

import gc
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from chassis.metrics.families import Aggregation, Family, series

if TYPE_CHECKING:
    import psutil

# Of several workers: the sum, because limits and alerts are about the whole service. Pages that workers
# share are counted once for each. The start is that of the oldest worker.
_PROCESS: tuple[tuple[str, str, Aggregation, str], ...] = (
    ("process_cpu_seconds", "counter", "sum", "CPU seconds spent, user and system."),
    (
        "process_resident_memory_bytes",
        "gauge",
        "sum",
        "Resident memory in bytes; shared pages count for each worker.",
    ),
    ("process_virtual_memory_bytes", "gauge", "sum", "Virtual memory in bytes."),
    ("process_open_fds", "gauge", "sum", "Open file descriptors."),
    ("process_max_fds", "gauge", "sum", "Limit of open file descriptors."),
    ("process_threads", "gauge", "sum", "Threads."),
    ("process_start_time_seconds", "gauge", "min", "Start of the process, in seconds since the epoch."),
)
_COLLECTIONS = "python_gc_collections"
_DISK = (
    ("service_disk_total_bytes", "Size of the file system in bytes."),
    ("service_disk_free_bytes", "Bytes free for this process on the file system."),
)


class ProcessMetrics:
    """What the operating system knows about this process and its disk."""

    def __init__(self, disk_path: Path) -> None:
        self._disk_path = disk_path
        self._process: psutil.Process | None = None

    def families(self) -> list[Family]:
        """Return what is true now; what cannot be read on this system is left out."""
        values = self._values()
        families = [
            Family(
                name=name,
                type=kind,
                help=text,
                aggregation=aggregation,
                samples={f"{name}_total" if kind == "counter" else name: values[name]},
            )
            for name, kind, aggregation, text in _PROCESS
            if name in values
        ]
        families.append(_collections())
        families.extend(self._disk())
        return families

    def _values(self) -> dict[str, float]:
        import psutil

        process = self._process
        if process is None or process.pid != os.getpid():
            process = self._process = psutil.Process()
        try:
            with process.oneshot():
                cpu, memory = process.cpu_times(), process.memory_info()
                values = {
                    "process_cpu_seconds": cpu.user + cpu.system,
                    "process_resident_memory_bytes": memory.rss,
                    "process_virtual_memory_bytes": memory.vms,
                    "process_open_fds": process.num_fds(),
                    "process_threads": process.num_threads(),
                    "process_start_time_seconds": process.create_time(),
                }
        except psutil.Error:
            return {}
        if sys.platform == "linux":
            values["process_max_fds"] = process.rlimit(psutil.RLIMIT_NOFILE)[0]
        return values

    def _disk(self) -> list[Family]:
        try:
            usage = shutil.disk_usage(self._disk_path)
        except OSError:
            return []
        labels = {"path": str(self._disk_path)}
        return [
            Family(
                name=name, type="gauge", help=text, aggregation="min", samples={series(name, labels): value}
            )
            for (name, text), value in zip(_DISK, (usage.total, usage.free), strict=True)
        ]


def reserved_names() -> list[str]:
    """Return the names of these families."""
    return [name for name, *_ in (*_PROCESS, *_DISK)] + [_COLLECTIONS]


def _collections() -> Family:
    return Family(
        name=_COLLECTIONS,
        type="counter",
        help="Garbage collections by generation.",
        samples={
            series(f"{_COLLECTIONS}_total", {"generation": str(generation)}): stats["collections"]
            for generation, stats in enumerate(gc.get_stats())
        },
    )
