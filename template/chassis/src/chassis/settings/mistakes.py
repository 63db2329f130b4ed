"""What is wrong with the settings, in words that name the variable to set."""

from collections.abc import Iterable
from typing import NamedTuple

from typing_extensions import override

__all__ = ["Mistake", "SettingsError"]


class Mistake(NamedTuple):
    """One thing to correct: the variable to set, what is wrong with it, and the source that said so.

    ``problem`` continues the sentence that the variable's name begins ("must be false in production").
    It never holds the value of a secret. ``load`` fills ``source`` in where a feature leaves it out.
    """

    variable: str
    problem: str
    source: str | None = None

    @override
    def __str__(self) -> str:
        return f"{self.variable} {self.problem}" + (f" ({self.source})" if self.source else "")


class SettingsError(Exception):
    """The settings cannot be used. ``mistakes`` is what to correct, ``warnings`` what else looked odd."""

    def __init__(self, mistakes: Iterable[Mistake], warnings: Iterable[Mistake] = ()) -> None:
        self.mistakes = tuple(mistakes)
        self.warnings = tuple(warnings)
        count = len(self.mistakes)
        heading = "1 setting is wrong:" if count == 1 else f"{count} settings are wrong:"
        lines = [heading, *(f"  {mistake}" for mistake in self.mistakes)]
        if self.warnings:
            lines += ["and this looks odd:", *(f"  {warning}" for warning in self.warnings)]
        super().__init__("\n".join(lines))
