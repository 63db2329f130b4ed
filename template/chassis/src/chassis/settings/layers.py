"""The sources, each read into a layer: the leaves it sets, where exactly, and what is odd about it."""

from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Any, NamedTuple

from chassis.secrets import SecretFiles, SecretSource, SecretSourceError, remote_source
from chassis.settings.catalog import Catalog, Leaf, Path
from chassis.settings.disclosure import masked_urls
from chassis.settings.mistakes import Mistake
from chassis.settings.model import Group
from chassis.settings.yaml_file import read_yaml

if TYPE_CHECKING:
    from chassis.settings.dotenv_file import Line

__all__ = ["CONTROLS", "Findings", "Found", "Layer", "Sources"]

# Where to look is told by the environment, `.env` or, for the last ones, a secret file.
CONTROLS = frozenset({"CONFIG_DIR", "SECRETS_DIR", "REMOTE_SETTINGS", "REMOTE_SETTINGS_OPTIONAL"})
DEFAULT_CONFIG_DIR = "config"
DEFAULT_SECRETS_DIR = "/run/secrets"

# A name this short is one slip away from too many others: HOST and POST.
_SHORTEST_SUSPECT = 6


class Found(NamedTuple):
    """A value as its source wrote it; ``text`` tells that it is still to be decoded."""

    value: object
    source: str
    text: bool = False
    in_file: bool = False


Layer = dict[Path, Found]


class Findings:
    """What reading the sources brought to light."""

    def __init__(self) -> None:
        self.mistakes: list[Mistake] = []
        self.warnings: list[Mistake] = []
        self.empty: dict[Path, str] = {}


class Sources:
    """All sources of one load. Each method reads one of them; the order is ``load``'s."""

    def __init__(self, catalog: Catalog, environ: Mapping[str, str], directory: FilePath) -> None:
        self.findings = Findings()
        self._catalog = catalog
        self._environ = environ
        self._directory = directory
        self._dotenv = self._read_dotenv(directory / ".env")
        self._secret_files = self._read_secret_files()

    def control(self, name: str) -> str:
        """Return a variable that says where to look: from the environment, else ``.env``, else empty."""
        line = self._dotenv.get(name)
        return self._environ.get(name) or (line.value if line else "")

    def arguments(self, init: Mapping[str, object]) -> Layer:
        """Read the init arguments: values, and groups as instances or as mappings."""
        layer: Layer = {}
        self._flatten(init, (), layer)
        return layer

    def environment(self) -> Layer:
        """Read the environment."""
        self._suspect(self._environ, lambda name: f"environment {name}")
        return self._named(self._environ, lambda name: f"environment {name}")

    def dotenv(self) -> Layer:
        """Read ``.env``."""

        def describe(name: str) -> str:
            return f".env line {self._dotenv[name].number}"

        self._suspect(self._dotenv, describe)
        return self._named({name: line.value for name, line in self._dotenv.items()}, describe)

    def secret_files(self) -> Layer:
        """Read the directory of secret files."""
        return self._named(self._secret_files, lambda name: f"secret file {self._secrets_directory() / name}")

    def remote(self) -> Layer:
        """Ask the remote source, if one is named."""
        url = self.control("REMOTE_SETTINGS") or self._secret("REMOTE_SETTINGS")
        if not url:
            return {}
        label = f"remote {masked_urls(url)}"
        try:
            source: SecretSource = remote_source(url, self._credential)
            return self._named(source.fetch(), lambda name: f"{label} {name}", _variable_name)
        except SecretSourceError as error:
            if self.control("REMOTE_SETTINGS_OPTIONAL").lower() in {"1", "true", "yes", "on"}:
                self.findings.warnings.append(Mistake("REMOTE_SETTINGS", f"was left out: {error}", label))
            else:
                self.findings.mistakes.append(
                    Mistake(
                        "REMOTE_SETTINGS",
                        f"cannot be asked: {error}; REMOTE_SETTINGS_OPTIONAL=true starts without it",
                        label,
                    )
                )
            return {}

    def yaml(self, name: str) -> Layer:
        """Read one file of the configuration directory; a file that is not there sets nothing."""
        file = self._config_directory() / name
        if not file.is_file():
            return {}
        label = str(file.relative_to(self._directory) if file.is_relative_to(self._directory) else file)
        read = read_yaml(file, self._catalog, label)
        self.findings.mistakes.extend(read.mistakes)
        return {
            path: Found(found.value, f"{label} line {found.line}", in_file=True)
            for path, found in read.values.items()
        }

    def check_directories(self) -> None:
        """Complain about a directory that was named and does not exist."""
        for name in ("CONFIG_DIR", "SECRETS_DIR"):
            if self.control(name) and not (self._directory / self.control(name)).is_dir():
                self.findings.mistakes.append(Mistake(name, "must name a directory that exists"))

    def _config_directory(self) -> FilePath:
        return self._directory / (self.control("CONFIG_DIR") or DEFAULT_CONFIG_DIR)

    def _secrets_directory(self) -> FilePath:
        return self._directory / (self.control("SECRETS_DIR") or DEFAULT_SECRETS_DIR)

    def _read_dotenv(self, file: FilePath) -> Mapping[str, "Line"]:
        if not file.exists():
            return {}
        from chassis.settings.dotenv_file import read_dotenv

        try:
            read = read_dotenv(file, self._environ)
        except OSError as error:
            self.findings.mistakes.append(Mistake(".env", f"cannot be read: {error.strerror}"))
            return {}
        except UnicodeDecodeError:
            self.findings.mistakes.append(Mistake(".env", "must be UTF-8 text"))
            return {}
        self.findings.mistakes.extend(
            Mistake(".env", "must hold NAME=value on each line", f".env line {line}") for line in read.broken
        )
        return read.variables

    def _read_secret_files(self) -> Mapping[str, str]:
        try:
            return SecretFiles(self._secrets_directory()).fetch()
        except SecretSourceError as error:
            # A system may keep a directory of that name to itself; whoever names one means it.
            named = bool(self.control("SECRETS_DIR"))
            (self.findings.mistakes if named else self.findings.warnings).append(
                Mistake("SECRETS_DIR", str(error))
            )
            return {}

    def _credential(self, name: str) -> str:
        # A variable filled from a file often ends with its line break, which no header may hold.
        return self.control(name).strip() or self._secret(name)

    def _secret(self, name: str) -> str:
        actual = next((file for file in self._secret_files if file.upper() == name), None)
        if actual is None:
            return ""
        return self._text(self._secret_files, actual, lambda name: f"secret file {name}")

    def _named(
        self,
        entries: Mapping[str, str],
        describe: Callable[[str], str],
        normalize: Callable[[str], str] = lambda name: name,
    ) -> Layer:
        """Match the entries with the leaves, by either name and in any case. Only what matches is read."""
        actual: dict[str, str] = {}
        for entry in sorted(entries):
            name = normalize(entry)
            if name.upper() not in actual or name == name.upper():
                actual[name.upper()] = entry
        layer: Layer = {}
        for leaf in self._catalog.leaves:
            texts = {}
            for name in dict.fromkeys((leaf.variable, leaf.nested)):
                if name in actual:
                    texts[actual[name]] = self._text(entries, actual[name], describe)
            given = {entry: text for entry, text in texts.items() if text}
            if given:
                first = next(iter(given))
                layer[leaf.path] = Found(given[first], describe(first), text=True)
                self._warn_of_second_name(leaf, given, describe)
            elif texts:
                self.findings.empty.setdefault(leaf.path, describe(next(iter(texts))))
        return layer

    def _text(self, entries: Mapping[str, str], name: str, describe: Callable[[str], str]) -> str:
        try:
            return entries[name]
        except SecretSourceError as error:
            self.findings.mistakes.append(Mistake(name, str(error), describe(name)))
            return ""

    def _warn_of_second_name(
        self, leaf: Leaf, given: Mapping[str, str], describe: Callable[[str], str]
    ) -> None:
        if len(set(given.values())) > 1:
            _, second = given
            problem = f"is ignored, because {leaf.variable} is set as well"
            self.findings.warnings.append(Mistake(leaf.nested, problem, describe(second)))

    def _suspect(self, entries: Mapping[str, object], describe: Callable[[str], str]) -> None:
        """Warn of names that are one slip away from a variable: a letter more, less, wrong or swapped."""
        for entry in entries:
            name = entry.upper()
            if len(name) < _SHORTEST_SUSPECT or name in self._known:
                continue
            meant = next(
                (self._known_by_slip[slip] for slip in _slips(name) if slip in self._known_by_slip), None
            )
            if meant is not None:
                self.findings.warnings.append(
                    Mistake(entry, f"is no variable of this service; did you mean {meant}?", describe(entry))
                )

    @cached_property
    def _known(self) -> frozenset[str]:
        return CONTROLS.union(self._catalog.by_name)

    @cached_property
    def _known_by_slip(self) -> dict[str, str]:
        names = [name for name in self._known if len(name) >= _SHORTEST_SUSPECT]
        # A later name replaces an earlier one: the canonical names last, since they are the ones to suggest.
        canonical = {leaf.variable for leaf in self._catalog.leaves}
        names.sort(key=lambda name: (name in canonical, name))
        return {slip: name for name in names for slip in _slips(name)}

    def _flatten(self, values: Mapping[str, object], path: Path, layer: Layer) -> None:
        for name, value in values.items():
            here = (*path, name)
            if here in self._catalog.by_path:
                layer[here] = Found(value, "init argument")
            elif here not in self._catalog.group_paths:
                self.findings.mistakes.append(Mistake(".".join(here), "is no setting", "init argument"))
            elif isinstance(value, Group):
                self._flatten({set_: getattr(value, set_) for set_ in value.model_fields_set}, here, layer)
            elif isinstance(value, Mapping):
                self._flatten(_named_by_text(value), here, layer)
            else:
                self.findings.mistakes.append(
                    Mistake(".".join(here), "must be a group of settings", "init argument")
                )


def _variable_name(key: str) -> str:
    """Return the variable that a remote key stands for: a path, or dashes where underscores are forbidden."""
    return key.replace("-", "_").replace("/", "__")


def _named_by_text(values: Mapping[Any, object]) -> dict[str, object]:
    return {str(name): value for name, value in values.items()}


def _slips(name: str) -> list[str]:
    """Return the name and all that is left of it without one letter: two names one slip apart share one."""
    return [name, *(name[:index] + name[index + 1 :] for index in range(len(name)))]
