"""The settings of logging. A broken one is told in a warning and never stops a service."""

import logging
from collections.abc import Mapping
from typing import NamedTuple

from pydantic import Field

from chassis.settings import Group

LEVELS: Mapping[str, int] = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "warn": logging.WARNING,
    "error": logging.ERROR,
    "critical": logging.CRITICAL,
    "fatal": logging.CRITICAL,
}
FORMATS = ("json", "console", "rich")

_DEVELOPMENT = "development"
_INTERVAL = 0.2
_LONGEST_INTERVAL = 60.0
_LINES = 10_000
_MOST_LINES = 1_000_000
_TRUE = frozenset({"1", "true", "t", "yes", "y", "on"})
_FALSE = frozenset({"0", "false", "f", "no", "n", "off"})


class LoggingSettings(Group, prefix="LOG_"):
    """How the process logs. Any text is accepted: ``configure_logging`` checks it, warns and falls back."""

    level: str = Field(
        "info", description="Least important level that is logged: debug, info, warning, error or critical."
    )
    levels: str = Field(
        "",
        description="Levels of single loggers, comma separated: sqlalchemy.engine=INFO,chassis.access=ERROR.",
    )
    format: str | None = Field(
        None,
        description="json, console or rich. Unset: json in production and staging, console in development.",
    )
    caller: bool | str | None = Field(
        None, description="Add the file, line and function that logged. Unset: on in development."
    )
    mask_ips: bool | str = Field(False, description="Mask IPv4 and IPv6 addresses too.")
    sensitive_keys: str = Field(
        "", description="Names of fields to mask besides the built-in ones, comma separated, in any spelling."
    )
    flush_interval: float | str | None = Field(
        None,
        description="Seconds that a line waits at most before it is written; 0 writes each at once."
        " Unset: 0 in development and for console and rich, else 0.2.",
    )
    buffer_lines: int | str = Field(
        10_000, description="Lines that wait at most to be written. Further ones are dropped and counted."
    )


class Problem(NamedTuple):
    """A setting that could not be used: its variable, what is wrong, what is used instead."""

    variable: str
    problem: str
    used: str


class Choices:
    """The settings of logging after the check."""

    # No dataclass here and where few lines replace one: to define it takes 0.4 ms of every start.
    def __init__(self, sensitive_keys: tuple[str, ...]) -> None:
        self.level = logging.INFO
        self.levels: dict[str, int] = {}
        self.format = "json"
        self.caller = False
        self.mask_ips = False
        self.sensitive_keys = sensitive_keys
        self.flush_interval = 0.0
        self.buffer_lines = _LINES
        self.problems: list[Problem] = []


def choose(settings: LoggingSettings, environment: str) -> Choices:
    """Check the settings and return what to use, with a problem for each value that makes no sense."""
    choices = Choices(_list(settings.sensitive_keys))
    development = environment == _DEVELOPMENT
    _choose_levels(settings, choices)
    default_format = "console" if development else "json"
    choices.format = (settings.format or default_format).strip().lower()
    if choices.format not in FORMATS:
        choices.problems.append(
            Problem("LOG_FORMAT", f"{settings.format!r} is none of {', '.join(FORMATS)}", "json")
        )
        choices.format = "json"
    choices.caller = _flag("LOG_CALLER", settings.caller, choices, default=development, broken=development)
    choices.mask_ips = _flag("LOG_MASK_IPS", settings.mask_ips, choices, default=False, broken=True)
    interval = 0.0 if development or choices.format != "json" else _INTERVAL
    if settings.flush_interval is not None:
        choices.flush_interval = _number(
            "LOG_FLUSH_INTERVAL", settings.flush_interval, choices, most=_LONGEST_INTERVAL, broken=interval
        )
    else:
        choices.flush_interval = interval
    choices.buffer_lines = max(
        1, int(_number("LOG_BUFFER_LINES", settings.buffer_lines, choices, most=_MOST_LINES, broken=_LINES))
    )
    return choices


def level_number(level: str | int) -> int:
    """Return the number of a level. Raises ValueError for a name that is no level."""
    if isinstance(level, int):
        return level
    try:
        return LEVELS[level.strip().lower()]
    except KeyError:
        raise ValueError(f"{level!r} is none of debug, info, warning, error, critical") from None


def _choose_levels(settings: LoggingSettings, choices: Choices) -> None:
    try:
        choices.level = level_number(settings.level)
    except ValueError as error:
        choices.problems.append(Problem("LOG_LEVEL", str(error), "info"))
    wrong = []
    for entry in _list(settings.levels):
        name, _, level = entry.partition("=")
        try:
            choices.levels[name.strip()] = level_number(level)
        except ValueError:
            wrong.append(entry)
    if wrong:
        problem = f"{', '.join(wrong)!r} is not of the form logger=LEVEL"
        choices.problems.append(Problem("LOG_LEVELS", problem, "the level of the loggers around"))


def _flag(variable: str, value: bool | str | None, choices: Choices, *, default: bool, broken: bool) -> bool:
    if isinstance(value, bool):
        return value
    text = (value or "").strip().lower()
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    if text:
        choices.problems.append(
            Problem(variable, f"{value!r} is neither true nor false", str(broken).lower())
        )
        return broken
    return default


def _number(variable: str, value: float | str, choices: Choices, *, most: float, broken: float) -> float:
    try:
        number = float(value)
    except ValueError:
        number = -1.0
    if 0 <= number <= most:
        return number
    problem = f"{value!r} is no number from 0 to {most:g}"
    choices.problems.append(Problem(variable, problem, f"{broken:g}"))
    return broken


def _list(text: str) -> tuple[str, ...]:
    return tuple(entry.strip() for entry in text.split(",") if entry.strip())
