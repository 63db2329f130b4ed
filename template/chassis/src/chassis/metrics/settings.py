"""Settings of the metrics."""

from itertools import pairwise
from pathlib import Path
from typing import Annotated

from pydantic import Field, field_validator

from chassis.settings import Group, Variable

# 5 ms to 10 s, close enough that a p99 interpolated inside a bucket is useful around the usual objectives.
DEFAULT_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class MetricsSettings(Group, prefix="METRICS_"):
    """What is measured, and where workers exchange their values."""

    enabled: bool = Field(default=True, description="Serve /metrics.")
    buckets: tuple[float, ...] = Field(
        default=DEFAULT_BUCKETS,
        min_length=1,
        max_length=50,
        description="Upper bounds of the request duration buckets, in seconds, increasing.",
    )
    max_routes: int = Field(
        default=1000,
        ge=1,
        description="Route templates that get series of their own. Further ones share the route `_OVERFLOW`.",
    )
    loop_interval: float = Field(
        default=1.0, gt=0, le=60, description="Seconds between two samples of the event loop's lag."
    )
    disk_path: Path = Field(
        default=Path("/"), description="Path whose file system's total and free space is exported."
    )
    directory: Annotated[Path | None, Variable("METRICS_DIR")] = Field(
        default=None,
        description=(
            "Directory where the workers of one service exchange their values; empty at each start. "
            "Not needed for a single process, nor for workers started by this command or by uvicorn."
        ),
    )

    @field_validator("buckets")
    @classmethod
    def _increasing(cls, buckets: tuple[float, ...]) -> tuple[float, ...]:
        if buckets[0] <= 0 or any(low >= high for low, high in pairwise(buckets)):
            raise ValueError("must be above 0 and increase, such as 0.1,0.5,1")
        return buckets
