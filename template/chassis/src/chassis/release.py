"""Which release of the chassis this is, and whether its files are still those of the release."""

from datetime import UTC, datetime
from functools import cache
from hashlib import sha256
from pathlib import Path

VERSION = "0.6.0"
RELEASED_AT = datetime(2026, 11, 28, 21, 32, 42, tzinfo=UTC)


@cache
def digest(directory: Path | None = None) -> str:
    """Return the SHA-256 (hex) of the installed package, or of another directory laid out like it.

    Equal for editable and wheel installs: it covers the sorted relative POSIX paths and the contents of all
    files, except ``__pycache__``, compiled files and names that begin with a dot. Each file adds its path in
    UTF-8, a zero byte and the SHA-256 (binary) of its contents. Reads every file once and keeps the answer;
    call it off the start path. Raises OSError when a file cannot be read.
    """
    root = Path(__file__).parent if directory is None else directory
    files = {
        path.relative_to(root).as_posix(): path
        for path in root.rglob("*")
        if path.is_file() and not left_out(path.relative_to(root))
    }
    total = sha256()
    for name in sorted(files):
        total.update(name.encode() + b"\0" + sha256(files[name].read_bytes()).digest())
    return total.hexdigest()


def left_out(path: Path) -> bool:
    """Tell whether the digest leaves a file out, by its path in the package: caches and hidden files."""
    return path.suffix == ".pyc" or any(part == "__pycache__" or part.startswith(".") for part in path.parts)
