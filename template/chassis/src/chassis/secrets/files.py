"""One file a variable, in one directory: how Docker and Kubernetes hand secrets to a process."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from typing_extensions import override

from chassis.secrets.source import SecretSourceError

__all__ = ["SecretFiles"]

LARGEST_BYTES = 1 << 20


class SecretFiles(NamedTuple):
    """The files of a directory, by their name. A file is read when it is asked for: strangers stay closed.

    Hidden entries and directories are left out: Kubernetes keeps its versions of a volume in such.
    """

    directory: Path

    def fetch(self) -> Mapping[str, str]:
        """List the directory; one that does not exist holds nothing."""
        try:
            entries = [entry for entry in self.directory.iterdir() if not entry.name.startswith(".")]
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except OSError as error:
            raise SecretSourceError(f"{self.directory} cannot be read: {error.strerror}") from error
        return _Files({entry.name: entry for entry in entries if entry.is_file()})


class _Files(Mapping[str, str]):
    def __init__(self, files: Mapping[str, Path]) -> None:
        self._files = files

    @override
    def __getitem__(self, name: str) -> str:
        file = self._files[name]
        try:
            if file.stat().st_size > LARGEST_BYTES:
                raise SecretSourceError(f"{file} is larger than {LARGEST_BYTES} bytes")
            return file.read_text(encoding="utf-8-sig").strip()
        except OSError as error:
            raise SecretSourceError(f"{file} cannot be read: {error.strerror}") from error
        except UnicodeDecodeError:
            # Without its cause, which holds the bytes.
            problem = f"{file} must be UTF-8 text"
        raise SecretSourceError(problem)

    @override
    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    @override
    def __len__(self) -> int:
        return len(self._files)
