"""Someone who edits a rendered service: where the files are and how one is changed."""

import random
import shutil
from collections.abc import Callable
from pathlib import Path

WORDS = ["billing", "ledger", "parcels", "quotes", "refunds", "shipping", "tariffs", "vouchers"]


class Owner:
    """Someone who edits the service in a folder."""

    def __init__(self, service: Path, seed: int) -> None:
        self.service = service
        self.random = random.Random(seed)
        self.package = next(folder for folder in (service / "src").iterdir() if (folder / "app.py").exists())

    def path(self, name: str) -> Path:
        """Give the place of a file; ``package/`` stands for the service's package."""
        return (
            self.package / name.removeprefix("package/")
            if name.startswith("package/")
            else self.service / name
        )

    def change(self, name: str, change: Callable[[str], str]) -> bool:
        """Change a file; say whether it is there and is another one now."""
        file = self.path(name)
        if not file.is_file():
            return False
        before = file.read_text(encoding="utf-8")
        after = change(before)
        file.write_text(after, encoding="utf-8")
        return after != before

    def write(self, name: str, content: str) -> bool:
        """Write a new file."""
        file = self.path(name)
        if file.exists():
            return False
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content, encoding="utf-8")
        return True

    def delete(self, name: str) -> bool:
        """Delete a file or a folder."""
        place = self.path(name)
        if place.is_dir():
            shutil.rmtree(place)
            return True
        if place.exists():
            place.unlink()
            return True
        return False

    def python_files(self) -> list[Path]:
        """Give the owner's Python files."""
        folders = [self.package, self.service / "tests"]
        return sorted(
            file for folder in folders for file in folder.rglob("*.py") if file.name != "test_conformance.py"
        )

    def note(self) -> str:
        """Give a line that no other edit writes."""
        return f"{self.random.choice(WORDS)} {self.random.randrange(10**9)}"
