"""The built-in checks: memory and disk. Neither is critical, they degrade the service."""

import shutil
from pathlib import Path
from typing import NamedTuple

from chassis.health.check import Degraded, HealthCheck
from chassis.health.settings import HealthSettings

__all__ = ["Disk", "Memory", "System", "container_memory"]

_MIB = 1024 * 1024


class Memory(NamedTuple):
    """Memory in use, without what the kernel would give back, and the limit."""

    used_bytes: int
    limit_bytes: int
    source: str
    """``container`` for the limit of a cgroup, ``machine`` for physical memory."""

    @property
    def used_percent(self) -> float:
        """Share of the limit that is in use."""
        return 100 * self.used_bytes / self.limit_bytes


class Disk(NamedTuple):
    """Space on the file system of a path."""

    path: str
    free_bytes: int
    total_bytes: int


class System:
    """Measures memory and disk, and remembers the last measurement for the detailed report."""

    def __init__(
        self,
        settings: HealthSettings,
        *,
        cgroups: Path = Path("/sys/fs/cgroup"),
        own_cgroup: Path = Path("/proc/self/cgroup"),
    ) -> None:
        self._settings = settings
        self._cgroups = cgroups
        self._own_cgroup = own_cgroup
        self.memory: Memory | None = None
        self.disk: Disk | None = None

    def checks(self) -> list[HealthCheck]:
        """Return the checks that the settings ask for."""
        checks = []
        if self._settings.memory_max_percent > 0:
            checks.append(HealthCheck("memory", self.check_memory, critical=False))
        if self._settings.disk_min_free_mib > 0:
            checks.append(HealthCheck("disk", self.check_disk, critical=False))
        return checks

    def check_memory(self) -> str:
        """Raise ``Degraded`` if more of the limit is used than the settings allow."""
        self.memory = memory = container_memory(self._cgroups, self._own_cgroup) or machine_memory()
        text = (
            f"{memory.used_bytes // _MIB} of {memory.limit_bytes // _MIB} MiB used "
            f"({memory.used_percent:.0f} %, {memory.source})"
        )
        if memory.used_percent > self._settings.memory_max_percent:
            raise Degraded(f"{text}: above HEALTH_MEMORY_MAX_PERCENT={self._settings.memory_max_percent:g}")
        return text

    def check_disk(self) -> str:
        """Raise ``Degraded`` if less space is free than the settings ask for."""
        path = self._settings.disk_path.absolute()
        usage = shutil.disk_usage(path)
        self.disk = Disk(str(path), usage.free, usage.total)
        text = f"{usage.free // _MIB} of {usage.total // _MIB} MiB free"
        if usage.free < self._settings.disk_min_free_mib * _MIB:
            raise Degraded(f"{text}: below HEALTH_DISK_MIN_FREE_MIB={self._settings.disk_min_free_mib}")
        return text


def machine_memory() -> Memory:
    """Return the machine's physical memory and what of it is in use."""
    import psutil

    memory = psutil.virtual_memory()
    return Memory(memory.total - memory.available, memory.total, "machine")


def container_memory(cgroups: Path, own_cgroup: Path) -> Memory | None:
    """Return the memory of the innermost cgroup (version 2) that has a limit, or None.

    In use is what the kubelet counts, the working set: ``memory.current`` without inactive file pages.
    Source: https://docs.kernel.org/admin-guide/cgroup-v2.html#memory-interface-files
    """
    try:
        lines = own_cgroup.read_text().splitlines()
    except OSError:
        return None
    own = next((line.removeprefix("0::") for line in lines if line.startswith("0::")), None)
    if own is None or ".." in own:
        return None
    group = cgroups / own.strip("/")
    for directory in (group, *group.parents):
        if not directory.is_relative_to(cgroups):
            break
        try:
            limit = (directory / "memory.max").read_text().strip()
            if limit == "max":
                continue
            current = int((directory / "memory.current").read_text())
            statistics = (directory / "memory.stat").read_text().splitlines()
        except OSError:
            continue
        inactive = next((int(line.split()[1]) for line in statistics if line.startswith("inactive_file ")), 0)
        return Memory(max(0, current - inactive), max(1, int(limit)), "container")
    return None
