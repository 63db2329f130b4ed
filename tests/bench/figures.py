"""Figures: what a measurement found, and the arithmetic of repeated measurements."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median, quantiles


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One number of the table.

    ``low`` and ``high`` are the quartiles of the rounds. ``absolute`` is what a ratio was made of, in words.
    ``gates`` marks a figure that repeats well enough to fail a build.
    """

    measure: str
    subject: str
    value: float
    unit: str
    low: float | None = None
    high: float | None = None
    budget: float | None = None
    gates: bool = False
    absolute: str = ""

    @property
    def within(self) -> bool | None:
        """Whether the budget is kept; None without one."""
        return None if self.budget is None else self.value <= self.budget

    def line(self) -> str:
        """Return the figure as one line of the table."""
        around = "" if self.low is None or self.high is None else f"{self.low:.3f} to {self.high:.3f}"
        budget = "" if self.budget is None else f"{'<=' if self.within else 'OVER'} {self.budget:g}"
        gate = " *" if self.gates else ""
        return (
            f"{self.measure:<32} {self.subject:<20} {self.value:>9.3f} {self.unit:<9} {around:<16} "
            f"{budget:<11}{gate:<2} {self.absolute}"
        ).rstrip()

    def as_record(self) -> dict[str, object]:
        """Return the figure as JSON has it."""
        record = {name: value for name, value in asdict(self).items() if value not in {None, ""}}
        return record if self.within is None else {**record, "within": self.within}


@dataclass(frozen=True, slots=True)
class Spread:
    """The middle of some numbers and the quartiles around it."""

    low: float
    middle: float
    high: float


def spread(values: Sequence[float]) -> Spread:
    """Return the median and the quartiles; of a single number, itself."""
    if len(values) < 2:
        return Spread(values[0], values[0], values[0])
    low, _, high = quantiles(values, n=4, method="inclusive")
    return Spread(low, median(values), high)


def ratios(rounds: Sequence[Mapping[str, float]], name: str, base: str = "bare") -> Spread:
    """Return how a subject compares with another, round by round, so that a slow minute harms both alike."""
    return spread([one[name] / one[base] for one in rounds])


def percentile(values: Sequence[float], part: float) -> float:
    """Return the smallest value that ``part`` (0 to 1) of all values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, min(len(ordered) - 1, -(-int(len(ordered) * part * 1000) // 1000) - 1))]
