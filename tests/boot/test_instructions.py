"""What the tutorial and the rendered README tell people to do works as it is written."""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import copier
import pytest
import yaml
from type_cache import type_cache

from chassis.bundles.database.settings import DEFAULT_URL

ROOT = Path(__file__).resolve().parents[2]
TOOLS = Path(sys.executable).parent
PATH = re.compile(r"[\w.-]*\.[\w.-]*\w[/,]?|\w+/,?|Makefile|Dockerfile")


@pytest.fixture
def check(run: Callable[..., Any]) -> Callable[[Path], None]:
    """Run a service's formatter, linter, type checker and tests: what `make check test` runs."""

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
        with type_cache() as cache:
            typed = subprocess.run(
                [TOOLS / "mypy", "--cache-dir", cache, "src", "tests"],
                cwd=service,
                env=os.environ | {"MYPYPATH": str(ROOT / "template" / "chassis" / "src")},
                check=False,
                capture_output=True,
                text=True,
            )
        assert typed.returncode == 0, typed.stdout + typed.stderr
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


@pytest.mark.ops
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
    answer = running.client.get(called)
    assert answer.json() == {"greeting": "Hello, Ada!"}
    # The route has all this without a line of its own.
    assert {"ratelimit", "x-content-type-options", "x-request-id"} <= answer.headers.keys()
    counted = 'service_requests_total{method="GET",route="/hello/{name}",status="200"} 1'
    assert counted in running.client.get("/metrics").text.splitlines()
    running.wait_until(
        lambda: any(event.get("route") == "/hello/{name}" for event in running.events()), "it is logged"
    )
    assert running.client.get("/items").status_code == 404


@pytest.mark.ops
def test_a_bundle_of_ones_own_is_added_as_its_page_says(
    template: Path, tmp_path: Path, check: Callable[[Path], None], start: Callable[..., Any]
) -> None:
    text = (ROOT / "docs" / "how-to" / "add-to-a-service.md").read_text(encoding="utf-8")
    module, settings, composition, test = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    service = tmp_path / "greetings"
    copier.run_copy(str(template), service, data={"service_name": "Greetings"}, defaults=True, quiet=True)
    root = remove_items(service, "greetings")
    package = service / "src" / "greetings"
    (package / "weather.py").write_text(module, encoding="utf-8")
    (package / "settings.py").write_text(settings, encoding="utf-8")
    (service / "tests" / "test_weather.py").write_text(test, encoding="utf-8")
    root.write_text(composition, encoding="utf-8")
    check(service)
    show = [TOOLS / "chassis", "config", "show", "--json"]
    environ = os.environ | {"WEATHER_URL": "http://127.0.0.1:9", "PYTHONPATH": str(service / "src")}
    shown = subprocess.run(show, cwd=service, env=environ, check=True, capture_output=True, text=True)
    refused = subprocess.run(
        show,
        cwd=service,
        env=environ | {"WEATHER_REMEMBER": "0"},
        check=False,
        capture_output=True,
        text=True,
    )
    assert (refused.returncode, "must be greater than 0" in refused.stdout) == (1, True)
    (told,) = [each for each in json.loads(shown.stdout)["settings"] if each["variable"] == "WEATHER_URL"]
    assert (told["value"], told["source"]) == ("http://127.0.0.1:9", "environment WEATHER_URL")
    # Nobody answers there.
    running = start(
        service, sys.executable, "-m", "greetings", WEATHER_URL="http://127.0.0.1:9", HTTP_CLIENT_RETRIES="0"
    )
    answer = running.client.get("/weather/Rome")
    assert answer.status_code == 502
    assert answer.headers["ratelimit-policy"] == '"GET /weather/{city}";q=30;w=60'
    checks = {
        each["name"]: each["status"] for each in running.client.get("/health/detailed").json()["checks"]
    }
    assert checks["weather"] == "unhealthy"
    assert running.get_status("/health/ready") == 200
    exported = running.client.get("/metrics").text
    assert "\nservice_weather_asked_total 1" in exported
    assert (
        'service_http_client_requests_total{method="GET",status="connect_error",target="weather"} 1'
        in exported
    )


def test_the_requests_of_the_tutorial_are_answered_as_it_says(
    template: Path, tmp_path: Path, start: Callable[..., Any]
) -> None:
    text = (ROOT / "docs" / "tutorial" / "first-service.md").read_text(encoding="utf-8")
    service = tmp_path / "greetings"
    copier.run_copy(str(template), service, data={"service_name": "Greetings"}, defaults=True, quiet=True)
    running = start(service, sys.executable, "-m", "greetings", LOG_FORMAT="console", LOG_COLOR="false")
    create, ask = re.findall(r"^    (curl -i .*)$", text, re.MULTILINE)
    created = curl(create.replace("localhost:8000", running.url))
    assert created.startswith("HTTP/1.1 201")
    (request_id,) = re.findall(r"^x-request-id: (\w+)\r?$", created, re.MULTILINE)
    running.wait_until(lambda: request_id in running.output(), "the request is logged")
    (line,) = [line for line in running.output().splitlines() if request_id in line]
    assert {"route=/items", "status=201"} <= set(line.split())
    assert re.search(r"\bduration_ms=\d", line)
    lost = curl(ask.replace("localhost:8000", running.url))
    assert lost.startswith("HTTP/1.1 404")
    assert json.loads(lost.splitlines()[-1])["code"] == "ITEM_NOT_FOUND"
    description = running.client.get("/openapi.json").json()["info"]["description"]
    assert description == "Greetings, a service on the Chassis standard."
    assert 'service="greetings"' in running.client.get("/metrics").text


def curl(command: str) -> str:
    """Run a command of the page; gives the answer with its headers."""
    return subprocess.run(
        [*shlex.split(command), "--silent"], check=True, capture_output=True, text=True
    ).stdout


def test_a_service_listens_where_the_documents_say(in_memory: Path, run: Callable[..., Any]) -> None:
    shown = run(in_memory, "-c", "from chassis.cli import main; main()", "config", "show", "--json")
    values = {each["path"]: each["value"] for each in json.loads(shown.stdout)["settings"]}
    address = f"http://{values['server.host']}:{values['server.port']}"
    assert address == "http://127.0.0.1:8000"
    for document in (ROOT / "docs" / "tutorial" / "first-service.md", in_memory / "README.md"):
        assert address in document.read_text(encoding="utf-8")


def test_the_readme_shows_what_is_rendered(template: Path, with_database: Path, tmp_path: Path) -> None:
    compose = tmp_path / "compose"
    answers = {"service_name": "Orders", "deployment": "compose", "ci": "gitlab"}
    copier.run_copy(str(template), compose, data=answers, defaults=True, quiet=True)
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    tree = text.partition("    orders/\n")[2].partition("\n\n")[0]
    folder, named = "", []
    for line in tree.splitlines():
        first, *words = line.split()
        if line.startswith(" " * 7):
            named.append(folder + first)
        else:
            folder = first if first.endswith("/") else ""
            named.append(first)
        named += [folder + word.strip(",") for word in words if PATH.fullmatch(word)]
    assert len(named) == 24
    assert [
        path for path in named if not ((with_database / path).exists() or (compose / path).exists())
    ] == []


@pytest.mark.ops
@pytest.mark.parametrize("bundles", [[], ["database"]], ids=["memory", "database"])
def test_the_example_is_deleted_as_the_readme_says(
    bundles: list[str], template: Path, tmp_path: Path, check: Callable[[Path], None]
) -> None:
    service = tmp_path / "orders"
    data = {"service_name": "Orders", "bundles": bundles}
    copier.run_copy(str(template), service, data=data, defaults=True, quiet=True)
    readme = (service / "README.md").read_text(encoding="utf-8")
    assert "Remove `src/orders/items/` and `tests/test_items.py`" in readme
    assert "In this README remove the lines about `items`" in readme
    root = remove_items(service, "orders")
    kept = [
        line for line in root.read_text(encoding="utf-8").splitlines(keepends=True) if "items" not in line
    ]
    root.write_text("".join(kept), encoding="utf-8")
    assert ("Remove the revision under `migrations/versions/`" in readme) is bool(bundles)
    # Where it was run: a database at the removed revision takes no other one.
    assert (f"`{DEFAULT_URL.removeprefix('sqlite:///')}`" in readme) is bool(bundles)
    for revision in service.glob("migrations/versions/*.py"):
        revision.unlink()
    check(service)


def test_every_path_that_the_readme_names_exists(with_database: Path) -> None:
    readme = (with_database / "README.md").read_text(encoding="utf-8")
    paths = re.findall(
        r"`((?:src|tests|config|migrations|chassis)/[\w./]*|Makefile|pyproject.toml|\.env\.example)`", readme
    )
    assert paths
    assert [path for path in paths if not (with_database / path).exists()] == []


def test_the_guides_are_where_the_readme_of_a_service_says(in_memory: Path) -> None:
    answers = yaml.safe_load((in_memory / ".copier-answers.yml").read_text(encoding="utf-8"))
    assert "_src_path" in answers
    assert "`_src_path` in `.copier-answers.yml`" in (in_memory / "README.md").read_text(encoding="utf-8")
    index = (ROOT / "docs/README.md").read_text(encoding="utf-8")
    for guide in ("how-to/add-to-a-service", "how-to/deploy", "how-to/observe", "how-to/update"):
        assert f"({guide}.md)" in index
    for page in ("settings", "metrics", "errors"):
        assert f"(reference/{page}.md)" in index


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
