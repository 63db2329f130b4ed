"""What owners do to their Python code."""

import ast
import re
from collections.abc import Callable

from owner import WORDS, Owner

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
