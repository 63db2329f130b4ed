"""Where uv is."""

import shutil
import sys
from pathlib import Path

__all__ = ["find_uv"]


def find_uv(service: Path) -> Path | None:
    """Return uv: from the PATH, beside this Python, or where the Makefile of a service puts it.

    The path is absolute: it is run in other folders than the one it was found from.
    """
    places = (None, Path(sys.executable).parent, service / ".uv" / "bin")
    found = next((found for place in places if (found := shutil.which("uv", path=place))), None)
    return Path(found).absolute() if found else None
