"""An index of packages in a folder: names, versions and requirements, and nothing to install.

It holds what this environment has, so that uv can lock a service without a network.
"""

import re
import zipfile
from importlib.metadata import distributions
from pathlib import Path

__all__ = ["fill"]


def fill(folder: Path, **older: str) -> Path:
    """Write a wheel for every distribution that is installed here, and for other versions that are named."""
    folder.mkdir()
    for found in distributions():
        # Those for other systems and Pythons, and those of extras, may not be installed here.
        needed = [item for item in found.requires or [] if ";" not in item]
        _write(folder, found.metadata["Name"], found.version, needed)
    for name, version in older.items():
        _write(folder, name, version, [])
    return folder


def _write(folder: Path, name: str, version: str, needed: list[str]) -> None:
    stem = f"{re.sub(r'[-_.]+', '_', name).lower()}-{version}"
    metadata = [
        f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}",
        *map("Requires-Dist: {}".format, needed),
    ]
    with zipfile.ZipFile(folder / f"{stem}-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{stem}.dist-info/METADATA", "\n".join(metadata) + "\n")
        wheel.writestr(
            f"{stem}.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{stem}.dist-info/RECORD", "")
