"""What ``doctor`` finds: a fact in words, and what to do about it."""

from dataclasses import asdict, dataclass
from enum import StrEnum

__all__ = ["Finding", "Level", "ok", "problem", "warning"]


class Level(StrEnum):
    """How bad it is. A problem keeps the service from working here; a warning may."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    check: str
    level: Level
    message: str
    advice: str = ""

    def as_dict(self) -> dict[str, str]:
        """Return it for JSON."""
        return asdict(self)

    def as_text(self) -> str:
        """Return it as a line, with the advice on a line of its own."""
        line = f"{self.level:<8} {self.check:<9} {self.message}"
        return f"{line}\n{'':18} -> {self.advice}" if self.advice else line


def ok(check: str, message: str) -> Finding:
    """Say that all is well."""
    return Finding(check, Level.OK, message)


def warning(check: str, message: str, advice: str) -> Finding:
    """Say that something may be meant so, or not."""
    return Finding(check, Level.WARNING, message, advice)


def problem(check: str, message: str, advice: str) -> Finding:
    """Say that the service does not work here."""
    return Finding(check, Level.PROBLEM, message, advice)
