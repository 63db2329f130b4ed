"""What owners do to a rendered service in years: a generator of edits, the same ones for the same seed.

Each edit leaves a service that works: its tests pass after it as before. An edit that does not apply, because
an earlier one took its place away, does nothing and says so.
"""

import ast
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

Edit = Callable[["Owner"], bool]

UV = Path(sys.executable).parent / "uv"
WORDS = ["billing", "ledger", "parcels", "quotes", "refunds", "shipping", "tariffs", "vouchers"]
REQUIREMENTS = ["aiofiles>=24", "boltons", "email-validator>=2,<3", "uvloop>=0.21", "zeep>=4", "wheel"]
DEV_REQUIREMENTS = ["pytest-mock>=3", "respx", "types-aiofiles", "mkdocs>=1.6", "aiosmtpd", "zest-releaser"]

ROUTER = '''"""The HTTP interface of {name}."""

from fastapi import APIRouter

router = APIRouter(prefix="/{name}", tags=["{name}"])


@router.get("")
async def list_{name}() -> list[str]:
    """Return the {name}."""
    return ["{name} {number}"]
'''

TEST = '''"""The {name} over HTTP."""

from httpx2 import AsyncClient


async def test_{name}_are_listed(client: AsyncClient) -> None:
    answer = await client.get("/{name}")
    assert answer.status_code == {status}
'''


class Owner:
    """Someone who edits the service in a folder."""

    def __init__(self, service: Path, seed: int) -> None:
        self.service = service
        self.random = random.Random(seed)
        self.package = next(folder for folder in (service / "src").iterdir() if (folder / "app.py").exists())

    def work(self, edits: int | None = None) -> list[str]:
        """Make that many edits, or some; returns what was done."""
        number = edits or self.random.randint(3, 12)
        chosen = [self.random.choice(EDITS) for _ in range(number)]
        return [edit.__name__ for edit in chosen if edit(self)]

    # --- How an edit changes a file ---

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


# --- Python ---


def comment_code(owner: Owner) -> bool:
    """Insert comment lines between the statements of a module."""
    file = owner.random.choice(owner.python_files())
    lines = file.read_text(encoding="utf-8").split("\n")
    starts = [statement_start(node) for node in ast.parse("\n".join(lines)).body[1:]]
    if not starts:
        return False
    for start in sorted(owner.random.sample(starts, min(2, len(starts))), reverse=True):
        lines.insert(start, f"# {owner.note()}")
    file.write_text("\n".join(lines), encoding="utf-8")
    return True


def write_function(owner: Owner) -> bool:
    """Append a function to a module of the package."""
    file = owner.random.choice([file for file in owner.python_files() if owner.package in file.parents])
    name = f"added_{owner.random.randrange(10**9)}"
    with file.open("a", encoding="utf-8") as opened:
        opened.write(f'\n\ndef {name}() -> str:\n    """Say {owner.note()}."""\n    return "{name}"\n')
    return True


def delete_test(owner: Owner) -> bool:
    """Delete one test function."""
    return rearrange(owner, "tests/test_items.py", lambda functions: functions.pop(len(functions) // 2))


def reorder_tests(owner: Owner) -> bool:
    """Bring the test functions into another order."""
    return rearrange(owner, "tests/test_items.py", owner.random.shuffle)


def rearrange(owner: Owner, name: str, change: Callable[[list[str]], object]) -> bool:
    """Change the list of functions at the end of a module."""
    file = owner.path(name)
    if not file.exists():
        return False
    text = file.read_text(encoding="utf-8")
    lines = text.split("\n")
    functions = [
        node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    if len(functions) < 2:
        return False
    starts = [statement_start(node) for node in functions]
    ends = [*starts[1:], len(lines)]
    parts = ["\n".join(lines[start:end]).strip("\n") for start, end in zip(starts, ends, strict=True)]
    head = "\n".join(lines[: starts[0]])
    change(parts)
    file.write_text(head + "\n" + "\n\n\n".join(parts) + "\n", encoding="utf-8")
    return file.read_text(encoding="utf-8") != text


def statement_start(node: ast.stmt) -> int:
    """Give the first line of a statement with its decorators, counted from 0."""
    decorators = getattr(node, "decorator_list", [])
    return min([node.lineno, *(decorator.lineno for decorator in decorators)]) - 1


def rename_module(owner: Owner) -> bool:
    """Rename a module of the example, and every import of it."""
    old, new = owner.random.choice(
        [("router", "routes"), ("schemas", "representations"), ("service", "use_cases")]
    )
    place = owner.path(f"package/items/{old}.py")
    if not place.exists():
        return False
    place.rename(place.with_name(f"{new}.py"))
    for file in owner.python_files():
        text = file.read_text(encoding="utf-8")
        renamed = re.sub(rf"(from \.){old}( import)", rf"\g<1>{new}\2", text)
        renamed = re.sub(rf"(from \.items import ){old}( as items)", rf"\g<1>{new}\2", renamed)
        file.write_text(renamed, encoding="utf-8")
    return True


def add_routes(owner: Owner) -> bool:
    """Add a resource with its router and its test."""
    name = owner.random.choice(WORDS)
    app = owner.path("package/app.py").read_text(encoding="utf-8")
    if owner.path(f"package/{name}").exists() or "routers=[" not in app:
        return False
    app = app.replace(
        "from .settings import", f"from .{name} import router as {name}\nfrom .settings import", 1
    )
    app = re.sub(r"routers=\[", f"routers=[{name}.router, ", app, count=1).replace(", ]", "]")
    owner.path("package/app.py").write_text(app, encoding="utf-8")
    owner.write(f"package/{name}/__init__.py", f'"""The {name}."""\n')
    owner.write(f"package/{name}/router.py", ROUTER.format(name=name, number=owner.random.randrange(10**6)))
    return owner.write(f"tests/test_{name}.py", TEST.format(name=name, status=200))


def add_test(owner: Owner) -> bool:
    """Add a test of what is not there."""
    name = f"missing_{owner.random.randrange(10**6)}"
    return owner.write(f"tests/test_{name}.py", TEST.format(name=name, status=404))


def delete_example(owner: Owner) -> bool:
    """Delete the example resource, as the README says."""
    if not owner.delete("package/items"):
        return False
    owner.delete("tests/test_items.py")
    owner.delete("tests/test_migrations.py")
    owner.delete("migrations/versions/0001_items.py")
    return owner.change(
        "package/app.py",
        lambda text: (
            re.sub(r"from \.items import \w+ as items\n", "", text)
            .replace("items.router, ", "")
            .replace(", items.router", "")
            .replace("items.router", "")
        ),
    )


# --- pyproject.toml ---


def add_requirement(owner: Owner) -> bool:
    """Add a dependency with uv."""
    return uv(owner, "add", owner.random.choice(REQUIREMENTS))


def add_dev_requirement(owner: Owner) -> bool:
    """Add a development dependency with uv."""
    return uv(owner, "add", "--dev", owner.random.choice(DEV_REQUIREMENTS))


def remove_requirement(owner: Owner) -> bool:
    """Remove a dependency that was added."""
    text = owner.path("pyproject.toml").read_text(encoding="utf-8")
    added = [name for name in map(distribution, REQUIREMENTS) if f'"{name}' in text]
    return bool(added) and uv(owner, "remove", owner.random.choice(added))


def distribution(requirement: str) -> str:
    """Give the name in a requirement."""
    return re.split("[>=<]", requirement, maxsplit=1)[0]


def uv(owner: Owner, *arguments: str) -> bool:
    """Let uv edit pyproject.toml, without resolving anything."""
    before = owner.path("pyproject.toml").read_bytes()
    command = [str(UV), *arguments, "--frozen", "--offline", "--quiet"]
    done = subprocess.run(command, cwd=owner.service, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return owner.path("pyproject.toml").read_bytes() != before


def append_requirement(owner: Owner) -> bool:
    """Write a dependency at the end of the list, by hand."""
    requirement = owner.random.choice(REQUIREMENTS)
    end_of_list = re.compile(r"(\ndependencies = \[\n(?:.*\n)*?)(\])")
    return owner.change(
        "pyproject.toml",
        lambda text: (
            text
            if f'"{distribution(requirement)}' in text
            else end_of_list.sub(rf'\1    "{requirement}",\n\2', text, count=1)
        ),
    )


def bump_requirement(owner: Owner) -> bool:
    """Change the bound of a dependency that was added."""
    bound = re.compile(r'"(aiofiles|uvloop|zeep|email-validator)[>=<\d.,]*"')
    number = owner.random.randint(30, 99)
    return owner.change("pyproject.toml", lambda text: bound.sub(rf'"\g<1>>={number}"', text, count=1))


def bump_version(owner: Owner) -> bool:
    """Give the service a new version, in both places."""
    version = f"{owner.random.randint(1, 9)}.{owner.random.randint(0, 99)}.0"
    owner.change("config/service.yaml", lambda text: re.sub(r"version: .*", f"version: {version}", text))
    return owner.change(
        "pyproject.toml", lambda text: re.sub(r'(?m)^version = ".*"', f'version = "{version}"', text, count=1)
    )


def describe(owner: Owner) -> bool:
    """Write another description by hand."""
    note = owner.note()
    return owner.change(
        "pyproject.toml",
        lambda text: re.sub(r"(?m)^description = .*", f'description = "{note}"', text, count=1),
    )


def add_script(owner: Owner) -> bool:
    """Add a command below that of the template."""
    line = (
        f'{owner.random.choice(WORDS)}-{owner.random.randrange(10**6)} = "{owner.package.name}.__main__:main"'
    )
    return owner.change(
        "pyproject.toml", lambda text: re.sub(r"(\[project\.scripts\]\n.*\n)", rf"\1{line}\n", text, count=1)
    )


def configure_tools(owner: Owner) -> bool:
    """Add a tool's table, at the end or before another table."""
    name = f"owner-{owner.random.randrange(10**6)}"
    table = f'[tool.{name}]\nsetting = "{owner.note()}"\n'
    return owner.change(
        "pyproject.toml",
        owner.random.choice(
            [
                lambda text: f"{text}\n{table}",
                lambda text: text.replace("\n[tool.hatch", f"\n{table}\n[tool.hatch", 1),
                lambda text: text.replace(
                    "\n# Yours: `uv add --dev`", f"\n{table}\n# Yours: `uv add --dev`", 1
                ),
            ]
        ),
    )


# --- Everything else ---


def edit_readme(owner: Owner) -> bool:
    """Insert, delete and reorder paragraphs of the README."""

    def edited(text: str) -> str:
        paragraphs = text.split("\n\n")
        paragraphs.insert(owner.random.randrange(len(paragraphs) + 1), owner.note())
        del paragraphs[owner.random.randrange(len(paragraphs))]
        owner.random.shuffle(paragraphs)
        return "\n\n".join(paragraphs)

    return owner.change("README.md", edited)


def configure_service(owner: Owner) -> bool:
    """Change settings and the rules of tools, in the files for them."""
    level = owner.random.choice(["debug", "info", "warning"])
    name = owner.random.choice(
        ["config/service.yaml", "config/service.production.yaml", "mypy.ini", "ruff.toml"]
    )
    if name.endswith(".production.yaml"):
        return owner.write(name, f"# {owner.note()}\nlogging:\n  level: {level}\n")
    return owner.change(name, lambda text: f"{text}# {owner.note()}\n")


def edit_overlay(owner: Owner) -> bool:
    """Change how a deployment differs in production, and add a resource to it."""
    folder = "deploy/kubernetes/overlays/production"
    if not owner.path(folder).exists():
        return False
    owner.write(f"{folder}/service.ingress.yaml", f"# {owner.note()}\n")
    return owner.change(
        f"{folder}/kustomization.yaml",
        lambda text: (
            re.sub('newTag: ".*"', f'newTag: "{owner.random.randint(1, 9)}.0.0"', text)
            + f"# {owner.note()}\n"
        ),
    )


def ignore_files(owner: Owner) -> bool:
    """Add entries to .gitignore, at its end or its beginning."""
    entry = f"/{owner.random.choice(WORDS)}-{owner.random.randrange(10**6)}/\n"
    at_end = owner.random.random() < 0.8
    return owner.change(".gitignore", lambda text: text + entry if at_end else entry + text)


def delete_files_of_the_template(owner: Owner) -> bool:
    """Delete files that the template owns: CI, the image, a policy."""
    names = [".github", ".gitlab-ci.yml", "SECURITY.md", "Dockerfile", "compose.yaml", ".env.example"]
    return owner.delete(owner.random.choice(names))


def delete_own_files(owner: Owner) -> bool:
    """Delete files that were seeded."""
    return owner.delete(owner.random.choice(["README.md", "mypy.ini", "ruff.toml", "config/service.yaml"]))


def add_files(owner: Owner) -> bool:
    """Put files of the owner's own everywhere, also between those of the template."""
    names = [
        "service.mk",
        "compose.override.yaml",
        "docs/runbook.md",
        "chassis/NOTES.md",
        "deploy/kubernetes/base/notes.txt",
        ".github/workflows/service.yml",
        ".gitlab/service.yml",
        "migrations/versions/notes.txt",
        f"scripts/{owner.random.choice(WORDS)}.sh",
    ]
    return owner.write(owner.random.choice(names), f"# {owner.note()}\n")


EDITS: list[Edit] = [
    comment_code,
    write_function,
    delete_test,
    reorder_tests,
    rename_module,
    add_routes,
    add_test,
    delete_example,
    add_requirement,
    add_requirement,
    add_dev_requirement,
    add_dev_requirement,
    append_requirement,
    remove_requirement,
    bump_requirement,
    bump_version,
    describe,
    add_script,
    configure_tools,
    edit_readme,
    configure_service,
    edit_overlay,
    ignore_files,
    delete_files_of_the_template,
    delete_own_files,
    add_files,
    add_files,
]
