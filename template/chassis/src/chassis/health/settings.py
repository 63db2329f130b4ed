"""What can be said about the health checks of a service."""

from pathlib import Path

from pydantic import Field

from chassis.settings import Group

__all__ = ["HealthSettings"]


class HealthSettings(Group, prefix="HEALTH_"):
    """Limits of the health checks."""

    timeout: float = Field(
        2.0, gt=0, le=60, description="Seconds a check may take, unless it sets its own limit."
    )
    cache: float = Field(
        1.0,
        ge=0,
        le=60,
        description="Seconds a result is used again, unless the check sets its own; 0: never.",
    )
    memory_max_percent: float = Field(
        95.0,
        ge=0,
        le=100,
        description="Degraded when more of the container's memory limit is used (without one: of the "
        "machine's memory), in percent; 0: not checked.",
    )
    disk_min_free_mib: int = Field(
        100, ge=0, description="Degraded below this free disk space, in MiB; 0: not checked."
    )
    disk_path: Path = Field(Path(), description="A path on the file system whose free space is checked.")
