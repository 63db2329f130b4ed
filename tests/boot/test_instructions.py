"""What the tutorial and the rendered README tell people to do works as it is written."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import copier
import pytest

ROOT = Path(__file__).resolve().parents[2]
TOOLS = Path(sys.executable).parent


@pytest.fixture
def check(run: Callable[..., Any]) -> Callable[[Path], None]:
    """Run a service's linter, formatter and tests."""

    def checked(service: Path) -> None:
        for command in (("format", "--check", "."), ("check", ".")):
            done = subprocess.run(
                [TOOLS / "ruff", *command, "--no-cache"],
                cwd=service,
                check=False,
                capture_output=True,
                text=True,
            )
            assert done.returncode == 0, done.stdout
        tested = run(service, "-m", "pytest", "-q", "-p", "no:cacheprovider")
        assert tested.returncode == 0, tested.stdout

    return checked


def remove_items(service: Path, package: str) -> Path:
    """Delete the example resource and its tests; returns the composition root."""
    for file in (service / "src" / package / "items").iterdir():
        file.unlink()
    (service / "src" / package / "items").rmdir()
    (service / "tests" / "test_items.py").unlink()
    return service / "src" / package / "app.py"


def test_the_tutorial_ends_with_a_service_that_passes(
    template: Path, tmp_path: Path, check: Callable[[Path], None], start: Callable[..., Any]
) -> None:
    text = (ROOT / "docs" / "tutorial" / "first-service.md").read_text(encoding="utf-8")
    module, test = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    service = tmp_path / "greetings"
    copier.run_copy(str(template), service, data={"service_name": "Greetings"}, defaults=True, quiet=True)
    root = remove_items(service, "greetings")
    (service / "src" / "greetings" / "hello.py").write_text(module, encoding="utf-8")
    (service / "tests" / "test_hello.py").write_text(test, encoding="utf-8")
    composed = root.read_text(encoding="utf-8")
    for before, after in (
        ("from .items import router as items", "from . import hello"),
        ("items.router", "hello.router"),
    ):
        assert before in composed
        composed = composed.replace(before, after)
    root.write_text(composed, encoding="utf-8")
    check(service)
    (called,) = re.findall(r"^    curl localhost:8000(/hello/\S+)$", text, re.MULTILINE)
    running = start(service, sys.executable, "-m", "greetings")
    assert running.client.get(called).json() == {"greeting": "Hello, Ada!"}


def test_the_example_is_deleted_as_the_readme_says(
    template: Path, tmp_path: Path, check: Callable[[Path], None]
) -> None:
    service = tmp_path / "orders"
    copier.run_copy(str(template), service, data={"service_name": "Orders"}, defaults=True, quiet=True)
    readme = (service / "README.md").read_text(encoding="utf-8")
    assert "Remove `src/orders/items/` and `tests/test_items.py`" in readme
    assert "In this README remove the lines about `items`" in readme
    root = remove_items(service, "orders")
    kept = [
        line for line in root.read_text(encoding="utf-8").splitlines(keepends=True) if "items" not in line
    ]
    root.write_text("".join(kept), encoding="utf-8")
    check(service)


def test_every_path_that_the_readme_names_exists(with_database: Path) -> None:
    readme = (with_database / "README.md").read_text(encoding="utf-8")
    paths = re.findall(
        r"`((?:src|tests|config|migrations|chassis)/[\w./]*|Makefile|pyproject.toml|\.env\.example)`", readme
    )
    assert paths
    assert [path for path in paths if not (with_database / path).exists()] == []


def test_every_target_that_the_documents_name_exists(in_memory: Path) -> None:
    listed = subprocess.run(
        ["make", "help"], cwd=in_memory, check=True, capture_output=True, text=True
    ).stdout
    targets = set(re.findall(r"^  make ([a-z-]+)", listed, re.MULTILINE))
    documents = [ROOT / "docs" / "tutorial" / "first-service.md", in_memory / "README.md"]
    for document in documents:
        named = re.findall(
            r"^    make ([a-z ]+?)(?:\s+#.*)?$", document.read_text(encoding="utf-8"), re.MULTILINE
        )
        assert {word for line in named for word in line.split()} <= targets


@pytest.mark.parametrize(
    "document",
    ["README.md", "copier.yml", "docs/tutorial/first-service.md", "docs/how-to/start-a-service.md"],
)
def test_the_first_commit_holds_the_lock(document: str) -> None:
    """Without it `make update` refuses the tree, and CI its first step."""
    text = (ROOT / document).read_text(encoding="utf-8")
    steps = r"git init\b.*?\bmake lock test\b.*?\bgit add \. && git commit"
    assert re.search(steps, text, re.DOTALL)
    assert text.count("git commit") == 1


def test_the_rendered_readme_updates_by_the_target_that_needs_no_trust(in_memory: Path) -> None:
    readme = (in_memory / "README.md").read_text(encoding="utf-8")
    assert re.search("^    make update +#", readme, re.MULTILINE)
    assert "copier update`" not in readme
    assert not re.search("^    copier update", readme, re.MULTILINE)


def test_the_index_lists_every_page_of_the_documentation_once() -> None:
    folder = ROOT / "docs"
    index = (folder / "README.md").read_text(encoding="utf-8")
    listed = re.findall(r"^- \[[^]]+\]\(([^)]+)\): \S", index, re.MULTILINE)
    pages = {file.relative_to(folder).as_posix() for file in folder.rglob("*.md")} - {"README.md"}
    assert sorted(listed) == sorted(pages)


def test_the_readme_lists_every_task() -> None:
    listed = re.findall(
        r"^\| \[[^]]+\]\(docs/how-to/([^)]+)\) \| \S",
        (ROOT / "README.md").read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    assert sorted(listed) == sorted(file.name for file in (ROOT / "docs" / "how-to").glob("*.md"))


@pytest.mark.parametrize(
    "document",
    ["README.md", "docs/README.md", "docs/tutorial/first-service.md", "docs/how-to/start-a-service.md"],
)
def test_every_link_of_a_document_leads_somewhere(document: str) -> None:
    file = ROOT / document
    links = re.findall(r"\]\((?!https?:)([^)#]+)", file.read_text(encoding="utf-8"))
    assert links
    assert [link for link in links if not (file.parent / link).exists()] == []


def test_every_question_is_explained() -> None:
    guide = (ROOT / "docs" / "how-to" / "start-a-service.md").read_text(encoding="utf-8")
    questions = re.findall(r"^([a-z]\w+):$", (ROOT / "copier.yml").read_text(encoding="utf-8"), re.MULTILINE)
    assert questions
    assert [question for question in questions if f"`{question}`" not in guide] == []
